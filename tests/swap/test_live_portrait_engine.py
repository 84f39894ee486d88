"""A clip whose own face is moved by sliders, with stand-ins of LivePortrait whose answer is known for each frame."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facegen import media
from facegen.errors import InputError, WeightsError
from facegen.faces import Face, FaceAnalyser
from facegen.media import write_picture
from facegen.reenact.crop import crop_input, wide_matrix
from facegen.reenact.live_portrait import load_part
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import requests as swaps
from facegen.ui.tabs.swap import trained
from tests.factories import moving_portrait, write_clip
from tests.reenact.stand_ins import POINTS, RETARGETING, motion_of, use_stand_ins
from tests.swap.test_command import Ended, facegen, sentence

__all__ = ["facegen"]
SLIDERS = "eye-gaze-horizontal=1, head-yaw=-0.125, lip-open-ratio"
WEIGHTS = np.zeros((21, 3), np.float32)
"""Of the generator's moved keypoints, and negative of those that are: each slider, and each frame's own scale, changes a face by
some levels of 255."""
WEIGHTS[:, 0] = np.random.default_rng(313).normal(0, 0.15, 21)
WEIGHTS[[11, 15], 0] = 1.5
WEIGHTS[:, 1] = -0.08


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of all six networks."""
    monkeypatch.setattr("tests.reenact.stand_ins.SOURCE_WEIGHTS", WEIGHTS)
    monkeypatch.setattr("tests.reenact.stand_ins.TARGET_WEIGHTS", -WEIGHTS)
    use_stand_ins(tmp_path)


@pytest.fixture(scope="module")
def dimming_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One face, in each frame darker than before, small in its frame; with sound."""
    frames = []
    for index, face in enumerate(moving_portrait(8, size=160)):
        frame = np.full((320, 352, 3), 90, np.uint8)
        frame[80:240, 96:256] = face * (1 - 0.06 * index)
        frames.append(frame)
    return str(write_clip(tmp_path_factory.mktemp("clip") / "dimming.mp4", frames, has_sound=True))


def brightening(image_rgb: np.ndarray, face: Face) -> float:
    """What the stand-ins add to each pixel of a face, 0..1 of full brightness: the whole way written a second time."""
    said = motion_of(crop_input(image_rgb, wide_matrix(face.points5)).mean((1, 2)))

    def keypoints(yaw: float, expression: np.ndarray) -> np.ndarray:
        turned = Rotation.from_euler("xyz", [said["pitch"], yaw, said["roll"]], degrees=True).as_matrix()
        return said["scale"] * (POINTS @ turned.T + expression) + said["translation"]

    own = keypoints(said["yaw"], said["expression"])
    expression = said["expression"].copy()
    expression[11, 0] += 0.015
    expression[15, 0] += 0.020
    points = face.points68
    lips = np.linalg.norm(points[62] - points[66]) / np.linalg.norm(points[54] - points[48])
    moved = keypoints(said["yaw"] + 7.5, expression) + 0.5 * (0.01 * own + RETARGETING[:2] @ np.array([lips, 1.0]))
    return float(0.75 * ((moved - own) * WEIGHTS).sum())


def nose(image_rgb: np.ndarray, face: Face) -> np.ndarray:
    """Mean RGB of a few pixels round the tip of the nose."""
    x, y = face.points5[2].astype(int)
    mean: np.ndarray = image_rgb[y - 6 : y + 6, x - 6 : x + 6].mean((0, 1))
    return mean


@pytest.mark.usefixtures("networks")
def test_each_frame_of_a_clip_is_moved_from_its_own_pose(
    dimming_clip: str, analyser: FaceAnalyser, facegen: Callable[..., Ended], tmp_path: Path
) -> None:
    output = tmp_path / "moved.mp4"
    wanted = ("--target", dimming_clip, "--output", output, "--engine", "live-portrait", "--consent")
    done = facegen("swap", *wanted, "--sliders", SLIDERS, "--quality", "4")
    assert done.code == 0, done.err
    before = list(media.read_frames(dimming_clip))
    after = [frame.image_rgb for frame in media.read_frames(output)]
    analysis = SwapPipeline(analyser=analyser).find_people(dimming_clip)
    changes = []
    for frame, made in zip(before, after, strict=True):
        (face,) = analysis.faces(frame.index)
        changes.append(brightening(frame.image_rgb, face))
        expected = np.clip(nose(frame.image_rgb, face) + 255 * changes[-1], 0, 255)
        np.testing.assert_allclose(nose(made, face), expected, atol=2.5)
        assert np.abs(made[:8].astype(int) - frame.image_rgb[:8]).mean() < 2
    assert 255 * np.ptp(changes) > 4
    assert 255 * min(map(abs, changes)) > 30
    assert media.probe(output).audio


@pytest.mark.usefixtures("networks")
def test_a_picture_and_a_preview_are_moved_alike(dimming_clip: str, analyser: FaceAnalyser, tmp_path: Path) -> None:
    frame = next(iter(media.read_frames(dimming_clip))).image_rgb
    write_picture(tmp_path / "frame.png", frame)
    (face,) = analyser.detect(frame)
    options = SwapOptions(engine="live-portrait", sliders=SLIDERS)
    request = SwapRequest(target=str(tmp_path / "frame.png"), output=str(tmp_path / "moved.png"), options=options)
    pipeline = SwapPipeline(analyser=analyser)
    expected = np.clip(nose(frame, face) + 255 * brightening(frame, face), 0, 255)
    np.testing.assert_allclose(nose(pipeline.preview(request)[1], face), expected, atol=2)
    pipeline(request)
    np.testing.assert_allclose(nose(media.read_picture(request.output), face), expected, atol=3)


def test_what_does_not_go_together_is_refused(dimming_clip: str, facegen: Callable[..., Ended], tmp_path: Path) -> None:
    load_part.cache_clear()
    with pytest.raises(InputError, match="Expected sliders with the engine live-portrait alone, found them with mesh"):
        SwapOptions(sliders="mouth-smile=1")
    with pytest.raises(InputError, match="Expected a slider of eyebrow-direction"):
        SwapOptions(engine="live-portrait", sliders="smile=1")
    wanted = ("--target", dimming_clip, "--output", tmp_path / "moved.mp4", "--engine", "live-portrait", "--consent")
    assert "add --sliders mouth-smile=0.5" in sentence(facegen("swap", *wanted))
    missing = sentence(facegen("swap", *wanted, "--sliders", "mouth-smile=1"))
    assert "facegen weights fetch" in missing
    assert "live-portrait-stitcher" in missing


def test_the_browser_asks_for_no_source(dimming_clip: str, tmp_path: Path) -> None:
    services, visitor = Services(), Visitor()
    assert "live-portrait" in [value for _, value in trained.list_models(services, visitor)]
    assert trained.engine_of(services, visitor, "live-portrait", None) == "live-portrait"
    assert not trained.is_trained("live-portrait")
    assert not trained.needs_source("live-portrait")
    assert trained.needs_source("")
    assert len(trained.engine_files("live-portrait")) == 6
    settings = {"sliders": ["mouth-smile=0.5", "head-roll=-1"]}
    request = swaps.request([], dimming_clip, settings, engine={"engine": "live-portrait"})
    assert (request.sources, request.options.sliders) == ((), "mouth-smile=0.5, head-roll=-1")
    with pytest.raises(WeightsError, match="live-portrait"):
        swaps.preview(services, request, 0)
