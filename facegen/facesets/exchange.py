"""Import from and export to DeepFaceLab and faceswap; the kind of an import is detected from its content."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegen import media
from facegen.errors import InputError
from facegen.faces import FaceAnalyser, align
from facegen.facesets import crop, dfl, faceswap, plain_pickle, quality
from facegen.facesets.faceset import METADATA, Faceset, OnProgress, write_face
from facegen.facesets.options import EXPORTS, ExportKind
from facegen.facesets.record import FaceRecord

_FAR = 0.12


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """Result of an import."""

    folder: str
    kind: str
    """Detected kind: one of `EXPORTS`."""
    faces: int
    refused: tuple[str, ...]
    """Files that were refused, a sentence each."""


def import_faces(
    path: Path,
    output: Path,
    *,
    frames: Path | None = None,
    face_type: str = "whole_face",
    size: int = 256,
    analyser: FaceAnalyser | None = None,
    on_progress: OnProgress | None = None,
) -> ImportResult:
    """Makes a faceset of another program's faces.

    DeepFaceLab's pictures are kept as they are, with its points. faceswap's are cut again, since its crops are framed
    differently. Mesh, pose, expressions and identity are measured anew; where no mesh is detected the 68 points remain.

    Args:
        path: a folder of DeepFaceLab's JPEG files or faceswap's PNG files, a `faceset.pak`, or a `.fsa` file.
        output: a new folder.
        frames: the video, or the folder of pictures, that a `.fsa` file describes.
        face_type: how faceswap's faces are cut.
        size: side of those, pixels.
        analyser: what measures the faces.
        on_progress: called after every face.

    Raises:
        InputError: nothing known is there, or a file that would run code (it is named), or the folder is not empty.
    """
    if output.exists() and any(output.iterdir()):
        raise InputError(f"Expected a new or empty folder at {output}, found files in it; choose another.")
    kind = detect_kind(path)
    if kind == "faceswap-fsa" and frames is None:
        raise InputError(
            f"Expected the video or folder that {path.name} describes, found none; give it too (--frames PATH)."
        )
    work = _Importer(output, analyser or FaceAnalyser(), face_type, size)
    if kind in ("dfl-jpeg", "dfl-pak"):
        # everything is read once before anything is written: a hostile file refuses the import as a whole
        for _ in _dfl_faces(path, kind):
            pass
        output.mkdir(parents=True, exist_ok=True)
        for number, face in enumerate(_dfl_faces(path, kind)):
            work.add_dfl(face)
            if on_progress is not None:
                on_progress(0.5, f"{number + 1} faces")
    elif kind == "faceswap-png":
        files = sorted(path.glob("*.png"))
        tagged = [(file, data) for file in files if (data := faceswap.read_png_data(file)) is not None]
        output.mkdir(parents=True, exist_ok=True)
        for number, (file, data) in enumerate(tagged):
            work.add_png(file, data)
            if on_progress is not None:
                on_progress((number + 1) / len(tagged), f"{number + 1} faces")
    else:
        described = faceswap.read_fsa(path)
        output.mkdir(parents=True, exist_ok=True)
        assert frames is not None
        for number, (fsa_face, image, index) in enumerate(faceswap.iterate_frames(described, frames)):
            work.add_fsa(fsa_face, image, frames.name if index is not None else fsa_face.frame, index)
            if on_progress is not None:
                on_progress(number / max(1, len(described)), f"{number + 1} faces")
    (output / METADATA).touch()
    faceset = Faceset(output, work.records).write(work.records)
    return ImportResult(folder=str(output), kind=kind, faces=len(faceset), refused=tuple(work.refused))


def import_apart(path: str, output: str, frames: str) -> dict[str, Any]:
    """`import_faces` for a process with limits (`facegen.guarded`)."""
    return vars(import_faces(Path(path), Path(output), frames=Path(frames) if frames else None))


def export_faces(faceset: Faceset, output: Path, kind: ExportKind, on_progress: OnProgress | None = None) -> int:
    """Writes a faceset for another program; returns how many faces.

    Args:
        faceset: the faces.
        output: a folder for pictures, a file for `dfl-pak` and `faceswap-fsa`.
        kind: one of `EXPORTS`.
        on_progress: called with the share that is done.

    Raises:
        InputError: there is no such kind, or the faceset is empty.
    """
    if kind not in EXPORTS:
        raise InputError(f"Expected an export as {', '.join(EXPORTS)}, found {kind!r}; choose one of these.")
    if not len(faceset):
        raise InputError(f"Expected faces in {faceset.folder}, found none; extract some first.")
    if kind == "dfl-jpeg":
        return dfl.export_jpegs(faceset, output, on_progress)
    if kind == "dfl-pak":
        return dfl.export_pak(faceset, output, on_progress)
    if kind == "faceswap-png":
        return faceswap.export_pngs(faceset, output, on_progress)
    faceswap.export_fsa(faceset, output)
    return len(faceset)


def detect_kind(path: Path) -> ExportKind:
    """Kind of the faces at a path, detected from its content.

    Raises:
        InputError: nothing that can be imported.
    """
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in (".jpg", ".jpeg") and dfl.split_jpeg(file.read_bytes(), file.name)[1] is not None:
                return "dfl-jpeg"
            if file.suffix.lower() == ".png" and faceswap.read_png_data(file) is not None:
                return "faceswap-png"
        raise InputError(
            f"Expected faces of DeepFaceLab or faceswap in {path}, found none; use: facegen faceset extract"
        )
    if not path.is_file():
        raise InputError(f"Expected a folder, a faceset.pak or a .fsa file at {path}, found nothing; check the path.")
    with path.open("rb") as file_:
        head = file_.read(16)
    if head[:8] == (1).to_bytes(8, "little"):
        return "dfl-pak"
    if head[:1] == b"\x78":
        return "faceswap-fsa"
    raise InputError(f"Expected a faceset.pak or a .fsa file at {path}, found another kind; choose another file.")


def _dfl_faces(path: Path, kind: ExportKind) -> Iterator[dfl.DflFace]:
    if kind == "dfl-pak":
        yield from dfl.read_pak(path)
        return
    for file in sorted(path.iterdir()):
        if file.suffix.lower() in (".jpg", ".jpeg"):
            raw = file.read_bytes()
            if dfl.split_jpeg(raw, file.name)[1] is not None:
                yield dfl.read_jpeg(raw, file.name, file.name)


class _Importer:
    """Writes imported faces into a new faceset."""

    def __init__(self, output: Path, analyser: FaceAnalyser, face_type: str, size: int) -> None:
        self.output, self.analyser = output, analyser
        self.kind, self.size = crop.face_type(face_type), size
        self.records: list[FaceRecord] = []
        self.refused: list[str] = []
        self._stems: set[str] = set()

    def _name(self, name: str, suffix: str) -> str:
        """A unique file name inside the folder."""
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name.rsplit(".", 1)[0]).strip("-") or "face"
        # five leading digits would be mistaken for the number that sorting adds
        stem = f"n{stem}" if re.match(r"\d{5}_", stem) else stem
        unique, number = stem, 1
        while unique in self._stems:
            unique, number = f"{stem}-{number}", number + 1
        self._stems.add(unique)
        return unique + suffix

    def add_dfl(self, face: dfl.DflFace) -> None:
        """Adds one of DeepFaceLab's faces."""
        try:
            with Image.open(io.BytesIO(face.picture)) as opened:
                suffix = ".png" if opened.format == "PNG" else ".jpg"
                image = np.asarray(opened.convert("RGB"))
            with plain_pickle.check_values(face.name):
                record = dfl.read_record(face, self._name(face.name, suffix), image.shape[0])
                mask = dfl.read_mask(face, image.shape[0])
        except (InputError, OSError, SyntaxError) as error:
            self.refused.append(f"{face.name}: {error}")
            return
        (self.output / record.file_name).write_bytes(face.picture)
        if mask is not None:
            record = Faceset(self.output, ()).with_mask(record, mask, "imported")
        self.records.append(self._measure(record, image))

    def _measure(self, record: FaceRecord, image_rgb: np.ndarray) -> FaceRecord:
        """The record with all that can be measured on its picture."""
        record = record.replace(**quality.measure(image_rgb, record.points68))
        for face in self.analyser.detect(image_rgb):
            apart = np.linalg.norm(face.points68[17:] - record.points68[17:], axis=1).mean()
            if apart < _FAR * image_rgb.shape[0]:
                measured = self.analyser.embed(image_rgb, [face])[0]
                return record.replace(
                    points478=measured.points478,
                    head_matrix=measured.matrix,
                    blendshapes=measured.blendshapes,
                    embedding=measured.embedding,
                    yaw_deg=measured.yaw_deg,
                    pitch_deg=measured.pitch_deg,
                    roll_deg=measured.roll_deg,
                    score=measured.score,
                )
        return record

    def add_png(self, file: Path, data: dict[str, object]) -> None:
        """Cuts one of faceswap's faces again."""
        image = media.read_picture(file)
        faces = self.analyser.embed(image, self.analyser.detect(image, 1))
        if not faces:
            self.refused.append(f"{file.name}: no face was found in it.")
            return
        picture, record = crop.cut_face(image, faces[0], self.kind, self.size)
        try:
            with plain_pickle.check_values(file.name):
                changes = _locate_source(data, record)
        except InputError as error:
            self.refused.append(f"{file.name}: {error}")
            return
        record = record.replace(file_name=self._name(file.name, ".png"), **changes)
        write_face(self.output / record.file_name, picture)
        self.records.append(record)

    def add_fsa(self, face: faceswap.FsaFace, image_rgb: np.ndarray, source: str, index: int | None) -> None:
        """Cuts a face that an alignment file describes."""
        matrix = crop.crop_matrix(face.landmarks68, self.kind, self.size)
        picture = crop.warp_black(image_rgb, matrix, self.size)
        record = FaceRecord(
            file_name=self._name(f"{Path(face.frame).stem}_{face.number}", ".jpg"),
            face_type=self.kind.name,
            size=self.size,
            source=source,
            source_frame=index,
            source_face=face.number,
            source_height=image_rgb.shape[0],
            source_width=image_rgb.shape[1],
            face_px=float(np.sqrt(np.prod(np.ptp(face.landmarks68, axis=0)))),
            crop_matrix=matrix,
            landmarks68=align.apply(matrix, face.landmarks68).astype(np.float32),
        )
        write_face(self.output / record.file_name, picture)
        mask = faceswap.warp_mask(face, matrix, self.size)
        if mask is not None:
            record = Faceset(self.output, ()).with_mask(record, mask, "imported")
        self.records.append(self._measure(record, picture))


def _locate_source(data: dict[str, Any], record: FaceRecord) -> dict[str, object]:
    """Source and crop matrix of one of faceswap's faces, from its points in the frame and in the picture."""
    source, alignment = data.get("source"), data.get("alignments")
    changes: dict[str, object] = {}
    if isinstance(source, dict):
        changes["source"] = str(source.get("source_filename", ""))
        changes["source_face"] = int(source.get("face_index", 0))
        dims = source.get("source_frame_dims")
        if isinstance(dims, (list, tuple)) and len(dims) == 2:
            changes["source_height"], changes["source_width"] = int(dims[0]), int(dims[1])
    points = np.asarray(alignment.get("landmarks_xy", ()), np.float32) if isinstance(alignment, dict) else np.zeros(0)
    if points.shape == (68, 2):
        changes["crop_matrix"] = align.similarity(points[17:], record.points68[17:] / record.size, record.size)
    else:
        changes["crop_matrix"] = None
    return changes
