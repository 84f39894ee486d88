"""First pass over a clip: every face of every frame, smoothed, and grouped by person."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegen.array_file import read_arrays
from facegen.errors import InputError
from facegen.faces import expression, skin
from facegen.faces.analyser import FaceAnalyser
from facegen.faces.detector import overlap
from facegen.faces.face import Face, box_of, points5_of
from facegen.faces.recogniser import SAME_PERSON
from facegen.faces.smoothing import smooth_track
from facegen.faces.track import PackedPoints, Portrait, Track, bridge_gaps
from facegen.faces.tracker import ClipFrame, ClipTracks, track_clip

PERSON_DISTANCE = 0.52
"""Mean embeddings of two tracks (or groups of tracks) further apart than this are two people."""
RETURN_SECONDS = 1.0
"""A face that comes up this soon where another was lost may look less alike and be the same person."""


def cluster(
    embeddings: np.ndarray,
    weights: Sequence[float],
    is_apart: np.ndarray,
    is_return: np.ndarray | None = None,
    limit: float = PERSON_DISTANCE,
) -> list[int]:
    """Agglomerative clustering with cannot-links.

    The two nearest groups are joined, again and again, until none are nearer than `limit`; the distance of groups is
    that of their weighted mean embeddings.

    Args:
        embeddings: (N, 128); rows of NaN (nothing known) stay alone.
        weights: (N,) trust in each embedding.
        is_apart: (N, N) bool, symmetric: pairs that cannot be one person (seen in one frame).
        is_return: (N, N) bool, symmetric: pairs that are one person up to `SAME_PERSON`, see `returns`.
        limit: see above.

    Returns:
        N group numbers from 0, in order of first appearance.
    """
    groups = [[number] for number in range(len(embeddings))]
    while True:
        best: tuple[float, int, int] | None = None
        means = [np.average(embeddings[group], axis=0, weights=[weights[n] for n in group]) for group in groups]
        for a in range(len(groups)):
            for b in range(a + 1, len(groups)):
                apart = float(np.linalg.norm(means[a] - means[b]))
                pairs = np.ix_(groups[a], groups[b])
                share = apart / (SAME_PERSON if is_return is not None and is_return[pairs].any() else limit)
                if share < (best[0] if best else 1.0) and not is_apart[pairs].any():
                    best = share, a, b
        if best is None:
            break
        _, a, b = best
        groups[a] = sorted(groups[a] + groups.pop(b))
    groups.sort(key=lambda group: group[0])
    labels = [0] * len(embeddings)
    for label, group in enumerate(groups):
        for number in group:
            labels[number] = label
    return labels


def find_cooccurrences(spans: Sequence[np.ndarray]) -> np.ndarray:
    """(N, N) bool: which tracks share a frame.

    Args:
        spans: for each track the sorted frame indices it was seen in.
    """
    count = len(spans)
    together = np.zeros((count, count), bool)
    for a in range(count):
        for b in range(a + 1, count):
            shared = len(np.intersect1d(spans[a], spans[b], assume_unique=True))
            together[a, b] = together[b, a] = shared > 0
    return together


def find_returns(tracks: Sequence[Track]) -> np.ndarray:
    """(N, N) bool: which tracks begin where and soon after another ended, as when somebody looks away and back."""
    returns = np.zeros((len(tracks), len(tracks)), bool)
    for a, before in enumerate(tracks):
        for b, after in enumerate(tracks):
            first, last = after.samples[0], before.samples[-1]
            is_soon = 0 < first.seconds - last.seconds <= RETURN_SECONDS
            returns[a, b] = is_soon and overlap(last.box_xyxy, first.box_xyxy) > 0.2
    return returns | returns.T


VERSION = 3
"""Of the files that `ClipAnalysis.save` writes."""
_TRACK_FIELDS = ("indices", "frames", "steps", "matrices", "blendshapes", "scores", "embedding", "rest", "skin")
_MIN_SAMPLES = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Person:
    """Somebody in a clip."""

    person_id: int
    """0 is the person who is seen most (by time and size)."""
    embedding: np.ndarray
    """(128,) float32, mean over the person's good views."""
    frame_count: int
    """Frames the person is seen in."""
    best_frame_index: int
    """Frame of the largest, sharpest, most frontal view."""
    thumbnail_rgb: np.ndarray
    """(192, 192, 3) uint8 from that frame."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceTrack:
    """One unbroken appearance of a face: a row of each array is a frame."""

    person_id: int
    indices: np.ndarray
    """(N,) int32 frame indices, rising."""
    frames: np.ndarray
    """(N, 4) float32, see `PackedPoints.frame`."""
    steps: np.ndarray
    """(N, 478, 3) int16, see `PackedPoints.steps`."""
    matrices: np.ndarray
    """(N, 4, 4) float32."""
    blendshapes: np.ndarray
    """(N, 52) float16."""
    scores: np.ndarray
    """(N,) float32."""
    embedding: np.ndarray
    """(128,) float32."""
    rest: np.ndarray
    """(468, 3) float32, see `Face.rest`."""
    skin: np.ndarray
    """(468, 3) float32, see `skin.median_tones`; NaN where not known."""

    def face(self, row: int, track_id: int) -> Face:
        """The face in the frame `indices[row]`."""
        points478 = PackedPoints(frame=self.frames[row], steps=self.steps[row]).unpack()
        return Face(
            box_xyxy=box_of(points478),
            points5=points5_of(points478),
            points478=points478,
            matrix=self.matrices[row],
            blendshapes=self.blendshapes[row].astype(np.float32),
            embedding=self.embedding,
            score=float(self.scores[row]),
            track_id=track_id,
            person_id=self.person_id,
            rest=self.rest,
            skin=self.skin,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipAnalysis:
    """Every face of a clip. A face's embedding is its track's mean; its `track_id` is its index in `tracks`."""

    frame_count: int
    """Frames that were looked at."""
    tracks: tuple[FaceTrack, ...]
    people: tuple[Person, ...]

    def faces(self, frame_index: int) -> tuple[Face, ...]:
        """The faces in a frame, largest first; none for frames that were not analysed."""
        found = []
        for track_id, track in enumerate(self.tracks):
            if track.indices[0] <= frame_index <= track.indices[-1]:
                row = int(np.searchsorted(track.indices, frame_index))
                if track.indices[row] == frame_index:
                    found.append(track.face(row, track_id))
        return tuple(sorted(found, key=lambda face: -face.size_px))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one compressed .npz, without pickled objects, to exactly this path."""
        arrays: dict[str, np.ndarray] = {"version": np.array(VERSION), "frame_count": np.array(self.frame_count)}
        for number, track in enumerate(self.tracks):
            arrays[f"track{number}_person_id"] = np.array(track.person_id)
            arrays |= {f"track{number}_{name}": getattr(track, name) for name in _TRACK_FIELDS}
        for number, person in enumerate(self.people):
            arrays[f"person{number}_embedding"] = person.embedding
            arrays[f"person{number}_thumbnail_rgb"] = person.thumbnail_rgb
            arrays[f"person{number}_counts"] = np.array([person.person_id, person.frame_count, person.best_frame_index])
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ClipAnalysis:
        """Reads what `save` wrote.

        Raises:
            InputError: the file is none, or of another version.
        """
        try:
            return cls._from_arrays(read_arrays(Path(path)))
        except (InputError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise InputError(
                f"Expected an analysis of version {VERSION} in {Path(path).name}, found something else ({error}); "
                "delete it and analyse the clip again."
            ) from error

    @classmethod
    def _from_arrays(cls, arrays: dict[str, np.ndarray]) -> ClipAnalysis:
        if int(arrays["version"]) != VERSION:
            raise ValueError(f"version {int(arrays['version'])}")
        tracks = [
            FaceTrack(
                person_id=int(arrays[f"track{number}_person_id"]),
                **{name: arrays[f"track{number}_{name}"] for name in _TRACK_FIELDS},
            )
            for number in _numbers(arrays, "track", "_person_id")
        ]
        people = [
            Person(
                person_id=int(arrays[f"person{number}_counts"][0]),
                embedding=arrays[f"person{number}_embedding"],
                frame_count=int(arrays[f"person{number}_counts"][1]),
                best_frame_index=int(arrays[f"person{number}_counts"][2]),
                thumbnail_rgb=arrays[f"person{number}_thumbnail_rgb"],
            )
            for number in _numbers(arrays, "person", "_counts")
        ]
        return cls(frame_count=int(arrays["frame_count"]), tracks=tuple(tracks), people=tuple(people))


def analyse_clip(
    frames: Iterable[ClipFrame],
    *,
    analyser: FaceAnalyser,
    smoothing: float = 1.0,
    frame_count: int | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> ClipAnalysis:
    """Detects, tracks, smooths and recognises every face of a clip in one streaming pass.

    Args:
        frames: the clip in order of display (`media.read_frames`).
        analyser: what finds, measures and recognises faces.
        smoothing: strength of the smoothing over time; 0 keeps the raw points.
        frame_count: how many frames to expect, for progress; without it progress stays at 0 until the end.
        on_progress: called with (fraction 0..1, text) for each frame; may raise Cancelled.
    """
    report = on_progress or (lambda _fraction, _text: None)
    clip_tracks = track_clip(_report_frames(frames, frame_count, report), analyser)
    least = min(_MIN_SAMPLES, len(clip_tracks.indices))
    usable = [track for track in clip_tracks.tracks if len(track.samples) >= least and track.portraits]
    embeddings, weights = _embeddings(usable, analyser)
    spans = [np.array([sample.index for sample in track.samples]) for track in usable]
    labels = cluster(embeddings, weights, find_cooccurrences(spans), find_returns(usable)) if usable else []
    labels = _by_presence(usable, labels)
    tracks = []
    for number in range(len(usable)):
        track = usable[number]
        # one by one, and the raw samples let go, so that memory holds one unpacked track at most
        tracks.append(_smooth_track(track, clip_tracks, labels[number], embeddings[number], smoothing))
        track.samples.clear()
    people = _collect_people(usable, tracks, weights)
    report(1.0, f"{len(people)} people found")
    return ClipAnalysis(frame_count=len(clip_tracks.indices), tracks=tuple(tracks), people=tuple(people))


def _report_frames(
    frames: Iterable[ClipFrame], frame_count: int | None, report: Callable[[float, str], None]
) -> Iterator[ClipFrame]:
    for number, frame in enumerate(frames):
        report(min(0.99, number / frame_count) if frame_count else 0.0, f"Looking for faces, frame {number + 1}")
        yield frame


def _embeddings(tracks: list[Track], analyser: FaceAnalyser) -> tuple[np.ndarray, list[float]]:
    """(N, 128) mean embedding of each track, weighted by the quality of its views, and the total of those qualities."""
    result = np.zeros((len(tracks), 128), np.float32)
    weights = []
    for number, track in enumerate(tracks):
        qualities = [portrait.quality + 1e-3 for portrait in track.portraits]
        vectors = analyser.recogniser.embed_chips([portrait.chip_rgb for portrait in track.portraits])
        result[number] = np.average(vectors, axis=0, weights=qualities)
        weights.append(sum(qualities))
    return result, weights


def _by_presence(tracks: list[Track], labels: list[int]) -> list[int]:
    """The labels renumbered so that 0 is the person seen most, by frames and size."""
    presence: dict[int, float] = {}
    for track, label in zip(tracks, labels, strict=True):
        heights = [float(sample.box_xyxy[3] - sample.box_xyxy[1]) for sample in track.samples]
        presence[label] = presence.get(label, 0.0) + sum(heights)
    rank = {label: index for index, label in enumerate(sorted(presence, key=lambda label: -presence[label]))}
    return [rank[label] for label in labels]


def _smooth_track(
    track: Track, followed: ClipTracks, person_id: int, embedding: np.ndarray, smoothing: float
) -> FaceTrack:
    """A track bridged, smoothed and packed."""
    raw = bridge_gaps(track.samples, followed.indices, followed.seconds)
    points, matrices, blendshapes = smooth_track(raw.points, raw.matrices, raw.blendshapes, raw.seconds, smoothing)
    packed = [PackedPoints.of(face_points) for face_points in points]
    return FaceTrack(
        person_id=person_id,
        indices=raw.indices,
        frames=np.stack([p.frame for p in packed]),
        steps=np.stack([p.steps for p in packed]),
        matrices=matrices,
        blendshapes=blendshapes.astype(np.float16),
        scores=raw.scores,
        embedding=embedding,
        rest=expression.neutral_shape_of_track(points, blendshapes),
        skin=skin.median_tones(track.skins),
    )


def _collect_people(tracks: list[Track], finished: list[FaceTrack], weights: list[float]) -> list[Person]:
    people = []
    for person_id in sorted({track.person_id for track in finished}):
        own = [number for number, track in enumerate(finished) if track.person_id == person_id]
        best: Portrait = max((p for n in own for p in tracks[n].portraits), key=lambda portrait: portrait.quality)
        mean = np.average([finished[n].embedding for n in own], axis=0, weights=[weights[n] for n in own])
        people.append(
            Person(
                person_id=person_id,
                embedding=mean.astype(np.float32),
                frame_count=len(np.unique(np.concatenate([finished[n].indices for n in own]))),
                best_frame_index=best.index,
                thumbnail_rgb=best.thumbnail_rgb,
            )
        )
    return people


def _numbers(arrays: dict[str, np.ndarray], prefix: str, suffix: str) -> list[int]:
    """The numbers between a prefix and a suffix among the names, in order."""
    names = (name[len(prefix) : -len(suffix)] for name in arrays if name.startswith(prefix) and name.endswith(suffix))
    return sorted(int(name) for name in names)
