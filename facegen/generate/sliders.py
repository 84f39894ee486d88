"""The five sliders and the physical quantities of their ends: lid and lip gap, luminance, yaw. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from facegen.config import check

HEAD_REACH = 0.825
"""Fraction of the trained range of yaw that is used; beyond it cheeks smear and identity changes."""
NAMES = ("eyes", "mouth", "hair", "background", "head")


@dataclass(frozen=True, kw_only=True)
class Sliders:
    """The five controls of a face, each 0 to 1."""

    eyes: float = field(default=0.8, metadata={"min": 0.0, "max": 1.0, "step": 0.01})
    """How far the eyes are open: 0 closed, 1 wide open."""
    mouth: float = field(default=0.1, metadata={"min": 0.0, "max": 1.0, "step": 0.01})
    """How far the mouth is open: 0 closed, 1 wide open."""
    hair: float = field(default=0.75, metadata={"min": 0.0, "max": 1.0, "step": 0.01})
    """How dark the hair is: 0 blond, 1 black."""
    background: float = field(default=0.75, metadata={"min": 0.0, "max": 1.0, "step": 0.01})
    """How bright the background is: 0 dark, 1 white."""
    head: float = field(default=0.5, metadata={"min": 0.0, "max": 1.0, "step": 0.01})
    """Where the head is turned: 0 to the picture's left, 0.5 ahead, 1 to its right."""

    def __post_init__(self) -> None:
        check(self)

    def values(self) -> tuple[float, ...]:
        """The five in the order of `NAMES`."""
        return tuple(getattr(self, f.name) for f in fields(self))

    def controls(self) -> tuple[float, ...]:
        """The five as the generator's condition: the yaw is limited to `HEAD_REACH` of the trained range."""
        *others, head = self.values()
        return (*others, 0.5 + HEAD_REACH * (head - 0.5))

    @classmethod
    def from_controls(cls, values: Sequence[float]) -> Sliders:
        """The sliders whose `controls` these five values are, clipped to 0..1."""
        *others, head = (float(value) for value in values)
        head = min(1.0, max(0.0, 0.5 + (head - 0.5) / HEAD_REACH))
        return cls(**dict(zip(NAMES, (*others, head), strict=True)))


@dataclass(frozen=True)
class Scale:
    """Linear map between a slider's value and a physical quantity."""

    at0: float
    at1: float

    def quantity(self, value: float) -> float:
        """The quantity of a slider's value."""
        return self.at0 + (self.at1 - self.at0) * value

    def value(self, quantity: float) -> float:
        """The slider's value for a quantity; may lie outside 0..1."""
        return (quantity - self.at0) / (self.at1 - self.at0)


MEASURED = {
    "eyes": Scale(0.12, 0.38),
    "mouth": Scale(0.0, 0.36),
    "hair": Scale(0.68, 0.08),
    "background": Scale(0.08, 0.94),
    "head": Scale(-30.0, 30.0),
}
"""Quantities as measured on a picture: lid gap in eye widths, lip gap in eye distances, mean luminance, yaw in degrees.

MediaPipe measures a lid gap of about 0.12 on closed eyes."""

DRAWN = {
    "eyes": Scale(-0.08, 0.40),
    "mouth": Scale(0.0, 0.37),
    "hair": Scale(0.68, 0.08),
    "background": Scale(0.08, 0.94),
    "head": Scale(-38.0, 38.0),
}
"""Quantities that the geometry is set to so that a slider's value is measured: a warp to a yaw of 38 degrees measures as
about 26, and closed lids have to overlap a little."""
