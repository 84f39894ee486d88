"""What is known of the published models, written down a second time, so that a slip in the records fails a test."""

from dataclasses import dataclass

import numpy as np

HALF = (0.5, 0.5, 0.5)
NOTHING = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

# in pixels, as the projects that these crops come from write them
_ARCFACE = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
POINTS = {
    "v1": np.array([(39.730, 51.138), (72.270, 51.138), (56.0, 68.493), (42.463, 87.010), (69.537, 87.010)]) / 112,
    "v2": np.array(_ARCFACE) / 112,
    "128": (np.array(_ARCFACE) + np.array([8, 0])) / 128,
    "ffhq": np.array(
        [
            (192.98138, 239.94708),
            (318.90277, 240.1936),
            (256.63416, 314.01935),
            (201.26117, 371.41043),
            (313.08905, 371.15118),
        ]
    )
    / 512,
    "mtcnn": np.array(
        [
            (187.201869, 239.277051),
            (323.723612, 238.519725),
            (256.097930, 317.142830),
            (199.728895, 397.306972),
            (318.356118, 396.678791),
        ]
    )
    / 512,
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One model: the range that it takes, the range that it gives, and its source."""

    points: str
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    gives_input_range: bool
    source: str
    source_shape: tuple[int, ...] = (1, 512)


Colour = tuple[float, float, float]


def _facts(
    points: str, size: int, taken: tuple[Colour, Colour], gives_input_range: bool, source: str, *shape: int
) -> Facts:
    mean, std = taken
    return Facts(
        points=points,
        size=size,
        mean=mean,
        std=std,
        gives_input_range=gives_input_range,
        source=source,
        source_shape=shape or (1, 512),
    )


_SYMMETRIC = HALF, HALF
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FACTS = {
    "inswapper-128": _facts("128", 128, NOTHING, False, "projected"),
    "inswapper-128-fp16": _facts("128", 128, NOTHING, False, "projected"),
    "hyperswap-1a-256": _facts("128", 256, _SYMMETRIC, True, "unit"),
    "hyperswap-1b-256": _facts("128", 256, _SYMMETRIC, True, "unit"),
    "hyperswap-1c-256": _facts("128", 256, _SYMMETRIC, True, "unit"),
    "ghost-1-256": _facts("v1", 256, _SYMMETRIC, True, "converted"),
    "ghost-2-256": _facts("v1", 256, _SYMMETRIC, True, "converted"),
    "ghost-3-256": _facts("v1", 256, _SYMMETRIC, True, "converted"),
    "simswap-256": _facts("v1", 256, _IMAGENET, False, "converted unit"),
    "simswap-512": _facts("v1", 512, NOTHING, False, "converted unit"),
    "hififace-256": _facts("mtcnn", 256, _SYMMETRIC, True, "converted unit"),
    "alphaface-256": _facts("128", 256, NOTHING, False, "raw"),
    "uniface-256": _facts("ffhq", 256, _SYMMETRIC, True, "ffhq", 1, 3, 256, 256),
    "blendswap-256": _facts("ffhq", 256, NOTHING, False, "v2", 1, 3, 112, 112),
}
