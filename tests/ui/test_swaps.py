"""A swap from what the widgets hold to the command that does it."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from facegen.errors import InputError, WeightsError
from facegen.swap.jobs import SWAP, result_name
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import requests as swaps
from tests.factories import gradient_rgb, portrait_rgb, write_clip
from tests.media.clips import VARIABLE_PTS, named


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    return Services()


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "clip.mp4", [gradient_rgb(64, 96, index / 10) for index in range(10)]))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "face; rm -rf 'x' $HOME.png"
    Image.fromarray(portrait_rgb()[:64, :64]).save(path)
    return str(path)


def test_a_clip_is_described_in_words_and_numbers(clip: str) -> None:
    found = swaps.describe(clip)
    assert (found.is_picture, found.width, found.height, found.frames) == (False, 96, 64, 10)
    assert found.words == "Video, 96 × 64, 0.4 s, 25 frames/s, without sound"
    assert found.poster_rgb.shape == (64, 96, 3)


def test_the_frames_of_a_variable_rate_are_counted(tmp_path: Path) -> None:
    path = replace(named("variable_rate"), suffix=".mkv").write(tmp_path)
    assert swaps.describe(str(path)).frames == len(VARIABLE_PTS)


def test_a_picture_is_described(picture: str) -> None:
    found = swaps.describe(picture)
    assert (found.is_picture, found.frames, found.words) == (True, 1, "Picture, 64 × 64")


@pytest.mark.parametrize("content", [b"", b"not a video at all"], ids=["empty", "text"])
def test_what_is_no_video_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^Expected"):
        swaps.describe(str(path))


def test_a_request_needs_sources_and_a_target(clip: str, picture: str) -> None:
    with pytest.raises(InputError, match="source picture"):
        swaps.request([], clip, {})
    with pytest.raises(InputError, match="target"):
        swaps.request([picture], None, {})
    with pytest.raises(InputError, match="at least one person"):
        swaps.request([picture], clip, {}, {0: []})


def test_people_take_the_place_of_the_sources(clip: str, picture: str) -> None:
    asked = swaps.request([picture], clip, {}, {0: [picture], 1: []})
    assert (asked.sources, dict(asked.people)) == ((), {0: (picture,)})


def test_the_end_of_the_clip_means_all_of_it(clip: str, picture: str) -> None:
    assert swaps.request([picture], clip, {"end_seconds": 0.4}).options.end_seconds is None
    assert swaps.request([picture], clip, {"end_seconds": 0.2}).options.end_seconds == 0.2
    trimmed = swaps.request([picture], picture, {"start_seconds": 0.1, "end_seconds": 0.3}).options
    assert (trimmed.start_seconds, trimmed.end_seconds) == (0.0, None)


def test_a_run_keeps_its_files(services: Services, clip: str, picture: str) -> None:
    visitor = Visitor()
    run = services.start(visitor, SWAP, swaps.request([picture], clip, {"face_shape": 0.7}))
    run.cancel()
    Path(picture).unlink()
    Path(clip).unlink()
    request = SWAP.read_request(run)
    assert Path(request.sources[0]).read_bytes()
    assert Path(request.target).is_relative_to(run.path)
    assert request.options.face_shape == 0.7
    assert run.owner == visitor.mark


def test_results_are_named_after_their_target(clip: str, picture: str) -> None:
    assert result_name(swaps.request([picture], clip, {})) == "clip-swapped.mp4"
    assert result_name(swaps.request([picture], picture, {})).endswith("-swapped.png")


@pytest.mark.parametrize("target", ["clip", "picture"])
def test_people_are_looked_for_with_the_chosen_detector(
    target: str, services: Services, facegen_home: Path, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(target)
    with pytest.raises(WeightsError, match="facexlib"):
        swaps.find_people(services, path, "facexlib")
    with pytest.raises(InputError, match="detector"):
        swaps.find_people(services, path, "dlib")
