"""Clips of people who speak: faces analysed once, mouth movements in step with features of the sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facegen import media
from facegen.errors import InputError
from facegen.faces import ClipAnalysis, FaceAnalyser, analyse_clip, mesh
from facegen.faces.clip import VERSION
from facegen.jobs.cache import file_fingerprint
from facegen.talk.jobs import CLIP_ANALYSES
from facegen.talk.rig import MOTION_RATE, MouthTrack
from facegen.talk.speech import Speech, load_speech

if TYPE_CHECKING:
    from facegen.talk.encoder import SpeechEncoder

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".mpg", ".avi", ".m4v")

_HELD_BACK_EVERY = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class SpeechClip:
    """One clip: features of its sound and movements of the mouth, both over time."""

    name: str
    speech: Speech
    track: MouthTrack
    seconds: np.ndarray
    """(N,) float64 when each frame of the track is shown."""

    def row_count(self) -> int:
        """Rows of movement, `MOTION_RATE` a second, that both sound and picture cover."""
        return min(len(self.speech.mels) // 2, int(self.seconds[-1] * MOTION_RATE))

    def resample(self, values: np.ndarray) -> np.ndarray:
        """(rows, ...) float32 of values (N, ...) of each frame, between frames linearly."""
        moments = np.arange(self.row_count()) / MOTION_RATE
        flat = values.reshape(len(values), -1)
        columns = [np.interp(moments, self.seconds, column) for column in flat.T]
        return np.stack(columns, 1).reshape(len(moments), *values.shape[1:]).astype(np.float32)


def list_clips(folder: Path) -> list[Path]:
    """The videos below a folder, by name."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def split_clips(folder: Path, held_back: Sequence[str]) -> tuple[list[Path], tuple[str, ...]]:
    """The clips below a folder, and the names of those that are held back for evaluation: `held_back`, or every fifth.

    Raises:
        InputError: no clip has one of the names.
    """
    paths = list_clips(folder)
    names = [path.stem for path in paths]
    unknown = [name for name in held_back if name not in names]
    if unknown:
        raise InputError(f"Expected the names of clips in {folder} to hold back, found {', '.join(unknown)}.")
    return paths, tuple(held_back) or tuple(names[::_HELD_BACK_EVERY][1:])


def analyse_video(
    path: Path,
    analyser: FaceAnalyser | None = None,
    on_progress: Callable[[float, str], None] | None = None,
    *,
    smoothing: float = 0,
) -> ClipAnalysis:
    """Every face of a clip, cached by the clip's content; `smoothing` 0 keeps lips for training as they are."""
    info = media.probe(path)

    def make(temporary: Path) -> None:
        analyse_clip(
            media.read_frames(path),
            analyser=analyser or FaceAnalyser(),
            smoothing=smoothing,
            frame_count=info.frame_count,
            on_progress=on_progress,
        ).save(temporary)

    key = (file_fingerprint(path), VERSION, bool(smoothing), *info.conversions)
    return ClipAnalysis.load(CLIP_ANALYSES.get(CLIP_ANALYSES.path(*key, suffix=".npz"), make))


def track_mouth(analysis: ClipAnalysis, times: np.ndarray) -> tuple[MouthTrack, np.ndarray]:
    """Tracks the mouth of the person who is longest in the picture.

    Args:
        analysis: from `analyse_video`.
        times: (frames,) seconds of every frame.

    Returns:
        The track and the seconds of its frames.

    Raises:
        InputError: there is no face for at least a second.
    """
    points, seconds = [], []
    for index in range(min(analysis.frame_count, len(times))):
        face = next((face for face in analysis.faces(index) if face.person_id == 0), None)
        if face is not None:
            vertices = face.points478[: mesh.VERTEX_COUNT]
            points.append(mesh.Pose.of(vertices).to_canonical(vertices))
            seconds.append(times[index])
    if len(points) < 2 or seconds[-1] - seconds[0] < 1:
        raise InputError("Expected a face for at least a second, found less; give a clip of somebody who speaks.")
    return MouthTrack.of(np.stack(points).astype(np.float32)), np.array(seconds)


def read_clip(path: Path, analyser: FaceAnalyser | None = None, encoder: SpeechEncoder | None = None) -> SpeechClip:
    """Reads one clip: features of its sound, with embeddings where an encoder is given, and the track of its mouth.

    Raises:
        InputError: it has no sound, or no face.
    """
    speech = load_speech(path, encoder=encoder)
    pts, time_base = media.frame_times(path)
    times = np.array([float(tick * time_base) for tick in pts])
    track, seconds = track_mouth(analyse_video(path, analyser), times)
    return SpeechClip(name=path.stem, speech=speech, track=track, seconds=seconds)
