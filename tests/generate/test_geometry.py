"""Lids, lips, turn and flows."""

import numpy as np
import pytest

from facegen.generate.frame import geometry
from facegen.generate.frame.alignment import SIZE
from tests.generate.faces import shape


@pytest.mark.parametrize("gap", [0.05, 0.2, 0.4])
def test_lids_open_as_far_as_asked(gap: float) -> None:
    moved = geometry.set_lid_gap(shape().astype(np.float64), gap)
    assert geometry.lid_gap(moved) == pytest.approx(gap, abs=0.04)
    assert geometry.lip_gap(moved) == pytest.approx(geometry.lip_gap(shape()), abs=1e-3)


@pytest.mark.parametrize("gap", [0.0, 0.15, 0.35])
def test_lips_open_as_far_as_asked(gap: float) -> None:
    moved = geometry.set_lip_gap(shape().astype(np.float64), gap)
    assert geometry.lip_gap(moved) == pytest.approx(gap, abs=0.03)
    assert geometry.lid_gap(moved) == pytest.approx(geometry.lid_gap(shape()), abs=1e-3)


def test_a_turn_and_back_is_nothing() -> None:
    points = shape().astype(np.float64)
    axis = geometry.yaw_axis(points)
    turned = geometry.rotate_yaw(points, 25, axis)
    assert turned[1, 0] > points[1, 0] + 5  # the nose goes to the picture's right
    np.testing.assert_allclose(geometry.rotate_yaw(turned, -25, axis), points, atol=1e-9)


def test_the_flow_between_equal_meshes_is_nothing() -> None:
    ring = geometry.static_ring(shape())
    assert np.abs(geometry.backward_flow(shape(), shape(), ring, ring, size=64)).max() < 1e-3


def test_a_flow_leads_from_target_to_source_and_leaves_the_border() -> None:
    source = shape()
    target = geometry.pose_shape(source, 0.3, 0.3, 0.0)
    ring = geometry.static_ring(source)
    flow = geometry.backward_flow(target, source, ring, ring, size=128)
    chin = target[199, :2]
    found = flow[int(chin[1] / 2), int(chin[0] / 2)]
    np.testing.assert_allclose(found, (source - target)[199, :2], atol=2.0)
    edges = np.concatenate([flow[0], flow[-1], flow[:, 0], flow[:, -1]])
    assert np.abs(edges).max() < 1.5
    assert flow.shape == (128, 128, 2)
    assert SIZE == 256


def test_a_shape_is_brought_where_photographs_have_theirs() -> None:
    mean = shape(0)
    moved = 1.1 * shape(0) + np.array([5.0, -7.0, 0.0], np.float32)
    np.testing.assert_allclose(geometry.align_shape(moved, mean), mean, atol=0.01)
