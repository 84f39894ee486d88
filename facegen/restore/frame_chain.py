"""The chain of networks on whole frames after their faces: upscalers and mattings."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from facegen.errors import InputError
from facegen.restore.enhancers import parse_strength, split_chain
from facegen.restore.mattes import MATTES, MatteModel, load_matting
from facegen.restore.upscalers import UPSCALERS, UpscalerModel, load_upscaler

if TYPE_CHECKING:
    import numpy as np

MOST_SCALE = 8
"""How many times larger a chain may make a frame."""
FRAME_MODELS: dict[str, UpscalerModel | MatteModel] = {
    **{model.name: model for model in UPSCALERS},
    **{model.name: model for model in MATTES},
}
"""The steps by name."""
Step = tuple[UpscalerModel | MatteModel, float]


@functools.lru_cache(maxsize=64)
def parse_frame_chain(text: str) -> tuple[Step, ...]:
    """The steps that a text such as «modnet, real-esrgan-x2=0.8» names, in order, with strengths up to 1.

    Raises:
        InputError: there is no such step, a strength is out of bounds, or the frame would grow beyond `MOST_SCALE`.
    """
    chain: list[Step] = []
    for name, value in split_chain(text):
        model = FRAME_MODELS.get(name)
        if model is None:
            raise InputError(f"Expected a model of {', '.join(FRAME_MODELS)}, found {name!r}; choose one of these.")
        if value is not None and isinstance(model, MatteModel):
            raise InputError(
                f"Expected no strength for {name}, which finds a background, found {value!r}; leave it out."
            )
        chain.append((model, parse_strength(name, value)))
    if (scale := scale_of(chain)) > MOST_SCALE:
        raise InputError(
            f"Expected frames at most {MOST_SCALE} times larger, found upscalers that make them {scale} times; leave one out."
        )
    return tuple(chain)


def scale_of(chain: tuple[Step, ...] | list[Step]) -> int:
    """How many times larger a frame becomes."""
    scale = 1
    for model, _ in chain:
        scale *= model.scale if isinstance(model, UpscalerModel) else 1
    return scale


def is_matted(chain: tuple[Step, ...]) -> bool:
    """Whether a background is taken away."""
    return any(isinstance(model, MatteModel) for model, _ in chain)


def parse_colour(text: str) -> tuple[int, int, int]:
    """RGB in 0..255 of a text such as «#00b140».

    Raises:
        InputError: it is none.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise InputError(f"Expected a colour such as #00b140, found {text!r}; write # and six of 0-9 and a-f.")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def run_chain(image_rgb: np.ndarray, chain: tuple[Step, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture after the steps of a chain.

    Args:
        image_rgb: (H, W, 3) uint8.
        chain: from `parse_frame_chain`.

    Returns:
        (s H, s W, 3) uint8, with its background still, and the (s H, s W) uint8 matte of whom it shows; None where no step
        looked for one, the smallest where several did.

    Raises:
        WeightsError: the file of a step is not on this machine.
    """
    import cv2
    import numpy as np

    matte: np.ndarray | None = None
    for model, strength in chain:
        if isinstance(model, UpscalerModel):
            image_rgb = load_upscaler(model).upscale(image_rgb, strength)
            if matte is not None:
                matte = cv2.resize(matte, image_rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        else:
            found = load_matting(model).find(image_rgb)
            matte = found if matte is None else np.minimum(matte, found)
    return image_rgb, matte
