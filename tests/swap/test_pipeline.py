"""A clip in, the same clip with another face out."""

from pathlib import Path

import av
import numpy as np
import pytest

from facegen import media, provenance
from facegen.config import home
from facegen.errors import Cancelled, InputError, NoFaceError
from facegen.jobs import Run
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest, contact_sheet
from facegen.swap.clip import analysis_path
from tests.factories import portrait_rgb


def request_for(source: str, target: str, output: Path, **options: object) -> SwapRequest:
    return SwapRequest(sources=(source,), target=target, output=str(output), options=SwapOptions(**options))


def images(path: str | Path) -> list[np.ndarray]:
    return [frame.image_rgb for frame in media.read_frames(path)]


def audio_packets(path: str | Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [(packet.pts, bytes(packet)) for packet in container.demux(stream) if packet.size]


def redness(image: np.ndarray) -> float:
    """How red the middle of the face is in these clips."""
    middle = image[80:150, 90:150].astype(float)
    return float(middle[..., 0].mean() - middle[..., 1:].mean())


def test_a_clip_is_swapped_with_its_times_and_sound(
    pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path
) -> None:
    seen: list[float] = []
    output = tmp_path / "out.mp4"
    result = pipeline(request_for(source, clip, output), on_progress=lambda fraction, text: seen.append(fraction))
    assert (result.frames, result.faces, result.people) == (40, 40, 1)
    assert media.frame_times(output)[0] == media.frame_times(clip)[0]
    assert audio_packets(output) == audio_packets(clip)
    for before, after in zip(images(clip), images(output), strict=True):
        assert redness(after) > redness(before) + 30
        assert np.abs(before[230:].astype(int) - after[230:]).mean() < 4
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.98)
    report = provenance.verify(output)
    assert report.is_proven
    assert not list((home() / "runs").iterdir())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_run_that_was_given_is_kept_and_done(
    pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path
) -> None:
    run = Run.create("swap", {}, path=tmp_path / "run")
    result = pipeline(request_for(source, clip, tmp_path / "out.mp4", end_seconds=0.4), run=run)
    assert run.status().state == "done"
    assert result.run == str(run.path)
    assert not (run.path / "segments").exists()


def test_the_analysis_is_made_once(pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path) -> None:
    people = pipeline.find_people(clip).people
    assert [person.frame_count for person in people] == [40]
    path = analysis_path(clip, SwapOptions())
    made = path.stat().st_ino
    pipeline(request_for(source, clip, tmp_path / "out.mp4"))
    assert path.stat().st_ino == made


def test_trim_takes_picture_and_sound(pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    result = pipeline(request_for(source, clip, output, start_seconds=0.4, end_seconds=1.2))
    assert result.frames == 20
    times, time_base = media.frame_times(output)
    assert times[0] == 0
    assert float(times[-1] * time_base) == pytest.approx(0.76)
    sound = float(len(audio_packets(output)) * 1024 / 48000)
    assert sound == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("when_no_face", "frames"), [("keep", 60), ("hold", 60), ("skip", 35)])
def test_frames_without_a_face(
    pipeline: SwapPipeline, source: str, gap_clip: str, tmp_path: Path, when_no_face: str, frames: int
) -> None:
    output = tmp_path / "out.mp4"
    result = pipeline(request_for(source, gap_clip, output, when_no_face=when_no_face))
    before, after = images(gap_clip), images(output)
    assert result.frames == len(after) == frames
    if when_no_face == "keep":
        assert np.abs(before[30].astype(int) - after[30]).mean() < 12
        assert redness(after[30]) < 15
    else:
        assert all(redness(image) > 40 for image in after)
    if when_no_face == "hold":
        assert np.abs(after[19].astype(int) - after[40]).mean() < 3
    sound = len(audio_packets(output)) * 1024 / 48000
    assert sound == pytest.approx(frames / 25, abs=0.06)
    times, time_base = media.frame_times(output)
    assert np.diff(times).max() * time_base == pytest.approx(0.04)


def test_two_people_get_a_source_each(pipeline: SwapPipeline, analyser, source: str, tmp_path: Path) -> None:
    """The same face twice in one picture is enough: people of a picture are counted from the left."""
    head = portrait_rgb()[0:300, 80:380]
    target = tmp_path / "pair.png"
    media.write_picture(target, np.hstack([head, head[:, ::-1]]))
    output = tmp_path / "out.png"
    pipeline(SwapRequest(target=str(target), output=str(output), people={1: (source,)}))
    before, after = media.read_picture(target), media.read_picture(output)
    assert np.abs(before[:, :300].astype(int) - after[:, :300]).max() < 12
    assert np.abs(before[100:150, 400:450].astype(int) - after[100:150, 400:450]).mean() > 20


def test_an_unknown_person_is_refused_before_the_work(
    pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path
) -> None:
    request = SwapRequest(target=clip, output=str(tmp_path / "out.mp4"), people={3: (source,)})
    with pytest.raises(InputError, match="Expected a person of the clip, but got 3; it shows 1"):
        pipeline(request)


def test_a_preview_needs_no_analysis_and_agrees_with_the_result(
    pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path
) -> None:
    request = request_for(source, clip, tmp_path / "out.mp4")
    before, after = pipeline.preview(request, seconds=0.5)
    assert not analysis_path(clip, request.options).exists()
    assert redness(after) > redness(before) + 30
    pipeline(request)
    assert np.abs(images(tmp_path / "out.mp4")[12].astype(int) - after).mean() < 6


def test_a_contact_sheet_shows_before_and_after(pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path) -> None:
    sheet = contact_sheet(pipeline, request_for(source, clip, tmp_path / "out.png"), 4)
    assert sheet.dtype == np.uint8
    assert min(sheet.shape[:2]) > 256


def test_cancelling_leaves_no_output(pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path) -> None:
    def stop(fraction: float, text: str) -> None:
        if fraction > 0.6:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        pipeline(request_for(source, clip, tmp_path / "out.mp4"), on_progress=stop)
    assert list(tmp_path.glob("out*")) == []
    (left,) = (path for path in (home() / "runs").iterdir())
    assert Run.open(left).status().state == "cancelled"


def test_a_clip_without_a_face_is_refused(
    pipeline: SwapPipeline, source: str, faceless_clip: str, tmp_path: Path
) -> None:
    with pytest.raises(NoFaceError, match="found none in its 10 frames"):
        pipeline(request_for(source, faceless_clip, tmp_path / "out.mp4"))
    assert list(tmp_path.glob("out*")) == []


@pytest.mark.parametrize("name", ["out.png", "out.avi", "out"])
def test_the_ending_must_fit(pipeline: SwapPipeline, source: str, clip: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="Expected an output ending in"):
        pipeline(request_for(source, clip, tmp_path / name))


def test_an_input_is_never_overwritten(pipeline: SwapPipeline, source: str, clip: str) -> None:
    with pytest.raises(InputError, match="found the input"):
        pipeline(request_for(source, clip, Path(clip)))
