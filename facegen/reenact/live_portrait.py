"""LivePortrait's networks, each loaded at its first use; several threads may run them at once."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from facegen.hub import WeightFile, fetch
from facegen.hub.fetch import require
from facegen.inference import OnnxNetwork
from facegen.reenact.motion import POINTS, FaceMotion
from facegen.reenact.weights import EYES, FEATURES, GENERATOR, LIPS, MOTION, STITCHER

Array = np.ndarray
INPUT_PX, OUTPUT_PX = 256, 512
"""Sides of the crop that the networks take, and of the one that the generator draws."""
_NUMBERS = POINTS * 3
_INPUTS: dict[str, Mapping[str, tuple[int, ...]]] = {
    FEATURES.name: {"input": (3, INPUT_PX, INPUT_PX)},
    MOTION.name: {"input": (3, INPUT_PX, INPUT_PX)},
    STITCHER.name: {"source": (POINTS, 3), "target": (POINTS, 3)},
    EYES.name: {"input": (_NUMBERS + 3,)},
    LIPS.name: {"input": (_NUMBERS + 2,)},
    GENERATOR.name: {"feature_volume": (32, 16, 64, 64), "source": (POINTS, 3), "target": (POINTS, 3)},
}
"""What each network is given, without the first axis."""


@functools.cache
def load_part(weight: WeightFile) -> OnnxNetwork:
    """One of the networks.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """
    require([weight], "LivePortrait", "another engine")
    network = OnnxNetwork(fetch(weight), name=weight.name, threads=2)
    network.check_inputs(_INPUTS[weight.name])
    return network


def extract_features(crop_rgb: Array) -> Array:
    """(1, 32, 16, 64, 64) float32, read-only: how the face in a crop looks.

    Args:
        crop_rgb: (3, 256, 256) float32 RGB in 0..1.
    """
    features = load_part(FEATURES).run({"input": crop_rgb[None]})[0]
    features.flags.writeable = False  # 8 MB, the same in all frames of a portrait: see `BoundTensors.run`
    return features


def extract_motion(crop_rgb: Array) -> FaceMotion:
    """Pose and expression of the face in a (3, 256, 256) crop, RGB in 0..1."""
    return FaceMotion.of(load_part(MOTION).run({"input": crop_rgb[None]}))


def stitch(driving: Array, source: Array) -> Array:
    """(21, 3) moved keypoints, changed so that the crop's border stays where it is.

    Args:
        driving: (21, 3) driving keypoints, where they are to be.
        source: (21, 3) source keypoints, where they are.
    """
    # the file's own names are the other way round
    return load_part(STITCHER).run({"source": driving[None], "target": source[None]})[0].reshape(POINTS, 3)


def retarget_eyes(source: Array, ratios: tuple[float, float], wanted: float) -> Array:
    """(21, 3) by which keypoints move so that the eyes open as widely as wanted.

    Args:
        source: (21, 3) keypoints.
        ratios: how widely the eyes on the picture's left and right are open, height by width.
        wanted: how widely they are to be.
    """
    numbers = np.array([[*source.ravel(), *ratios, wanted]], np.float32)
    return load_part(EYES).run({"input": numbers})[0].reshape(POINTS, 3)


def retarget_lips(source: Array, ratio: float, wanted: float) -> Array:
    """(21, 3) by which (21, 3) keypoints move so that the mouth, open by `ratio` of its width, is open by `wanted`."""
    numbers = np.array([[*source.ravel(), ratio, wanted]], np.float32)
    return load_part(LIPS).run({"input": numbers})[0].reshape(POINTS, 3)


def draw(features: Array, driving: Array, source: Array) -> Array:
    """(512, 512, 3) float32 RGB in 0..255: the face with its keypoints moved.

    Args:
        features: from `extract_features`.
        driving: (21, 3) driving keypoints.
        source: (21, 3) source keypoints, of the crop that the features are of.
    """
    made = load_part(GENERATOR).run({"feature_volume": features, "source": driving[None], "target": source[None]})[0][0]
    picture: Array = np.clip(made, 0, 1).transpose(1, 2, 0) * np.float32(255)
    return picture
