"""The faces of one person as tensors for training: pictures, masks, and masks of eyes and mouth, in one alignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facegen.errors import InputError
from facegen.facesets import FaceRecord, Faceset, crop
from facegen.facesets.crop import warp_black
from facegen.facesets.faceset import METADATA, in_order
from facegen.facesets.mask import hull_mask
from facegen.facesets.pack import PackedFaceset

_EYES_MOUTH = (range(36, 42), range(42, 48), range(48, 60))
YAW_BINS = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonFaces:
    """The faces of one person: uint8 tensors on the CPU, one row a face."""

    pictures: Tensor
    """(N, 3, R, R) RGB."""
    masks: Tensor
    """(N, 1, R, R) 255 is face."""
    features: Tensor
    """(N, 1, R, R) 255 is eyes or mouth."""
    yaw_bins: Tensor
    """(N,) int64: bin of the yaw angle, numbered without gaps."""
    skipped: tuple[str, ...]
    """Names of faces that could not be read."""

    def __len__(self) -> int:
        return len(self.pictures)

    def sample(self, count: int, random: torch.Generator, *, is_yaw_uniform: bool) -> Tensor:
        """(count,) random indices, uniform over faces or over yaw bins."""
        if not is_yaw_uniform:
            return torch.randint(len(self), (count,), generator=random)
        probability = 1.0 / torch.bincount(self.yaw_bins).float()[self.yaw_bins]
        return torch.multinomial(probability, count, replacement=True, generator=random)


def load_faces(folder: Path, resolution: int, face_type: str) -> PersonFaces:
    """Loads a faceset, or its shards, into memory.

    Args:
        folder: a faceset or packed shards.
        resolution: side of the pictures.
        face_type: the alignment; that of the faceset must show as much or more.

    Raises:
        InputError: there are no faces, or they show less.
    """
    if (folder / METADATA).is_file():
        faceset = Faceset.open(folder)
        return _load(
            faceset.records, lambda n: faceset.picture(faceset.records[n]), lambda n: faceset.mask(faceset.records[n]),
            resolution, face_type, folder,
        )  # fmt: skip
    packed = PackedFaceset.open(folder)
    try:
        return _load(packed.records, packed.picture, packed.mask, resolution, face_type, folder)
    finally:
        packed.close()


def _load(
    records: tuple[FaceRecord, ...],
    picture: Callable[[int], np.ndarray],
    mask: Callable[[int], np.ndarray | None],
    resolution: int,
    face_type: str,
    folder: Path,
) -> PersonFaces:
    if not records:
        raise InputError(f"Expected faces in {folder}, found none; extract some first.")
    order = list(crop.FACE_TYPES)
    stored_type = records[0].face_type
    if stored_type in order and order.index(stored_type) < order.index(face_type):
        raise InputError(
            f"Expected faces that show {face_type}, found {stored_type} in {folder}; extract them as {face_type} or "
            f"train with task.face_type={stored_type}."
        )
    pictures = np.empty((len(records), resolution, resolution, 3), np.uint8)
    masks = np.empty((len(records), resolution, resolution), np.uint8)
    features = np.empty_like(masks)

    def read(number: int) -> str | None:
        record = records[number]
        try:
            image, stored_mask = picture(number), mask(number)
        except InputError:
            return record.file_name
        matrix = alignment_matrix(record, image.shape[0], resolution, face_type)
        aligned = record.transform(matrix)
        pictures[number] = warp_black(image, matrix, resolution)
        if stored_mask is None:
            masks[number] = hull_mask(aligned, resolution)
        else:
            masks[number] = cv2.warpAffine(stored_mask, matrix, (resolution, resolution), flags=cv2.INTER_LINEAR)
        features[number] = eyes_mouth_mask(aligned.points68, resolution)
        return None

    failed = list(in_order(range(len(records)), read))
    kept = np.array([name is None for name in failed])
    if not kept.any():
        raise InputError(f"Expected readable faces in {folder}, found none; extract them again.")
    yaw = np.array([record.yaw_deg for record in records])[kept]
    bins = np.unique(np.clip((yaw + 90) / 180 * YAW_BINS, 0, YAW_BINS - 1).astype(int), return_inverse=True)[1]
    return PersonFaces(
        pictures=torch.from_numpy(pictures[kept]).permute(0, 3, 1, 2),
        masks=torch.from_numpy(masks[kept])[:, None],
        features=torch.from_numpy(features[kept])[:, None],
        yaw_bins=torch.from_numpy(bins.astype(np.int64)),
        skipped=tuple(name for name in failed if name is not None),
    )


def alignment_matrix(record: FaceRecord, side: int, resolution: int, face_type: str) -> np.ndarray:
    """(2, 3) from pixels of a face's picture, `side` wide, to those of the training crop."""
    if record.face_type == face_type or record.face_type not in crop.FACE_TYPES:
        scale = resolution / side
        return np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]], np.float32)
    return crop.crop_matrix(record.points68, crop.face_type(face_type), resolution, record.yaw_deg)


def eyes_mouth_mask(points68: np.ndarray, side: int) -> np.ndarray:
    """(side, side) uint8, 255 on eyes and mouth and a little around them."""
    mask = np.zeros((side, side), np.uint8)
    for group in _EYES_MOUTH:
        hull = cv2.convexHull(np.round(points68[list(group)].astype(np.float32) * 16).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 255, shift=4)
    width = max(1, side // 32)
    grown = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1)))
    return cv2.GaussianBlur(grown, (0, 0), max(1.0, side / 96))
