"""Faces out of videos, folders and pictures into a faceset; goes on where it was cut off."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from facegen import media
from facegen.config import to_dict, write_json
from facegen.errors import InputError, NoFaceError
from facegen.faces import Face, FaceAnalyser, analyse_clip, distance
from facegen.facesets import crop
from facegen.facesets.choices import ExtractOptions, ExtractRequest, ExtractResult
from facegen.facesets.faceset import METADATA, STATE, Faceset, OnProgress, in_order, write_face
from facegen.facesets.inputs import Input, find_inputs
from facegen.facesets.jobs import EXTRACT
from facegen.facesets.record import FaceRecord
from facegen.jobs import Progress, Run
from facegen.jobs.pipeline import Pipeline
from facegen.json_file import read_object
from facegen.media.packets import survey_picture

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


class ExtractPipeline(Pipeline[ExtractRequest, ExtractResult]):
    """Cuts faces out; see `extract`, whose faceset itself says where to go on."""

    job = EXTRACT

    def warm_up(self, request: ExtractRequest) -> None:
        """Load the models by a look at the first picture."""
        image, analyser = media.read_picture(request.inputs[0]), self.models.get(FaceAnalyser)
        analyser.embed(image, analyser.detect(image, 1))

    def work(self, request: ExtractRequest, run: Run | None, progress: Progress) -> ExtractResult:
        """Cut the faces out."""
        result = extract(
            request.inputs,
            request.output,
            request.options,
            persons=request.persons,
            others=request.others,
            analyser=self.models.get(FaceAnalyser),
            on_progress=progress.report,
        )
        return replace(result, notices=result.skipped)


def extract(
    inputs: Sequence[str | Path],
    output: str | Path,
    options: ExtractOptions | None = None,
    *,
    persons: Sequence[str | Path] = (),
    others: Sequence[str | Path] = (),
    analyser: FaceAnalyser | None = None,
    on_progress: OnProgress | None = None,
) -> ExtractResult:
    """Cuts every wanted face out of the inputs.

    Args:
        inputs: videos, pictures, and folders of both (searched deeply).
        output: the faceset; a new folder, or one with faces of the same type and size, which are added to.
        options: how, and which.
        persons: pictures of the one person whose faces are wanted; none takes everybody.
        others: pictures of people whose faces are not wanted.
        analyser: what finds the faces.
        on_progress: called after every frame; may raise Cancelled, after which the same call goes on.

    Raises:
        InputError: an input is missing, or the folder holds faces of another type or size.
        NoFaceError: a reference picture shows no face.
    """
    options = options or ExtractOptions()
    analyser = (analyser or FaceAnalyser()).with_detector(options.detector)
    places = find_inputs(inputs)
    unread: list[str] = []
    wanted, unwanted = (_references(paths, analyser, unread) for paths in (persons, others))
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    work = _Extraction(folder, options, analyser, wanted, unwanted)
    total = sum(place.length for place in places)
    before = 0
    for place in places:

        def report(done: int, words: str, before: int = before) -> None:
            if on_progress is not None:
                on_progress(min(1.0, (before + done) / max(total, 1)), words)

        work.take(place, report)
        before += place.length
    if not (folder / METADATA).exists():
        (folder / METADATA).touch()
    return ExtractResult(
        folder=str(folder),
        faces=work.added,
        looked_at=work.looked_at,
        left_out=dict(sorted(work.left_out.items())),
        skipped=(*unread, *work.skipped),
        total=len(work.known),
    )


def _references(paths: Sequence[str | Path], analyser: FaceAnalyser, unread: list[str]) -> list[np.ndarray]:
    """Embeddings of the largest face of each picture; a folder counts as the pictures in it.

    Damaged pictures of a folder are skipped, as long as one of it is left; why is added to `unread`.
    """
    found: list[np.ndarray] = []
    for path in map(Path, paths):
        files = sorted(p for p in path.iterdir() if media.is_picture(p)) if path.is_dir() else [path]
        count = len(found)
        for file in files:
            try:
                image = media.read_picture(file)
            except InputError as error:
                if not path.is_dir():
                    raise
                unread.append(str(error))
                continue
            faces = analyser.embed(image, analyser.detect(image, 1))
            if not faces or faces[0].embedding is None:
                raise NoFaceError(
                    f"Expected a face in the reference {file.name!r}, found none; choose another picture."
                )
            found.append(faces[0].embedding)
        if len(found) == count:
            raise InputError(f"Expected pictures that can be read in {path.name!r}, found none; choose another folder.")
    return found


class _Extraction:
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

    def take(self, place: Input, report: Callable[[int, str], None]) -> None:
        """Extracts one input from where it was left."""
        key = f"{place.key}-{self.choice}"
        done: dict[str, int] = self.state.setdefault("done", {})
        begin = done.get(key, 0)
        if begin >= place.length:
            self.skipped.append(f"{place.label} was done before; nothing was added for it.")
            return
        if place.video is not None:
            self.skipped += survey_picture(place.video).notices
        step = PIECE_FRAMES if place.video else PIECE_PICTURES
        for first in range(begin, place.length, step):
            last = min(first + step, place.length)
            seen = (
                self._of_video(place, place.video, first, last, report)
                if place.video
                else self._of_pictures(place, first, last)
            )
            with closing(seen):
                kept = self._keep(seen, first, lambda done: report(done, f"{place.label}: {self.added} faces"))
            self._note(kept, key, last)

    def _note(self, kept: list[FaceRecord], key: str, next_frame: int) -> None:
        """Writes down what a piece brought: first the faces, then how far the work is."""
        with (self.folder / METADATA).open("ab") as file:
            file.write(b"".join(orjson.dumps(record.to_json()) + b"\n" for record in kept))
        self.state["done"][key] = next_frame
        self.state["names"] = self.slugs
        self.state["options"] = to_dict(self.options)
        write_json(self.state_path, self.state)

    def _of_video(
        self, place: Input, video: Path, first: int, last: int, report: Callable[[int, str], None]
    ) -> Generator[_Seen]:
        every, source = self.options.every, place.name_of(video)
        name = self._slug(video, source)
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

    def _of_pictures(self, place: Input, first: int, last: int) -> Generator[_Seen]:
        for path in place.pictures[first:last]:
            try:
                image = media.read_picture(path)
            except InputError as error:
                self.skipped.append(str(error))
                continue
            source = place.name_of(path)
            yield _Seen(image_rgb=image, faces=self._looked_at(image), source=source, name=self._slug(path, source))

    def _looked_at(self, image_rgb: np.ndarray) -> list[Face]:
        faces = self.analyser.detect(image_rgb, self.options.max_faces or None)
        large = [face for face in faces if face.size_px >= self.options.min_face_px]
        self._leave_out("too small", len(faces) - len(large))
        return self.analyser.embed(image_rgb, large)

    def _slug(self, path: Path, source: str) -> str:
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
                        self._leave_out(reason, 1)

        kept = []
        for record in in_order(jobs(), lambda job: self._cut(*job)):
            if record is None:
                self._leave_out("not sharp", 1)
            elif record.stem not in self.known:
                self.known.add(record.stem)
                kept.append(record)
                self.added += 1
        return kept

    def _leave_out(self, reason: str, count: int) -> None:
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
