"""Orders of a faceset. A sort writes the new order into the names; «final» also takes out what adds little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.facesets import crop, quality
from facegen.facesets.faceset import Faceset, OnProgress
from facegen.facesets.record import FaceRecord

FINAL_COUNT = 2000
YAW_BINS = 128
YAW_LIMIT_DEG = float(np.degrees(1.2))
THUMBNAIL = 16


@dataclass(frozen=True, kw_only=True)
class Order:
    """Result of a sort."""

    records: tuple[FaceRecord, ...]
    """In their new order."""
    dropped: tuple[FaceRecord, ...] = ()
    """What «final» leaves out."""
    values: tuple[float, ...] = ()
    """The figure of each record in `records`, where the order follows one."""


def _by(value: Callable[[FaceRecord], float], *, is_rising: bool = False) -> Callable[..., Order]:
    def order(faceset: Faceset, _count: int, _on_progress: OnProgress | None) -> Order:
        values = np.array([value(record) for record in faceset.records])
        return _make_order(faceset.records, values, np.argsort(values if is_rising else -values, kind="stable"))

    return order


def _make_order(records: Sequence[FaceRecord], values: np.ndarray, indices: np.ndarray) -> Order:
    return Order(records=tuple(records[p] for p in indices), values=tuple(float(values[p]) for p in indices))


def _by_name(faceset: Faceset, _count: int, _on_progress: OnProgress | None) -> Order:
    return Order(records=tuple(sorted(faceset.records, key=lambda r: (r.source, r.source_frame or 0, r.stem))))


def _by_identity(faceset: Faceset, _count: int, _on_progress: OnProgress | None) -> Order:
    """By distance to the most frequent person; faces without embedding last."""
    vectors = np.stack([_embedding(record) for record in faceset.records])
    has_embedding = np.isfinite(vectors[:, 0])
    if not has_embedding.any():
        raise InputError("Expected faces whose person was measured, found none; extract them again.")
    distances = np.full(len(vectors), np.inf)
    distances[has_embedding] = np.linalg.norm(vectors[has_embedding] - find_centre(vectors[has_embedding]), axis=1)
    finite = np.where(has_embedding, distances, 9.0)
    return _make_order(faceset.records, finite, np.argsort(finite, kind="stable"))


def find_centre(vectors: np.ndarray) -> np.ndarray:
    """(128,) mean of the vectors that are one person's: re-centred on those near it until that holds."""
    sample = vectors[:: max(1, len(vectors) // 2000)]
    gaps = np.sqrt(np.maximum(0, _squared_distances(sample, sample)))
    centre = sample[int((gaps < 0.5).sum(1).argmax())]
    for _ in range(5):
        near = vectors[np.linalg.norm(vectors - centre, axis=1) < 0.5]
        centre = near.mean(0) if len(near) else centre
    return centre


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T


def _embedding(record: FaceRecord) -> np.ndarray:
    return record.embedding if record.embedding is not None else np.full(128, np.nan, np.float32)


def _by_histogram(faceset: Faceset, _count: int, on_progress: OnProgress | None) -> Order:
    """Each face is followed by the one whose colours are most like its own."""
    return _chain_nearest(faceset, _features(faceset, lambda _, image: quality.histogram(image), on_progress))


def _by_dissimilarity(faceset: Faceset, _count: int, on_progress: OnProgress | None) -> Order:
    """Faces whose colours differ most from all others first."""
    values = _mean_distances(_features(faceset, lambda _, image: quality.histogram(image), on_progress))
    return _make_order(faceset.records, values, np.argsort(-values, kind="stable"))


def _by_difference(faceset: Faceset, _count: int, on_progress: OnProgress | None) -> Order:
    """Each face is followed by the one whose pixels differ least from its own."""
    return _chain_nearest(faceset, _features(faceset, lambda _, image: _thumbnail(image), on_progress))


def _thumbnail(image_rgb: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32).ravel() / 255


def _features(
    faceset: Faceset, feature: Callable[[FaceRecord, np.ndarray], np.ndarray], on_progress: OnProgress | None
) -> np.ndarray:
    return np.stack(list(faceset.map_pictures(feature, on_progress)))


def _chain_nearest(faceset: Faceset, features: np.ndarray) -> Order:
    """Greedy nearest-neighbour walk through all features."""
    remaining = np.arange(len(features))
    index = int(np.linalg.norm(features - features.mean(0), axis=1).argmin())
    walk, gaps = [], []
    rest, squares = features.copy(), (features * features).sum(1)
    gap = 0.0
    while True:
        walk.append(int(remaining[index]))
        gaps.append(gap)
        here = rest[index].copy()
        # the last one takes the place of the one that goes, so that nothing is shifted
        for array in (remaining, rest, squares):
            array[index] = array[-1]
        remaining, rest, squares = remaining[:-1], rest[:-1], squares[:-1]
        if not len(remaining):
            break
        apart = squares - 2 * (rest @ here)
        index = int(apart.argmin())
        gap = float(np.sqrt(max(0.0, apart[index] + here @ here)))
    return Order(records=tuple(faceset.records[p] for p in walk), values=tuple(gaps))


def _mean_distances(features: np.ndarray) -> np.ndarray:
    """(N,) mean distance of each feature from all others."""
    total = np.zeros(len(features))
    for start in range(0, len(features), 1024):
        total[start : start + 1024] = np.sqrt(
            np.maximum(0, _squared_distances(features[start : start + 1024], features))
        ).mean(1)
    return total


def _final(faceset: Faceset, count: int, on_progress: OnProgress | None) -> Order:
    """The best spread over yaw and pitch with the sharpest kept.

    128 bins of yaw share the count evenly, and what a poor bin does not need goes to the others. A bin's share is given
    to its pitches in turn, the sharpest of each first; of equals in pose the ones with stranger colours come first.
    """
    records = faceset.records
    if count >= len(records):
        return Order(records=records)
    histograms = _features(faceset, lambda _, image: quality.histogram(image), on_progress)
    yaw = np.clip([record.yaw_deg for record in records], -YAW_LIMIT_DEG, YAW_LIMIT_DEG)
    bins = np.minimum(((yaw + YAW_LIMIT_DEG) / (2 * YAW_LIMIT_DEG) * YAW_BINS).astype(int), YAW_BINS - 1)
    queues = [_best_first(records, np.flatnonzero(bins == number), histograms) for number in range(YAW_BINS)]
    selected: list[int] = []
    rank = 0
    while len(selected) < count:
        row = [queue[rank] for queue in queues if rank < len(queue)]
        # where not all fit any more, the sharper ones do
        row = sorted(row, key=lambda index: -records[index].sharpness)[: count - len(selected)]
        selected += row
        rank += 1
    selection = set(selected)
    return Order(
        records=tuple(records[index] for index in sorted(selection, key=lambda p: (bins[p], records[p].pitch_deg))),
        dropped=tuple(record for index, record in enumerate(records) if index not in selection),
    )


def _best_first(records: Sequence[FaceRecord], indices: np.ndarray, histograms: np.ndarray) -> list[int]:
    """The faces of one bin of yaw: pitches in turn, the sharpest of each first, strange colours before usual ones."""
    if not len(indices):
        return []
    distances = _mean_distances(histograms[indices])
    sharp = np.array([records[index].sharpness for index in indices])
    # sharpness decides; strangeness moves a face by at most a tenth
    scores = sharp * (1 + 0.1 * distances / max(float(distances.max()), 1e-9))
    by_pitch: dict[int, list[int]] = {}
    for index in np.argsort(-scores, kind="stable"):
        by_pitch.setdefault(round(records[indices[index]].pitch_deg / 4), []).append(int(indices[index]))
    groups = sorted(by_pitch.values(), key=len)
    longest = max(map(len, groups))
    return [group[rank] for rank in range(longest) for group in groups if rank < len(group)]


KEYS: dict[str, Callable[[Faceset, int, OnProgress | None], Order]] = {
    "blur": _by(lambda record: record.sharpness),
    "motion-blur": _by(lambda record: record.motion_blur, is_rising=True),
    "yaw": _by(lambda record: record.yaw_deg, is_rising=True),
    "pitch": _by(lambda record: record.pitch_deg, is_rising=True),
    "roll": _by(lambda record: record.roll_deg, is_rising=True),
    "size": _by(lambda record: record.face_px),
    "brightness": _by(lambda record: record.brightness),
    "hue": _by(lambda record: record.hue, is_rising=True),
    "black": _by(lambda record: record.black, is_rising=True),
    "hist": _by_histogram,
    "hist-dissim": _by_dissimilarity,
    "difference": _by_difference,
    "name": _by_name,
    "distance": _by(lambda record: crop.misalignment(record.points68), is_rising=True),
    "identity": _by_identity,
    "final": _final,
}
"""What can be sorted by; the best, the smallest or the most alike comes first."""


def sort(faceset: Faceset, key: str, *, count: int = FINAL_COUNT, on_progress: OnProgress | None = None) -> Order:
    """Works out an order; nothing is written (see `Faceset.rename_in_order` and `trash.move`).

    Args:
        faceset: what is sorted.
        key: one of `KEYS`.
        count: how many «final» keeps.
        on_progress: called after every picture that is read.

    Raises:
        InputError: there is no such key, or the faceset is empty.
    """
    if key not in KEYS:
        raise InputError(f"Expected a key of {', '.join(KEYS)}, found {key!r}; choose one of these.")
    if not len(faceset):
        raise InputError(f"Expected faces in {faceset.folder}, found none; extract some first.")
    return KEYS[key](faceset, max(1, count), on_progress)
