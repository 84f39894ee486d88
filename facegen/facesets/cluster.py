"""The people of a faceset: agglomerative clustering of the embeddings, and a faceset for each cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.faces.recognise import chip
from facegen.facesets.choices import PERSON_LIMIT
from facegen.facesets.faceset import METADATA, Faceset, OnProgress, write_records
from facegen.facesets.record import FaceRecord
from facegen.system import link_or_copy

DENSE = 3000
"""Up to so many faces every pair is looked at; above, faces that are nearly the same are joined first."""
_NEAR = 0.22


def people(embeddings: np.ndarray, limit: float = PERSON_LIMIT) -> np.ndarray:
    """Group numbers of faces, 0 for the largest group.

    Average-linkage clustering, cut at `limit`. Of more than `DENSE` faces those that are nearly the same (frames of one
    clip) are joined first by BIRCH (Zhang et al. 1996), which keeps memory bounded.

    Args:
        embeddings: (N, 128); rows of NaN stay alone.
        limit: mean distance above which groups stay apart.
    """
    from sklearn.cluster import AgglomerativeClustering, Birch

    known = np.flatnonzero(np.isfinite(embeddings).all(1))
    labels = np.full(len(embeddings), -1)
    if len(known) > 1:
        points = embeddings[known].astype(np.float64)
        joined = np.arange(len(points))
        near = _NEAR
        while len(points) > DENSE:
            found = Birch(threshold=near, branching_factor=64, n_clusters=None).fit(points)
            joined = found.labels_[joined] if len(found.labels_) == len(points) else joined
            points, near = found.subcluster_centers_, near * 1.3
        if len(points) > 1:
            groups = AgglomerativeClustering(
                n_clusters=None, distance_threshold=limit, metric="euclidean", linkage="average"
            ).fit_predict(points)
            joined = groups[joined]
        else:
            joined = np.zeros(len(known), int)
        labels[known] = joined
    elif len(known):
        labels[known] = 0
    alone = labels < 0
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(int(alone.sum()))
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    # the largest group becomes 0; equal ones keep the order in which they first appear
    first = np.array([int(np.flatnonzero(places == group)[0]) for group in range(len(counts))])
    rank = np.empty(len(counts), int)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    return rank[places]


def cluster(faceset: Faceset, *, limit: float = PERSON_LIMIT) -> list[list[FaceRecord]]:
    """The faces of each person, the person with most faces first.

    Raises:
        InputError: the faceset is empty.
    """
    if not len(faceset):
        raise InputError(f"Expected faces in {faceset.folder}, found none; extract some first.")
    labels = people(embeddings_of(faceset.records), limit)
    groups: list[list[FaceRecord]] = [[] for _ in range(int(labels.max()) + 1)]
    for record, label in zip(faceset.records, labels, strict=True):
        groups[label].append(record)
    return groups


def embeddings_of(records: Sequence[FaceRecord]) -> np.ndarray:
    """(N, 128) float32; rows of NaN where nothing is known."""
    missing = np.full(128, np.nan, np.float32)
    return np.stack([record.embedding if record.embedding is not None else missing for record in records])


def with_embeddings(
    faceset: Faceset, analyser: FaceAnalyser | None = None, on_progress: OnProgress | None = None
) -> Faceset:
    """Measures the person of every face that lacks it (imported ones) and writes the metadata."""
    lacking = [record for record in faceset.records if record.embedding is None and record.points478 is not None]
    if not lacking:
        return faceset
    analyser = analyser or FaceAnalyser()
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(lacking), 16):
        part = lacking[start : start + 16]
        chips = [chip(faceset.picture(record), record.points478) for record in part if record.points478 is not None]
        found |= {record.stem: v for record, v in zip(part, analyser.recogniser.embed_chips(chips), strict=True)}
        if on_progress is not None:
            on_progress((start + len(part)) / len(lacking), f"Recognising faces, {start + len(part)} of {len(lacking)}")
    return faceset.write([r.replace(embedding=found.get(r.stem, r.embedding)) for r in faceset.records])


def bcubed(found: Sequence[Sequence[str]], true: Callable[[str], str]) -> tuple[float, float, float]:
    """B-cubed precision, recall and F1 (Bagga and Baldwin 1998) of clusters of names.

    Args:
        found: the clusters.
        true: who a name really is.
    """
    size: dict[str, int] = {}
    for group in found:
        for name in group:
            size[true(name)] = size.get(true(name), 0) + 1
    precision = recall = 0.0
    for group in found:
        for name in group:
            same = sum(true(other) == true(name) for other in group)
            precision += same / len(group)
            recall += same / size[true(name)]
    total = sum(size.values())
    precision, recall = precision / total, recall / total
    return precision, recall, 2 * precision * recall / (precision + recall)


def split_people(faceset: Faceset, groups: Sequence[Sequence[FaceRecord]], output: Path) -> list[Path]:
    """Writes each group as `person-000` and so on; pictures are linked where the file system can, else copied.

    Raises:
        InputError: the folder is not empty.
    """
    if output.exists() and any(output.iterdir()):
        raise InputError(f"Expected a new or empty folder at {output}, found files in it; choose another.")
    made = []
    for number, group in enumerate(groups):
        folder = output / f"person-{number:03d}"
        folder.mkdir(parents=True)
        for record in group:
            for name in filter(None, (record.file_name, record.mask_file_name)):
                (folder / name).parent.mkdir(exist_ok=True)
                link_or_copy(faceset.folder / name, folder / name)
        write_records(folder / METADATA, group)
        made.append(folder)
    return made
