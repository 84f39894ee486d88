"""The face parser: its classes, and what rebuilds its network; read without torch and numpy. `parser.FaceParser` runs it.

The 19 classes are those of CelebAMask-HQ (Lee et al., arXiv:1907.11922), in its order. «Left» is the person's own left.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = (
    "background", "skin", "nose", "glasses", "left_eye", "right_eye", "left_brow", "right_brow", "left_ear",
    "right_ear", "mouth", "upper_lip", "lower_lip", "hair", "hat", "earring", "necklace", "neck", "cloth",
)  # fmt: skip
BACKGROUND, SKIN, NOSE, GLASSES, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, LEFT_EAR = range(9)
RIGHT_EAR, MOUTH, UPPER_LIP, LOWER_LIP, HAIR, HAT, EARRING, NECKLACE, NECK, CLOTH = range(9, 19)

FLIPPED = (0, 1, 2, 3, 5, 4, 7, 6, 9, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""The class that each class becomes when the picture is mirrored."""

FACE = (SKIN, NOSE, GLASSES, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, MOUTH, UPPER_LIP, LOWER_LIP)
"""What belongs to the face itself: what a swap replaces. Hair, hats and anything held before the face do not."""


@dataclass(frozen=True, kw_only=True)
class ParserNetConfig:
    """What rebuilds a parser network from its weights."""

    widths: tuple[int, ...] = (24, 48, 80, 112, 128)
    """Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input's side."""
    blocks: tuple[int, ...] = (0, 1, 2, 2, 1)
    """Residual blocks of the encoder at each of these scales."""
    classes: int = 19
    """Number of classes, background first."""

    @classmethod
    def tiny(cls) -> ParserNetConfig:
        """A few thousand weights, for tests."""
        return cls(widths=(4, 6, 8, 8, 8), blocks=(0, 1, 1, 1, 1))
