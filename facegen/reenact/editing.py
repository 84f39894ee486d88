"""The sliders of a face: what each adds to the keypoints' offsets, or to the head's pose. Imports no torch and no numpy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from facegen.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from facegen.reenact.motion import FaceMotion

Offsets = tuple[tuple[int, int, float], ...]
"""Keypoint, axis (0 right, 1 down, 2 depth) and offset at a slider of 1; at -1 it is the opposite."""

_BOTH_GAZE: Offsets = (
    (1, 1, 0.0025), (2, 1, -0.0025), (11, 1, -0.010), (13, 1, -0.005), (15, 1, -0.010), (16, 1, -0.005),
)  # fmt: skip
_BOTH_ACROSS: Offsets = ((19, 0, 0.05), (20, 0, 0.04))
EXPRESSIONS: dict[str, tuple[Offsets, Offsets]] = {
    "eyebrow-direction": (
        ((1, 1, 0.015), (2, 1, -0.020)),
        ((1, 0, -0.015), (2, 0, 0.020), (1, 1, 0.005), (2, 1, -0.005)),
    ),
    "eye-gaze-horizontal": (((11, 0, 0.015), (15, 0, 0.020)), ((11, 0, 0.020), (15, 0, 0.015))),
    "eye-gaze-vertical": (_BOTH_GAZE, _BOTH_GAZE),
    "mouth-grim": (
        ((17, 2, -0.005), (19, 2, 0.01), (20, 1, -0.06), (20, 2, -0.03)),
        ((19, 1, -0.05), (19, 2, -0.02), (20, 2, -0.03)),
    ),
    "mouth-pout": (
        ((19, 1, -0.022), (19, 2, 0.025), (20, 2, -0.002)),
        ((19, 1, 0.022), (19, 2, 0.025), (20, 2, -0.002)),
    ),
    "mouth-purse": (
        ((19, 1, -0.04), (19, 2, -0.02)),
        ((14, 1, -0.02), (17, 2, 0.01), (19, 2, -0.015), (20, 2, -0.002)),
    ),
    "mouth-smile": (
        ((3, 1, -0.0045), (7, 1, -0.0045), (14, 1, -0.025), (17, 1, 0.01), (17, 2, 0.004), (20, 1, -0.015)),
        ((3, 1, 0.0045), (7, 1, 0.0045), (14, 1, -0.02), (17, 1, 0.003), (19, 1, 0.02), (19, 2, -0.005), (20, 2, 0.01)),
    ),
    "mouth-position-horizontal": (_BOTH_ACROSS, _BOTH_ACROSS),
    "mouth-position-vertical": (((19, 1, -0.04), (20, 1, -0.02)), ((19, 1, -0.05), (20, 1, -0.04))),
}
"""Sliders that change the expression: offsets above 0, and below."""
TURNS: dict[str, tuple[str, float]] = {
    "head-pitch": ("pitch_deg", -20.0),
    "head-yaw": ("yaw_deg", -60.0),
    "head-roll": ("roll_deg", 15.0),
}
"""Sliders that turn the head: the angle of `FaceMotion`, and degrees at 1."""
EYES_OPEN, LIPS_OPEN = "eye-open-ratio", "lip-open-ratio"
"""Sliders that open (above 0) and close, see `crop.ReenactmentCrop.edit`."""
SLIDERS: tuple[str, ...] = (*EXPRESSIONS, EYES_OPEN, LIPS_OPEN, *TURNS)
DEFAULT = 0.5
"""Value of a slider that is named without one."""


@functools.lru_cache(maxsize=64)
def parse_sliders(text: str) -> Mapping[str, float]:
    """The sliders that a text such as «mouth-smile, head-yaw=-0.3» sets, each -1..1; `DEFAULT` where no value is given.

    Raises:
        InputError: there is no such slider, or a value is out of bounds.
    """
    sliders: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = (each.strip() for each in part.partition("="))
        if name not in SLIDERS:
            raise InputError(f"Expected a slider of {', '.join(SLIDERS)}, found {name!r}; choose one of these.")
        try:
            sliders[name] = float(value) if equals else DEFAULT
        except ValueError:
            sliders[name] = 2.0
        if not -1 <= sliders[name] <= 1:
            raise InputError(f"Expected a value from -1 to 1 for {name}, found {value!r}; write {name}=0.5.")
    return sliders


def change_expression(expression: np.ndarray, sliders: Mapping[str, float]) -> np.ndarray:
    """(21, 3) float32 `FaceMotion.expression` with what the sliders add to it."""
    changed = expression.copy()
    for name, value in sliders.items():
        if name in EXPRESSIONS:
            for point, axis, offset in EXPRESSIONS[name][0 if value > 0 else 1]:
                changed[point, axis] += offset * value
    return changed


def turn_head(motion: FaceMotion, sliders: Mapping[str, float]) -> np.ndarray:
    """(3, 3) float32 rotation of the head with what the sliders add to it."""
    from facegen.reenact.motion import limit_turn, make_rotation

    angles = {name: getattr(motion, name) for name, _ in TURNS.values()}
    for slider, (name, degrees) in TURNS.items():
        if value := sliders.get(slider, 0.0):
            angles[name] = limit_turn(name, angles[name] + degrees * value, angles[name])
    return make_rotation(**angles)
