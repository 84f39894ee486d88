"""A visitor is known across visits, nobody takes all, and what a killed studio left is swept."""

import asyncio
import concurrent.futures
import time
from pathlib import Path
from typing import Any

import pytest

from facegen.jobs import Run, RunStatus
from facegen.jobs.queue import order_turns
from facegen.system import lock_file
from facegen.ui import visitors
from facegen.ui.profile import Profile
from facegen.ui.services import Services, Visitor
from facegen.ui.studio import FOLDER_LOCK, FOLDER_PREFIX, sweep_orphans

PROFILE = Profile(shared=True, events_per_visitor=2, uploads_per_visitor_mb=3, upload_files_per_visitor=3)


def answer(
    method: str, path: str, *, headers: dict[str, str] | None = None, waiting: int = 0, shares: Any = None
) -> dict[str, Any]:
    """What a client gets; the studio behind it answers 200."""

    async def studio(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    layer = shares or visitors._Shares(studio, PROFILE, lambda _address: waiting)
    scope = {
        "type": "http", "method": method, "path": path, "client": ("203.0.113.5", 1), "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(layer(scope, receive, send))
    return {**sent[0], "headers": dict(sent[0]["headers"])}


def test_a_browser_gets_a_cookie_once_and_is_known_by_it() -> None:
    cookie = answer("GET", "/")["headers"][b"set-cookie"].decode()
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    value = cookie.partition("=")[2].partition(";")[0]
    assert b"set-cookie" not in answer("GET", "/", headers={"cookie": f"{visitors.COOKIE}={value}"})["headers"]
    assert b"set-cookie" not in answer("GET", "/config")["headers"]
    first, second = (visitors.recognise(Visitor(), {visitors.COOKIE: value}) for _ in range(2))
    assert first.mark == second.mark
    stranger = Visitor()
    assert visitors.recognise(stranger, {visitors.COOKIE: "../../etc"}) is stranger


def test_a_page_in_a_frame_of_another_site_gets_its_cookie_over_https() -> None:
    cookie = answer("GET", "/", headers={"x-forwarded-proto": "https"})["headers"][b"set-cookie"]
    assert b"SameSite=None; Secure; Partitioned" in cookie


@pytest.mark.parametrize(("waiting", "status"), [(1, 200), (2, 429)])
@pytest.mark.parametrize("door", ["queue/join", "call/generate", "call/v2/generate", "run/generate", "api/generate/"])
def test_one_address_does_not_fill_the_queue(door: str, waiting: int, status: int) -> None:
    headers = {"content-length": "100"}
    assert answer("POST", f"/gradio_api/{door}", waiting=waiting, headers=headers)["status"] == status


def test_what_comes_at_the_same_moment_counts_too() -> None:
    seen = []

    profile = Profile(shared=True, events_per_visitor=1)
    shares: Any = visitors._Shares(_accept, profile, lambda _address: 0)
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/call/runs", "client": ("203.0.113.5", 1)}

    async def nothing(_message: Any = None) -> Any:
        return {}

    async def first() -> None:
        await shares({**scope, "headers": [(b"content-length", b"9")]}, nothing, nothing)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        async def inside(scope: Any, receive: Any, send: Any) -> None:
            status = pool.submit(answer, "POST", scope["path"], headers={"content-length": "9"}, shares=shares).result()
            seen.append(status["status"])

        shares.app = inside
        asyncio.run(first())
    assert seen == [429]
    assert not shares._arriving["203.0.113.5"]


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        ("queue/join", "16000000", 200),
        ("queue/join", "200000000", 413),
        ("component_server", "200000000", 413),
        ("call/generate", "", 413),
        ("cancel", "50", 200),
        ("process_recording", "50", 404),
        ("vibe-edit", "50", 404),
        ("stream/abc", "50", 404),
    ],
)
def test_what_is_sent_is_bounded_and_known(path: str, length: str, status: int) -> None:
    headers = {"content-length": length} if length else {}
    assert answer("POST", f"/gradio_api/{path}", headers=headers)["status"] == status


def test_uploads_of_one_address_are_counted() -> None:
    shares = visitors._Shares(_accept, PROFILE, lambda _address: 0)
    sizes = (1_000_000, 2_500_000, 1_000_000, 500_000, 10)
    said = [
        answer("POST", "/gradio_api/upload", headers={"content-length": str(size)}, shares=shares)["status"]
        for size in sizes
    ]
    assert said == [200, 429, 200, 200, 429]
    assert answer("POST", "/gradio_api/upload", shares=shares)["status"] == 429


async def _accept(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [("203.0.113.5", "", "203.0.113.5"), ("8.8.8.8", "1.2.3.4", "8.8.8.8"), ("10.0.0.7", "6.6.6.6, 1.2.3.4", "1.2.3.4")],
)  # fmt: skip
def test_only_a_proxy_of_this_network_says_whom_it_speaks_for(client: str, forwarded: str, address: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert visitors.address_of({"type": "http", "client": (client, 1), "headers": headers}) == address


def test_turns_are_fair_between_visitors(tmp_path: Path) -> None:
    asked = (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c"), ("b2", "b"))
    runs = {name: Run.create("swap", {}, owner=owner, root=tmp_path) for name, owner in asked}
    standing = [
        (runs[name], RunStatus(state="running" if name == "a1" else "queued", is_enqueued=True, updated=float(index)))
        for index, (name, _) in enumerate(asked)
    ]
    names = {run.name: name for name, run in runs.items()}
    assert [names[run.name] for run in order_turns(standing)] == ["b1", "c1", "a2", "b2", "a3"]


def test_a_visit_is_forgotten_with_its_last_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    services, visitor = Services(PROFILE), Visitor()
    services.begin_visit(visitor)
    services.begin_visit(visitor)
    folder = services.visitor_folder(visitor)
    services.end_visit(visitor)
    assert folder.is_dir()
    services.end_visit(visitor)
    assert not folder.exists()


def test_everything_of_a_visitor_is_deleted_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    services, mine, other = Services(PROFILE), Visitor(), Visitor()
    for visitor in (mine, mine, other):
        Run.create("swap", {}, owner=visitor.mark)
    data = services.data_folder(mine)
    data.mkdir(parents=True)
    kept = services.visitor_folder(other)
    services.delete_everything(mine)
    assert services.runs(mine) == []
    assert len(services.runs(other)) == 1
    assert not data.exists()
    assert kept.is_dir()


def test_models_that_nobody_uses_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    services = Services(PROFILE)
    services.models.get(list, "model")
    services._unload_idle()
    assert services.models.is_loaded("model")
    monkeypatch.setattr("facegen.jobs.pipeline.time.monotonic", lambda now=time.monotonic: now() + 31 * 60)
    services._unload_idle()
    assert not services.models.is_loaded("model")
    assert services.models.idle_seconds == 0


def test_what_a_killed_studio_left_is_swept(tmp_path: Path) -> None:
    dead, alive, young = (tmp_path / f"{FOLDER_PREFIX}{name}" for name in ("dead", "alive", "young"))
    for folder in (dead, alive, young):
        folder.mkdir()
    lock_file(dead / FOLDER_LOCK)()
    release = lock_file(alive / FOLDER_LOCK)
    sweep_orphans(tmp_path)
    assert [folder.exists() for folder in (dead, alive, young)] == [False, True, True]
    release()


def test_old_data_of_visitors_goes_with_the_time_of_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    services, visitor = Services(PROFILE), Visitor()
    data = services.data_folder(visitor)
    data.mkdir(parents=True)
    services._delete_old_data(3600)
    assert data.is_dir()
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 7200)
    services._delete_old_data(3600)
    assert not data.exists()
