"""Lips in time: first frames of clips held back, driven by the clips' own sound, measured against the clips."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.division import PARTS, find
from benchmarks.report import estimate, report
from facegen import media
from facegen.faces import ClipAnalysis, FaceAnalyser, distance, mesh
from facegen.talk import TalkOptions, TalkPipeline, TalkRequest
from facegen.talk.clips import analyse_video
from facegen.talk.rig import lip_gap, mouth_width
from facegen.talk.speech import load_speech

MEASURES = ("facegen/faces", "facegen/talk", "weights/talk")
_LIPS = [*mesh.LIPS_OUTER, *mesh.LIPS_INNER]
_LAGS = 5


def main(arguments: list[str]) -> None:
    """Run the benchmark; `--sheets` keeps videos and contact sheets."""
    parser = argparse.ArgumentParser(prog="benchmarks talk_sync", description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="no more of a clip than this")
    parser.add_argument("--clips", default="", help="names of clips, separated by commas; all")
    parser.add_argument("--sheets", type=Path, help="folder for the videos and contact sheets")
    asked = parser.parse_args(arguments)
    names = asked.clips.split(",") if asked.clips else []
    # of the clips that were trained on a third is enough to compare with
    found = [(part, path) for part in PARTS for path in find("talking/**/*.m*", part)[:: 3 if part == "tuning" else 1]]
    selected = [(part, path) for part, path in found if not names or path.stem in names]
    folder = asked.sheets or Path(tempfile.mkdtemp(prefix="facegen-talk-"))
    folder.mkdir(parents=True, exist_ok=True)
    analyser = FaceAnalyser()
    rows = [{"part": part, **_row(path, folder, asked.seconds, analyser)} for part, path in selected]
    figures = {part: _summary([row for row in rows if row["part"] == part]) for part in dict(selected)}
    notes = [
        "Lip gap on the result against that of the clip, both by MediaPipe; lag in frames of 40 ms, positive where the "
        "result is late. Lip distance: mean over lip points, in widths of a mouth, pose taken out.",
        "Still: the first frame all along. Jaw by loudness: the first frame, its lower lip moved with the loudness.",
    ]
    report("talk_sync", rows=rows, figures=figures, notes=notes, measures=MEASURES)


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over clips with their intervals, and how often lips are in time."""
    names = ("correlation", "loudness", "lip distance", "still", "jaw by loudness", "identity", "flicker")
    figures: dict[str, Any] = {f"{name}, median": estimate([[row[name]] for row in rows], np.median) for name in names}
    figures["lag within a frame"] = estimate([[abs(row["lag"]) <= 1] for row in rows])
    blinks, seconds = (sum(row[name] for row in rows) for name in ("blinks", "seconds"))
    return {**figures, "blinks a minute, all clips": round(60 * blinks / seconds, 1)}


def _row(path: Path, folder: Path, longest: float, analyser: FaceAnalyser) -> dict[str, object]:
    frame = media.read_frame_at(path, index=_calm_frame(path, analyser))
    portrait, output = folder / f"{path.stem}.png", folder / f"{path.stem}.mp4"
    media.write_picture(portrait, frame.image_rgb)
    options = TalkOptions(seconds=min(longest, media.probe(path).duration_seconds))
    request = TalkRequest(portrait=str(portrait), audio=str(path), output=str(output), options=options)
    result = TalkPipeline(analyser=analyser)(request)
    truth, made = _lips(analyse_video(path, analyser)), _lips(analyse_video(output, analyser))
    count = min(len(truth), len(made))
    truth, made = truth[:count], made[:count]
    pts, time_base = media.frame_times(path)
    speech = load_speech(path)
    loudness = speech.sample(speech.loudness, np.array([float(tick * time_base) for tick in pts[:count]]))
    loudness = np.convolve(loudness, np.ones(3) / 3, mode="same")
    gap, said = _gap(truth), _gap(made)
    lags = {lag: _correlation(np.roll(said, -lag)[_LAGS:-_LAGS], gap[_LAGS:-_LAGS]) for lag in range(-_LAGS, _LAGS + 1)}
    still = np.repeat(made[:1], count, 0)
    jaw = still.copy()
    lower = [index for index, vertex in enumerate(_LIPS) if mesh.topology().xyz[vertex, 1] < -4.4]
    amount = np.std(gap) / max(float(loudness.std()), 1e-6)
    jaw[:, lower, 1] -= ((loudness - loudness.mean()) * amount)[:, None]
    picture = media.read_picture(portrait)
    reference = analyser.embed(picture, analyser.detect(picture, max_faces=1))[0]
    _sheet(path, output, folder / f"{path.stem}-sheet.png")
    return {
        "clip": path.stem,
        "seconds": round(count / 25, 1),
        "correlation": round(_correlation(said, gap), 3),
        "loudness": round(_correlation(loudness, gap), 3),
        "lag": max(lags, key=lambda lag: lags[lag]),
        "lip distance": round(_distance(made, truth), 4),
        "still": round(_distance(still, truth), 4),
        "jaw by loudness": round(_distance(jaw, truth), 4),
        "blinks": _blinks(analyse_video(output, analyser)),
        "identity": round(_identity(output, analyser, reference.embedding), 3),
        "flicker": round(_flicker(output), 2),
        "frames/s": result.rate,
    }


def _calm_frame(path: Path, analyser: FaceAnalyser) -> int:
    """The frame of the first second that looks most into the camera with open eyes."""
    analysis = analyse_video(path, analyser)
    found = {index: analysis.faces(index)[0] for index in range(min(25, analysis.frame_count)) if analysis.faces(index)}
    return min(
        found,
        key=lambda index: (
            abs(found[index].yaw_deg) / 10
            + found[index].blendshape("eyeBlinkLeft") * 3
            + found[index].blendshape("jawOpen")
        ),
    )


def _lips(analysis: ClipAnalysis) -> np.ndarray:
    """(N, lips, 3) lip points of every frame in the canonical frame, in widths of the mouth."""
    rows, last = [], None
    for index in range(analysis.frame_count):
        faces = analysis.faces(index)
        if faces:
            points = faces[0].points478[: mesh.VERTEX_COUNT]
            last = mesh.Pose.of(points).to_canonical(points)
        if last is not None:
            rows.append(last)
    points = np.stack(rows)
    lips = points[:, _LIPS] - points[:, _LIPS].mean((0, 1))
    return lips / np.median(mouth_width(points))


def _gap(lips: np.ndarray) -> np.ndarray:
    full = np.zeros((len(lips), mesh.VERTEX_COUNT, 3), np.float32)
    full[:, _LIPS] = lips
    return lip_gap(full)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm((a - b)[..., :2], axis=-1).mean())


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def _blinks(analysis: ClipAnalysis) -> int:
    closed = [
        bool(faces) and faces[0].blendshape("eyeBlinkLeft") > 0.35
        for faces in map(analysis.faces, range(analysis.frame_count))
    ]
    return int(np.sum(np.diff(np.array(closed, int)) == 1))


def _identity(output: Path, analyser: FaceAnalyser, reference: np.ndarray | None) -> float:
    """Median recognition distance of every tenth frame to the portrait."""
    assert reference is not None
    found = []
    for frame in media.read_frames(output, every=10):
        faces = analyser.embed(frame.image_rgb, analyser.detect(frame.image_rgb, max_faces=1))
        if faces and faces[0].embedding is not None:
            found.append(distance(faces[0].embedding, reference))
    return float(np.median(found))


def _flicker(output: Path) -> float:
    """Mean change of the upper left corner's luma from frame to frame, 0..255: nothing moves there."""
    corners = [frame.image_rgb[:40, :40].astype(np.float32).mean(2) for frame in media.read_frames(output)]
    return float(np.mean([np.abs(b - a).mean() for a, b in zip(corners, corners[1:], strict=False)]))


def _sheet(truth: Path, made: Path, path: Path) -> None:
    """Twelve moments: the clip above, the result below."""
    rows = []
    indices = np.linspace(3, media.probe(made).frame_count - 3, 12).astype(int).tolist()
    for video in (truth, made):
        tiles = [media.read_frame_at(video, index=index).image_rgb for index in indices]
        rows.append(np.concatenate([cv2.resize(tile, (220, 220), interpolation=cv2.INTER_AREA) for tile in tiles], 1))
    media.write_picture(path, np.concatenate(rows))
