"""What a request may name in a studio that several people share: the own runs and files, and nothing else of the machine."""

import dataclasses
import os
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from facegen.catalog import JOBS, TASKS
from facegen.errors import FacegenError, InputError
from facegen.facesets.options import ExtractRequest
from facegen.generate.request import DatasetRequest, GenerateOptions, GenerateRequest
from facegen.jobs import Run
from facegen.jobs.files import map_paths
from facegen.swap.options import SwapOptions
from facegen.swap.request import SwapRequest, SwapTrainRequest
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest, TalkTrainRequest
from facegen.training.info import TASK_MODELS
from facegen.training.request import TrainRequest
from facegen.training.settings import TrainSettings
from facegen.ui import hosts
from facegen.ui.examples import FILES
from facegen.ui.profile import PROFILES, Profile
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.generate.faces import FaceEditor, FaceSpec

MINE = Visitor("mine")


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return Services(Profile(shared=True))


def requests(path: str) -> dict[str, Any]:
    """A request of every job with `path` in one of its fields, by job and field."""
    merge = f"mask=own, own_mask={path}"
    two: dict[str, Any] = {"person_a": ("",), "person_b": ("",), "target": "t"}
    train: dict[str, Any] = {"task": "saehd", "settings": TrainSettings(), "task_settings": {}}
    given = {
        "swap sources": SwapRequest(sources=(path,), target="", output=""),
        "swap people": SwapRequest(people={0: (path,)}, target="", output=""),
        "swap target": SwapRequest(sources=("",), target=path, output=""),
        "swap output": SwapRequest(sources=("",), target="", output=path),
        "swap dfm": SwapRequest(target="", output="", options=SwapOptions(engine=f"dfm:{path}")),
        "swap autoencoder": SwapRequest(target="", output="", options=SwapOptions(engine=f"autoencoder:{path}")),
        "swap merge": SwapRequest(sources=("",), target="", output="", options=SwapOptions(merge=merge)),
        "swap-train person_a": SwapTrainRequest(**{**two, "target": "", "person_a": (path,)} | {"target": path}),
        "swap-train changes": SwapTrainRequest(**two, changes=("steps=1", f"task . start_from = {path}")),
        "swap-train merge": SwapTrainRequest(**two, merge=merge),
        "generate edit": GenerateRequest(output=path),
        "dataset photographs": DatasetRequest(photographs=path, output=""),
        "dataset labels": DatasetRequest(photographs="", output="", labels=path),
        "talk portrait": TalkRequest(portrait=path, audio="", output=""),
        "talk audio": TalkRequest(portrait="p", audio=path, output=""),
        "talk driving": TalkRequest(portrait="p", audio="", output="", driving=path),
        "talk engine": TalkRequest(portrait="p", audio="", output="", options=TalkOptions(engine=f"dfrf:{path}")),
        "talk motion": TalkRequest(portrait="p", audio="", output="", options=TalkOptions(motion=path)),
        "talk-train video": TalkTrainRequest(video=path),
        "talk-train changes": TalkTrainRequest(video="", changes=(f"task.start={path}",)),
        "faceset-extract inputs": ExtractRequest(inputs=(path,), output=""),
        "faceset-extract output": ExtractRequest(inputs=("",), output=path),
        "train data": TrainRequest(**train, data=path),
    }
    for name in TASK_MODELS["settings"]:
        if not name.startswith("task."):
            given[f"train {name}"] = TrainRequest(**{**train, "task_settings": {name: path}})
    return given


def test_requests_of_every_job_are_tried() -> None:
    assert {name.split()[0] for name in requests("/x")} == {job.name for job in JOBS}


def _foreign(services: Services, tmp_path: Path) -> list[str]:
    """Paths that exist and are not the visitor's, and some that are nowhere."""
    other = Visitor("other")
    run = Run.create("train", {}, owner=other.mark)
    upload = services.visitor_folder(other) / "face.jpg"
    data = services.data_folder(other)
    data.mkdir(parents=True)
    (data / "a.jpg").write_bytes(b"1")
    upload.write_bytes(b"1")
    (tmp_path / "secret.dfm").write_bytes(b"1")
    link = services.visitor_folder(MINE) / "link"
    link.symlink_to(tmp_path / "secret.dfm")
    own = services.visitor_folder(MINE)
    return [
        "/etc/passwd", "/dev/zero", "/proc/self/environ", "/no/such/file", "../../../etc/passwd", "~/.ssh/id_rsa",
        "http://example.org/a.dfm", "file:///etc/passwd", str(tmp_path / "secret.dfm"), str(run.path), run.name,
        str(upload), str(data), str(data / "a.jpg"), str(link), f"{own}/../../../secret.dfm", str(services.folder), "..", ".",
        os.path.relpath(tmp_path / "secret.dfm"), f"{run.path}/../../weights", "a\0b", "saehd-nobody",
    ]  # fmt: skip


def test_nothing_of_the_machine_or_of_others_is_reached(services: Services, tmp_path: Path) -> None:
    for path in _foreign(services, tmp_path):
        said = set()
        for name, request in requests(path).items():
            if not any(path in found for found in _paths(request)):
                continue  # a comma or a blank ended it before
            with pytest.raises(FacegenError) as caught:
                services.admit(MINE, request)
            assert str(tmp_path) not in str(caught.value).replace(path, ""), name
            said.add(type(caught.value))
        assert said == {InputError}


def _paths(request: Any) -> list[str]:
    found: list[str] = []
    map_paths(request, lambda path, _role: found.append(path) or path)
    return [*found, ""]


def test_what_is_the_visitors_own_is_reached(services: Services) -> None:
    run = Run.create("train", {}, owner=MINE.mark)
    upload = services.folder / "0123abcd" / "face.jpg"
    upload.parent.mkdir(parents=True)
    upload.write_bytes((FILES / "ada.jpg").read_bytes())
    for path in (str(upload), str(services.visitor_folder(MINE) / "faces"), str(services.examples.file("ada.jpg"))):
        assert services.admit(MINE, SwapRequest(sources=(path,), target=path, output="")).target == path
    options = SwapOptions(engine=f"autoencoder:{run.name}", merge=f"mode=seamless, own_mask={run.name}, blur=3")
    admitted = services.admit(MINE, SwapRequest(target=str(upload), output="", options=options)).options
    assert admitted.engine == f"autoencoder:{run.path}"
    assert admitted.merge == f"mode=seamless, own_mask={run.path}, blur=3"
    again = services.admit(MINE, SwapRequest(target=str(upload), output="", options=admitted)).options
    assert again == admitted


def test_an_upload_that_cannot_be_opened_is_refused_before_the_studio_opens_it(services: Services) -> None:
    upload = services.folder / "0123abcd" / "clip.mp4"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"no video")
    with pytest.raises(InputError, match="Expected"):
        services.admit(MINE, SwapRequest(target=str(upload), output=""))


def test_one_request_does_not_hold_up_everybodys_faces(services: Services) -> None:
    face = FaceSpec(options=GenerateOptions(best_of=2))
    with pytest.raises(InputError, match="at most 100 faces at once"):
        FaceEditor(services.models).write(services, MINE, face, count=51)


PLAIN = {
    "swap": {"options.merge", "options.enhance", "options.masks", "options.when_no_face", "options.frame_chain", "options.background",
             "options.sliders"},
    "swap-train": {"preset"}, "talk-train": {"preset"},
    "generate": {"sweep", "given", "more", "options.expression"}, "dataset": {"keep"}, "train": {"task", "preset", "search"},
}  # fmt: skip
"""Fields of requests that hold text and never a path."""


def _text_fields(cls: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            yield from _text_fields(hint, f"{prefix}{item.name}.")
        elif (hint is str or str in typing.get_args(hint)) and not {"file", "choices"} & item.metadata.keys():
            yield prefix + item.name, item


def test_every_text_of_a_request_is_declared_as_a_path_or_known_to_be_none() -> None:
    known_elsewhere = {"settings.device", "options.only", "options.order"}
    for job in JOBS:
        undecided = {name for name, _ in _text_fields(job.request)} - PLAIN.get(job.name, set()) - known_elsewhere
        assert not undecided, f"{job.name}: is {undecided} a path? Say so with INPUT, OUTPUT, model_of or settings_of."


def test_every_text_setting_of_a_task_is_a_model_or_known_to_be_none() -> None:
    plain = {"architecture", "timm_encoder", "held_back", "optimiser", "prior"}
    for info in TASKS:
        names = {name.rsplit(".", 1)[-1] for name, _ in _text_fields(info.load())}
        undecided = names - set(TASK_MODELS["settings"]) - plain
        assert not undecided, f"{info.name}: is {undecided} a run or a folder? Then add it to TASK_MODELS."


def _client(**settings: Any) -> TestClient:
    routes = [Route("/", lambda _: PlainTextResponse("page"), methods=["GET", "POST"])]
    app = Starlette(routes=routes, middleware=hosts.middleware(Profile(**settings)))
    return TestClient(app, base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:7860"}, 200),
        ({"host": "[::1]:7860"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:7860"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://127.0.0.1:7860"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"host": "evil.example:7860", "origin": "http://evil.example:7860"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
    ],
)
@pytest.mark.parametrize("shared", [False, True])
def test_pages_of_other_sites_get_nothing(headers: dict[str, str], status: int, shared: bool) -> None:
    client = _client(shared=shared, host="127.0.0.1")
    assert client.get("/", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "studio.example", "origin": "https://studio.example"}, 200),
        ({"host": "studio.example"}, 200),
        ({"host": "studio.example", "origin": "https://evil.example"}, 403),
        ({"host": "studio.example", "origin": "null", "sec-fetch-site": "cross-site"}, 403),
        ({"host": "10.0.0.7:7860", "origin": "https://studio.example", "sec-fetch-site": "same-origin"}, 200),
        ({"host": "10.0.0.7", "origin": "http://studio.example", "x-forwarded-host": "studio.example"}, 200),
        ({"host": "10.0.0.7", "origin": "http://evil.example", "sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
    ],
)
def test_a_studio_that_others_reach_answers_to_its_names_and_to_no_other_sites(
    headers: dict[str, str], status: int
) -> None:
    assert _client(shared=True, host="0.0.0.0").get("/", headers=headers).status_code == status


def test_a_space_lets_every_page_in() -> None:
    other = {"host": "faces.hf.space", "origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
    app = Starlette(
        routes=[Route("/", lambda _: PlainTextResponse("page"))], middleware=hosts.middleware(PROFILES["space"])
    )
    assert TestClient(app).get("/", headers=other).status_code == 200


def test_hosts_are_named_by_the_profile_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    named, other = {"host": "studio.example", "origin": "https://studio.example"}, {"host": "evil.example"}
    by_profile = _client(shared=True, host="0.0.0.0", hosts=("Studio.example",))
    monkeypatch.setenv("FACEGEN_HOSTS", "studio.example")
    for client in (by_profile, _client(shared=True, host="0.0.0.0"), _client()):
        assert client.get("/", headers=named).status_code == 200
        assert client.get("/", headers=other).status_code == 403
