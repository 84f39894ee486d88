"""Training batches of two people, augmented together with their masks: affine, flip, warp, blur and colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.facesets import FaceRecord, Faceset, crop
from facegen.facesets.crop import warp_black
from facegen.facesets.faceset import METADATA, map_ordered
from facegen.facesets.mask import hull_mask
from facegen.facesets.pack import PackedFaceset
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.swap.merge.colour_transfer import COLOUR_TRANSFERS
from facegen.training.augment import (
    AffineRange,
    affine_grids,
    draw_warps,
    jitter_hsv,
    sample_pictures,
    to_float,
    warp_grids,
)
from facegen.training.losses import gaussian_window
from facegen.training.task import BatchSpec, SampleNames

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
    names: tuple[str, ...]
    """Of the videos and pictures that they were cut from; of faces where that is not known."""
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

    failed = list(map_ordered(range(len(records)), read))
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
        names=tuple(
            dict.fromkeys(r.source or r.file_name for r, is_kept in zip(records, kept, strict=True) if is_kept)
        ),
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


EXAMPLES = 4
FLIP_PROBABILITY = 0.4


class SaehdData:
    """Batches of A and B, sampled independently of each other.

    A batch holds for each person «input» (warped), «target», «mask» and «features» (eyes and mouth), as `a_input` and so
    on: (N, 3 or 1, R, R) float in [0, 1].
    """

    def __init__(self, a: PersonFaces, b: PersonFaces, options: SaehdOptions, device: torch.device) -> None:
        self.a, self.b, self.options, self.device = a, b, options, device
        self.skipped = a.skipped + b.skipped
        self.names = SampleNames(learned=tuple(dict.fromkeys(a.names + b.names)))

    @classmethod
    def load(cls, folder: Path | None, options: SaehdOptions, device: torch.device) -> SaehdData:
        """Loads `a` and `b` below a folder; for pretraining the folder may be one faceset of many people.

        Raises:
            InputError: a faceset is missing or does not fit.
        """
        if folder is None:
            raise InputError("Expected a folder with the facesets a and b, found none given; add --data DIR.")
        folders = [folder / "a", folder / "b"]
        if options.pretrain and not folders[0].exists():
            faces = load_faces(folder, options.resolution, options.face_type)
            return cls(faces, faces, options, device)
        for path in folders:
            if not path.is_dir():
                raise InputError(
                    f"Expected a faceset at {path} (a: the person in the video, b: whose face it gets), found none; "
                    "extract it there."
                )
        a, b = (load_faces(path, options.resolution, options.face_type) for path in folders)
        return cls(a, b, options, device)

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch; see the class."""
        options, random = self.options, spec.generator
        count = len(spec.indices)
        is_yaw_uniform = options.uniform_yaw or options.pretrain
        is_warped = is_warping(options, spec.progress)
        out: dict[str, Tensor] = {}
        for name, faces, is_flipped in (
            ("a", self.a, options.random_dst_flip or options.pretrain),
            ("b", self.b, options.random_src_flip or options.pretrain),
        ):
            indices = faces.sample(count, random, is_yaw_uniform=is_yaw_uniform)
            pictures, masks, features = (
                to_float(stack[indices].to(self.device)) for stack in (faces.pictures, faces.masks, faces.features)
            )
            if name == "b" and options.ct_mode != "none" and not options.pretrain:
                references = self.a.pictures[self.a.sample(count, random, is_yaw_uniform=False)]
                pictures = COLOUR_TRANSFERS[options.ct_mode](pictures, to_float(references.to(self.device)))
            if options.blur_out_mask:
                pictures = blur_outside(pictures, masks)
            matrices = AffineRange().draw(count, random)
            if is_flipped:
                matrices[torch.rand(count, generator=random) < FLIP_PROBABILITY, :, 0] *= -1
            grids = affine_grids(matrices.to(self.device), options.resolution)
            fields = draw_warps(count, random).to(self.device)
            out[f"{name}_target"] = sample_pictures(pictures, grids, "border")
            out[f"{name}_mask"] = sample_pictures(masks, grids, "zeros")
            out[f"{name}_features"] = sample_pictures(features, grids, "zeros")
            inputs = (
                sample_pictures(pictures, warp_grids(grids, fields), "border") if is_warped else out[f"{name}_target"]
            )
            if name == "b" and options.random_hsv_power and not options.pretrain:
                inputs = jitter_hsv(inputs, random, options.random_hsv_power)
            out[f"{name}_input"] = inputs
        return out

    def examples(self) -> tuple[Tensor, Tensor]:
        """(N, 3, R, R) faces of A and of B without augmentation, spread over each faceset."""
        examples = []
        for faces in (self.a, self.b):
            indices = torch.linspace(0, len(faces) - 1, EXAMPLES + 2).round().long()[1:-1]
            examples.append(to_float(faces.pictures[indices]).to(self.device))
        return examples[0], examples[1]


def is_warping(options: SaehdOptions, progress: float) -> bool:
    """Whether inputs are warped at this share of the training."""
    return options.random_warp and not options.pretrain and (options.warp_share >= 1 or progress < options.warp_share)


def blur_outside(pictures: Tensor, masks: Tensor) -> Tensor:
    """Blurs pictures outside their masks without letting the face bleed into the surroundings.

    A normalised convolution of the outside: blur(x (1 - m)) / blur(1 - m).
    """
    sigma = max(pictures.shape[2] / 128, 0.5)
    outside = 1 - masks
    blurred = gaussian_blur(pictures * outside, sigma) / gaussian_blur(outside, sigma).clamp_min(1e-3)
    return pictures * masks + blurred.clamp(0, 1) * outside


def gaussian_blur(pictures: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, C, H, W) with replicated borders."""
    size = 2 * max(1, round(3 * sigma)) + 1
    window = gaussian_window(size, sigma, pictures)
    channels, pad = pictures.shape[1], size // 2
    padded = F.pad(pictures, (pad, pad, pad, pad), mode="replicate")
    across = F.conv2d(padded, window.view(1, 1, 1, size).expand(channels, 1, 1, size), groups=channels)
    return F.conv2d(across, window.view(1, 1, size, 1).expand(channels, 1, size, 1), groups=channels)
