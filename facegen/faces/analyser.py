"""`FaceAnalyser`: the faces of one picture, from detector to mesh to identity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from facegen.config import check, from_dict, to_dict
from facegen.errors import InputError
from facegen.faces import weights
from facegen.faces.detector import (
    CenterFaceDetector,
    Detection,
    Detector,
    detect_in_tiles,
    non_maximum_suppression,
    overlap,
)
from facegen.faces.face import Face, box_of, points5_of
from facegen.faces.landmark import Mesh, MeshFinder
from facegen.faces.recogniser import Recogniser
from facegen.hub import fetch, is_present

if TYPE_CHECKING:
    from facegen.faces.arcface import ArcFaceRecogniser
    from facegen.faces.facexlib_backend import FanLandmarks, ParseNetParser
    from facegen.faces.parse.parser import FaceParser

_POOR_SCORE = 0.6
_MAX_UNTILED_PX = 4096
"""Long side up to which pictures, those of cameras and of films in 4K, are looked at as a whole."""


@dataclass(frozen=True, kw_only=True)
class AnalyserConfig:
    """Settings of detection and recognition."""

    detector: weights.DetectorName = field(default="embedded", metadata={"choices": weights.DETECTORS})
    """Face detector: `embedded`, one whose weights were fetched, or `auto`: facexlib if its weights are present."""
    recogniser: weights.RecogniserName = field(default="embedded", metadata={"choices": weights.RECOGNISERS})
    """What tells people apart: `embedded` (dlib), or `arcface` or `auraface` once it is fetched."""
    working_px: int = field(default=640, metadata={"min": 128, "max": 2048, "step": 32})
    """Long side at which a picture is looked at first."""
    small_faces_px: int = field(default=1280, metadata={"min": 0, "max": 4096, "step": 32})
    """Long side of a second look at larger pictures, for small and many faces; 0 for none."""
    tile_px: int = field(default=2560, metadata={"min": 0, "max": 8192, "step": 32})
    """Side of the tiles in which pictures beyond 4096 pixels are looked at once more, for small faces; 0 for none."""
    min_score: float = field(default=0.5, metadata={"min": 0.1, "max": 0.95, "step": 0.05})
    """Faces that are less sure than this are dropped."""
    min_face_px: int = field(default=16, metadata={"min": 8, "max": 256, "step": 1})
    """Faces smaller than this are dropped."""
    is_any_angle: bool = True
    """Whether sideways and upside-down faces are tried where nothing good is found upright."""

    def __post_init__(self) -> None:
        check(self)


class FaceAnalyser:
    """Finds, measures and recognises faces in pictures; its models load when they are first needed."""

    def __init__(self, config: AnalyserConfig | None = None) -> None:
        self.config = config or AnalyserConfig()
        self._others: dict[tuple[str, str], FaceAnalyser] = {}

    def with_detector(self, name: str, recogniser: str = "") -> FaceAnalyser:
        """This analyser with another detector of `weights.DETECTORS`; the other networks stay loaded once.

        Args:
            name: the detector.
            recogniser: one of `weights.RECOGNISERS`; its own where nothing is given.

        Raises:
            InputError: no such detector or recogniser.
            WeightsError: its weights are not present.
        """
        resolved, recogniser = weights.resolve_detector(name), recogniser or self.config.recogniser
        weights.recogniser_file(recogniser)
        if (resolved, recogniser) == (weights.resolve_detector(self.config.detector), self.config.recogniser):
            return self
        if (resolved, recogniser) not in self._others:
            changes = {"detector": resolved, "recogniser": recogniser}
            other = FaceAnalyser(from_dict(AnalyserConfig, {**to_dict(self.config), **changes}))
            other.mesh_finder = self.mesh_finder
            if recogniser == self.config.recogniser:
                other.recogniser = self.recogniser
            self._others[resolved, recogniser] = other
        return self._others[resolved, recogniser]

    @cached_property
    def is_facexlib(self) -> bool:
        """Whether facexlib's networks are used.

        Raises:
            WeightsError: they are requested, but not present.
        """
        return weights.resolve_detector(self.config.detector) == "facexlib"

    @cached_property
    def detector(self) -> Detector:
        """CenterFace, RetinaFace or one of the Hub."""
        name = weights.resolve_detector(self.config.detector)
        if name not in ("embedded", "facexlib"):
            from facegen.faces.onnx_detectors import OnnxDetector

            return OnnxDetector(name)
        if self.is_facexlib:
            from facegen.faces.facexlib_backend import RetinaFaceDetector

            return RetinaFaceDetector(fetch(weights.FACEXLIB_RETINAFACE))
        return CenterFaceDetector(fetch(weights.CENTERFACE))

    @cached_property
    def landmarks68(self) -> FanLandmarks | None:
        """FAN with facexlib; None otherwise, where the 68 landmarks are vertices of the mesh."""
        if self.is_facexlib:
            from facegen.faces.facexlib_backend import FanLandmarks

            return FanLandmarks(fetch(weights.FACEXLIB_FAN))
        return None

    @cached_property
    def parser(self) -> FaceParser | ParseNetParser:
        """ParseNet with facexlib where its weights are present, else the bundled parser."""
        if self.is_facexlib and is_present(weights.FACEXLIB_PARSENET):
            from facegen.faces.facexlib_backend import ParseNetParser

            return ParseNetParser(fetch(weights.FACEXLIB_PARSENET))
        from facegen.faces.parse.parser import FaceParser

        return FaceParser()

    @cached_property
    def mesh_finder(self) -> MeshFinder:
        """MediaPipe's landmark network."""
        return MeshFinder(fetch(weights.FACE_LANDMARKER))

    @cached_property
    def recogniser(self) -> Recogniser | ArcFaceRecogniser:
        """dlib's recognition network, or one of the Hub."""
        path = fetch(weights.recogniser_file(self.config.recogniser))
        if self.config.recogniser == "embedded":
            return Recogniser(path)
        from facegen.faces.arcface import ArcFaceRecogniser

        return ArcFaceRecogniser(path)

    def detect(self, image_rgb: np.ndarray, max_faces: int | None = None) -> list[Face]:
        """The faces in a picture, largest first.

        Args:
            image_rgb: (H, W, 3) uint8.
            max_faces: only the largest so many.
        """
        check_image(image_rgb)
        faces = self.detect_upright(image_rgb)
        if self.config.is_any_angle and max((face.score for face in faces), default=0.0) < _POOR_SCORE:
            faces = self.detect_rotated(image_rgb, faces)
        faces = sorted(faces, key=lambda face: -face.size_px)[:max_faces]
        landmarks68 = self.landmarks68
        return [landmarks68.refine(image_rgb, face) for face in faces] if landmarks68 is not None else faces

    def embed(self, image_rgb: np.ndarray, faces: Sequence[Face]) -> list[Face]:
        """The faces of one picture with their embeddings, in one batch."""
        check_image(image_rgb)
        return self.recogniser.embed(image_rgb, faces)

    def detections(self, image_rgb: np.ndarray, is_thorough: bool = True) -> list[Detection]:
        """Detections without meshes: at the working size and, if thorough, at the size for small faces."""
        config, long_side = self.config, max(image_rgb.shape[:2])
        detections = self.detector.detect(image_rgb, config.working_px)
        if is_thorough and config.small_faces_px > config.working_px and long_side > config.working_px * 1.2:
            detections = non_maximum_suppression(detections + self.detector.detect(image_rgb, config.small_faces_px))
            if config.tile_px and long_side > _MAX_UNTILED_PX:
                tiles = detect_in_tiles(self.detector, image_rgb, config.tile_px, config.small_faces_px)
                detections = non_maximum_suppression(detections + tiles)
        return [d for d in detections if d.score >= config.min_score and d.size_px >= config.min_face_px]

    def fit_face(self, image_rgb: np.ndarray, detection: Detection) -> Face | None:
        """The mesh of a detection, or None where there is none or it contradicts the detector."""
        roll = _roll_deg(detection.points5)
        roll = roll if abs(roll) > 15 else 0.0
        center = (detection.box_xyxy[:2] + detection.box_xyxy[2:]) / 2
        best: Face | None = None
        for widening in (2.0, 2.5, 1.5):
            side = float(max(detection.box_xyxy[2:] - detection.box_xyxy[:2])) * widening
            mesh = self.mesh_finder.find(image_rgb, (float(center[0]), float(center[1])), side, roll)
            if mesh is None:
                continue
            face = _face_from(mesh, detection)
            if best is None or face.score > best.score:
                best = face
            if best.score >= 0.8 * detection.score:
                break
        return best if best is not None and best.score >= 0.5 * self.config.min_score else None

    def detect_upright(self, image_rgb: np.ndarray) -> list[Face]:
        """Faces of the picture as it is, not rotated, best first."""
        return remove_duplicates(self._fit_faces(image_rgb, self.detections(image_rgb)))

    def detect_rotated(self, image_rgb: np.ndarray, upright: list[Face]) -> list[Face]:
        """The faces of the quarter turn with the highest total score, best first; `upright` are those without a turn."""
        best = upright
        for quarter_turns in (1, 2, 3):
            rotated = np.ascontiguousarray(np.rot90(image_rgb, quarter_turns))
            detections = [_rotate_back(d, quarter_turns, rotated.shape[:2]) for d in self.detections(rotated)]
            faces_rotated = remove_duplicates(self._fit_faces(image_rgb, detections))
            best = max(best, faces_rotated, key=lambda faces: sum(face.score for face in faces))
        return best

    def _fit_faces(self, image_rgb: np.ndarray, detections: list[Detection]) -> list[Face]:
        faces = (self.fit_face(image_rgb, detection) for detection in detections)
        return [face for face in faces if face is not None]


def check_image(image_rgb: np.ndarray) -> None:
    """Raises InputError unless the image is (H, W, 3) uint8 with at least one pixel."""
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8 or 0 in image_rgb.shape:
        raise InputError(
            f"A picture must be an (H, W, 3) uint8 RGB array but is {image_rgb.shape} {image_rgb.dtype}; "
            "read it with facegen.media.read_picture."
        )


def remove_duplicates(faces: list[Face]) -> list[Face]:
    """The faces, best first, without those whose mesh lies on that of a better one."""
    unique: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.score):
        if all(overlap(face.box_xyxy, other.box_xyxy) <= 0.5 for other in unique):
            unique.append(face)
    return unique


def _face_from(mesh: Mesh, detection: Detection) -> Face:
    """A face whose score is the detector's, lowered where the detector's five points are far from the mesh's."""
    points5 = points5_of(mesh.points478)
    apart = float(np.linalg.norm(points5 - detection.points5, axis=1).mean()) / max(detection.size_px, 1.0)
    agreement = float(np.clip(1.3 - 3.0 * apart, 0.0, 1.0))
    return Face(
        box_xyxy=box_of(mesh.points478),
        points5=points5,
        points478=mesh.points478,
        matrix=mesh.matrix,
        blendshapes=mesh.blendshapes,
        score=detection.score * agreement,
    )


def _roll_deg(points5: np.ndarray) -> float:
    """Clockwise tilt of a face in the image, from the line that joins its eyes and the one from eyes to mouth."""
    eyes, mouth = points5[1] - points5[0], points5[3:].mean(axis=0) - points5[:2].mean(axis=0)
    # the downward line turned a quarter counter-clockwise points to the image's right, like the eyes'
    direction = eyes + np.array([mouth[1], -mouth[0]])
    return math.degrees(math.atan2(float(direction[1]), float(direction[0])))


def _rotate_back(detection: Detection, quarter_turns: int, rotated_hw: tuple[int, int]) -> Detection:
    """A detection on `np.rot90(image, quarter_turns)`, in the coordinates of the image."""
    x0, y0, x1, y1 = detection.box_xyxy
    points = np.concatenate([detection.points5, [[x0, y0], [x1, y1]]])
    height, width = rotated_hw
    for _ in range(quarter_turns):
        # rot90 sends (x, y) of a W-wide image to (y, W - 1 - x); W is the height of what came out
        points = np.stack([height - 1 - points[:, 1], points[:, 0]], axis=1)
        height, width = width, height
    corners = points[5:]
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)
    return Detection(box_xyxy=box, points5=points[:5].astype(np.float32), score=detection.score)
