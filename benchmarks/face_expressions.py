"""Measure how expressions move the dense mesh, on people seen several times, and how much of their movement it says."""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.division import DATA, PARTS, find, part_of
from benchmarks.report import estimate, report
from facegen import media
from facegen.faces import FaceAnalyser, mesh
from facegen.faces.expression import EXPRESSION_NAMES
from facegen.faces.face import BLENDSHAPE_INDEX, BLENDSHAPES, Face
from facegen.media import atomic_output

MEASURES = ("facegen/faces", "weights/faces")
REGRESSORS = (
    *("jawOpen", "jawLeft", "jawRight", "mouthSmileLeft", "mouthSmileRight", "mouthFunnel", "mouthPucker"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthStretchLeft"),
    *("mouthStretchRight", "mouthLeft", "mouthRight", "mouthFrownLeft", "mouthFrownRight", "browInnerUp"),
    *("browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight"),
)
TESTED = ("liveportrait_d9", "liveportrait_d10", "liveportrait_d12", "liveportrait_d3", "liveportrait_s20")
"""Clips that are measured on only, although constants of swaps were chosen on them."""
_FRAMES = 150
_RIDGE = 4.0
_STRANGERS = 0.1


def main(arguments: list[str]) -> None:
    """Run the benchmark; `--output` writes what weights/faces/expressions.safetensors is."""
    parser = argparse.ArgumentParser(prog="benchmarks face_expressions", description=__doc__)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(arguments)
    analyser = FaceAnalyser()
    learned = [_measure_group(name, pictures, analyser) for name, pictures in tuning_people()]
    moved = fit([group for group in learned if group is not None])
    rows = []
    for clip in [*find("talking/**/*.m*", "proving"), *(DATA / "clips" / f"{name}.mp4" for name in TESTED)]:
        group = _measure_group(clip.stem, _frames(clip), analyser)
        assert group is not None
        shapes, strengths, _ = group
        said = np.tensordot(strengths, moved, 1)
        explained = 1 - np.square((shapes - said)[..., :2]).sum() / np.square(shapes[..., :2]).sum()
        rows.append(
            {"part": part_of(clip), "clip": clip.stem, "faces": len(shapes), "explained": round(float(explained), 3)}
        )
    report(
        "face_expressions",
        rows,
        figures={
            part: {"explained, mean": estimate([[row["explained"]] for row in rows if row["part"] == part])}
            for part in PARTS
        },
        notes=[
            f"{len(REGRESSORS)} expressions fitted together; {len(EXPRESSION_NAMES)} of them are kept: {', '.join(EXPRESSION_NAMES)}."
        ],
        measures=MEASURES,
    )
    if asked.output:
        from safetensors.numpy import save_file

        kept = moved[[REGRESSORS.index(name) for name in EXPRESSION_NAMES]]
        with atomic_output(asked.output) as temporary:
            save_file({"movements": kept.astype(np.float16)}, temporary)


def fit(groups: list[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """(R, 468, 3) cm by ridge regression on (shapes, strengths, weight), both about their group's mean."""
    strengths = np.concatenate([group[1] for group in groups])
    weights = np.concatenate([np.full(len(group[1]), group[2]) for group in groups])[:, None]
    shapes = np.concatenate([group[0] for group in groups]).reshape(len(strengths), -1)
    normal = strengths.T @ (strengths * weights) + _RIDGE * np.eye(strengths.shape[1])
    found = np.linalg.solve(normal, strengths.T @ (shapes * weights))
    return found.reshape(len(found), mesh.VERTEX_COUNT, 3).astype(np.float32)


def tuning_people() -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """One person each of the tuning part, but for two folders of strangers."""
    clips = [*find("talking/**/*.mp[4g]", "tuning"), *find("clips/*_d20.mp4", "tuning")]
    clips += [DATA / "clips" / name for name in ("single_face_640x360.mp4", "pexels_woman_handocclusion_turn.mp4")]
    for clip in clips:
        yield clip.name, _frames(clip)
    for person, paths in itertools.groupby(find("identities/*/*.jpg", "tuning"), lambda path: path.parent.name):
        yield person, (media.read_picture(path) for path in list(paths))
    generated = find("faces/generated/**/*.jpg", "tuning")[::3]
    labelled = find("faces/celebamask/images/*.jpg", "tuning")
    for name, paths in (("strangers generated", generated), ("strangers celebamask", labelled)):
        yield name, (media.read_picture(path) for path in paths)


def _frames(clip: Path) -> Iterator[np.ndarray]:
    every = max(1, (media.probe(clip).frame_count or 0) // _FRAMES)
    return (frame.image_rgb for frame in itertools.islice(media.read_frames(clip, every=every), _FRAMES))


def _measure_group(
    name: str, pictures: Iterator[np.ndarray], analyser: FaceAnalyser
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """(M, 468, 3) shapes and (M, R) strengths of a group about their means, mirrored ones too, and its weight."""
    faces = [face for picture in pictures for face in analyser.detect(picture)[:1]]
    if len(faces) < 4:
        return None
    columns = [BLENDSHAPE_INDEX[one] for one in REGRESSORS]
    mirrored = [BLENDSHAPES.index(_other_side(one)) for one in REGRESSORS]
    shapes = np.stack([_canonical(face) for face in faces])
    strengths = np.stack([face.blendshapes for face in faces])
    shapes = shapes - shapes.mean(0)
    strengths = strengths - strengths.mean(0)
    flipped = shapes[:, mesh.topology().mirror] * np.array([-1, 1, 1], np.float32)
    return (
        np.concatenate([shapes, flipped]),
        np.concatenate([strengths[:, columns], strengths[:, mirrored]]),
        _STRANGERS if name.startswith("strangers") else 1.0,
    )


def _canonical(face: Face) -> np.ndarray:
    return mesh.Pose.of(face.points478).to_canonical(face.points478[: mesh.VERTEX_COUNT])


def _other_side(name: str) -> str:
    if "Left" in name:
        return name.replace("Left", "Right")
    return name.replace("Right", "Left")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
