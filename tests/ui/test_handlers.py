"""Words and cards: what a failure and a run look like in the browser."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from facegen.errors import InputError
from facegen.jobs import Run, RunStatus
from facegen.ui.handlers import api_errors, duration, notice, progress_card, result_words, show_errors, size

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")


def _refuse(*_: Any) -> Any:
    raise InputError("Expected a face, found <b>none</b>.")


def test_a_refusal_becomes_a_card_and_leaves_the_other_outputs_alone() -> None:
    card, *others = show_errors(3)(_refuse)()
    assert "Expected a face, found &lt;b&gt;none&lt;/b&gt;." in card
    assert [other["__type__"] for other in others] == ["update", "update"]


def test_a_refusal_of_a_stream_is_its_last_step() -> None:
    @show_errors(1)
    async def stream() -> AsyncIterator[str]:
        yield "first"
        _refuse()

    async def collect() -> list[str]:
        return [item async for item in stream()]

    first, card = asyncio.run(collect())
    assert first == "first"
    assert "Expected a face" in card


def test_a_bug_surfaces() -> None:
    with pytest.raises(ZeroDivisionError):
        show_errors(1)(lambda: 1 / 0)()
    with pytest.raises(ZeroDivisionError):
        api_errors(lambda: 1 / 0)()


def test_an_endpoint_answers_with_the_sentence() -> None:
    with pytest.raises(gr.Error, match="Expected a face, found <b>none</b>"):
        api_errors(_refuse)()

    def run(name: str) -> None:
        raise InputError(f"Expected the name of a run, found {name!r}; see: facegen runs list")

    with pytest.raises(gr.Error) as refused:
        api_errors(run)("../x")
    assert refused.value.message == "Expected the name of a run, found '../x'; choose one in the Runs tab."


def test_a_running_card_says_how_far_how_fast_and_how_long() -> None:
    status = RunStatus(state="running", progress=0.25, text="Frame 5 <of> 20", rate="12.5 frames/s", eta_seconds=75)
    card = progress_card(status)
    for part in ("Running", "25%", "12.5 frames/s", "1 min 15 s left", "&lt;of&gt;", 'aria-valuenow="25.0"'):
        assert part in card


def test_a_finished_card_has_no_bar() -> None:
    assert "progressbar" not in progress_card(RunStatus(state="failed", progress=0.4, text="The disk is full."))
    assert "<script>" not in notice("<script>")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (1500, "25 min"), (7200, "2 h"), (7500, "2 h 5 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (14_200_000, "14 MB"), (3e12, "3000 GB")]
)
def test_sizes_in_words(count: int, words: str) -> None:
    assert size(count) == words


def test_a_finished_run_says_what_the_user_should_know(tmp_path: Path) -> None:
    run = Run.create("talk", {}, path=tmp_path / "talk")
    assert result_words(run) == ""
    with run.work():
        run.keep_result({"notices": ["The sound is longer than the video."]})
        run.last_text = "50 frames in 2.0 s."
    assert result_words(run) == "50 frames in 2.0 s. The sound is longer than the video."
    quiet = Run.create("swap", {}, path=tmp_path / "swap")
    with quiet.work():
        quiet.keep_result({"frames": 9, "notices": []})
    assert result_words(quiet) == ""
