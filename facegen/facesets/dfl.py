"""DeepFaceLab's faces, in and out: JPEG files with data in an APP15 segment, and `faceset.pak`.

The data is a pickle; it is read by `plain_pickle.py`, which executes nothing. Pictures are copied byte for byte, without it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from facegen.errors import InputError
from facegen.faces import align
from facegen.facesets import crop, plain_pickle
from facegen.facesets.faceset import Faceset, OnProgress, map_ordered
from facegen.facesets.record import FaceRecord
from facegen.media import atomic_output

_APP15 = 0xEF
_MAX_SEGMENT = 65533
_XSEG_SIDE = 256
_PAK_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class DflFace:
    """One face as DeepFaceLab keeps it."""

    name: str
    """File name, with the folder of its person where it was packed with one."""
    picture: bytes
    """The JPEG or PNG file, without DeepFaceLab's segment."""
    data: dict[str, Any]
    """Its metadata."""


def split_jpeg(data: bytes, where: str) -> tuple[bytes, bytes | None]:
    """A JPEG file without its APP15 segment, and that segment's content.

    Raises:
        InputError: it is no JPEG file, or is cut off.
    """
    if data[:2] != b"\xff\xd8":
        raise InputError(f"Expected a JPEG file in {where}, found another kind; save it again as JPEG.")
    segments, metadata, offset = [data[:2]], None, 2
    while offset + 4 <= len(data) and data[offset] == 0xFF and data[offset + 1] != 0xDA:
        length = struct.unpack(">H", data[offset + 2 : offset + 4])[0]
        segment = data[offset : offset + 2 + length]
        if data[offset + 1] == _APP15 and metadata is None:
            metadata = segment[4:]
        else:
            segments.append(segment)
        offset += 2 + length
    if offset >= len(data):
        raise InputError(f"Expected a whole JPEG file in {where}, found it cut off; copy it again.")
    return b"".join([*segments, data[offset:]]), metadata


def read_jpeg(data: bytes, name: str, where: str) -> DflFace:
    """Reads a face of one of DeepFaceLab's JPEG files.

    Raises:
        InputError: it has no such data, or data that is not plain.
    """
    picture, segment = split_jpeg(data, where)
    if segment is None:
        raise InputError(f"Expected DeepFaceLab's data in {where}, found none; extract its face with facegen instead.")
    return DflFace(name=name, picture=picture, data=_plain_dict(plain_pickle.loads(segment, where), where))


def _plain_dict(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"Expected a dictionary in {where}, found {type(value).__name__}; it was refused.")
    return value


def read_pak(path: Path) -> Iterator[DflFace]:
    """The faces of a `faceset.pak`, one after the other; memory holds one at a time.

    Raises:
        InputError: it is none, is damaged, or holds data that is not plain.
    """
    with path.open("rb") as file:
        head = file.read(16)
        version, length = struct.unpack("<QQ", head) if len(head) == 16 else (0, 0)
        if version != _PAK_VERSION or not 0 < length <= path.stat().st_size:
            raise InputError(f"Expected a faceset.pak of version {_PAK_VERSION} at {path}, found something else.")
        configs = plain_pickle.loads(file.read(length), path.name)
        if not isinstance(configs, list):
            raise InputError(
                f"Expected a list of faces in {path.name}, found {type(configs).__name__}; it was refused."
            )
        raw = file.read(8 * (len(configs) + 1))
        if len(raw) != 8 * (len(configs) + 1):
            raise InputError(f"Expected a whole faceset.pak at {path}, found it cut off; copy it again.")
        offsets = struct.unpack(f"<{len(configs) + 1}Q", raw)
        begin, end = file.tell(), path.stat().st_size
        for number, config in enumerate(configs):
            data = _plain_dict(config, path.name)
            start = begin + offsets[number]
            # the last offset is counted from the file's beginning instead: the file's end says the same
            stop = begin + offsets[number + 1] if number + 1 < len(configs) else end
            if not begin <= start < stop <= end:
                raise InputError(f"Expected faces inside {path.name}, found one outside of it; it is damaged.")
            file.seek(start)
            picture = file.read(stop - start)
            where = f"{path.name}: {data.get('filename', number)}"
            if picture[:2] == b"\xff\xd8":
                picture, segment = split_jpeg(picture, where)
                inner = _plain_dict(plain_pickle.loads(segment, where), where) if segment else {}
                data = {**inner, **data}
            name = "/".join(
                str(part) for part in (data.get("person_name"), data.get("filename", f"{number:05d}.jpg")) if part
            )
            yield DflFace(name=name, picture=picture, data=data)


def read_record(face: DflFace, file_name: str, side: int) -> FaceRecord:
    """A record with what DeepFaceLab's data holds of the face.

    Raises:
        InputError: the landmarks are missing or are not 68 points.
    """
    data = face.data
    landmarks = np.asarray(data.get("landmarks", ()), np.float32)
    if landmarks.shape != (68, 2):
        raise InputError(f"Expected 68 landmarks for {face.name!r}, found shape {landmarks.shape}; extract it again.")
    matrix = np.asarray(data["image_to_face_mat"], np.float32) if data.get("image_to_face_mat") is not None else None
    rect = data.get("source_rect")
    return FaceRecord(
        file_name=file_name,
        face_type=crop.face_type(str(data.get("face_type", "full_face"))).name,
        size=side,
        source=str(data.get("source_filename") or ""),
        crop_matrix=matrix if matrix is not None and matrix.shape == (2, 3) else None,
        landmarks68=landmarks,
        face_px=float(np.sqrt(abs((rect[2] - rect[0]) * (rect[3] - rect[1])))) if rect is not None else 0.0,
        polygons=_polygons(data.get("seg_ie_polys")),
    )


def _polygons(value: Any) -> tuple[tuple[bool, tuple[tuple[float, float], ...]], ...] | None:
    items = value.get("polys", ()) if isinstance(value, dict) else value
    if not isinstance(items, (list, tuple)) or not items:
        return None
    return tuple(
        (bool(item.get("type", 1)), tuple((float(x), float(y)) for x, y in np.asarray(item.get("pts", ()))))
        for item in items
        if isinstance(item, dict)
    )


def read_mask(face: DflFace, side: int) -> np.ndarray | None:
    """(side, side) uint8 mask that was applied to the face; None where there is none."""
    raw = face.data.get("xseg_mask", face.data.get("xseg_mask_compressed"))
    if raw is None:
        return None
    if isinstance(raw, np.ndarray) and raw.ndim >= 2 and min(raw.shape[:2]) > 1:
        mask = raw[..., 0] if raw.ndim == 3 else raw
    else:
        decoded = cv2.imdecode(np.frombuffer(bytes(raw), np.uint8), cv2.IMREAD_GRAYSCALE)
        if decoded is None:
            return None
        mask = decoded
    if mask.dtype != np.uint8:
        mask = (np.clip(mask, 0, 1) * 255).astype(np.uint8)
    return cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR)


def _dfl_data(faceset: Faceset, record: FaceRecord) -> dict[str, Any]:
    """DeepFaceLab's metadata of a face."""
    data: dict[str, Any] = {
        "face_type": crop.face_type(record.face_type).code,
        "landmarks": record.points68.astype(float).tolist(),
        "eyebrows_expand_mod": 1.0,
        "source_filename": record.source or record.file_name,
    }
    if record.crop_matrix is not None:
        source = align.apply(align.invert(record.crop_matrix), record.points68)
        data["source_landmarks"] = source.astype(float).tolist()
        data["source_rect"] = [round(v) for v in (*source.min(0).tolist(), *source.max(0).tolist())]
        data["image_to_face_mat"] = record.crop_matrix.astype(float).tolist()
    if record.polygons:
        points = [{"type": int(inside), "pts": [list(p) for p in polygon]} for inside, polygon in record.polygons]
        data["seg_ie_polys"] = {"polys": points}
    mask = faceset.mask(record)
    if mask is not None:
        small = cv2.resize(mask, (_XSEG_SIDE, _XSEG_SIDE), interpolation=cv2.INTER_AREA)
        data["xseg_mask"] = cv2.imencode(".png", small)[1].reshape(-1)
    return data


def encode_jpeg(faceset: Faceset, record: FaceRecord) -> tuple[bytes, dict[str, Any]]:
    """A face as one of DeepFaceLab's JPEG files, and its data."""
    data = _dfl_data(faceset, record)
    raw = faceset.path(record).read_bytes()
    if raw[:2] != b"\xff\xd8":
        with Image.open(io.BytesIO(raw)) as image, io.BytesIO() as buffer:
            image.convert("RGB").save(buffer, "JPEG", quality=95, subsampling=0)
            raw = buffer.getvalue()
    segment = plain_pickle.dumps(data)
    if len(segment) > _MAX_SEGMENT:
        data.pop("xseg_mask", None)
        segment = plain_pickle.dumps(data)
    plain, _ = split_jpeg(raw, record.file_name)
    # after APP0, where the file has one: readers expect that first
    offset = 2 + 2 + struct.unpack(">H", plain[4:6])[0] if plain[2:4] == b"\xff\xe0" else 2
    marked = b"\xff\xef" + struct.pack(">H", len(segment) + 2) + segment
    return plain[:offset] + marked + plain[offset:], data


def export_jpegs(faceset: Faceset, output: Path, on_progress: OnProgress | None = None) -> int:
    """Writes the faces as DeepFaceLab's JPEG files; returns how many."""
    output.mkdir(parents=True, exist_ok=True)

    def write(record: FaceRecord) -> None:
        data, _ = encode_jpeg(faceset, record)
        with atomic_output(output / f"{Path(record.file_name).stem}.jpg") as temporary:
            temporary.write_bytes(data)

    return sum(1 for _ in map_ordered(faceset.records, write, on_progress, "Writing faces"))


def export_pak(faceset: Faceset, output: Path, on_progress: OnProgress | None = None) -> int:
    """Writes the faces as a `faceset.pak`; returns how many."""
    configs, offsets, total = [], [], 0
    with atomic_output(output) as temporary, atomic_output(output.with_name(output.name + ".faces")) as pictures:
        with pictures.open("wb") as file:
            for record, (raw, data) in zip(
                faceset.records,
                map_ordered(faceset.records, lambda r: encode_jpeg(faceset, r), on_progress),
                strict=True,
            ):
                offsets.append(total)
                total += file.write(raw)
                landmarks = np.array(data["landmarks"], np.float32)
                configs.append(
                    {
                        "filename": f"{Path(record.file_name).stem}.jpg",
                        "face_type": data["face_type"],
                        "shape": (record.size, record.size, 3),
                        "landmarks": landmarks,
                        "seg_ie_polys": data.get("seg_ie_polys"),
                        "xseg_mask_compressed": data.get("xseg_mask"),
                        "eyebrows_expand_mod": 1.0,
                        "source_filename": data["source_filename"],
                        "person_name": None,
                    }
                )
        head = plain_pickle.dumps(configs)
        begin = 16 + len(head) + 8 * (len(offsets) + 1)
        with temporary.open("wb") as file, pictures.open("rb") as parts:
            file.write(struct.pack("<QQ", _PAK_VERSION, len(head)) + head)
            file.write(struct.pack(f"<{len(offsets) + 1}Q", *offsets, begin + total))
            while block := parts.read(1 << 20):
                file.write(block)
    output.with_name(output.name + ".faces").unlink(missing_ok=True)
    return len(configs)
