"""Who is who in a clip: tracks of one person put together by their embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facegen.faces.detect import overlap
from facegen.faces.recognise import SAME_PERSON
from facegen.faces.track import Track

PERSON_DISTANCE = 0.52
"""Mean embeddings of two tracks (or groups of tracks) further apart than this are two people."""
RETURN_SECONDS = 1.0
"""A face that comes up this soon where another was lost may look less alike and be the same person."""


def cluster(
    embeddings: np.ndarray,
    weights: Sequence[float],
    is_apart: np.ndarray,
    is_return: np.ndarray | None = None,
    limit: float = PERSON_DISTANCE,
) -> list[int]:
    """Agglomerative clustering with cannot-links.

    The two nearest groups are joined, again and again, until none are nearer than `limit`; the distance of groups is
    that of their weighted mean embeddings.

    Args:
        embeddings: (N, 128); rows of NaN (nothing known) stay alone.
        weights: (N,) trust in each embedding.
        is_apart: (N, N) bool, symmetric: pairs that cannot be one person (seen in one frame).
        is_return: (N, N) bool, symmetric: pairs that are one person up to `SAME_PERSON`, see `returns`.
        limit: see above.

    Returns:
        N group numbers from 0, in order of first appearance.
    """
    groups = [[number] for number in range(len(embeddings))]
    while True:
        best: tuple[float, int, int] | None = None
        means = [np.average(embeddings[group], axis=0, weights=[weights[n] for n in group]) for group in groups]
        for a in range(len(groups)):
            for b in range(a + 1, len(groups)):
                apart = float(np.linalg.norm(means[a] - means[b]))
                pairs = np.ix_(groups[a], groups[b])
                share = apart / (SAME_PERSON if is_return is not None and is_return[pairs].any() else limit)
                if share < (best[0] if best else 1.0) and not is_apart[pairs].any():
                    best = share, a, b
        if best is None:
            break
        _, a, b = best
        groups[a] = sorted(groups[a] + groups.pop(b))
    groups.sort(key=lambda group: group[0])
    labels = [0] * len(embeddings)
    for label, group in enumerate(groups):
        for number in group:
            labels[number] = label
    return labels


def find_cooccurrences(spans: Sequence[np.ndarray]) -> np.ndarray:
    """(N, N) bool: which tracks share a frame.

    Args:
        spans: for each track the sorted frame indices it was seen in.
    """
    count = len(spans)
    together = np.zeros((count, count), bool)
    for a in range(count):
        for b in range(a + 1, count):
            shared = len(np.intersect1d(spans[a], spans[b], assume_unique=True))
            together[a, b] = together[b, a] = shared > 0
    return together


def find_returns(tracks: Sequence[Track]) -> np.ndarray:
    """(N, N) bool: which tracks begin where and soon after another ended, as when somebody looks away and back."""
    found = np.zeros((len(tracks), len(tracks)), bool)
    for a, before in enumerate(tracks):
        for b, after in enumerate(tracks):
            first, last = after.samples[0], before.samples[-1]
            is_soon = 0 < first.seconds - last.seconds <= RETURN_SECONDS
            found[a, b] = is_soon and overlap(last.box_xyxy, first.box_xyxy) > 0.2
    return found | found.T
