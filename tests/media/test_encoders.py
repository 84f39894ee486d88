"""Every encoder into every container that takes it, animations, transparency, and what is refused."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

from facegen.encoding import EncodeOptions
from facegen.errors import InputError
from facegen.media import (
    SegmentWriter,
    check_animation,
    encoders,
    find_encoder,
    frame_times,
    join_segments,
    probe,
    read_frames,
    write_video,
)
from facegen.media.encoders import ANIMATIONS, CONTAINERS, ENCODERS
from tests.media.clips import Clip, named

PAIRS = [
    (name, suffix)
    for name, encoder in ENCODERS.items()
    for suffix, kind in CONTAINERS.items()
    if kind in encoder.containers and suffix != ".m4v"
]


def rewrite(path: Path, output: Path, **choices: object) -> tuple[str, ...]:
    encode = EncodeOptions(**choices)
    frames = read_frames(path, keeps_alpha=encode.transparency)
    metadata = {"comment": "a comment of the file"}
    return write_video(output, frames, probe(path), sound_from=path, encode=encode, metadata=metadata)


def clear_clip(folder: Path) -> Path:
    """A clip whose left half is hidden behind full transparency."""
    path = folder / "clear.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "rgba"
        picture = np.full((64, 96, 4), (200, 40, 40, 255), np.uint8)
        picture[:, :48, 3] = 0
        for number in range(5):
            picture[:8, 48:, 1] = 40 * number
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("name", "suffix"), PAIRS)
def test_an_encoder_keeps_times_size_and_colour(name: str, suffix: str, tmp_path: Path) -> None:
    path, output = Clip(name="clip", width=128, height=96).write(tmp_path), tmp_path / f"out{suffix}"
    rewrite(path, output, encoder=name)
    before, after = probe(path), probe(output)
    assert after.codec == {"h265": "hevc"}.get(name, name)
    assert (after.size_hw, after.color.matrix, after.color.transfer) == (before.size_hw, 1, 1)
    shown = [tick * frame_times(output)[1] for tick in frame_times(output)[0]]
    assert shown == pytest.approx([tick * frame_times(path)[1] for tick in frame_times(path)[0]], abs=0.001)
    assert len(after.audio) == 1
    for old, new in zip(read_frames(path), read_frames(output), strict=True):
        assert np.abs(old.image_rgb.astype(float) - new.image_rgb).mean() < 6


@pytest.mark.parametrize("name", ["h264", "h265", "av1"])
def test_ten_bits_stay(name: str, tmp_path: Path) -> None:
    path, output = named("ten_bit").write(tmp_path), tmp_path / "out.mkv"
    rewrite(path, output, encoder=name)
    assert (probe(output).bit_depth, probe(output).color.hdr) == (10, "PQ")


def test_an_encoder_without_ten_bits_says_so(tmp_path: Path) -> None:
    notices = rewrite(named("ten_bit").write(tmp_path), tmp_path / "out.mkv", encoder="vp9")
    assert any("8 bit" in notice for notice in notices)


def test_lower_quality_is_smaller(tmp_path: Path) -> None:
    path = Clip(name="clip", width=256, height=192).write(tmp_path)
    for name in ("h264", "h265", "vp9", "av1"):
        sizes = []
        for crf in (10, 40):
            rewrite(path, tmp_path / "out.mkv", encoder=name, crf=crf)
            sizes.append((tmp_path / "out.mkv").stat().st_size)
        assert sizes[0] > sizes[1], name


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_an_animation_shows_the_same_at_the_same_times(kind: str, tmp_path: Path) -> None:
    path, output = named("variable_rate").write(tmp_path), tmp_path / f"out.{kind}"
    notices = rewrite(path, output)
    assert any("no sound" in notice for notice in notices)
    assert b"a comment of the file" in output.read_bytes()
    shown = [float(tick * frame_times(output)[1]) for tick in frame_times(output)[0]]
    expected = [float(tick * frame_times(path)[1]) for tick in frame_times(path)[0]]
    if kind == "webp":
        assert shown == pytest.approx(expected, abs=0.002)
    else:  # two frames come less than two hundredths of a second after the one before
        assert len(shown) == len(expected) - 3
    frames = list(read_frames(output))
    assert np.abs(frames[0].image_rgb.astype(float) - next(read_frames(path)).image_rgb).mean() < 10


def test_an_animation_needs_no_comment(tmp_path: Path) -> None:
    path = named("plain").write(tmp_path)
    for kind in ANIMATIONS:
        write_video(tmp_path / f"out.{kind}", read_frames(path), probe(path))
        assert len(frame_times(tmp_path / f"out.{kind}")[0]) == 12


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "vp9"), (".mov", "prores"), (".mkv", "vp9"), (".webp", "png")])
def test_transparency_is_kept_where_it_is_asked_for(suffix: str, codec: str, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    rewrite(clear_clip(tmp_path), output, transparency=True)
    assert (probe(output).codec, probe(output).has_alpha) == (codec, True)
    frame = list(read_frames(output, keeps_alpha=True))[3]
    assert frame.alpha is not None
    opacity = frame.displayed_alpha
    assert opacity[:, :40].max() < 20
    assert opacity[:, 56:].min() > 235


def test_what_transparency_hides_does_not_come_back(tmp_path: Path) -> None:
    notices = rewrite(clear_clip(tmp_path), tmp_path / "out.mp4")
    assert any("laid on white" in notice for notice in notices)
    image = next(read_frames(tmp_path / "out.mp4")).image_rgb
    assert image[:, :40].min() > 240
    assert image[16:, 56:, 1].max() < 80


@pytest.mark.parametrize(
    ("output", "choices"),
    [
        ("out.webm", {"encoder": "h264"}),
        ("out.mp4", {"encoder": "prores"}),
        ("out.mp4", {"transparency": True}),
        ("out.mkv", {"encoder": "h265", "transparency": True}),
    ],
)
def test_what_does_not_fit_is_one_sentence(output: str, choices: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"Expected .* found"):
        find_encoder(EncodeOptions(**choices), output)


def test_a_long_animation_is_refused() -> None:
    check_animation("out.gif", 59)
    check_animation("out.mp4", 4000)
    with pytest.raises(InputError, match="at most 60 s"):
        check_animation("out.webp", 61)


@pytest.mark.parametrize("name", ["h264-gpu", "h265-gpu", "av1-gpu"])
def test_a_graphics_card_encodes_or_the_cpu_says_why(name: str, tmp_path: Path) -> None:
    path, output = Clip(name="clip", width=256, height=192).write(tmp_path), tmp_path / "out.mkv"
    notices = rewrite(path, output, encoder=name)
    assert probe(output).codec == {"h264": "h264", "h265": "hevc", "av1": "av1"}[name.removesuffix("-gpu")]
    encoder = find_encoder(EncodeOptions(encoder=name), output, probe(path))
    assert encoder.is_hardware == (not encoder.fall)
    fallbacks = [notice for notice in notices if "on the CPU, as no encoder of a graphics card works here" in notice]
    assert len(fallbacks) == (not encoder.is_hardware)
    for old, new in zip(read_frames(path), read_frames(output), strict=True):
        assert np.abs(old.image_rgb.astype(float) - new.image_rgb).mean() < 6


def test_the_first_encoder_that_takes_a_trial_frame_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one that every libav has in the place of a graphics card's, behind one that refuses the format."""
    monkeypatch.setattr(encoders, "_GPU_CODECS", {"h264-gpu": ("prores", "prores")})
    monkeypatch.setattr(encoders, "_KINDS", {"aw": ("yuv420p",), "ks": ("yuv422p10le",)})
    path, output = Clip(name="clip", width=128, height=96).write(tmp_path), tmp_path / "out.mkv"
    assert rewrite(path, output, encoder="h264-gpu") == rewrite(path, tmp_path / "cpu.mkv", encoder="prores")
    assert probe(output).codec == "prores"


def test_what_a_graphics_card_cannot_write_is_left_to_the_cpu(tmp_path: Path) -> None:
    path = Clip(name="clip", width=128, height=96).write(tmp_path)
    odd = dataclasses.replace(probe(path), width=127)
    assert find_encoder(EncodeOptions(encoder="h264-gpu"), "out.mp4", odd).fall == "they take even sizes alone"
    with pytest.raises(InputError, match=r"ending in \.mp4"):
        find_encoder(EncodeOptions(encoder="h264-gpu"), "out.webm")


def test_segments_of_two_encoders_are_not_joined(tmp_path: Path) -> None:
    path = Clip(name="clip", width=128, height=96).write(tmp_path)
    frames, like = list(read_frames(path)), probe(path)
    for part, crf in ((frames[:6], 18), (frames[6:], 30)):
        with SegmentWriter(tmp_path / "segments", like=like, encode=EncodeOptions(crf=crf)) as writer:
            for frame in part:
                writer.write(frame)
    with pytest.raises(InputError, match="begin anew"):
        join_segments(
            writer.segments, tmp_path / "out.mp4", like=like, sound_from=None, encode=EncodeOptions(encoder="h264-gpu")
        )
