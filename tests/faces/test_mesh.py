import numpy as np
import pytest

from facegen.faces import mesh


def flat_face(size: float = 200.0) -> np.ndarray:
    """The canonical face as an image would show it from the front, (468, 3) pixels."""
    canonical = mesh.topology().xyz * np.array([1, -1, -1], np.float32)
    return ((canonical - canonical.mean(0)) * (size / 20) + np.array([size / 2, size / 2, 0], np.float32)).astype(
        np.float32
    )


def test_topology_is_one_closed_sheet() -> None:
    topology = mesh.topology()
    assert topology.xyz.shape == (mesh.VERTEX_COUNT, 3)
    assert topology.uv.min() >= 0
    assert topology.uv.max() <= 1
    edges = np.sort(topology.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    border = {int(vertex) for edge in unique[counts == 1] for vertex in edge}
    assert border == set(mesh.FACE_OVAL)


def test_rasteriser_gives_every_pixel_its_own_place() -> None:
    points = flat_face()
    places, covered = mesh.rasterise(points, points, (200, 200))
    rows, columns = np.nonzero(covered)
    assert covered.mean() > 0.3
    np.testing.assert_allclose(places[covered][:, 0], columns + 0.5, atol=0.2)
    np.testing.assert_allclose(places[covered][:, 1], rows + 0.5, atol=0.2)
    assert (places[~covered] == 0).all()


def test_nearest_surface_wins() -> None:
    points = flat_face()
    turned = points.copy()
    angle = np.radians(75)
    x, z = points[:, 0] - 100, points[:, 2]
    turned[:, 0], turned[:, 2] = 100 + x * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - x * np.sin(angle)
    depth, covered = mesh.rasterise(turned, np.column_stack([turned[:, 2], x, x]), (200, 200))
    # turned to the side, what is seen must be the half that faces the camera
    assert np.median(depth[covered][:, 0]) < np.median(turned[:, 2])


def test_normals_of_a_frontal_face_look_at_the_camera() -> None:
    normals = mesh.normals(flat_face())
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    assert normals[1, 2] < -0.5
    assert normals[234, 0] < 0 < normals[454, 0]


def test_pose_is_found_again() -> None:
    canonical = mesh.topology().xyz
    angle = np.radians(25)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float32)
    points = (canonical * np.array([1, -1, -1], np.float32)) @ rotation.T * 7 + np.array([300, 200, -5], np.float32)
    pose = mesh.Pose.of(points)
    assert pose.scale == pytest.approx(7, rel=1e-4)
    np.testing.assert_allclose(pose.rotation, rotation, atol=1e-4)
    np.testing.assert_allclose(pose.to_canonical(points), canonical, atol=1e-3)
    np.testing.assert_allclose(pose.turn(canonical[:5] - canonical[0]), points[:5] - points[0], atol=1e-2)


def test_smoothing_keeps_constants_and_ignores_what_is_not_trusted() -> None:
    values = np.full((mesh.VERTEX_COUNT, 1), 3, np.float32)
    weights = np.ones(mesh.VERTEX_COUNT, np.float32)
    values[10], weights[10] = 100, 0
    np.testing.assert_allclose(mesh.smooth(values, weights, 1.0), 3, atol=1e-3)


def test_polygon_mask_has_the_polygon_s_area() -> None:
    square = np.array([[10.5, 10], [30, 10], [30, 40], [10.5, 40]], np.float32)
    assert mesh.polygon_mask(square, (60, 60)).sum() / 255 == pytest.approx(19.5 * 30, rel=0.13)
