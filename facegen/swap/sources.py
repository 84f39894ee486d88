"""The source: pictures, folders and videos to the pictures of one face from which an engine prepares an identity."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facegen import media
from facegen.errors import InputError, NoFaceError
from facegen.faces import Face, FaceAnalyser, distance
from facegen.media.source import display_name

Picture = tuple[np.ndarray, Face]
"""(image (H, W, 3) RGB uint8, the face in it)."""

MAX_PICTURES = 24
"""How many pictures of a face an engine is given at most."""

_CANDIDATES = 96
_SAME_PERSON = 0.5
_BYSTANDER = 1 / 3
_EXPRESSION = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthPucker", "browInnerUp")


@dataclass(frozen=True, kw_only=True)
class SourcePictures:
    """The pictures of one person."""

    pictures: list[Picture]
    """The best one (large, frontal, calm) first."""
    notices: tuple[str, ...] = ()
    """Files of folders that were skipped, a sentence a folder."""


def load_sources(paths: Sequence[str], analyser: FaceAnalyser, *, source_face: int | None = None) -> SourcePictures:
    """Load the pictures of the source face.

    A picture is used as it is; of a folder or a video the most frequent person is used, in up to `MAX_PICTURES` pictures
    that differ in pose and expression. What is no picture in a folder, or damaged, is skipped.

    Args:
        paths: pictures, folders and videos of one person.
        analyser: detects the faces.
        source_face: which face of a picture that shows several, counted from the left, 0 first.

    Raises:
        NoFaceError: no face in one of the paths.
        InputError: a path cannot be read, or a picture shows several faces and `source_face` does not say which.
    """
    pictures: list[Picture] = []
    notices: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            skipped: list[str] = []
            pictures += _most_frequent(_folder_faces(Path(path), analyser, skipped), path)
            if skipped:
                notices.append(
                    f"Skipped in {Path(path).name!r}, as no pictures that can be read: {_join_names(skipped)}."
                )
        elif media.is_video(path):
            pictures += _most_frequent(_video_faces(path, analyser), path)
        else:
            pictures.append(_single_face(path, analyser, source_face))
    return SourcePictures(pictures=select_diverse(pictures, MAX_PICTURES), notices=tuple(notices))


def _single_face(path: str, analyser: FaceAnalyser, source_face: int | None) -> Picture:
    image_rgb = media.read_picture(path)
    faces = analyser.detect(image_rgb)
    if not faces:
        raise NoFaceError(
            f"Expected a face in the source {Path(path).name!r}, but found none; choose a picture where the face is "
            "larger, sharper or turned to the camera."
        )
    from_left = sorted(faces, key=lambda face: float(face.box_xyxy[0] + face.box_xyxy[2]))
    if source_face is not None:
        if source_face >= len(faces):
            raise InputError(
                f"Expected face {source_face} (from the left, 0 first) in the source {Path(path).name!r}, but it shows "
                f"{len(faces)}; choose --source-face 0 to {len(faces) - 1}."
            )
        return image_rgb, from_left[source_face]
    large = [face for face in faces if face.size_px > faces[0].size_px * _BYSTANDER]
    if len(large) > 1:
        raise InputError(
            f"Expected one face in the source {Path(path).name!r}, but found {len(faces)}; choose one with "
            f"--source-face N (0 to {len(faces) - 1}, from left to right) or crop the picture."
        )
    return image_rgb, large[0]


def _folder_faces(folder: Path, analyser: FaceAnalyser, skipped: list[str]) -> Iterator[Picture]:
    """The faces of the pictures in a folder; the names of other and of damaged files are added to `skipped`."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    pictures = [path for path in files if media.is_picture(path)]
    skipped += [path.name for path in files if path not in set(pictures)]
    is_any_read = False
    for path in pictures[:: max(1, len(pictures) // _CANDIDATES)]:
        try:
            image_rgb = media.read_picture(path)
        except InputError:
            skipped.append(path.name)
            continue
        is_any_read = True
        yield from _faces_of([image_rgb], analyser)
    if not is_any_read:
        found = f"only {_join_names(skipped)}" if skipped else "none"
        raise InputError(
            f"Expected pictures that can be read in the source folder {folder.name!r}, but found {found}; put JPEG or PNG "
            "files there."
        )


def _join_names(names: list[str], limit: int = 5) -> str:
    """Some names in words: «a, b and 3 more»."""
    more = len(names) - limit
    return ", ".join(map(display_name, names[:limit])) + (f" and {more} more" if more > 0 else "")


def _video_faces(path: str, analyser: FaceAnalyser) -> Iterator[Picture]:
    step = max(1, media.probe(path).frame_count // _CANDIDATES)
    return _faces_of((frame.image_rgb for frame in media.read_frames(path, every=step)), analyser)


def _faces_of(images: Iterable[np.ndarray], analyser: FaceAnalyser) -> Iterator[Picture]:
    return ((image, face) for image in images for face in analyser.embed(image, analyser.detect(image, 8)))


def _most_frequent(candidates: Iterable[Picture], path: str) -> list[Picture]:
    """The pictures of the most frequent person, cropped to the surroundings of the face to save memory."""
    pictures = [_crop(picture) for picture in candidates]
    if not pictures:
        raise NoFaceError(
            f"Expected a face in the source {Path(path).name!r}, but found none in any picture of it; choose pictures "
            "where the face is larger, sharper or turned to the camera."
        )
    known = [face.embedding for _, face in pictures if face.embedding is not None]
    near = np.array([[distance(a, b) < _SAME_PERSON for b in known] for a in known])
    medoid = int(near.sum(axis=1).argmax())
    person = [picture for picture, same in zip(pictures, near[medoid], strict=True) if same]
    largest = max(face.size_px for _, face in person)
    return select_diverse([picture for picture in person if picture[1].size_px > largest / 3], MAX_PICTURES)


def _crop(picture: Picture) -> Picture:
    """The picture cropped to one face length of surroundings on every side of the face."""
    image_rgb, face = picture
    height, width = image_rgb.shape[:2]
    x0, y0, x1, y1 = face.box_xyxy
    margin = max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
    right, bottom = min(width, int(x1 + margin) + 1), min(height, int(y1 + margin) + 1)
    shift = np.array([left, top], np.float32)
    moved = face.replace(
        box_xyxy=face.box_xyxy - np.tile(shift, 2),
        points5=face.points5 - shift,
        points478=face.points478 - np.append(shift, np.float32(0)),
    )
    return image_rgb[top:bottom, left:right].copy(), moved


def select_diverse(pictures: list[Picture], limit: int) -> list[Picture]:
    """Select pictures that differ in pose and expression, the best one first.

    Farthest-point sampling (Gonzalez 1985) on head pose and six blendshapes, starting with the best picture, so that near
    duplicates come last and are dropped first.
    """
    if len(pictures) <= 1:
        return pictures
    features = np.array([_pose_expression(face) for _, face in pictures])
    chosen = [int(np.argmax([_quality(image, face) for image, face in pictures]))]
    gap = np.linalg.norm(features - features[chosen[0]], axis=1)
    while len(chosen) < min(limit, len(pictures)):
        gap[chosen] = -1.0
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(features - features[chosen[-1]], axis=1))
    return [pictures[index] for index in chosen]


def _pose_expression(face: Face) -> list[float]:
    """Pose in units of 30 degrees and blendshapes in units of 1: the metric of `select_diverse`."""
    return [face.yaw_deg / 30, face.pitch_deg / 30, *(face.blendshape(name) for name in _EXPRESSION)]


def _quality(image_rgb: np.ndarray, face: Face) -> float:
    """Quality score: large, sharp, frontal, neutral faces score high; only the order means something."""
    x0, y0, x1, y1 = np.clip(face.box_xyxy, 0, None).astype(int)
    crop = image_rgb[y0 : y1 + 1, x0 : x1 + 1]
    if min(crop.shape[:2]) < 2:
        return 0.0
    small = cv2.resize(crop, (128, 128), interpolation=cv2.INTER_AREA)
    detail = float(cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())
    away = (abs(face.yaw_deg) + abs(face.pitch_deg)) / 45 + sum(face.blendshape(name) for name in _EXPRESSION[:5])
    return min(face.size_px, 400.0) * min(detail, 12.0) * float(np.exp(-away))
