"""Finding faces: CenterFace, from the description in its paper (Xu et al. 2019, arXiv 1911.03599).

The network sees a face as the point at its middle: at a quarter of the input's size it gives a heatmap of middles, the
logarithm of height and width there, the sub-cell offset of the middle, and five points relative to the box.

ONNX Runtime runs it about twice as fast as OpenCV's DNN on two cores (640x480: 13 ms against 25 ms) once the weights
are taken out of the graph's inputs (so that it may fold and fuse them) and its fixed 32x32 input is made free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from facegen.device import onnx_session

STRIDE = 32
"""The network's input must be a multiple of this."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Detection:
    """A face found by a detector."""

    box_xyxy: np.ndarray
    """(4,) float32 pixels of the image."""
    points5: np.ndarray
    """(5, 2) float32 pixels: eyes, nose, mouth corners; left and right as seen on an upright face."""
    score: float
    """0..1."""

    @property
    def size_px(self) -> float:
        """Side of the square whose area is the box's."""
        width, height = np.maximum(self.box_xyxy[2:] - self.box_xyxy[:2], 0)
        return float(np.sqrt(width * height))


class Detector(Protocol):
    """What finds faces in a picture."""

    def detect(self, image_rgb: np.ndarray, long_side_px: int) -> list[Detection]:
        """Faces in an (H, W, 3) uint8 image looked at with its long side at `long_side_px` or its own, if smaller."""


def non_maximum_suppression(detections: list[Detection], max_overlap: float = 0.3) -> list[Detection]:
    """The detections, best first, without those that overlap a better one by more than `max_overlap`.

    A box inside another counts as overlapping too: see `overlap`.
    """
    selected: list[Detection] = []
    for candidate in sorted(detections, key=lambda d: -d.score):
        if all(overlap(candidate.box_xyxy, other.box_xyxy) <= max_overlap for other in selected):
            selected.append(candidate)
    return selected


def detect_in_tiles(detector: Detector, image_rgb: np.ndarray, tile_px: int, long_side_px: int) -> list[Detection]:
    """The small faces of a large picture: those of tiles that overlap by more than their size.

    Args:
        detector: looks at each tile.
        image_rgb: (H, W, 3) uint8.
        tile_px: side of a tile, pixels of the image; tiles overlap by an eighth of it, the largest face that is found.
        long_side_px: size at which a tile is looked at.
    """
    largest = tile_px // 8
    detections = []
    for top, bottom in _tile_edges(image_rgb.shape[0], tile_px, largest):
        for left, right in _tile_edges(image_rgb.shape[1], tile_px, largest):
            offset = np.array([left, top], np.float32)
            for detection in detector.detect(image_rgb[top:bottom, left:right], long_side_px):
                if detection.size_px <= largest:
                    box, points = detection.box_xyxy + np.tile(offset, 2), detection.points5 + offset
                    detections.append(Detection(box_xyxy=box, points5=points, score=detection.score))
    return detections


def _tile_edges(length: int, tile_px: int, margin_px: int) -> list[tuple[int, int]]:
    count = max(1, math.ceil((length - margin_px) / (tile_px - margin_px)))
    begins = np.linspace(0, max(0, length - tile_px), count).round().astype(int)
    return [(int(begin), int(min(begin + tile_px, length))) for begin in begins]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap 0..1 of two boxes: intersection over union, or 0.7 of intersection over the smaller if that is more."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if width <= 0 or height <= 0:
        return 0.0
    shared = float(width * height)
    area_a, area_b = float(np.prod(a[2:] - a[:2])), float(np.prod(b[2:] - b[:2]))
    return max(shared / (area_a + area_b - shared), 0.7 * shared / max(min(area_a, area_b), 1e-6))


def fit_canvas(
    image_rgb: np.ndarray, long_side_px: int, stride: int, fixed_hw: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A picture in the upper left of a canvas, shrunk in its own proportions, black around it.

    Args:
        image_rgb: (H, W, 3) uint8.
        long_side_px: it is shrunk to this long side first if it is larger.
        stride: the canvas's sides are multiples of it.
        fixed_hw: height and width of the canvas where a network takes no other.

    Returns:
        The canvas, (h, w, 3) uint8, and the factors of x and y from its pixels to those of the picture, (2,) float32.
    """
    height, width = image_rgb.shape[:2]
    scale = min(1.0, long_side_px / max(height, width))
    if fixed_hw is not None:
        scale = min(scale, fixed_hw[0] / height, fixed_hw[1] / width)
    # rounding up to the stride by padding, not stretching, keeps faces in proportion
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    size_hw = fixed_hw or (-new_h % stride + new_h, -new_w % stride + new_w)
    canvas = np.zeros((*size_hw, 3), np.uint8)
    cv2.resize(image_rgb, (new_w, new_h), dst=canvas[:new_h, :new_w], interpolation=cv2.INTER_AREA)
    return canvas, np.array([width / new_w, height / new_h], np.float32)


class CenterFaceDetector:
    """CenterFace on ONNX Runtime; may be called from several threads at once."""

    def __init__(self, model_path: Path, *, min_score: float = 0.35, threads: int = 2) -> None:
        """Loads the network.

        Args:
            model_path: centerface.onnx.
            min_score: heatmap values below are not faces.
            threads: cores that one call may use.
        """
        self._session = onnx_session(_with_free_input_size(model_path), threads)
        self._input_name = self._session.get_inputs()[0].name
        self.min_score = min_score

    def detect(self, image_rgb: np.ndarray, long_side_px: int) -> list[Detection]:
        """Faces in an image, best first.

        Args:
            image_rgb: (H, W, 3) uint8.
            long_side_px: the image is shrunk to this long side first if it is larger; a larger size finds smaller faces
                (down to about 10 px of that size) and costs in proportion to its square.
        """
        canvas, stretch = fit_canvas(image_rgb, long_side_px, STRIDE)
        tensor = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], dtype=np.float32)
        heatmap, log_size, offset, points = (o[0] for o in self._session.run(None, {self._input_name: tensor}))
        found = self._decode(heatmap[0], log_size, offset, points)
        return [
            Detection(box_xyxy=d.box_xyxy * np.tile(stretch, 2), points5=d.points5 * stretch, score=d.score)
            for d in non_maximum_suppression(found)
        ]

    def _decode(
        self, heatmap: np.ndarray, log_size: np.ndarray, offset: np.ndarray, points: np.ndarray
    ) -> list[Detection]:
        """Boxes and points in input pixels from the network's four maps (paper, section 3.2)."""
        is_peak = (heatmap >= self.min_score) & (heatmap >= cv2.dilate(heatmap, np.ones((3, 3), np.uint8)))
        detections = []
        for row, col in zip(*np.nonzero(is_peak), strict=True):
            h, w = np.exp(log_size[:, row, col]) * 4
            center_y, center_x = (np.array([row, col]) + offset[:, row, col] + 0.5) * 4
            x0, y0 = center_x - w / 2, center_y - h / 2
            relative_yx = points[:, row, col].reshape(5, 2)
            detections.append(
                Detection(
                    box_xyxy=np.array([x0, y0, x0 + w, y0 + h], np.float32),
                    points5=(relative_yx[:, ::-1] * (w, h) + (x0, y0)).astype(np.float32),
                    score=float(heatmap[row, col]),
                )
            )
        return detections


def _with_free_input_size(model_path: Path) -> bytes:
    """The serialised model with height and width free and its weights no longer listed as inputs."""
    import onnx

    model = onnx.load(str(model_path))
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for entry in [*model.graph.input, *model.graph.output]:
        batch, _channels, height, width = entry.type.tensor_type.shape.dim
        batch.dim_value = 1
        height.dim_param, width.dim_param = f"{entry.name}_height", f"{entry.name}_width"
    return model.SerializeToString()
