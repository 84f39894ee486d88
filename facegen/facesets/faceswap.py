"""faceswap's faces, in and out: PNG files with data in a text chunk, and `.fsa` alignment files.

A `.fsa` file is a compressed pickle; it is read by `plain_pickle.py`, which executes nothing. It holds no pictures: they are cut
out of the video or folder that it describes.
"""

from __future__ import annotations

import ast
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from facegen import media
from facegen.errors import InputError
from facegen.faces import align
from facegen.facesets import plain_pickle
from facegen.facesets.faceset import Faceset, OnProgress, map_ordered, resize_picture
from facegen.facesets.record import FaceRecord
from facegen.json_file import parse_json
from facegen.media import atomic_output

CHUNK = "faceswap"
_VERSION = 2.4
_THUMB = 96
_MAX_MASK = 4096
_SMALL_BYTES = 64 << 20
_MAX_RATIO = 200
"""A larger alignment file unpacks to at most so many times its size."""
_MASK_PREFERENCE = ("bisenet-fp_face", "vgg-obstructed", "vgg-clear", "unet-dfl", "custom", "extended", "components")


def read_png_data(path: Path) -> dict[str, Any] | None:
    """faceswap's data in a PNG file; None where there is none.

    Raises:
        InputError: it is not plain data.
    """
    try:
        with Image.open(path) as image:
            text = image.info.get(CHUNK)
    except (OSError, ValueError, SyntaxError):
        return None
    if not isinstance(text, str):
        return None
    try:
        data = parse_json(text, path.name) if text.lstrip().startswith('{"') else ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise InputError(
            f"Expected plain data in {path.name}, found something else ({error}); it was refused."
        ) from error
    return data if isinstance(data, dict) else None


@dataclass(frozen=True, kw_only=True)
class FsaFace:
    """One face of an alignment file."""

    frame: str
    """Name of its frame."""
    number: int
    """Which face of the frame."""
    landmarks68: np.ndarray
    """(68, 2) float32, pixels of the frame."""
    mask: np.ndarray | None
    """(S, S) uint8, in a crop of its own."""
    mask_matrix: np.ndarray | None
    """(2, 3) float32, pixels of the frame to pixels of that crop."""


def read_fsa(path: Path) -> list[FsaFace]:
    """The faces of an alignment file, by frame.

    Raises:
        InputError: it is none, is damaged, or holds what is not plain.
    """
    reader = zlib.decompressobj()
    try:
        packed = path.read_bytes()
        raw = reader.decompress(packed, min(plain_pickle.MAX_BYTES, max(_SMALL_BYTES, _MAX_RATIO * len(packed))))
        if not reader.eof:
            raise InputError(f"Expected a whole alignment file at {path}, found it cut off, or a bomb; it was refused.")
    except zlib.error as error:
        raise InputError(f"Expected a faceswap alignment file at {path}, found something else ({error}).") from error
    content = plain_pickle.loads(raw, path.name)
    data = content.get("__data__") if isinstance(content, dict) else None
    if not isinstance(data, dict):
        raise InputError(f"Expected alignments in {path.name}, found none; choose a .fsa file of faceswap.")
    with plain_pickle.check_values(path.name):
        return [
            _fsa_face(str(frame), number, face, path.name)
            for frame, entry in sorted(data.items())
            for number, face in enumerate(entry.get("faces", ()))
        ]


def _fsa_face(frame: str, number: int, face: dict[str, Any], where: str) -> FsaFace:
    landmarks = np.asarray(face.get("landmarks_xy", ()), np.float32)
    if landmarks.shape != (68, 2):
        raise InputError(f"Expected 68 points for {frame} in {where}, found shape {landmarks.shape}; export it again.")
    mask, matrix = _stored_mask(face.get("mask") or {})
    return FsaFace(frame=frame, number=number, landmarks68=landmarks, mask=mask, mask_matrix=matrix)


def _stored_mask(masks: dict[str, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    names = sorted(masks, key=lambda n: _MASK_PREFERENCE.index(n) if n in _MASK_PREFERENCE else -1)
    if not names:
        return None, None
    stored = masks[names[0]]
    side, matrix = int(stored["stored_size"]), np.asarray(stored["affine_matrix"], np.float32)[:2]
    # no more than a mask of that size has, whatever the data would grow to
    most = min(side, _MAX_MASK) ** 2 + 1
    pixels = np.frombuffer(zlib.decompressobj().decompress(bytes(stored["mask"]), most), np.uint8)
    if pixels.size != side * side or matrix.shape != (2, 3):
        return None, None
    return pixels.reshape(side, side), matrix


def iterate_frames(faces: list[FsaFace], frames: Path) -> Iterator[tuple[FsaFace, np.ndarray, int | None]]:
    """Each face with its frame, (H, W, 3) uint8 RGB, and the frame's number in a video.

    Raises:
        InputError: the frames are missing.
    """
    if frames.is_dir():
        for face in faces:
            path = frames / face.frame
            if path.is_file():
                yield face, media.read_picture(path), None
        return
    by_index: dict[int, list[FsaFace]] = {}
    for face in faces:
        if (match := re.search(r"(\d+)(?:\.\w+)?$", face.frame)) is not None:
            # faceswap counts the frames of a video from 1
            by_index.setdefault(int(match.group(1)) - 1, []).append(face)
    for frame in media.read_frames(frames):
        for face in by_index.get(frame.index, ()):
            yield face, frame.image_rgb, frame.index


def warp_mask(face: FsaFace, matrix: np.ndarray, side: int) -> np.ndarray | None:
    """(side, side) uint8: the stored mask in a crop with another (2, 3) matrix from frame to crop pixels."""
    if face.mask is None or face.mask_matrix is None:
        return None
    to_frame = np.vstack([align.invert(face.mask_matrix), [0, 0, 1]])
    return cv2.warpAffine(face.mask, (matrix @ to_frame).astype(np.float32), (side, side), flags=cv2.INTER_LINEAR)


def _alignment(faceset: Faceset, record: FaceRecord) -> dict[str, Any]:
    """faceswap's metadata of a face, in pixels of its frame."""
    to_frame = (
        align.invert(record.crop_matrix)
        if record.crop_matrix is not None
        else np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    )
    points = align.apply(to_frame, record.points68)
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    masks: dict[str, Any] = {}
    mask = faceset.mask(record)
    if mask is not None:
        scale = 128 / mask.shape[0]
        matrix = np.vstack([record.crop_matrix if record.crop_matrix is not None else np.eye(2, 3), [0, 0, 1]])
        shrink = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
        masks["custom_face"] = {
            "mask": zlib.compress(resize_picture(mask, 128).tobytes()),
            "affine_matrix": (shrink @ matrix).astype(float).tolist(),
            "interpolator": 1,
            "stored_size": 128,
            "stored_centering": "face",
        }
    return {
        "x": int(low[0]),
        "y": int(low[1]),
        "w": int(high[0] - low[0]),
        "h": int(high[1] - low[1]),
        "landmarks_xy": points.astype(float).tolist(),
        "mask": masks,
        "identity": {},
    }


def frame_name(record: FaceRecord) -> str:
    """faceswap's name of the frame that a face was cut from."""
    if record.source_frame is None:
        return record.source or record.file_name
    return f"{Path(record.source).stem}_{record.source_frame + 1:06d}.png"


def export_pngs(faceset: Faceset, output: Path, on_progress: OnProgress | None = None) -> int:
    """Writes the faces as faceswap's PNG files; returns how many."""
    output.mkdir(parents=True, exist_ok=True)

    def write(record: FaceRecord) -> None:
        data = {
            "alignments": _alignment(faceset, record),
            "source": {
                "alignments_version": _VERSION,
                "original_filename": f"{record.stem}.png",
                "face_index": record.source_face,
                "source_filename": frame_name(record),
                "source_is_video": record.source_frame is not None,
                "source_frame_dims": (record.source_height or record.size, record.source_width or record.size),
            },
        }
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt(CHUNK, repr(data))
        with atomic_output(output / f"{record.stem}.png") as temporary:
            Image.fromarray(faceset.picture(record)).save(temporary, format="PNG", pnginfo=chunks)

    return sum(1 for _ in map_ordered(faceset.records, write, on_progress, "Writing faces"))


def export_fsa(faceset: Faceset, output: Path) -> list[Path]:
    """Writes an alignment file for each source; returns them.

    Args:
        faceset: the faces.
        output: the file; with several sources each one's name is put into it.
    """
    by_source: dict[str, list[FaceRecord]] = {}
    for record in faceset.records:
        # pictures of a folder belong together, a video stands for itself
        by_source.setdefault(record.source if record.source_frame is not None else "", []).append(record)
    files = []
    for source, records in sorted(by_source.items()):
        frames: dict[str, Any] = {}
        for record in records:
            entry = frames.setdefault(frame_name(record), {"faces": [], "video_meta": {}})
            small = cv2.cvtColor(resize_picture(faceset.picture(record), _THUMB), cv2.COLOR_RGB2BGR)
            thumb = cv2.imencode(".jpg", small)[1].reshape(-1)
            entry["faces"].append({**_alignment(faceset, record), "thumb": thumb})
        content = {"__meta__": {"version": _VERSION}, "__data__": frames}
        path = (
            output if len(by_source) == 1 else output.with_name(f"{output.stem}_{Path(source).stem or 'pictures'}.fsa")
        )
        with atomic_output(path) as temporary:
            temporary.write_bytes(zlib.compress(plain_pickle.dumps(content)))
        files.append(path)
    return files
