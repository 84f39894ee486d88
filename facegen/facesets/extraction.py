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
from facegen.facesets.choices import ExtractOptions
from facegen.facesets.faceset import METADATA, STATE, Faceset, in_order, write_face
from facegen.facesets.record import FaceRecord
from facegen.json_file import read_object
from facegen.media.packets import survey_picture


@dataclass(frozen=True, kw_only=True)
class Input:
    """One video, or the pictures of one folder."""

    label: str
    """Name for people."""
    video: Path | None
    """The video, where it is one."""
    pictures: tuple[Path, ...]
    """The pictures otherwise."""
    length: int
    """Frames or pictures."""
    base: Path
    """The folder that names are given from."""
    names: Mapping[Path, str] = field(default_factory=dict)
    """What sources are called that lie elsewhere."""

    def name_of(self, path: Path) -> str:
        """What a source is called: its path below the folder that was named."""
        return self.names.get(path) or path.relative_to(self.base).as_posix()

    @property
    def key(self) -> str:
        """Tells this input, as it is now, from others."""
        files = [self.video] if self.video else self.pictures
        stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def find_inputs(paths: Sequence[str | Path]) -> list[Input]:
    """The videos and pictures that some paths name; folders are searched deeply, hidden files left alone.

    Raises:
        InputError: a path is missing, or holds neither videos nor pictures.
    """
    found: list[Input] = []
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
            found.append(Input(label=path.name, video=None, pictures=pictures, length=len(pictures), base=base))
        for video in videos:
            count = len(media.frame_times(video)[0])
            found.append(Input(label=video.name, video=video, pictures=(), length=count, base=base))
    return found


def _is_hidden(path: Path, base: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(base).parts)


PIECE_FRAMES = 1000
"""Frames of a video between two notes of how far the work came; also what is kept in memory of its faces."""
PIECE_PICTURES = 50
FOLLOWED_EVERY = 4
"""Where at most every so many frames are wanted, the clip is followed, which is quicker and steadier than looking
at each frame by itself."""
DEBUG = ".debug"


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One frame or picture with its faces."""

    image_rgb: np.ndarray
    faces: Sequence[Face]
    source: str
    name: str
    frame: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of an input that is done at once."""

    place: Input
    key: str
    """Of the input as it is now, with the choice of faces."""
    first: int
    """Its first frame or picture."""
    last: int
    """One more than that of its last."""
    before: int
    """Frames and pictures of the inputs before."""


class Extraction:
    """The work on one faceset folder."""

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
        wanted, found = (self.kind.name, self.options.size), (records[0].face_type, records[0].size)
        if wanted != found:
            raise InputError(
                f"Expected faces as {found[0]} of {found[1]} pixels, as {self.folder} holds them, but {wanted[0]} of "
                f"{wanted[1]} were asked for; choose another folder."
            )

    def pieces(self, places: Sequence[Input]) -> Iterator[Piece]:
        """What is left to be done of some inputs."""
        before = 0
        for place in places:
            key = f"{place.key}-{self.choice}"
            begin = self.state.setdefault("done", {}).get(key, 0)
            if begin >= place.length:
                self.skipped.append(f"{place.label} was done before; nothing was added for it.")
            elif place.video is not None:
                self.skipped += survey_picture(place.video).notices
            step = PIECE_FRAMES if place.video else PIECE_PICTURES
            for first in range(begin, place.length, step):
                yield Piece(place=place, key=key, first=first, last=min(first + step, place.length), before=before)
            before += place.length

    def extract(self, piece: Piece, report: Callable[[int, str], None]) -> list[FaceRecord]:
        """Cuts the faces of a piece out; what is kept of them is not noted yet."""
        place = piece.place

        def tell(done: int, words: str = "") -> None:
            report(piece.before + done, words or f"{place.label}: {self.added} faces")

        seen = self._of_video(piece, place.video, tell) if place.video else self._of_pictures(piece)
        with closing(seen):
            return self._keep(seen, piece.first, tell)

    def note(self, kept: list[FaceRecord], piece: Piece) -> None:
        """Writes down what a piece brought: first the faces, then how far the work is."""
        with (self.folder / METADATA).open("ab") as file:
            file.write(b"".join(orjson.dumps(record.to_json()) + b"\n" for record in kept))
        self.state["done"][piece.key] = piece.last
        self.state["names"] = self.slugs
        self.state["options"] = to_dict(self.options)
        write_json(self.state_path, self.state)

    def _of_video(self, piece: Piece, video: Path, report: Callable[[int, str], None]) -> Generator[_Seen]:
        every, source, first, last = self.options.every, piece.place.name_of(video), piece.first, piece.last
        name = self.slug(video, source)
        start = -(-first // every) * every
        if start >= last:
            return
        frames = media.read_frames(video, start_index=start, every=every if every > FOLLOWED_EVERY else 1)
        if every > FOLLOWED_EVERY:
            with closing(frames):  # type: ignore[type-var]
                for frame in itertools.takewhile(lambda frame: frame.index < last, frames):
                    yield _Seen(
                        image_rgb=frame.image_rgb,
                        faces=self._looked_at(frame.image_rgb),
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
                yield _Seen(
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

    def _of_pictures(self, piece: Piece) -> Generator[_Seen]:
        for path in piece.place.pictures[piece.first : piece.last]:
            try:
                image = media.read_picture(path)
            except InputError as error:
                self.skipped.append(str(error))
                continue
            source = piece.place.name_of(path)
            yield _Seen(image_rgb=image, faces=self._looked_at(image), source=source, name=self.slug(path, source))

    def _looked_at(self, image_rgb: np.ndarray) -> list[Face]:
        faces = self.analyser.detect(image_rgb, self.options.max_faces or None)
        large = [face for face in faces if face.size_px >= self.options.min_face_px]
        self.leave_out("too small", len(faces) - len(large))
        return self.analyser.embed(image_rgb, large)

    def slug(self, path: Path, source: str) -> str:
        """A name for a source that no other source has."""
        key = str(path.resolve())
        if key not in self.slugs:
            plain = re.sub(r"[^A-Za-z0-9_-]+", "-", source.rsplit(".", 1)[0]).strip("-")[-60:] or "face"
            # five digits at the front would be taken for the number that sorting puts there
            plain = f"n{plain}" if re.match(r"\d{5}(_|$)", plain) else plain
            taken = set(self.slugs.values())
            self.slugs[key] = plain if plain not in taken else f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"
        return self.slugs[key]

    def _keep(self, seen: Iterator[_Seen], first: int, on_frame: Callable[[int], None]) -> list[FaceRecord]:
        """Cuts, measures and writes the wanted faces of some frames."""

        def jobs() -> Iterator[tuple[_Seen, int, Face]]:
            for number, item in enumerate(seen):
                self.looked_at += 1
                on_frame(first + number if item.frame is None else item.frame)
                if self.options.debug:
                    self._debug(item)
                for place, face in enumerate(item.faces[: self.options.max_faces or None]):
                    reason = self._refusal(face)
                    if reason is None:
                        yield item, place, face
                    else:
                        self.leave_out(reason, 1)

        kept: list[FaceRecord] = []
        for record in in_order(jobs(), lambda job: self._cut(*job)):
            if record is None:
                self.leave_out("not sharp", 1)
            else:
                self.add(record, kept)
        return kept

    def add(self, record: FaceRecord, kept: list[FaceRecord]) -> None:
        """Counts a face among those that are kept, unless it is known already."""
        if record.stem not in self.known:
            self.known.add(record.stem)
            kept.append(record)
            self.added += 1

    def leave_out(self, reason: str, count: int) -> None:
        """Counts faces that are not taken."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count

    def _refusal(self, face: Face) -> str | None:
        """Why a face is not wanted; None where it is."""
        if face.size_px < self.options.min_face_px:
            return "too small"
        limit = self.options.person_distance
        if face.embedding is not None:
            if self.persons and min(distance(face.embedding, known) for known in self.persons) > limit:
                return "another person"
            if self.others and min(distance(face.embedding, known) for known in self.others) <= limit:
                return "an unwanted person"
        return None

    def _cut(self, item: _Seen, place: int, face: Face) -> FaceRecord | None:
        image, record = crop.cut_face(item.image_rgb, face, self.kind, self.options.size)
        if record.sharpness < self.options.min_sharpness:
            return None
        name = f"{item.name}_{place}.{self.options.format}"
        write_face(self.folder / name, image, self.options.jpeg_quality)
        return record.replace(
            file_name=name,
            source=item.source,
            source_frame=item.frame,
            source_seconds=item.seconds,
            source_face=place,
        )

    def _debug(self, item: _Seen) -> None:
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
