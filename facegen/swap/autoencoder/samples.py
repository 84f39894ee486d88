"""Training batches of two people: moved, mirrored, bent and tinted together with their masks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.swap.autoencoder.people import People, read_people
from facegen.swap.merge.colour_transfer import COLOUR_TRANSFERS
from facegen.training.augment import (
    AffineRange,
    affine_grids,
    draw_warps,
    jitter_hsv,
    sample_pictures,
    to_float,
    warped,
)
from facegen.training.losses import gaussian_window
from facegen.training.task import BatchSpec

SHOWN = 4
FLIP_SHARE = 0.4


class TwoPeople:
    """Batches of A and B, drawn independently of each other.

    A batch holds for each person «input» (bent), «target», «mask» and «features», named `a_input` and so on.
    """

    def __init__(self, a: People, b: People, options: SaehdOptions, device: torch.device) -> None:
        self.a, self.b, self.options, self.device = a, b, options, device
        self.skipped = a.skipped + b.skipped

    @classmethod
    def read(cls, folder: Path | None, options: SaehdOptions, device: torch.device) -> TwoPeople:
        """Reads `a` and `b` below a folder; for pretraining the folder may be one faceset of many people.

        Raises:
            InputError: a faceset is missing or does not fit.
        """
        if folder is None:
            raise InputError("Expected a folder with the facesets a and b, found none given; add --data DIR.")
        places = [folder / "a", folder / "b"]
        if options.pretrain and not places[0].exists():
            people = read_people(folder, options.resolution, options.face_type)
            return cls(people, people, options, device)
        for place in places:
            if not place.is_dir():
                raise InputError(
                    f"Expected a faceset at {place} (a: the person in the video, b: whose face it gets), found none; "
                    "extract it there."
                )
        a, b = (read_people(place, options.resolution, options.face_type) for place in places)
        return cls(a, b, options, device)

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch; see the class."""
        options, random = self.options, spec.generator
        count = len(spec.indices)
        is_even = options.uniform_yaw or options.pretrain
        is_bent = is_warping(options, spec.progress)
        out: dict[str, Tensor] = {}
        for name, people, is_flipped in (
            ("a", self.a, options.random_dst_flip or options.pretrain),
            ("b", self.b, options.random_src_flip or options.pretrain),
        ):
            places = people.draw(count, random, is_even=is_even)
            pictures, masks, features = (
                to_float(stack[places].to(self.device)) for stack in (people.pictures, people.masks, people.features)
            )
            if name == "b" and options.ct_mode != "none" and not options.pretrain:
                like = to_float(self.a.pictures[self.a.draw(count, random, is_even=False)].to(self.device))
                pictures = COLOUR_TRANSFERS[options.ct_mode](pictures, like)
            if options.blur_out_mask:
                pictures = blurred_outside(pictures, masks)
            matrices = AffineRange().draw(count, random)
            if is_flipped:
                matrices[torch.rand(count, generator=random) < FLIP_SHARE, :, 0] *= -1
            grids = affine_grids(matrices.to(self.device), options.resolution)
            fields = draw_warps(count, random).to(self.device)
            out[f"{name}_target"] = sample_pictures(pictures, grids, "border")
            out[f"{name}_mask"] = sample_pictures(masks, grids, "zeros")
            out[f"{name}_features"] = sample_pictures(features, grids, "zeros")
            bent = sample_pictures(pictures, warped(grids, fields), "border") if is_bent else out[f"{name}_target"]
            if name == "b" and options.random_hsv_power and not options.pretrain:
                bent = jitter_hsv(bent, random, options.random_hsv_power)
            out[f"{name}_input"] = bent
        return out

    def examples(self) -> tuple[Tensor, Tensor]:
        """(N, 3, R, R) faces of A and of B as they are, spread over each faceset."""
        shown = []
        for people in (self.a, self.b):
            places = torch.linspace(0, len(people) - 1, SHOWN + 2).round().long()[1:-1]
            shown.append(to_float(people.pictures[places]).to(self.device))
        return shown[0], shown[1]


def is_warping(options: SaehdOptions, progress: float) -> bool:
    """Whether inputs are bent at this share of the training."""
    return options.random_warp and not options.pretrain and (options.warp_share >= 1 or progress < options.warp_share)


def blurred_outside(pictures: Tensor, masks: Tensor) -> Tensor:
    """Pictures whose surroundings of the mask are blurred without letting the face bleed into them.

    The blur of what lies outside is divided by how much of it lies outside: blur(x (1 - m)) / (1 - blur(m)).
    """
    sigma = max(pictures.shape[2] / 128, 0.5)
    outside = 1 - masks
    blurred = gaussian_blur(pictures * outside, sigma) / gaussian_blur(outside, sigma).clamp_min(1e-3)
    return pictures * masks + blurred.clamp(0, 1) * outside


def gaussian_blur(pictures: Tensor, sigma: float) -> Tensor:
    """(B, C, H, W) blurred; the border is repeated outwards."""
    size = 2 * max(1, round(3 * sigma)) + 1
    window = gaussian_window(size, sigma, pictures)
    channels, pad = pictures.shape[1], size // 2
    padded = F.pad(pictures, (pad, pad, pad, pad), mode="replicate")
    across = F.conv2d(padded, window.view(1, 1, 1, size).expand(channels, 1, 1, size), groups=channels)
    return F.conv2d(across, window.view(1, 1, size, 1).expand(channels, 1, size, 1), groups=channels)
