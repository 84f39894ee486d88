"""The people of a faceset: agglomerative clustering of the embeddings, and a faceset for each cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.faces.recogniser import chip
from facegen.facesets.faceset import METADATA, Faceset, OnProgress, write_records
from facegen.facesets.options import PERSON_DISTANCE_LIMIT
from facegen.facesets.record import FaceRecord
from facegen.system import link_or_copy

DENSE = 3000
"""Up to so many faces every pair is looked at; above, faces that are nearly the same are joined first."""
_NEAR = 0.22
_REPEATED = 0.3
"""Faces nearer to each other than this (frames of one shot) say together as much as one."""
_SPREAD = 0.2
"""Mean squared distance of two pictures of one person: 0.44 apart, give or take 0.08."""


def cluster_embeddings(embeddings: np.ndarray, limit: float = PERSON_DISTANCE_LIMIT) -> np.ndarray:
    """Group numbers of faces, 0 for the largest group.

    Agglomerative clustering, cut at `limit`, see `_agglomerate`. Of more than `DENSE` faces those that are nearly the same
    (frames of one clip) are joined first by BIRCH (Zhang et al. 1996), which keeps memory bounded.

    Args:
        embeddings: (N, 128); rows of NaN stay alone.
        limit: distance of single pictures above which groups stay apart.
    """
    indices = np.flatnonzero(np.isfinite(embeddings).all(1))
    labels = np.full(len(embeddings), -1)
    if len(indices):
        points = embeddings[indices].astype(np.float64)
        joined = np.arange(len(points))
        near = _NEAR
        while len(points) > DENSE:
            from sklearn.cluster import Birch

            birch = Birch(threshold=near, branching_factor=64, n_clusters=None).fit(points)
            joined = birch.labels_[joined] if len(birch.labels_) == len(points) else joined
            points, near = birch.subcluster_centers_, near * 1.3
        labels[indices] = _agglomerate(points, limit)[joined]
    alone = labels < 0
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(int(alone.sum()))
    _, group_indices, counts = np.unique(labels, return_inverse=True, return_counts=True)
    # the largest group becomes 0; equal ones keep the order in which they first appear
    first = np.array([int(np.flatnonzero(group_indices == group)[0]) for group in range(len(counts))])
    rank = np.empty(len(counts), int)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    return rank[group_indices]


def _agglomerate(points: np.ndarray, limit: float) -> np.ndarray:
    """Joins the two nearest groups, again and again, until none are nearer than `limit`; (N,) group numbers.

    How far two groups are apart is the distance that single pictures of their people would have: the squared distance of the
    groups' means and, for the n pictures of each, the share (1 - 1/n) / 2 of `_SPREAD` that a mean lacks. A group's own spread
    in its place would make it average linkage, by which people who look alike are joined where each looks much the same in
    all pictures.

    Args:
        points: (N, 128) float64.
        limit: see `people`.
    """
    count = len(points)
    squares = (points**2).sum(1)
    means_apart = np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0)
    faces = 1 / (means_apart < _REPEATED**2).sum(1)
    # what a group's mean lacks of a single picture's spread
    added = _SPREAD / 2 * (1 - 1 / np.maximum(faces, 1))
    labels, alive = np.arange(count), np.ones(count, bool)
    np.fill_diagonal(means_apart, np.inf)

    def find_nearest(groups: np.ndarray) -> None:
        apart = means_apart[groups] + added
        nearest[groups] = apart.argmin(1)
        gaps[groups] = apart[np.arange(len(groups)), nearest[groups]] + added[groups]

    nearest, gaps = np.zeros(count, int), np.zeros(count)
    find_nearest(np.arange(count))
    for _ in range(count - 1):
        into = int(gaps.argmin())
        if gaps[into] >= limit**2:
            break
        other = int(nearest[into])
        labels[labels == other] = into
        share = faces[other] / (faces[into] + faces[other])
        # squared distances of the joint mean (Lance and Williams 1967, centroids)
        row = (1 - share) * means_apart[into] + share * means_apart[other]
        row -= share * (1 - share) * means_apart[into, other]
        alive[other] = False
        faces[into] += faces[other]
        added[into] = _SPREAD / 2 * (1 - 1 / max(faces[into], 1))
        row[into] = np.inf
        means_apart[into], means_apart[:, into] = row, row
        means_apart[other], means_apart[:, other], gaps[other] = np.inf, np.inf, np.inf
        row = row + added + added[into]
        stale = alive & ((nearest == other) | (nearest == into))
        closer = (row < gaps) & alive
        nearest[closer], gaps[closer] = into, row[closer]
        stale[into] = True
        find_nearest(np.flatnonzero(stale & ~closer))
    return labels


def cluster(faceset: Faceset, *, limit: float = PERSON_DISTANCE_LIMIT) -> list[list[FaceRecord]]:
    """The faces of each person, the person with most faces first.

    Raises:
        InputError: the faceset is empty.
    """
    if not len(faceset):
        raise InputError(f"Expected faces in {faceset.folder}, found none; extract some first.")
    labels = cluster_embeddings(stack_embeddings(faceset.records), limit)
    groups: list[list[FaceRecord]] = [[] for _ in range(int(labels.max()) + 1)]
    for record, label in zip(faceset.records, labels, strict=True):
        groups[label].append(record)
    return groups


def stack_embeddings(records: Sequence[FaceRecord]) -> np.ndarray:
    """(N, 128) float32; rows of NaN for faces without an embedding."""
    missing = np.full(128, np.nan, np.float32)
    return np.stack([record.embedding if record.embedding is not None else missing for record in records])


def compute_embeddings(
    faceset: Faceset, analyser: FaceAnalyser | None = None, on_progress: OnProgress | None = None
) -> Faceset:
    """Computes the embedding of every face that has none (imported ones) and writes the metadata."""
    lacking = [record for record in faceset.records if record.embedding is None and record.points478 is not None]
    if not lacking:
        return faceset
    analyser = analyser or FaceAnalyser()
    computed: dict[str, np.ndarray] = {}
    for start in range(0, len(lacking), 16):
        part = lacking[start : start + 16]
        chips = [chip(faceset.picture(record), record.points478) for record in part if record.points478 is not None]
        computed |= {record.stem: v for record, v in zip(part, analyser.recogniser.embed_chips(chips), strict=True)}
        if on_progress is not None:
            on_progress((start + len(part)) / len(lacking), f"Recognising faces, {start + len(part)} of {len(lacking)}")
    return faceset.write([r.replace(embedding=computed.get(r.stem, r.embedding)) for r in faceset.records])


def split_people(faceset: Faceset, groups: Sequence[Sequence[FaceRecord]], output: Path) -> list[Path]:
    """Writes each group as `person-000` and so on; pictures are linked where the file system can, else copied.

    Raises:
        InputError: the folder is not empty.
    """
    if output.exists() and any(output.iterdir()):
        raise InputError(f"Expected a new or empty folder at {output}, found files in it; choose another.")
    folders = []
    for number, group in enumerate(groups):
        folder = output / f"person-{number:03d}"
        folder.mkdir(parents=True)
        for record in group:
            for name in filter(None, (record.file_name, record.mask_file_name)):
                (folder / name).parent.mkdir(exist_ok=True)
                link_or_copy(faceset.folder / name, folder / name)
        write_records(folder / METADATA, group)
        folders.append(folder)
    return folders
