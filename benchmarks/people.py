"""Faces with the names of their people, for the figures and thresholds of recognition."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from facegen.facesets import ExtractOptions, Faceset, extract
from facegen.facesets.cluster import cluster_embeddings
from facegen.facesets.record import FaceRecord

RECOGNITION_CODE = (
    *("facegen/faces/align.py", "facegen/faces/analyser.py", "facegen/faces/detector.py", "facegen/faces/landmark.py"),
    *("facegen/faces/recogniser.py", "facegen/facesets/cluster.py", "facegen/facesets/extraction.py"),
)
"""What figures of recognition depend on."""
LIMITS = np.arange(0.40, 0.705, 0.01)
"""Limits of clustering that are tried."""


def named_faces(data: Path, faceset: Path) -> list[FaceRecord]:
    """The face of each photograph of `identities` that its name speaks of, with its folder as `source`.

    Extracted as users do. The name is that of the person in the middle: in seven of the 294 photographs somebody else's face
    is larger.

    Args:
        data: laid out like ../shared/data.
        faceset: a new folder, or one of an earlier call.
    """
    if not faceset.exists():
        extract([data / "identities"], faceset, ExtractOptions())
    nearest: dict[str, tuple[float, FaceRecord]] = {}
    for record in Faceset.open(faceset).records:
        gap = _from_middle(record)
        if gap < nearest.get(record.source, (np.inf,))[0]:
            nearest[record.source] = gap, record
    return [record for _, record in nearest.values()]


def person_of(record: FaceRecord) -> str:
    """The folder that a photograph of `identities` lies in."""
    return record.source.split("/")[0]


def _from_middle(record: FaceRecord) -> float:
    """How far a face is from the middle of its photograph, pixels."""
    assert record.crop_matrix is not None
    assert record.source_width is not None
    assert record.source_height is not None
    middle = record.crop_matrix @ (record.source_width / 2, record.source_height / 2, 1)
    size_in_source = np.linalg.norm(record.crop_matrix[0, :2])
    return float(np.linalg.norm(record.points5.mean(0) - middle) / size_in_source)


def bcubed_by_face(labels: np.ndarray, people: Sequence[str]) -> np.ndarray:
    """(N, 2) precision and recall of each face's group (Bagga and Baldwin 1998)."""
    names = np.asarray(people)
    same_group, same_person = labels[:, None] == labels[None], names[:, None] == names[None]
    both = (same_group & same_person).sum(1)
    return np.stack([both / same_group.sum(1), both / same_person.sum(1)], 1)


def f1(by_face: np.ndarray) -> float:
    """B-cubed F1 of what `bcubed_by_face` returns."""
    precision, recall = by_face.mean(0)
    return float(2 * precision * recall / (precision + recall))


def choose_limit(embeddings: np.ndarray, people: Sequence[str]) -> float:
    """The middle of the limits whose F1 is within half a per cent of the best."""
    found = np.array([f1(bcubed_by_face(cluster_embeddings(embeddings, limit), people)) for limit in LIMITS])
    return float(LIMITS[found >= found.max() - 0.005].mean())


def choose_between(scores: np.ndarray, is_above: np.ndarray) -> float:
    """The threshold with the least mean of both error rates; the middle of those that are equally good."""
    order = np.sort(np.unique(scores))
    tried = (order[1:] + order[:-1]) / 2
    errors = np.array([balanced_error(scores, is_above, value) for value in tried])
    best = tried[errors <= errors.min() + 1e-9]
    return float((best.min() + best.max()) / 2)


def balanced_error(scores: np.ndarray, is_above: np.ndarray, threshold: float) -> float:
    """Mean of the share of scores at or below the threshold that belong above, and of the others."""
    return float((scores[is_above] <= threshold).mean() + (scores[~is_above] > threshold).mean()) / 2


def cross_validate(
    people: Sequence[str],
    choose: Callable[[set[str]], float],
    error: Callable[[set[str], float], float],
    *,
    folds: int = 5,
    repeats: int = 4,
) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds chosen without a fold of the people, and their errors on that fold; (folds * repeats,) each."""
    chosen, errors = [], []
    for seed in range(repeats):
        order = np.random.default_rng(seed).permutation(sorted(set(people)))
        for fold in range(folds):
            left_out = set(order[fold::folds].tolist())
            chosen.append(choose(set(people) - left_out))
            errors.append(error(left_out, chosen[-1]))
    return np.array(chosen), np.array(errors)
