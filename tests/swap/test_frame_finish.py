"""What follows on the whole frame of a swap: larger, and before another background, in clip, picture and preview."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facegen import media
from facegen.errors import InputError
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest
from facegen.swap.frame_finish import finish_frame, finish_info
from tests.factories import noise_rgb
from tests.restore.test_frame_models import use_stand_ins


def request_for(source: str, target: str, output: Path, **options: Any) -> SwapRequest:
    return SwapRequest(sources=(source,), target=target, output=str(output), options=SwapOptions(**options))


def test_a_clip_grows_and_keeps_its_times_and_sound(
    pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path
) -> None:
    use_stand_ins(tmp_path, "real-esrgan-x2")
    output = tmp_path / "out.mp4"
    request = request_for(source, clip, output, frame_chain="real-esrgan-x2=1", end_seconds=0.4)
    result = pipeline(request)
    assert (result.frames, media.probe(output).size_hw) == (10, (512, 512))
    assert media.probe(output).audio
    assert list(media.frame_times(output)[0]) == list(media.frame_times(clip)[0])[:10]
    before, after = pipeline.preview(request, frame_index=4)
    written = [frame.image_rgb for frame in media.read_frames(output)][4]
    assert before.shape == after.shape == written.shape
    assert np.abs(written.astype(int) - after).mean() < 6
    # the stand-in turns red round
    plain = pipeline.preview(request_for(source, clip, output), frame_index=4)[1]
    assert np.abs(255 - plain[..., 0].astype(int) - after[::2, ::2, 0]).mean() < 1


def test_a_background_becomes_a_colour_or_transparent(
    pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path
) -> None:
    use_stand_ins(tmp_path, "modnet")
    request = request_for(source, clip, tmp_path / "x.mp4", frame_chain="modnet", background="#0000ff")
    plain = pipeline.preview(request_for(source, clip, tmp_path / "x.mp4"), frame_index=4)[1].astype(float)
    after = pipeline.preview(request, frame_index=4)[1]
    matte = np.clip(plain[..., :1] * 2 - plain[..., 1:2] / 2, 0, 255) / 255
    expected = plain * matte + np.array([0, 0, 255]) * (1 - matte)
    assert np.abs(expected - after).mean() < 3
    output = tmp_path / "out.webm"
    pipeline(request_for(source, clip, output, frame_chain="modnet", transparency=True, end_seconds=0.4))
    frame = next(iter(media.read_frames(output, keeps_alpha=True)))
    first = pipeline.preview(request_for(source, clip, output), frame_index=0)[1].astype(float)
    expected = np.clip(first[..., 0] * 2 - first[..., 1] / 2, 0, 255)
    assert np.abs(frame.displayed_alpha - expected).mean() < 4


def test_a_picture_loses_its_background(pipeline: SwapPipeline, source: str, tmp_path: Path) -> None:
    use_stand_ins(tmp_path, "modnet", "real-esrgan-x2")
    for options, has_alpha in (({}, False), ({"transparency": True}, True)):
        output = tmp_path / "out.png"
        pipeline(request_for(source, source, output, frame_chain="modnet, real-esrgan-x2", **options))
        still, target = media.read_still(output), media.read_still(source)
        assert still.image_rgb.shape[:2] == (2 * target.image_rgb.shape[0], 2 * target.image_rgb.shape[1])
        assert (still.alpha is not None) == has_alpha


def test_samples_before_a_full_matte_stay_as_they_are(clip: str, tmp_path: Path) -> None:
    use_stand_ins(tmp_path, "modnet")
    frame = next(iter(media.read_frames(clip)))
    image = noise_rgb(*frame.size_hw)
    image[..., 1], image[: len(image) // 2, :, 0], image[len(image) // 2 :, :, 0] = 0, 255, 0
    frame = media.Frame.from_picture(image, index=0, pts=0, time_base=frame.time_base)
    made = finish_frame(frame, SwapOptions(frame_chain="modnet"))
    rows = slice(0, len(image) // 2 - 4)
    for before, after in zip(frame.planes, made.planes, strict=True):
        half = slice(0, rows.stop * before.shape[0] // len(image) - 2)
        np.testing.assert_array_equal(before[half], after[half])
    assert np.abs(made.image_rgb[-1, -1].astype(int) - [0, 177, 64]).max() < 6
    assert finish_frame(frame, SwapOptions()) is frame


def test_what_would_be_too_large_is_refused_and_lost_depth_told(clip: str) -> None:
    info = media.probe(clip)
    grown = finish_info(info, SwapOptions(frame_chain="real-esrgan-x4"))
    assert (grown.size_hw, grown.notices) == ((1024, 1024), info.notices)
    deep = finish_info(dataclasses.replace(info, bit_depth=10), SwapOptions(frame_chain="real-esrgan-x4"))
    assert "8 bits" in deep.notices[-1]
    assert deep.bit_depth == 8
    with pytest.raises(InputError, match="8192 pixels"):
        finish_info(dataclasses.replace(info, width=4096, height=2160), SwapOptions(frame_chain="real-esrgan-x4"))
