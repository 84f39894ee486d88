"""Proposals of faces to remove: other people, duplicates, blurred, misaligned and occluded faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facegen.errors import InputError
from facegen.facesets import cluster, crop, quality
from facegen.facesets.faceset import Faceset, OnProgress
from facegen.facesets.mask import parse_mask
from facegen.facesets.options import CleanOptions
from facegen.facesets.record import FaceRecord


@dataclass(frozen=True, kw_only=True)
class Reject:
    """One face that is proposed for the trash."""

    record: FaceRecord
    reason: str
    """One of `CLEAN_REASONS`; the first that holds."""
    value: float
    """The figure that decided."""


def propose(
    faceset: Faceset, options: CleanOptions | None = None, on_progress: OnProgress | None = None
) -> list[Reject]:
    """Faces to remove, in the faceset's order; nothing is moved (see `trash.move`).

    Raises:
        InputError: the faceset is empty.
    """
    options = options or CleanOptions()
    records = faceset.records
    if not records:
        raise InputError(f"Expected faces in {faceset.folder}, found none; extract some first.")
    rejects: dict[str, tuple[str, float]] = {}

    def add(which: Sequence[FaceRecord], reason: str, values: Sequence[float]) -> None:
        for record, value in zip(which, values, strict=True):
            rejects.setdefault(record.stem, (reason, float(value)))

    def remaining() -> list[FaceRecord]:
        return [record for record in records if record.stem not in rejects]

    if "other-person" in options.reasons:
        add(*_others(records, options.person_distance))
    if "misaligned" in options.reasons:
        values = [crop.misalignment(record.points68) - 0.0016 * abs(record.yaw_deg) for record in remaining()]
        add(*_above(remaining(), "misaligned", values, options.most_misaligned))
    if "blurred" in options.reasons:
        # measured against faces seen as large as this one at least: small ones are soft without being out of focus
        limit = float(np.median([record.sharpness for record in records])) * options.blur_share
        soft = [record for record in remaining() if record.sharpness < limit]
        add(soft, "blurred", [record.sharpness for record in soft])
    if "covered" in options.reasons:
        rest = remaining()
        values = list(Faceset(faceset.folder, rest).map_pictures(measure_occlusion, on_progress, "Parsing"))
        add(*_above(rest, "covered", values, options.most_covered))
    if "duplicate" in options.reasons:
        add(*_doubles(remaining(), options.duplicate_bits))
    return [
        Reject(record=record, reason=rejects[record.stem][0], value=rejects[record.stem][1])
        for record in records
        if record.stem in rejects
    ]


def measure_occlusion(record: FaceRecord, image_rgb: np.ndarray) -> float:
    """0..1: how much of the hull of a face's points is no skin, eye, lip, brow or glasses."""
    hull = quality.hull_mask(record.points68, image_rgb.shape[:2]) > 127
    if not hull.any():
        return 1.0
    return float(1 - (parse_mask(record, image_rgb)[hull] / 255).mean())


def _others(records: Sequence[FaceRecord], limit: float) -> tuple[list[FaceRecord], str, list[float]]:
    vectors = cluster.stack_embeddings(records)
    labels = cluster.cluster_embeddings(vectors, limit)
    centre = np.nanmean(vectors[labels == 0], axis=0)
    indices = [int(index) for index in np.flatnonzero(labels != 0) if np.isfinite(vectors[index]).all()]
    return [records[p] for p in indices], "other-person", [float(np.linalg.norm(vectors[p] - centre)) for p in indices]


def _above(
    records: Sequence[FaceRecord], reason: str, values: Sequence[float], limit: float
) -> tuple[list[FaceRecord], str, list[float]]:
    indices = [index for index, value in enumerate(values) if value > limit]
    return [records[p] for p in indices], reason, [values[p] for p in indices]


def _doubles(records: Sequence[FaceRecord], bits: int) -> tuple[list[FaceRecord], str, list[float]]:
    """All but the sharpest of each group of pictures that look the same; the value is the bits that differ."""
    hashes = quality.hash_bits([record.phash for record in records]).astype(np.float32)
    order = np.argsort([-record.sharpness for record in records], kind="stable")
    unique_bits = np.zeros((len(records), 64), np.float32)
    count, doubles, values = 0, [], []
    for index in order:
        if not records[index].phash:
            continue
        bits_of_face = hashes[index]
        # bits that differ: ones of the one and not of the other, either way
        distances = (
            bits_of_face.sum() + unique_bits[:count].sum(1) - 2 * unique_bits[:count] @ bits_of_face
            if count
            else np.array([64.0])
        )
        nearest = float(distances.min())
        if nearest <= bits:
            doubles.append(int(index))
            values.append(nearest)
        else:
            unique_bits[count] = bits_of_face
            count += 1
    return [records[p] for p in doubles], "duplicate", values
