"""Profiles: whom a studio is for, what its limits are, that the page tells them and that they hold."""

import os
import time
from dataclasses import replace

import pytest

from facegen.errors import InputError
from facegen.jobs import Run
from facegen.jobs.queue import start_queued
from facegen.swap.options import SwapOptions
from facegen.swap.request import SwapRequest
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest
from facegen.ui.examples import FILES
from facegen.ui.profile import PROFILES, TABS, Profile, check_load, check_size, choose_profile, for_host, label_results
from facegen.ui.services import Services, Visitor
from facegen.ui.studio import build_studio


def request(**options: float) -> SwapRequest:
    return SwapRequest(
        sources=(str(FILES / "ada.jpg"),), target=str(FILES / "bea.mp4"), output="", options=SwapOptions(**options)
    )


def test_a_profile_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_profile() == PROFILES["own"]
    monkeypatch.setenv("SPACE_ID", "somebody/facegen")
    assert choose_profile() == PROFILES["space"]
    assert choose_profile("own", ["clip_seconds=7", 'tabs=["swap"]']).tabs == ("swap",)
    for name, settings in (("nobody", []), ("own", ["clip_minutes=1"]), ("own", ["max_upload_mb=0"])):
        with pytest.raises(InputError):
            choose_profile(name, settings)
    with pytest.raises(InputError, match="tabs"):
        choose_profile("own", ['tabs=["swaps"]'])


def test_an_own_studio_has_no_limits_and_others_reach_makes_it_shared() -> None:
    own = PROFILES["own"]
    assert own.limits() == ()
    assert own.tabs == TABS
    assert not for_host(own, "127.0.0.1", None).shared
    assert for_host(own, "0.0.0.0", None).shared
    assert not for_host(own, "0.0.0.0", False).shared
    assert PROFILES["shared"].shared
    assert PROFILES["space"].shared


def test_the_page_tells_the_limits_before_they_are_hit() -> None:
    def page(profile: Profile) -> tuple[str, set[str]]:
        blocks = build_studio(profile).blocks.values()
        notes = [str(block.value) for block in blocks if getattr(block, "elem_id", None) == "limits"]
        tabs = {str(block.id) for block in blocks if type(block).__name__ == "Tab" and block.visible}
        return "".join(notes), tabs

    words, tabs = page(PROFILES["space"])
    for part in ("60 seconds", "2.1 megapixels", "200 MB", "3 runs of yours", "30 runs", "24 hours"):
        assert part in words
    assert {"swap", "generate", "talk", "train", "verify"} <= tabs
    assert not tabs & {"faceset", "live"}
    words, tabs = page(PROFILES["own"])
    assert words == ""
    assert set(TABS) <= tabs


def test_clips_beyond_the_limits_are_refused() -> None:
    check_size(Profile(), request())
    with pytest.raises(InputError, match="at most 0.5 seconds .* 'bea.mp4'; trim it"):
        check_size(Profile(clip_seconds=0.5), request())
    check_size(Profile(clip_seconds=0.5), request(start_seconds=0.2, end_seconds=0.6))
    talk = TalkRequest(portrait=str(FILES / "ada.jpg"), audio=str(FILES / "said.m4a"), output="")
    with pytest.raises(InputError, match=r"'said.m4a'; trim it"):
        check_size(Profile(clip_seconds=0.5), talk)
    check_size(Profile(clip_seconds=0.5), replace(talk, options=TalkOptions(seconds=0.5)))
    with pytest.raises(InputError, match="megapixels"):
        check_size(Profile(megapixels=0.01), request())


def test_a_visitor_has_a_share_of_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    services, first, second = Services(Profile(shared=True, runs_per_visitor=1, queue_length=2)), Visitor(), Visitor()
    monkeypatch.setattr(services, "start_next", lambda: None)
    from facegen.swap.jobs import SWAP

    services.start(first, SWAP, request())
    with pytest.raises(InputError, match="at most 1 runs of yours"):
        services.start(first, SWAP, request(end_seconds=0.5))
    services.start(second, SWAP, request())
    with pytest.raises(InputError, match="come back later"):
        services.start(Visitor(), SWAP, request())
    check_load(Profile(), 1000, 1000)


def test_several_runs_at_once() -> None:
    started: list[str] = []

    def start(run: Run) -> None:
        started.append(run.name)

    for _ in range(2):
        Run.create("swap", {}).enqueue()
    running = Run.create("swap", {})
    with running.work():
        assert start_queued(start=start) is None
        assert start_queued(at_once=2, start=start) is not None
    assert len(started) == 1


def test_ended_runs_of_visitors_are_deleted_after_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services(Profile(keep_hours=1))
    old, own, new = (Run.create("swap", {}, owner=owner) for owner in ("somebody", "", "somebody"))
    for run in (old, own, new):
        run.cancel()
    later = time.time() + 3601
    monkeypatch.setattr("facegen.ui.services.time.time", lambda: later)
    with new.work():
        services._delete_old()
    assert [run.path.exists() for run in (old, own, new)] == [False, True, True]


def test_the_command_hands_the_profile_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from facegen.cli import build_app

    caught: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda program, words, environment: caught.append(environment))
    for words in (["--profile", "shared", "--limit", "clip_seconds=9", "--limit", "keep_hours=2"], []):
        assert CliRunner().invoke(build_app(["studio"]), ["studio", *words]).exit_code == 0
    assert caught[0]["FACEGEN_PROFILE"] == "shared"
    assert caught[0]["FACEGEN_LIMITS"] == "clip_seconds=9;keep_hours=2"
    assert "GRADIO_SERVER_NAME" not in caught[0]
    assert caught[1]["GRADIO_SERVER_NAME"] == "127.0.0.1"


def test_results_of_a_space_carry_the_visible_label_unless_their_request_chooses() -> None:
    request = SwapRequest(sources=("a.png",), target="b.mp4", output="")
    own = SwapRequest(sources=("a.png",), target="b.mp4", output="", options=SwapOptions(label="none"))
    assert label_results(PROFILES["space"], request).options.label == "en"
    assert label_results(choose_profile("space", ["label=de"]), request).options.label == "de"
    assert label_results(PROFILES["space"], own) == own
    assert label_results(PROFILES["own"], request).options.label == "none"
    with pytest.raises(InputError, match="label"):
        choose_profile("space", ["label=xx"])
