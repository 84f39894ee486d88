"""Tracks every face of a clip in one streaming pass.

The detector looks at a key frame about three times a second. From there each face is followed by its mesh alone, on a
crop around its predicted position, several frames at a time on a few threads (the native networks release Python's lock).
A key frame comes early where a followed face is lost and at scene cuts, which end every track. A face that is new on a
key frame is followed backwards through the last frames too, so that it begins where it really appeared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2
import numpy as np

from facegen.device import use_one_thread
from facegen.faces.analyser import FaceAnalyser
from facegen.faces.detector import overlap
from facegen.faces.face import Face, box_of, points5_of
from facegen.faces.recogniser import SAME_PERSON
from facegen.faces.track import Portrait, Sample, Track, match

KEY_SECONDS = 0.35
"""Longest time between two looks of the detector."""
KEY_PAUSE_SECONDS = 0.12
"""Shortest time between two, but for scene cuts."""
GAP_SECONDS = 0.5
"""A face that is away for longer begins a new track."""

_GROUP = 4
_HISTORY_BYTES = 96 * 2**20
_MIN_OVERLAP = 0.3
_UNCONFIRMED_LIMIT = 3
_THOROUGH_EVERY = 2
_ROTATED_EVERY = 3
_CUT_HISTOGRAM, _CUT_DIFFERENCE = 0.35, 18.0


class ClipFrame(Protocol):
    """The attributes of a frame that tracking reads; `media.Frame` has them."""

    @property
    def index(self) -> int:
        """Position in the clip."""

    @property
    def pts_seconds(self) -> float:
        """Timestamp."""

    @property
    def image_rgb(self) -> np.ndarray:
        """(H, W, 3) uint8."""


@dataclass(eq=False, kw_only=True)
class ClipTracks:
    """All face tracks of a clip, and the frames they were looked for in."""

    tracks: list[Track] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    """Index of every frame."""
    seconds: list[float] = field(default_factory=list)
    """Timestamp of every frame."""


def track_clip(frames: Iterable[ClipFrame], analyser: FaceAnalyser, threads: int = 2) -> ClipTracks:
    """Tracks the faces of a clip; memory does not grow with its length but for the tracks themselves.

    Args:
        frames: the clip in order of display, timestamps rising.
        analyser: what finds and measures faces.
        threads: workers for the meshes.
    """
    with ThreadPoolExecutor(threads, "faces", initializer=use_one_thread) as pool:
        return _ClipTracker(analyser, pool).run(frames)


class _ClipTracker:
    def __init__(self, analyser: FaceAnalyser, pool: ThreadPoolExecutor) -> None:
        self._analyser, self._pool = analyser, pool
        self._active: list[Track] = []
        self._lost: list[Track] = []
        self._history: deque[ClipFrame] = deque()
        self._result = ClipTracks()
        self._key_count = self._empty_keys = 0

    def run(self, frames: Iterable[ClipFrame]) -> ClipTracks:
        reader = _SceneReader(frames)
        while (first := reader.read()) is not None:
            key, is_cut = first
            if is_cut:
                self._end_all()
            self._remember([key])
            self._process_key_frame(key)
            while (group := self._next_group(reader, key)) and self._track_group(group, key, reader):
                pass
        self._end_all()
        self._result.tracks.sort(key=lambda track: track.samples[0].index)
        return self._result

    def _next_group(self, reader: _SceneReader, key: ClipFrame) -> list[ClipFrame]:
        """The next few frames before the next key frame."""
        group: list[ClipFrame] = []
        while len(group) < _GROUP and (following := reader.read()) is not None:
            frame, is_cut = following
            if is_cut or frame.pts_seconds - key.pts_seconds >= KEY_SECONDS:
                reader.push_back([(frame, is_cut)])
                break
            group.append(frame)
        return group

    def _track_group(self, group: list[ClipFrame], key: ClipFrame, reader: _SceneReader) -> bool:
        """Follows the active tracks through a group; False where one is lost, which makes the next key frame early."""
        tracks = list(self._active)
        meshes = dict(zip(tracks, self._meshes(tracks, group), strict=True))
        for position, frame in enumerate(group):
            faces = [meshes[track][position] for track in self._active]
            is_any_lost = _clear_collapsed(self._active, faces, frame.pts_seconds)
            if is_any_lost and frame.pts_seconds - key.pts_seconds >= KEY_PAUSE_SECONDS:
                reader.push_back([(later, False) for later in group[position:]])
                self._remember(group[:position])
                return False
            self._extend(list(self._active), faces, frame)
        self._remember(group)
        return True

    def _extend(self, tracks: list[Track], faces: list[Face | None], frame: ClipFrame) -> None:
        """Adds the faces of a frame to their tracks; tracks without a face become lost."""
        for track, face in zip(tracks, faces, strict=True):
            if face is None:
                self._active.remove(track)
                self._lost.append(track)
            else:
                track.samples.append(Sample.of(face, frame.index, frame.pts_seconds))

    def _meshes(self, tracks: list[Track], group: list[ClipFrame]) -> list[list[Face | None]]:
        """For each track, what its mesh is in each frame of a group, None where it is lost."""
        list(self._pool.map(lambda frame: frame.image_rgb, group))
        jobs = [(track, frame) for track in tracks for frame in group]
        faces = list(self._pool.map(lambda job: self._track_face(*job), jobs))
        return [faces[start : start + len(group)] for start in range(0, len(faces), len(group))]

    def _track_face(self, track: Track, frame: ClipFrame) -> Face | None:
        expected = track.predicted_box(frame.pts_seconds)
        center = (expected[:2] + expected[2:]) / 2
        side = 2.0 * float((expected[2:] - expected[:2]).max())
        mesh = self._analyser.mesh_finder.find(
            frame.image_rgb, (float(center[0]), float(center[1])), side, track.crop_roll_deg()
        )
        if mesh is None:
            return None
        box = box_of(mesh.points478)
        agreement = overlap(box, expected)
        if agreement < _MIN_OVERLAP:
            return None
        return Face(
            box_xyxy=box,
            points5=points5_of(mesh.points478),
            points478=mesh.points478,
            matrix=mesh.matrix,
            blendshapes=mesh.blendshapes,
            score=track.samples[track.confirmed_count - 1].score * min(1.0, 0.3 + agreement),
        )

    def _process_key_frame(self, frame: ClipFrame) -> None:
        """A key frame: follows what is active, detects, confirms, recovers lost faces and begins new tracks."""
        image, seconds = frame.image_rgb, frame.pts_seconds
        self._key_count += 1
        is_thorough = self._is_any_missing() or self._key_count % _THOROUGH_EVERY == 0
        # the detector looks while the meshes are still followed to this frame
        looking = self._pool.submit(self._analyser.detections, image, is_thorough)
        self._track_to(frame)
        detections = looking.result()
        if self._is_any_missing() and not is_thorough:
            detections = self._analyser.detections(image)
        boxes = [detection.box_xyxy for detection in detections]
        confirmed = match(self._active, boxes, seconds, _MIN_OVERLAP)
        self._confirm({track: detections[box].score for box, track in confirmed.items()})
        rest = [detections[box] for box in range(len(boxes)) if box not in confirmed]
        faces = [face for face in self._pool.map(lambda d: self._analyser.fit_face(image, d), rest) if face is not None]
        if not (faces or self._active):
            faces = self._detect_rotated(image)
        for face in sorted(faces, key=lambda face: -face.score):
            if all(overlap(face.box_xyxy, track.last.box_xyxy) < 0.5 for track in self._active):
                self._begin_track(face, frame)
        self._retire(seconds)
        for track in self._active:
            if track.unconfirmed == 0 and track.last.index == frame.index:
                face = _face_of_sample(track.last)
                track.add_portrait(image, face, frame.index, seconds)
                track.add_skin_sample(image, face)

    def _is_any_missing(self) -> bool:
        return bool(self._lost) or not self._active

    def _track_to(self, frame: ClipFrame) -> None:
        """Follows the active tracks to a key frame, unless they are there already."""
        behind = [track for track in self._active if track.last.index < frame.index]
        latest = [faces[0] for faces in self._meshes(behind, [frame])]
        _clear_collapsed(behind, latest, frame.pts_seconds)
        self._extend(behind, latest, frame)

    def _confirm(self, scores: dict[int, float]) -> None:
        """Marks the active tracks (by number) that were detected; drops those without a detection for several key frames."""
        for number, track in enumerate(list(self._active)):
            is_upright = abs(track.crop_roll_deg()) < 45
            if number in scores:
                track.samples[-1] = replace(track.last, score=scores[number])
                track.confirmed_count, track.unconfirmed = len(track.samples), 0
            elif is_upright:
                track.unconfirmed += 1
            if track.unconfirmed >= _UNCONFIRMED_LIMIT:
                del track.samples[track.confirmed_count :]
                self._active.remove(track)
                self._finish(track)

    def _detect_rotated(self, image_rgb: np.ndarray) -> list[Face]:
        """Sideways and upside-down faces, looked for now and then while there are no others."""
        self._empty_keys += 1
        if not self._analyser.config.is_any_angle or self._empty_keys % _ROTATED_EVERY != 1:
            return []
        return self._analyser.detect_rotated(image_rgb, [])

    def _begin_track(self, face: Face, frame: ClipFrame) -> None:
        """Resumes the lost track that this face goes on, or begins a new one."""
        seconds = frame.pts_seconds
        sample = Sample.of(face, frame.index, seconds)
        recent = [track for track in self._lost if seconds - track.last.seconds <= GAP_SECONDS]
        number = match(recent, [face.box_xyxy], seconds, _MIN_OVERLAP).get(0)
        track = recent[number] if number is not None else None
        if track is not None and not self._is_same_person(track, face, frame):
            track = None
        after_index = track.last.index if track is not None else -1
        seed = Track(samples=[sample], confirmed_count=1)
        backwards = self._track_backwards(seed, after_index)
        if track is None:
            track = Track()
        else:
            self._lost.remove(track)
        track.samples.extend([*backwards, sample])
        track.confirmed_count, track.unconfirmed = len(track.samples), 0
        self._active.append(track)

    def _track_backwards(self, seed: Track, after_index: int) -> list[Sample]:
        """Samples of a track's face in the buffered frames before it, oldest first, with indices above `after_index`."""
        start = seed.last.index
        earlier = [frame for frame in reversed(self._history) if after_index < frame.index < start]
        for begin in range(0, len(earlier), _GROUP):
            group = earlier[begin : begin + _GROUP]
            for frame, face in zip(group, self._meshes([seed], group)[0], strict=True):
                if face is None or self._is_tracked(face, frame.index):
                    return seed.samples[:0:-1]
                seed.samples.append(Sample.of(face, frame.index, frame.pts_seconds))
        return seed.samples[:0:-1]

    def _is_tracked(self, face: Face, index: int) -> bool:
        """Whether another track has this face in that frame."""
        for track in [*self._active, *self._lost]:
            for sample in reversed(track.samples):
                if sample.index <= index:
                    if sample.index == index and overlap(sample.box_xyxy, face.box_xyxy) > 0.5:
                        return True
                    break
        return False

    def _is_same_person(self, track: Track, face: Face, frame: ClipFrame) -> bool:
        """Whether a face is the lost track's; embeddings are compared only where the position is ambiguous."""
        expected = track.predicted_box(frame.pts_seconds)
        if overlap(expected, face.box_xyxy) > 0.6 or not track.portraits:
            return True
        candidate = Track()
        candidate.add_portrait(frame.image_rgb, face, frame.index, frame.pts_seconds)
        best: Portrait = max(track.portraits, key=lambda portrait: portrait.quality)
        known, new = self._analyser.recogniser.embed_chips([best.chip_rgb, candidate.portraits[0].chip_rgb])
        return float(np.linalg.norm(known - new)) < SAME_PERSON

    def _remember(self, frames: list[ClipFrame]) -> None:
        """Buffers the last frames for tracking backwards: about one key interval, within a fixed size."""
        if frames:
            self._result.indices.extend(frame.index for frame in frames)
            self._result.seconds.extend(frame.pts_seconds for frame in frames)
            self._history.extend(frames)
            keep = max(2, _HISTORY_BYTES // max(1, frames[0].image_rgb.nbytes))
            while len(self._history) > keep or (
                len(self._history) > 2 and frames[-1].pts_seconds - self._history[0].pts_seconds > 1.5 * KEY_SECONDS
            ):
                self._history.popleft()

    def _retire(self, seconds: float) -> None:
        for track in [track for track in self._lost if seconds - track.last.seconds > GAP_SECONDS]:
            self._lost.remove(track)
            self._finish(track)

    def _end_all(self) -> None:
        for track in [*self._active, *self._lost]:
            self._finish(track)
        self._active, self._lost = [], []
        self._history.clear()

    def _finish(self, track: Track) -> None:
        if track.samples:
            self._result.tracks.append(track)


class _SceneReader:
    """Reads frames one by one, each with whether a new scene begins there; frames can be pushed back."""

    def __init__(self, frames: Iterable[ClipFrame]) -> None:
        self._frames: Iterator[ClipFrame] = iter(frames)
        self._returned: deque[tuple[ClipFrame, bool]] = deque()
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def read(self) -> tuple[ClipFrame, bool] | None:
        """The next frame, None after the last."""
        if self._returned:
            return self._returned.popleft()
        frame = next(self._frames, None)
        if frame is None:
            return None
        look = _scene_signature(frame.image_rgb)
        is_cut = self._before is not None and is_scene_cut(self._before, look)
        self._before = look
        return frame, is_cut

    def push_back(self, frames: list[tuple[ClipFrame, bool]]) -> None:
        """Puts frames back in front, in order."""
        self._returned.extendleft(reversed(frames))


def _scene_signature(image_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A thumbnail and a colour histogram of a picture, for `is_scene_cut`."""
    height, width = image_rgb.shape[:2]
    step = max(1, max(height, width) // 128)
    small = cv2.blur(np.ascontiguousarray(image_rgb[::step, ::step]), (3, 3))
    histogram = cv2.calcHist([small], [0, 1, 2], None, [6, 6, 6], [0, 256] * 3)
    return small, histogram / small[..., 0].size


def is_scene_cut(before: tuple[np.ndarray, np.ndarray], now: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether both the colours and the picture as such changed too much for one frame of the same scene."""
    if before[0].shape != now[0].shape:
        return True
    difference = float(np.abs(before[1] - now[1]).sum()) / 2
    return difference > _CUT_HISTOGRAM and float(cv2.absdiff(before[0], now[0]).mean()) > _CUT_DIFFERENCE


def _clear_collapsed(tracks: list[Track], faces: list[Face | None], seconds: float) -> bool:
    """Where two tracks ended on one face, clears the one whose own prediction is further off; whether any is lost."""
    for a in range(len(faces)):
        for b in range(a + 1, len(faces)):
            one, other = faces[a], faces[b]
            if one is None or other is None or overlap(one.box_xyxy, other.box_xyxy) <= 0.5:
                continue
            fit_a = overlap(tracks[a].predicted_box(seconds), one.box_xyxy)
            fit_b = overlap(tracks[b].predicted_box(seconds), other.box_xyxy)
            faces[b if fit_a >= fit_b else a] = None
    return any(face is None for face in faces)


def _face_of_sample(sample: Sample) -> Face:
    points478 = sample.points.unpack()
    return Face(
        box_xyxy=sample.box_xyxy,
        points5=points5_of(points478),
        points478=points478,
        matrix=sample.matrix,
        blendshapes=sample.blendshapes,
        score=sample.score,
    )
