"""Smoothing takes noise away, has no lag, and leaves quick motion alone; people are put together by embedding."""

import numpy as np

from facegen.faces.clip import cluster
from facegen.faces.smoothing import jitter_px, smooth_signal, smooth_track


def _track(count: int, noise_px: float) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    shape = rng.uniform(-100, 100, (478, 3))
    points = 200 + shape[None] + rng.normal(0, noise_px, (count, 478, 3))
    matrices = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    matrices[:, 2, 3] = -50
    return points.astype(np.float32), matrices, np.zeros((count, 52), np.float32), np.arange(count) / 25


def test_jitter_of_a_face_at_rest_shrinks() -> None:
    points, matrices, blendshapes, seconds = _track(100, 0.25)
    smoothed, *_ = smooth_track(points, matrices, blendshapes, seconds)
    assert jitter_px(smoothed) < 0.5 * jitter_px(points)


def test_even_motion_is_left_alone() -> None:
    seconds = np.array([0, 0.04, 0.05, 0.1, 0.2, 0.24, 0.3, 0.33])
    line = (seconds * 300)[:, None]
    np.testing.assert_allclose(smooth_signal(line, seconds, 0.09, 1.0), line, atol=1e-6)


def test_a_blink_is_not_blunted() -> None:
    seconds = np.arange(60) / 25
    blink = np.zeros((60, 1))
    blink[30:33, 0] = (0.6, 1.0, 0.5)
    smoothed = smooth_signal(blink, seconds, 0.05, 0.02)
    assert abs(smoothed[31, 0] - 1.0) < 0.05
    assert smoothed.argmax() == 31


def test_strength_zero_changes_nothing() -> None:
    track = _track(10, 1.0)
    np.testing.assert_array_equal(smooth_track(*track, strength=0)[0], track[0])


def test_tracks_seen_together_are_never_one_person() -> None:
    embeddings = np.zeros((3, 128), np.float32)
    apart = np.zeros((3, 3), bool)
    apart[0, 1] = apart[1, 0] = True
    labels = cluster(embeddings, [1, 1, 1], apart)
    assert labels[0] != labels[1]
    assert labels[2] in labels[:2]


def test_somebody_who_comes_back_where_they_were_lost_may_look_a_little_different() -> None:
    embeddings = np.zeros((2, 128), np.float32)
    embeddings[1, 0] = 0.56
    apart, back = np.zeros((2, 2), bool), ~np.eye(2, dtype=bool)
    assert cluster(embeddings, [1, 1], apart) == [0, 1]
    assert cluster(embeddings, [1, 1], apart, back) == [0, 0]
    assert cluster(embeddings, [1, 1], back, back) == [0, 1]
