"""What a field may be told of a face besides its sound: lids, gaze, brows, skin; none of it speaks of the mouth."""

from __future__ import annotations

import numpy as np

from facegen.faces import Face

EYES = ("blink", "brow", "right", "up")
"""What `track_params.npz` says of the eyes in every frame."""
UPPER_FACE = (*EYES, "browInnerUp", "browOuterUp", "browDown", "eyeSquint", "eyeWide", "blinkLeft - blinkRight")
"""What `surface.npz` says of them: as blendshapes have it."""
SURFACE = 16
"""How the surface lies above the cheeks, as optical flow has it: principal movements."""
UPPER = len(UPPER_FACE) + 3 + SURFACE
"""Numbers in `surface.npz` for every frame: these, with the head's turn against the base frame between them."""


def eyes_of(face: Face) -> np.ndarray:
    """(4,) float32: lids closed, brows raised, gaze to the picture's right and up, about -1..1."""
    blink = (face.blendshape("eyeBlinkLeft") + face.blendshape("eyeBlinkRight")) / 2
    brow = face.blendshape("browInnerUp") - (face.blendshape("browDownLeft") + face.blendshape("browDownRight")) / 2
    right = face.blendshape("eyeLookOutLeft") + face.blendshape("eyeLookInRight")
    right -= face.blendshape("eyeLookInLeft") + face.blendshape("eyeLookOutRight")
    up = face.blendshape("eyeLookUpLeft") - face.blendshape("eyeLookDownLeft")
    return np.array([blink, brow, right / 2, up], np.float32)


def upper_face_of(face: Face) -> np.ndarray:
    """(10,) float32 of `UPPER_FACE`."""
    pairs = [
        (face.blendshape(f"{name}Left") + face.blendshape(f"{name}Right")) / 2
        for name in ("browOuterUp", "browDown", "eyeSquint", "eyeWide")
    ]
    uneven = face.blendshape("eyeBlinkLeft") - face.blendshape("eyeBlinkRight")
    return np.array([*eyes_of(face), face.blendshape("browInnerUp"), *pairs, uneven], np.float32)
