"""Extraction in steps: list videos and pictures, detect faces, select, crop and write them with their records."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from facegen import media
from facegen.config import to_dict, write_json
from facegen.errors import InputError
from facegen.faces import Face, FaceAnalyser, analyse_clip, distance
from facegen.facesets import crop
from facegen.facesets.faceset import METADATA, STATE, Faceset, map_ordered, write_face
from facegen.facesets.options import ExtractOptions
from facegen.facesets.record import FaceRecord
from facegen.json_file import read_object
from facegen.media.packets import survey_picture


@dataclass(frozen=True, kw_only=True)
class Input:
    """One video, or the pictures of one folder."""

    label: str
    """Name for messages."""
    video: Path | None
    """The video, where it is one."""
    pictures: tuple[Path, ...]
    """The pictures otherwise."""
    length: int
    """Frames or pictures."""
    base: Path
    """The folder that source names are relative to."""
    names: Mapping[Path, str] = field(default_factory=dict)
    """Names of sources outside of it."""

    def source_name(self, path: Path) -> str:
        """Name of a source: its path relative to `base`."""
        return self.names.get(path) or path.relative_to(self.base).as_posix()

    @property
    def key(self) -> str:
        """Hash of the paths, sizes and times of its files."""
        files = [self.video] if self.video else self.pictures
        stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def find_inputs(paths: Sequence[str | Path]) -> list[Input]:
    """The videos and pictures at some paths; folders are searched recursively, hidden files skipped.

    Raises:
        InputError: a path is missing, or holds neither videos nor pictures.
    """
    inputs: list[Input] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"Expected a video, a picture or a folder at {path}, found nothing there; check the path.")
        files = (
            sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p, path)) if path.is_dir() else [path]
        )
        pictures = tuple(p for p in files if media.is_picture(p))
        videos = [p for p in files if p not in set(pictures) and media.is_video(p)]
        if not pictures and not videos:
            raise InputError(f"Expected videos or pictures in {path}, found neither; choose another input.")
        base = path if path.is_dir() else path.parent
        if pictures:
            inputs.append(Input(label=path.name, video=None, pictures=pictures, length=len(pictures), base=base))
        for video in videos:
            count = len(media.frame_times(video)[0])
            inputs.append(Input(label=video.name, video=video, pictures=(), length=count, base=base))
    return inputs


def _is_hidden(path: Path, base: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(base).parts)


PIECE_FRAMES = 1000
"""Frames of a video between two writes of the progress; the analysis of so many is held in memory."""
PIECE_PICTURES = 50
MAX_TRACKED_STEP = 4
"""Up to this step between frames the clip is tracked, which is faster and steadier than detection in single frames."""
DEBUG = ".debug"


@dataclass(frozen=True, kw_only=True)
class _AnalysedFrame:
    """One frame or picture with its faces."""

    image_rgb: np.ndarray
    faces: Sequence[Face]
    source: str
    name: str
    frame: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of an input that is processed as a unit."""

    input: Input
    key: str
    """`Input.key` with a hash of the options that choose faces."""
    first: int
    """Index of its first frame or picture."""
    last: int
    """Index after its last one."""
    before: int
    """Number of frames and pictures of the inputs before this one."""


class Extraction:
    """Extraction into one faceset folder, with its progress on disk."""

    def __init__(
        self,
        folder: Path,
        options: ExtractOptions,
        analyser: FaceAnalyser,
        persons: list[np.ndarray],
        others: list[np.ndarray],
    ) -> None:
        self.folder, self.options, self.analyser = folder, options, analyser
        self.persons, self.others = persons, others
        self.kind = crop.face_type(options.face_type)
        self.added = self.looked_at = 0
        self.left_out: dict[str, int] = {}
        self.skipped: list[str] = []
        self.state_path = folder / STATE / "extract.json"
        self.state: dict[str, Any] = read_object(self.state_path, is_optional=True)
        records = Faceset.open(folder).records if (folder / METADATA).exists() else ()
        self._check_fits(records)
        self.known = {record.stem for record in records}
        self.next_track = 1 + max((record.track or 0 for record in records), default=-1)
        self.slugs: dict[str, str] = dict(self.state.get("names", {}))
        choice = {
            item.name: getattr(options, item.name) for item in fields(options) if item.name not in ("debug", "detector")
        }
        if analyser.is_facexlib:
            choice["detector"] = "facexlib"
        marks = [np.round(vector, 3).tolist() for vector in (*persons, *others)]
        self.choice = hashlib.sha256(orjson.dumps([choice, len(persons), marks])).hexdigest()[:12]

    def _check_fits(self, records: Sequence[FaceRecord]) -> None:
        if not records:
            return
        expected, present = (self.kind.name, self.options.size), (records[0].face_type, records[0].size)
        if expected != present:
            raise InputError(
                f"Expected faces as {present[0]} of {present[1]} pixels, as {self.folder} holds them, but {expected[0]} of "
                f"{expected[1]} were asked for; choose another folder."
            )

    def pieces(self, inputs: Sequence[Input]) -> Iterator[Piece]:
        """The pieces of some inputs that are not finished yet."""
        frames_before = 0
        for entry in inputs:
            key = f"{entry.key}-{self.choice}"
            begin = self.state.setdefault("done", {}).get(key, 0)
            if begin >= entry.length:
                self.skipped.append(f"{entry.label} was done before; nothing was added for it.")
            elif entry.video is not None:
                self.skipped += survey_picture(entry.video).notices
            step = PIECE_FRAMES if entry.video else PIECE_PICTURES
            for first in range(begin, entry.length, step):
                yield Piece(
                    input=entry, key=key, first=first, last=min(first + step, entry.length), before=frames_before
                )
            frames_before += entry.length

    def extract(self, piece: Piece, report: Callable[[int, str], None]) -> list[FaceRecord]:
        """Crops and writes the faces of a piece; `record_progress` has yet to be called with the records."""
        entry = piece.input

        def report_piece(done: int, text: str = "") -> None:
            report(piece.before + done, text or f"{entry.label}: {self.added} faces")

        analysed = (
            self._analyse_video(piece, entry.video, report_piece) if entry.video else self._analyse_pictures(piece)
        )
        with closing(analysed):
            return self._write_faces(analysed, piece.first, report_piece)

    def record_progress(self, records: list[FaceRecord], piece: Piece) -> None:
        """Appends the records of a piece to the metadata, then writes the progress."""
        with (self.folder / METADATA).open("ab") as file:
            file.write(b"".join(orjson.dumps(record.to_json()) + b"\n" for record in records))
        self.state["done"][piece.key] = piece.last
        self.state["names"] = self.slugs
        self.state["options"] = to_dict(self.options)
        write_json(self.state_path, self.state)

    def _analyse_video(
        self, piece: Piece, video: Path, report: Callable[[int, str], None]
    ) -> Generator[_AnalysedFrame]:
        every, source, first, last = self.options.every, piece.input.source_name(video), piece.first, piece.last
        name = self.unique_name(video, source)
        start = -(-first // every) * every
        if start >= last:
            return
        frames = media.read_frames(video, start_index=start, every=every if every > MAX_TRACKED_STEP else 1)
        if every > MAX_TRACKED_STEP:
            with closing(frames):  # type: ignore[type-var]
                for frame in itertools.takewhile(lambda frame: frame.index < last, frames):
                    yield _AnalysedFrame(
                        image_rgb=frame.image_rgb,
                        faces=self._detect(frame.image_rgb),
                        source=source,
                        name=f"{name}_{frame.index:06d}",
                        frame=frame.index,
                        seconds=frame.pts_seconds,
                    )
            return
        with closing(frames):  # type: ignore[type-var]
            analysis = analyse_clip(
                itertools.islice(frames, last - start),
                analyser=self.analyser,
                frame_count=last - start,
                on_progress=lambda share, words: report(start + int(0.7 * share * (last - start)), words),
            )
        again = media.read_frames(video, start_index=start, every=every)
        with closing(again):  # type: ignore[type-var]
            for frame in itertools.takewhile(lambda frame: frame.index < last, again):
                yield _AnalysedFrame(
                    image_rgb=frame.image_rgb,
                    faces=[
                        face.replace(track_id=self.next_track + (face.track_id or 0))
                        for face in analysis.faces(frame.index)
                    ],
                    source=source,
                    name=f"{name}_{frame.index:06d}",
                    frame=frame.index,
                    seconds=frame.pts_seconds,
                )
        self.next_track += len(analysis.tracks)

    def _analyse_pictures(self, piece: Piece) -> Generator[_AnalysedFrame]:
        for path in piece.input.pictures[piece.first : piece.last]:
            try:
                image = media.read_picture(path)
            except InputError as error:
                self.skipped.append(str(error))
                continue
            source = piece.input.source_name(path)
            yield _AnalysedFrame(
                image_rgb=image, faces=self._detect(image), source=source, name=self.unique_name(path, source)
            )

    def _detect(self, image_rgb: np.ndarray) -> list[Face]:
        faces = self.analyser.detect(image_rgb, self.options.max_faces or None)
        large = [face for face in faces if face.size_px >= self.options.min_face_px]
        self.count_rejected("too small", len(faces) - len(large))
        return self.analyser.embed(image_rgb, large)

    def unique_name(self, path: Path, source: str) -> str:
        """Unique file name stem of a source."""
        key = str(path.resolve())
        if key not in self.slugs:
            name = re.sub(r"[^A-Za-z0-9_-]+", "-", source.rsplit(".", 1)[0]).strip("-")[-60:] or "face"
            # five leading digits would be mistaken for the number that sorting adds
            name = f"n{name}" if re.match(r"\d{5}(_|$)", name) else name
            used_names = set(self.slugs.values())
            self.slugs[key] = (
                name if name not in used_names else f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"
            )
        return self.slugs[key]

    def _write_faces(
        self, analysed: Iterator[_AnalysedFrame], first: int, on_frame: Callable[[int], None]
    ) -> list[FaceRecord]:
        """Crops, measures and writes the accepted faces of some frames."""

        def jobs() -> Iterator[tuple[_AnalysedFrame, int, Face]]:
            for number, item in enumerate(analysed):
                self.looked_at += 1
                on_frame(first + number if item.frame is None else item.frame)
                if self.options.debug:
                    self._draw_debug(item)
                for number_in_frame, face in enumerate(item.faces[: self.options.max_faces or None]):
                    reason = self._rejection_reason(face)
                    if reason is None:
                        yield item, number_in_frame, face
                    else:
                        self.count_rejected(reason, 1)

        records: list[FaceRecord] = []
        for record in map_ordered(jobs(), lambda job: self._cut(*job)):
            if record is None:
                self.count_rejected("not sharp", 1)
            else:
                self.add(record, records)
        return records

    def add(self, record: FaceRecord, records: list[FaceRecord]) -> None:
        """Appends a record, unless the faceset has that face already."""
        if record.stem not in self.known:
            self.known.add(record.stem)
            records.append(record)
            self.added += 1

    def count_rejected(self, reason: str, count: int) -> None:
        """Counts rejected faces by reason."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count

    def _rejection_reason(self, face: Face) -> str | None:
        """Why a face is rejected; None where it is accepted."""
        if face.size_px < self.options.min_face_px:
            return "too small"
        limit = self.options.person_distance
        if face.embedding is not None:
            if self.persons and min(distance(face.embedding, known) for known in self.persons) > limit:
                return "another person"
            if self.others and min(distance(face.embedding, known) for known in self.others) <= limit:
                return "an unwanted person"
        return None

    def _cut(self, item: _AnalysedFrame, number_in_frame: int, face: Face) -> FaceRecord | None:
        image, record = crop.cut_face(item.image_rgb, face, self.kind, self.options.size)
        if record.sharpness < self.options.min_sharpness:
            return None
        name = f"{item.name}_{number_in_frame}.{self.options.format}"
        write_face(self.folder / name, image, self.options.jpeg_quality)
        return record.replace(
            file_name=name,
            source=item.source,
            source_frame=item.frame,
            source_seconds=item.seconds,
            source_face=number_in_frame,
        )

    def _draw_debug(self, item: _AnalysedFrame) -> None:
        (self.folder / DEBUG).mkdir(exist_ok=True)
        picture = item.image_rgb.copy()
        for face in item.faces:
            width = max(1, round(face.size_px / 100))
            corners = crop.outline(crop.crop_matrix(face.points68, self.kind, 100, face.yaw_deg), 100)
            cv2.polylines(picture, [np.round(corners).astype(np.int32)], True, (80, 200, 255), 2 * width, cv2.LINE_AA)
            for x, y in np.round(face.points68).astype(int).tolist():
                cv2.circle(picture, (x, y), width, (80, 255, 120), -1, cv2.LINE_AA)
        longest = max(picture.shape[:2])
        if longest > 1280:
            picture = cv2.resize(picture, None, fx=1280 / longest, fy=1280 / longest, interpolation=cv2.INTER_AREA)
        media.write_picture(self.folder / DEBUG / f"{item.name}.jpg", picture)
