"""Options of a SAEHD model, with DeepFaceLab's names, defaults and bounds. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from facegen.config import check
from facegen.errors import InputError
from facegen.swap.merge.options import ColourTransfer

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
MAX_AE_DIMS = 1024
"""Of the SAEHD family; faceswap's go further."""
Bottleneck = Literal["shared", "liae", "amp", "split", "iae"]
"""Layout of the inters, the dense layers between encoder and decoder.

shared: one for both people. liae: inter AB for both, inter B (DeepFaceLab's name) for A only, concatenated. amp: one each,
channels mixed. split: one each. iae: one each and a shared one, concatenated.
"""


def _bounded(default: Any, low: float, high: float, step: float | None = None) -> Any:
    return field(default=default, metadata={"min": low, "max": high} | ({"step": step} if step else {}))


def parse_architecture(text: str) -> tuple[str, frozenset[str]]:
    """Family and letters of a name such as «liae-ud»; faceswap's have no letters.

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
    """Side of the encoder's input, the resolution divided by a whole number; 0 is the resolution itself."""
    ae_dims: int = _bounded(256, 32, 2048, 1)
    """Dimensions of the bottleneck; the SAEHD family goes up to 1024."""
    e_dims: int = _bounded(64, 16, 256, 2)
    """Channels of the encoder; even."""
    d_dims: int = _bounded(64, 16, 256, 2)
    """Channels of the decoder; even."""
    d_mask_dims: int = _bounded(22, 16, 256, 2)
    """Channels of the mask's decoder; even, a third of d_dims by custom."""
    masked_training: bool = True
    """Compute the losses inside the masks only."""
    eyes_mouth_prio: bool = False
    """Weight eyes and mouth higher."""
    uniform_yaw: bool = False
    """Sample rare yaw angles as often as common ones."""
    blur_out_mask: bool = False
    """Blur the surroundings of the masks, so that their borders are not learned; needs exact masks."""
    random_warp: bool = True
    """Warp the inputs, so that shapes are learned instead of pixels; off at the end of a training."""
    warp_share: float = _bounded(1.0, 0.0, 1.0, 0.05)
    """Share of the training after which warping ends by itself; 1 never."""
    random_hsv_power: float = _bounded(0.0, 0.0, 0.3, 0.01)
    """Random hue, saturation and value of B's inputs."""
    random_src_flip: bool = False
    """Mirror B at random."""
    random_dst_flip: bool = True
    """Mirror A at random."""
    ct_mode: ColourTransfer = "none"
    """Give B's faces the colours of A's while training."""
    gan_power: float = _bounded(0.0, 0.0, 5.0, 0.05)
    """Weight of the adversarial loss, for fine detail at the end of a training."""
    gan_start: float = _bounded(0.0, 0.0, 1.0, 0.05)
    """Share of the training after which the adversarial loss begins."""
    gan_patch_size: int = _bounded(0, 0, 640, 1)
    """Patch size of the discriminator, pixels, at least 3; 0 is an eighth of the resolution."""
    gan_dims: int = _bounded(16, 4, 512, 1)
    """Channels of the discriminator."""
    true_face_power: float = _bounded(0.0, 0.0, 1.0, 0.01)
    """Pull B's codes towards A's (df only)."""
    face_style_power: float = _bounded(0.0, 0.0, 100.0, 0.01)
    """Weight of the style loss: the swapped face gets A's colours."""
    bg_style_power: float = _bounded(0.0, 0.0, 100.0, 0.01)
    """Weight of the background style loss: the surroundings of the swapped face look like A's."""
    morph_factor: float = _bounded(0.5, 0.1, 0.5, 0.05)
    """Share of B's channels while training (amp only)."""
    timm_encoder: str = "mobilenetv3_small_100"
    """The network of the timm library that is the encoder (phaze-a only)."""
    is_middle_split: bool = False
    """An inter for each person instead of a shared one (phaze-a only)."""
    is_decoder_shared: bool = False
    """One decoder for both instead of one each; needs split inters (phaze-a only)."""
    pretrain: bool = False
    """Pretrain on one faceset of many people: no warping, both mirrored, uniform yaw, no further losses."""

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
        if kind in SAEHD and self.ae_dims > MAX_AE_DIMS:
            raise InputError(f"Expected at most {MAX_AE_DIMS} ae_dims for {kind}, found {self.ae_dims}; choose fewer.")
        if self.resolution % self.encoder_resolution:
            raise InputError(
                f"Expected an input_resolution that divides {self.resolution}, found {self.encoder_resolution}; choose "
                f"{self.resolution // 2}, or 0 for the resolution itself."
            )
        if self.is_decoder_shared and not self.is_middle_split:
            raise InputError("Expected is_middle_split with is_decoder_shared, found it off; switch it on.")
        for name in ("e_dims", "d_dims", "d_mask_dims"):
            if getattr(self, name) % 2:
                raise InputError(f"Expected an even {name}, found {getattr(self, name)}; choose the next one.")
        if self.true_face_power and kind != "df":
            raise InputError(f"Expected true_face_power with df only, found it with {kind}; leave it at 0.")
        if 0 < self.gan_patch_size < 3:
            raise InputError(f"Expected a gan_patch_size of 3 or more (0: automatic), found {self.gan_patch_size}.")

    @property
    def encoder_resolution(self) -> int:
        """Side of the encoder's input, pixels."""
        return self.input_resolution or self.resolution

    @property
    def discriminator_patch(self) -> int:
        """Patch size of the discriminator, pixels."""
        return self.gan_patch_size or self.resolution // 8

    @property
    def uses_true_face(self) -> bool:
        """Whether a discriminator judges codes."""
        return self.true_face_power > 0 and not self.pretrain

    @property
    def has_discriminators(self) -> bool:
        """Whether the loss is adversarial."""
        return self.uses_true_face or (self.gan_power > 0 and not self.pretrain)
