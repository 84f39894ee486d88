import numpy as np
import pytest

from facegen.faces import light, mesh
from tests.faces.test_mesh import flat_face


def lit(normals: np.ndarray, direction: tuple[float, float, float], tone: tuple[float, float, float]) -> np.ndarray:
    """(468, 3) log RGB of plain skin under one lamp and some light from everywhere."""
    amount = np.log(0.6 + 0.5 * np.clip(normals @ np.array(direction, np.float32), 0, 1))
    return (np.log(np.array(tone)) + amount[:, None]).astype(np.float32)


@pytest.fixture(scope="module")
def normals() -> np.ndarray:
    return mesh.normals(flat_face())


def test_logarithm_and_back() -> None:
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_allclose(light.from_log(light.to_log(picture)), picture, atol=1e-3)


def test_fit_follows_the_lamp_and_holds_a_patch_at_a_distance(normals: np.ndarray) -> None:
    colours = lit(normals, (0.7, 0, -0.7), (180, 130, 110))
    beard = mesh.topology().xyz[:, 1] < -6
    with_beard = colours.copy()
    with_beard[beard] -= 1.5
    weights = light.skin_vertices()
    clean, robust = light.fit(colours, normals, weights), light.fit(with_beard, normals, weights)
    assert clean.at(normals)[454, 0] - clean.at(normals)[234, 0] > 0.15
    upper = mesh.topology().xyz[:, 1] > 0
    assert np.abs(robust.at(normals) - clean.at(normals))[upper].mean() < 0.15
    assert robust.weights[beard & (weights == 1)].mean() < 0.3


def test_relighting_brings_one_skin_to_the_other(normals: np.ndarray) -> None:
    target = lit(normals, (-0.7, -0.2, -0.6), (90, 60, 45))
    albedo = np.zeros((mesh.VERTEX_COUNT, 3), np.float32)
    gain = light.relight(albedo, target, normals, light.facing(normals))
    seen = light.facing(normals) > 0.8
    assert np.abs(albedo + gain - target)[seen].mean() < 0.05


def test_relighting_keeps_the_source_s_own_features(normals: np.ndarray) -> None:
    albedo = np.zeros((mesh.VERTEX_COUNT, 3), np.float32)
    albedo[list(mesh.LIPS_OUTER)] = -0.5
    target = lit(normals, (0, 0, -1), (150, 110, 90))
    gain = light.relight(albedo, target, normals, light.facing(normals))
    lips, cheek = (albedo + gain)[0], (albedo + gain)[50]
    assert (cheek - lips).mean() == pytest.approx(0.5, abs=0.15)
