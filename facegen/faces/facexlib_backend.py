"""facexlib's networks behind the interfaces of this room, for `AnalyserConfig(detector="facexlib")`.

RetinaFace instead of CenterFace (`Detector`), FAN for 68 points of its own, ParseNet instead of our parser.
The networks are facexlib's; their weights come through `hub.fetch` and `torch.load(weights_only=True)`: facexlib itself
would download them unchecked, and unpickle. What comes out is decoded here, since facexlib's own loops are slow and its
heatmap decoder does not run on NumPy 2.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from facegen.device import choose_device
from facegen.errors import WeightsError
from facegen.faces import align
from facegen.faces.detector import Detection, non_maximum_suppression
from facegen.faces.face import Face

if TYPE_CHECKING:
    import torch

_MEAN_BGR = (104.0, 117.0, 123.0)
_ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
"""RetinaFace's strides and the sides of the two square anchors at each of their cells."""
_CENTER_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2

_FAN_PX, _HEATMAP_PX = 256, 64
_FAN_WIDENING = 1.3

PARSE_PX = 512


def load_state(network: torch.nn.Module, path: Path) -> torch.nn.Module:
    """Fills a facexlib network from a fetched file and makes it ready to run.

    Args:
        network: built as facexlib builds it.
        path: a .pth whose tensors may lie under `state_dict` and may have the `module.` of DataParallel before them.

    Raises:
        WeightsError: the file is no plain list of tensors, or of another network.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    except Exception as error:
        # torch raises UnpicklingError, RuntimeError, EOFError, AttributeError and KeyError for what is one thing here
        raise WeightsError(
            f"Expected the weights of {type(network).__name__} in {path}, found something else; fetch them again."
        ) from error
    return network.eval().requires_grad_(False)


class RetinaFaceDetector:
    """RetinaFace (Deng et al. 2019, arXiv 1905.00641) with a ResNet-50, a `Detector`."""

    def __init__(self, model_path: Path, *, min_score: float = 0.5, device: str = "auto") -> None:
        """Loads detection_Resnet50_Final.pth.

        Args:
            model_path: the fetched file.
            min_score: what the network is less sure of is no face.
            device: as `device.choose_device` takes it.
        """
        self.min_score = min_score
        self._device = choose_device(device)
        self._network = load_state(retinaface_network(), model_path).to(self._device)

    def detect(self, image_rgb: np.ndarray, long_side_px: int) -> list[Detection]:
        """Faces in an (H, W, 3) uint8 image shrunk to `long_side_px` first if it is larger, best first."""
        import torch

        height, width = image_rgb.shape[:2]
        scale = min(1.0, long_side_px / max(height, width))
        new_w, new_h = max(32, round(width * scale)), max(32, round(height * scale))
        small = cv2.resize(image_rgb, (new_w, new_h), interpolation=cv2.INTER_AREA)
        bgr = small[..., ::-1].astype(np.float32) - np.array(_MEAN_BGR, np.float32)
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(bgr.transpose(2, 0, 1)[None].copy()).to(self._device))
        boxes, scores, points = (output[0].float().cpu().numpy() for output in outputs)
        is_face = scores[:, 1] >= self.min_score
        anchors = _anchors(new_h, new_w)[is_face]
        center = anchors[:, :2] + boxes[is_face, :2] * _CENTER_VARIANCE * anchors[:, 2:]
        size = anchors[:, 2:] * np.exp(boxes[is_face, 2:] * _SIZE_VARIANCE)
        relative = points[is_face].reshape(-1, 5, 2) * _CENTER_VARIANCE
        points5 = anchors[:, None, :2] + relative * anchors[:, None, 2:]
        stretch = np.array([width / new_w, height / new_h])
        detections = [
            Detection(
                box_xyxy=(np.concatenate([c - s / 2, c + s / 2]) * np.tile(stretch, 2)).astype(np.float32),
                points5=(p * stretch).astype(np.float32),
                score=float(score),
            )
            for c, s, p, score in zip(center, size, points5, scores[is_face, 1], strict=True)
        ]
        return non_maximum_suppression(detections)


class FanLandmarks:
    """FAN with adaptive wing loss (Wang et al. 2019, arXiv 1904.07399): 98 points of WFLW, given as the usual 68."""

    def __init__(self, model_path: Path, *, device: str = "auto") -> None:
        """Loads alignment_WFLW_4HG.pth."""
        self._device = choose_device(device)
        self._network = load_state(fan_network(self._device), model_path).to(self._device)

    def refine(self, image_rgb: np.ndarray, face: Face) -> Face:
        """The face with the `landmarks68` of this network, on an upright crop around its mesh."""
        import torch
        from facexlib.alignment import landmark_98_to_68

        center = (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2
        side = float((face.box_xyxy[2:] - face.box_xyxy[:2]).max()) * _FAN_WIDENING
        to_crop = align.crop_matrix((float(center[0]), float(center[1])), side, face.roll_deg, _FAN_PX)
        crop = align.warp(image_rgb, to_crop, _FAN_PX).transpose(2, 0, 1)[None].copy()
        with torch.inference_mode():
            outputs, _ = self._network(torch.from_numpy(crop).to(self._device).float() / 255)
        points98 = heatmap_points(outputs[-1][0, :-1].float().cpu().numpy()) * (_FAN_PX / _HEATMAP_PX) - 0.5
        points68 = align.apply(align.invert(to_crop), landmark_98_to_68(points98))
        return face.replace(landmarks68=points68.astype(np.float32))


class ParseNetParser:
    """facexlib's ParseNet, with the interface of `parse.FaceParser`: its 19 classes have the same order."""

    def __init__(self, model_path: Path, *, device: str = "auto") -> None:
        """Loads parsing_parsenet.pth."""
        self._device = choose_device(device)
        self._network = load_state(parsenet_network(), model_path).to(self._device)

    def parse(self, crops_rgb: np.ndarray) -> np.ndarray:
        """Class probabilities of aligned crops.

        Args:
            crops_rgb: (N, S, S, 3) uint8, aligned by `align.parse_matrix`.

        Returns:
            (N, 19, S, S) float32 that sum to 1 over the classes.
        """
        import torch
        from torch.nn import functional as F

        side = crops_rgb.shape[1]
        result = np.empty((len(crops_rgb), 19, side, side), np.float32)
        with torch.inference_mode():
            for number, crop in enumerate(crops_rgb):
                picture = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)[None])).to(self._device)
                picture = F.interpolate(picture.float() / 127.5 - 1, size=(PARSE_PX, PARSE_PX), mode="bilinear")
                probabilities = F.softmax(self._network(picture)[0].float(), dim=1)
                result[number] = F.interpolate(probabilities, size=(side, side), mode="area")[0].cpu().numpy()
        return result


def retinaface_network() -> torch.nn.Module:
    """RetinaFace as facexlib builds it, with random weights."""
    from facexlib.detection.retinaface import RetinaFace

    with warnings.catch_warnings():
        # facexlib asks torchvision for a ResNet in a way that torchvision has deprecated
        warnings.simplefilter("ignore", UserWarning)
        return RetinaFace(network_name="resnet50", device="cpu")


def fan_network(device: torch.device | str = "cpu") -> torch.nn.Module:
    """FAN as facexlib builds it, with random weights."""
    from facexlib.alignment import FAN

    return FAN(num_modules=4, num_landmarks=98, device=device)


def parsenet_network() -> torch.nn.Module:
    """ParseNet as facexlib builds it, with random weights."""
    from facexlib.parsing import ParseNet

    return ParseNet(in_size=PARSE_PX, out_size=PARSE_PX, parsing_ch=19)


def heatmap_points(heatmaps: np.ndarray) -> np.ndarray:
    """Peaks of heatmaps, moved a quarter cell towards their higher neighbours.

    Args:
        heatmaps: (N, H, W) float32.

    Returns:
        (N, 2) float32 x and y in cells; the middle of the first cell is 0.5.
    """
    count, _, width = heatmaps.shape
    rows, columns = np.divmod(heatmaps.reshape(count, -1).argmax(axis=1), width)
    padded = np.pad(heatmaps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    number, r, c = np.arange(count), rows + 1, columns + 1
    lean_x = np.sign(padded[number, r, c + 1] - padded[number, r, c - 1])
    lean_y = np.sign(padded[number, r + 1, c] - padded[number, r - 1, c])
    return np.stack([columns + 0.5 + lean_x / 4, rows + 0.5 + lean_y / 4], axis=1).astype(np.float32)


def _anchors(height: int, width: int) -> np.ndarray:
    """(N, 4) middle and size in pixels of RetinaFace's anchors, in the order of its outputs."""
    levels: list[Any] = []
    for stride, sides in _ANCHORS:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.meshgrid((np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, indexing="ij")
        cells = np.stack([x, y], axis=-1)[:, :, None].repeat(len(sides), axis=2)
        sizes = np.broadcast_to(np.array(sides, np.float64)[:, None], (*cells.shape[:3], 2))
        levels.append(np.concatenate([cells, sizes], axis=-1).reshape(-1, 4))
    return np.concatenate(levels)
