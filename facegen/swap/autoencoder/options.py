"""The options of a SAEHD model, with DeepFaceLab's names, defaults and bounds. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from facegen.config import check
from facegen.errors import InputError

SAEHD = ("df", "liae", "amp", "scratch")
FACESWAP = (
    "lightweight",
    "original",
    "iae",
    "dfaker",
    "dfl-h128",
    "realface",
    "unbalanced",
    "villain",
    "dlight",
    "phaze-a",
)
"""Architectures named after faceswap's models."""
FLAGS = "udtc"
LARGEST_CODE = 1024
"""Of the SAEHD family; faceswap's go further."""
ColourTransfer = Literal["none", "rct", "lct", "mkl", "idt", "sot"]


def _bounded(default: Any, low: float, high: float, step: float | None = None) -> Any:
    return field(default=default, metadata={"min": low, "max": high} | ({"step": step} if step else {}))


def parse_architecture(text: str) -> tuple[str, frozenset[str]]:
    """Kind and letters of a name such as «liae-ud»; faceswap's have no letters.

    Raises:
        InputError: another kind, another letter, or one letter twice.
    """
    if text in FACESWAP:
        return text, frozenset()
    kind, _, flags = text.partition("-")
    letters = "" if kind == "scratch" else FLAGS
    if kind not in SAEHD or set(flags) - set(letters) or len(set(flags)) != len(flags):
        raise InputError(
            f"Expected an architecture of df, liae or amp with letters of {FLAGS} (such as liae-ud), scratch, "
            f"{', '.join(FACESWAP)}, found {text!r}; write it so."
        )
    return kind, frozenset(flags)


@dataclass(frozen=True, kw_only=True)
class SaehdOptions:
    """The shape of a model and how it is trained."""

    resolution: int = _bounded(128, 64, 640, 16)
    """Side of the faces, pixels: a multiple of 16, of 32 with the letter d."""
    face_type: Literal["half", "mid_full", "full", "whole_face", "head"] = "full"
    """How much of the head is learned; the facesets must show as much or more."""
    architecture: str = "liae-ud"
    """df, liae or amp, with letters of u, d, t, c after a dash; scratch, the progress report's; or one of faceswap's."""
    input_resolution: int = _bounded(0, 0, 640, 16)
    """Side of what the encoder sees, the resolution divided by a whole number; 0 is the resolution itself."""
    ae_dims: int = _bounded(256, 32, 2048, 1)
    """Numbers that a face is squeezed into; the SAEHD family goes up to 1024."""
    e_dims: int = _bounded(64, 16, 256, 2)
    """Channels of the encoder; even."""
    d_dims: int = _bounded(64, 16, 256, 2)
    """Channels of the decoder; even."""
    d_mask_dims: int = _bounded(22, 16, 256, 2)
    """Channels of the mask's decoder; even, a third of d_dims by custom."""
    masked_training: bool = True
    """Look at what the masks show and at nothing else."""
    eyes_mouth_prio: bool = False
    """Make eyes and mouth count more."""
    uniform_yaw: bool = False
    """Show rare head turns as often as common ones."""
    blur_out_mask: bool = False
    """Blur what lies just outside of the masks, so that borders do not print through; wants exact masks."""
    random_warp: bool = True
    """Bend the inputs, so that shape is learned instead of pixels; off at the end of a training."""
    warp_share: float = _bounded(1.0, 0.0, 1.0, 0.05)
    """Share of the training after which warping ends by itself; 1 never."""
    random_hsv_power: float = _bounded(0.0, 0.0, 0.3, 0.01)
    """Random colours of B's inputs."""
    random_src_flip: bool = False
    """Mirror B at random."""
    random_dst_flip: bool = True
    """Mirror A at random."""
    ct_mode: ColourTransfer = "none"
    """Give B's faces the colours of A's while training."""
    gan_power: float = _bounded(0.0, 0.0, 5.0, 0.05)
    """Strength of a rival that wants fine detail; for the end of a training."""
    gan_start: float = _bounded(0.0, 0.0, 1.0, 0.05)
    """Share of the training after which that rival begins."""
    gan_patch_size: int = _bounded(0, 0, 640, 1)
    """Pixels that the rival looks at, at least 3; 0 is an eighth of the resolution."""
    gan_dims: int = _bounded(16, 4, 512, 1)
    """Channels of the rival."""
    true_face_power: float = _bounded(0.0, 0.0, 1.0, 0.01)
    """Pull B's codes towards A's (df only)."""
    face_style_power: float = _bounded(0.0, 0.0, 100.0, 0.01)
    """Give the swapped face A's colours."""
    bg_style_power: float = _bounded(0.0, 0.0, 100.0, 0.01)
    """Give what surrounds the swapped face A's look."""
    morph_factor: float = _bounded(0.5, 0.1, 0.5, 0.05)
    """Share of B's channels while training (amp only)."""
    timm_encoder: str = "mobilenetv3_small_100"
    """The network of the timm library that sees (phaze-a only)."""
    is_middle_split: bool = False
    """A middle for each person instead of a shared one (phaze-a only)."""
    is_decoder_shared: bool = False
    """One decoder for both instead of one each; needs split middles (phaze-a only)."""
    pretrain: bool = False
    """Learn faces in general from one faceset of many people: no warping, both mirrored, even yaw, nothing fancy."""

    def __post_init__(self) -> None:
        self.check_options()

    def check_options(self) -> None:
        """Raises InputError where a value is out of bounds or values do not go together."""
        check(self)
        kind, flags = parse_architecture(self.architecture)
        multiple = 32 if "d" in flags or kind in ("dfaker", "realface", "villain", "dlight") else 16
        if self.resolution % multiple:
            raise InputError(
                f"Expected a resolution that is a multiple of {multiple} for {self.architecture}, found "
                f"{self.resolution}; choose {self.resolution // multiple * multiple or multiple}."
            )
        if kind in SAEHD and self.ae_dims > LARGEST_CODE:
            raise InputError(f"Expected at most {LARGEST_CODE} ae_dims for {kind}, found {self.ae_dims}; choose fewer.")
        if self.resolution % self.seen:
            raise InputError(
                f"Expected an input_resolution that divides {self.resolution}, found {self.seen}; choose "
                f"{self.resolution // 2}, or 0 for the resolution itself."
            )
        if self.is_decoder_shared and not self.is_middle_split:
            raise InputError("Expected split middles where the decoder is shared, found neither split; split one.")
        for name in ("e_dims", "d_dims", "d_mask_dims"):
            if getattr(self, name) % 2:
                raise InputError(f"Expected an even {name}, found {getattr(self, name)}; choose the next one.")
        if self.true_face_power and kind != "df":
            raise InputError(f"Expected true_face_power with df only, found it with {kind}; leave it at 0.")
        if 0 < self.gan_patch_size < 3:
            raise InputError(f"Expected a gan_patch_size of 3 or more (0: automatic), found {self.gan_patch_size}.")

    @property
    def seen(self) -> int:
        """Side of what the encoder sees, pixels."""
        return self.input_resolution or self.resolution

    @property
    def patch(self) -> int:
        """Pixels that the rival looks at."""
        return self.gan_patch_size or self.resolution // 8

    @property
    def uses_true_face(self) -> bool:
        """Whether there is a rival for codes."""
        return self.true_face_power > 0 and not self.pretrain

    @property
    def has_critics(self) -> bool:
        """Whether there is any rival."""
        return self.uses_true_face or (self.gan_power > 0 and not self.pretrain)
