"""Face detectors of the Hub: YuNet, SCRFD and YOLOv8-face, a record each, and the one code path that runs them.

None of them was run here with its real weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facegen.errors import WeightsError
from facegen.faces import weights
from facegen.faces.detector import STRIDE, Detection, fit_canvas, non_maximum_suppression
from facegen.hub import WeightFile, fetch
from facegen.inference import OnnxNetwork

Array = np.ndarray
RawDetections = tuple[Array, Array, Array]
"""Scores (N,), boxes (N, 4) as x0, y0, x1, y1 and points (N, 5, 2), in pixels of the canvas."""
STRIDES = (8, 16, 32)
MIN_SCORE = 0.3
"""Scores below are not faces; the analyser asks for more."""


@dataclass(frozen=True, kw_only=True)
class DetectorModel:
    """One model, from a canvas (1, 3, H, W) with the picture in its upper left."""

    weight: WeightFile
    """Its file."""
    is_bgr: bool
    """Whether it takes blue first."""
    mean: float
    """Subtracted from 0..255."""
    divisor: float
    """By which that is divided."""
    outputs: int
    """How many it has."""
    decode: Callable[[Sequence[Array], tuple[int, int]], RawDetections]
    """From its outputs, in their order, and the canvas's height and width."""


def decode_yunet(outputs: Sequence[Array], size_hw: tuple[int, int]) -> RawDetections:
    """YuNet (Wu et al. 2023): for each stride class, object, box and points, one anchor a cell, in this order of kinds."""
    scores, boxes, points = [], [], []
    for index, stride in enumerate(STRIDES):
        classes, objects, box, point = (outputs[kind + index][0] for kind in (0, 3, 6, 9))
        cells = _cells(size_hw, stride, 1)
        scores.append(np.sqrt(np.clip(classes, 0, 1) * np.clip(objects, 0, 1)).reshape(-1))
        centre, half = (cells + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride / 2
        boxes.append(np.concatenate([centre - half, centre + half], 1))
        points.append((cells[:, None] + point.reshape(-1, 5, 2)) * stride)
    return np.concatenate(scores), np.concatenate(boxes), np.concatenate(points)


def decode_scrfd(outputs: Sequence[Array], size_hw: tuple[int, int]) -> RawDetections:
    """SCRFD (Guo et al. 2021): for each stride scores, distances to the box's sides, and points, two anchors a cell."""
    scores, boxes, points = [], [], []
    for index, stride in enumerate(STRIDES):
        score, box, point = (outputs[kind + index].reshape(-1, size) for kind, size in ((0, 1), (3, 4), (6, 10)))
        cells = _cells(size_hw, stride, 2)
        scores.append(score[:, 0])
        boxes.append(np.concatenate([cells - box[:, :2], cells + box[:, 2:]], 1) * stride)
        points.append((cells[:, None] + point.reshape(-1, 5, 2)) * stride)
    return np.concatenate(scores), np.concatenate(boxes), np.concatenate(points)


def decode_yolo(outputs: Sequence[Array], size_hw: tuple[int, int]) -> RawDetections:
    """YOLOv8-face: rows of centre, width and height, a score, and five times x, y and a confidence, in pixels."""
    rows = outputs[0][0].T
    centre, half = rows[:, :2], rows[:, 2:4] / 2
    return rows[:, 4], np.concatenate([centre - half, centre + half], 1), rows[:, 5:].reshape(-1, 5, 3)[..., :2]


def _cells(size_hw: tuple[int, int], stride: int, anchors: int) -> Array:
    """(N, 2) float32 column and row of each anchor."""
    y, x = np.mgrid[: size_hw[0] // stride, : size_hw[1] // stride]
    return np.repeat(np.stack([x, y], -1).reshape(-1, 2), anchors, 0).astype(np.float32)


DETECTORS: dict[str, DetectorModel] = {
    "yunet": DetectorModel(weight=weights.YUNET, is_bgr=True, mean=0.0, divisor=1.0, outputs=12, decode=decode_yunet),
    # RGB as in InsightFace; FaceFusion feeds BGR
    "scrfd": DetectorModel(
        weight=weights.SCRFD, is_bgr=False, mean=127.5, divisor=128.0, outputs=9, decode=decode_scrfd
    ),
    "yoloface": DetectorModel(
        weight=weights.YOLOFACE, is_bgr=False, mean=0.0, divisor=255.0, outputs=1, decode=decode_yolo
    ),
}
"""By the names of `weights.DETECTORS`."""


class OnnxDetector:
    """Runs a detector of the Hub (`Detector`); may be called from several threads at once.

    Args:
        name: one of `DETECTORS`.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """

    def __init__(self, name: str) -> None:
        self._model = DETECTORS[name]
        path = fetch(self._model.weight)
        self._network = OnnxNetwork(path, name=self._model.weight.name, threads=2)
        (self._input_name, shape), *others = self._network.inputs.items()
        if others or len(shape) != 4 or len(self._network.outputs) != self._model.outputs:
            raise WeightsError(
                f"Expected the detector {name} with an input (1, 3, H, W) and {self._model.outputs} outputs in {path}, found "
                f"{shape} and {len(self._network.outputs)}; fetch it again."
            )
        height, width = shape[2:]
        self._fixed_hw = (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def detect(self, image_rgb: np.ndarray, long_side_px: int) -> list[Detection]:
        """See `Detector.detect`; a network of a fixed size looks at that size."""
        canvas, stretch = fit_canvas(image_rgb, long_side_px, STRIDE, self._fixed_hw)
        planes = (canvas[..., ::-1] if self._model.is_bgr else canvas).transpose(2, 0, 1)[None].astype(np.float32)
        tensor = (planes - np.float32(self._model.mean)) / np.float32(self._model.divisor)
        scores, boxes, points = self._model.decode(self._network.run({self._input_name: tensor}), canvas.shape[:2])
        detections = [
            Detection(
                box_xyxy=(boxes[index] * np.tile(stretch, 2)).astype(np.float32),
                points5=(points[index] * stretch).astype(np.float32),
                score=float(scores[index]),
            )
            for index in np.flatnonzero(scores >= MIN_SCORE)
        ]
        return non_maximum_suppression(detections)
