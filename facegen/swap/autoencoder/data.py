"""Training batches of two people, augmented together with their masks: affine, flip, warp, blur and colour."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.swap.autoencoder.faces import PersonFaces, load_faces
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
from facegen.training.task import BatchSpec

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
