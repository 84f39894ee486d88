"""Three sources of weights, and a small Hub on 127.0.0.1 that is present, missing, cut short, wrong or gone."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from facegen import hub
from facegen.errors import Cancelled, InputError, ResourceError, WeightsError
from facegen.hub import MAIN, Bundled, Hub, Package, WeightFile
from tests.small_hub import COMMIT, SmallHub, running_hub

CONTENT = bytes(range(256)) * 64
CONTENT_BYTES = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def small_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SmallHub]:
    with running_hub() as server:
        server.files["somebody/model/nets/model.safetensors"] = CONTENT
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "no-cache"))
        yield server


def hub_file(**changes: Any) -> WeightFile:
    weight = WeightFile(
        name="model",
        source=Hub("somebody/model", COMMIT),
        filename="nets/model.safetensors",
        sha256=SHA256,
        size=len(CONTENT),
        licence="MIT",
        card="https://huggingface.co/somebody/model",
        purpose="does something",
        jobs=("swap",),
    )
    return dataclasses.replace(weight, **changes)


def kept_files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "weights").rglob("*.safetensors"))


def test_hub_file_is_downloaded_checked_and_kept(small_hub: SmallHub, facegen_home: Path) -> None:
    weight = hub_file()
    assert not hub.is_present(weight)
    path = hub.fetch(weight)
    assert path.read_bytes() == CONTENT
    assert facegen_home in path.parents
    assert hub.is_present(weight)
    assert hub.fetch(weight) == path
    assert small_hub.downloads == 1


def test_kept_file_needs_no_hub(small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hub.fetch(hub_file())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.fetch(hub_file()) == path


@pytest.mark.parametrize("is_small", [False, True], ids=["large-file", "git"])
def test_unknown_digest_is_taken_from_the_hub_and_held(small_hub: SmallHub, facegen_home: Path, is_small: bool) -> None:
    if is_small:
        small_hub.small_files.add("somebody/model/nets/model.safetensors")
    weight = hub_file(sha256=None, size=None)
    path = hub.fetch(weight)
    lock = json.loads((facegen_home / "weights" / "lock.json").read_text())
    assert [entry["sha256"] for entry in lock.values()] == [SHA256]
    path.unlink()
    small_hub.files["somebody/model/nets/model.safetensors"] = CONTENT[::-1]
    with pytest.raises(WeightsError, match="digest"):
        hub.fetch(weight)
    assert kept_files(facegen_home) == []


def test_changed_file_is_fetched_again(small_hub: SmallHub) -> None:
    path = hub.fetch(hub_file())
    path.write_bytes(b"something else")
    assert hub.fetch(hub_file()).read_bytes() == CONTENT
    assert small_hub.downloads == 2


def test_wrong_bytes_are_asked_for_once_more(small_hub: SmallHub) -> None:
    small_hub.wrong_answers = 1
    assert hub.fetch(hub_file()).read_bytes() == CONTENT
    assert small_hub.downloads == 2


def test_wrong_bytes_twice_are_refused_and_removed(small_hub: SmallHub, facegen_home: Path) -> None:
    small_hub.wrong_answers = 2
    with pytest.raises(WeightsError, match=f"SHA-256|{SHA256}"):
        hub.fetch(hub_file())
    assert kept_files(facegen_home) == []


def large_file(small_hub: SmallHub, **changes: Any) -> WeightFile:
    """A file of several of the pieces of 1 MiB in which downloads are written and counted."""
    content = bytes(range(256)) * (4 << 12)
    small_hub.files["somebody/model/nets/model.safetensors"] = content
    return hub_file(sha256=hashlib.sha256(content).hexdigest(), size=len(content), **changes)


def ranges(small_hub: SmallHub) -> list[str | None]:
    return [asked for method, _, asked in small_hub.requests if method == "GET"]


def test_broken_connection_is_resumed_where_it_broke(small_hub: SmallHub) -> None:
    weight = large_file(small_hub)
    small_hub.broken_answers = 1
    assert hub.fetch(weight).stat().st_size == weight.size
    assert ranges(small_hub) == [None, f"bytes={2 << 20}-"]


def test_short_file_is_refused_and_never_taken_for_whole(small_hub: SmallHub, facegen_home: Path) -> None:
    small_hub.sends_half = True
    with pytest.raises(WeightsError, match="cut short"):
        hub.fetch(hub_file())
    assert kept_files(facegen_home) == []
    assert hub.state_of(hub_file()) == "partial"
    small_hub.sends_half = False
    assert hub.fetch(hub_file()).read_bytes() == CONTENT
    assert not list((facegen_home / "weights").rglob("*.part"))


def test_what_was_stopped_is_taken_up_where_it_stopped(small_hub: SmallHub) -> None:
    weight, seen = large_file(small_hub), list[int]()

    def stop(done: int, total: int | None) -> None:
        assert total == weight.size
        seen.append(done)
        if done >= 3 << 20:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        hub.fetch(weight, on_bytes=stop)
    assert not hub.is_present(weight)
    assert hub.partial_bytes(weight) == seen[-2] == 2 << 20
    hub.fetch(weight, on_bytes=lambda done, total: seen.append(done))
    assert ranges(small_hub)[-1] == f"bytes={2 << 20}-"
    assert seen[-3:] == [2 << 20, 3 << 20, 4 << 20]


def test_those_who_ask_at_once_share_a_download(small_hub: SmallHub) -> None:
    gate = small_hub.gate = threading.Event()
    weight = large_file(small_hub)
    half, waited, paths = threading.Event(), list[int](), list[Path]()

    def first(done: int, total: int | None) -> None:
        if done >= 2 << 20:
            half.set()

    def second(done: int, total: int | None) -> None:
        waited.append(done)
        if done:
            gate.set()

    threads = [threading.Thread(target=lambda: paths.append(hub.fetch(weight, on_bytes=first)))]
    threads[0].start()
    assert half.wait(10)
    threads.append(threading.Thread(target=lambda: paths.append(hub.fetch(weight, on_bytes=second))))
    threads[1].start()
    for thread in threads:
        thread.join(20)
    assert paths == [hub.locate(weight)] * 2
    assert small_hub.downloads == 1
    assert waited[0] > 0


def test_a_hub_out_of_order_is_asked_again(small_hub: SmallHub) -> None:
    small_hub.failing_answers = 1
    assert hub.fetch(hub_file()).read_bytes() == CONTENT


def test_a_hub_that_stays_out_of_order_is_one_sentence(small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    small_hub.failing_answers = 100
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(WeightsError, match="status 503; try again later"):
        hub.fetch(hub_file())


def test_a_full_disk_is_noticed_before_the_download(small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=CONTENT_BYTES // 2))
    with pytest.raises(ResourceError, match="MB of free disk"):
        hub.fetch(hub_file())
    assert small_hub.downloads == 0


def test_a_disk_that_fills_up_gets_its_room_back(small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(done: int, total: int | None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ResourceError, match="No space left"):
        hub.fetch(hub_file(), on_bytes=fill)
    assert hub.state_of(hub_file()) == "absent"


def test_a_token_goes_to_the_hub_and_not_to_where_its_files_lie(
    small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_hub.token = "hf_secret"
    with pytest.raises(WeightsError, match="hf auth login"):
        hub.fetch(hub_file())
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with running_hub() as storage:
        storage.files.update(small_hub.files)
        small_hub.redirects_to = storage.endpoint.replace("127.0.0.1", "localhost")
        assert hub.fetch(hub_file()).read_bytes() == CONTENT
        assert storage.downloads == 1
        assert set(storage.tokens) == {None}


def hub_cache(folder: Path, content: bytes, revision: str = COMMIT) -> Path:
    """A cache as the Hub's own library lays it out, with one file; returns its blob."""
    repository = folder / "hub" / "models--somebody--model"
    blob = repository / "blobs" / hashlib.sha256(CONTENT).hexdigest()
    shown = repository / "snapshots" / COMMIT / "nets" / "model.safetensors"
    for path in (blob, shown, repository / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    shown.symlink_to(blob)
    (repository / "refs" / "main").write_text(COMMIT)
    return blob


@pytest.mark.parametrize("sha256", [SHA256, None], ids=["known", "unknown"])
@pytest.mark.parametrize("revision", [COMMIT, MAIN])
def test_what_lies_in_the_hubs_own_cache_is_not_downloaded_again(
    small_hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sha256: str | None, revision: str
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    blob = hub_cache(tmp_path / "hf", CONTENT)
    weight = hub_file(sha256=sha256, source=Hub("somebody/model", revision))
    assert hub.is_present(weight)
    path = hub.fetch(weight)
    assert path.samefile(blob)
    assert small_hub.requests == []
    assert hub.verify(weight) == ""
    assert hub.remove(weight) == 0
    assert blob.read_bytes() == CONTENT


def test_a_cache_with_wrong_bytes_is_left_alone(
    small_hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub_cache(tmp_path / "hf", CONTENT[::-1])
    assert hub.fetch(hub_file()).read_bytes() == CONTENT
    assert small_hub.downloads == 1


def test_a_file_is_verified_and_removed(small_hub: SmallHub) -> None:
    weight = hub_file()
    assert hub.verify(weight) == ""
    path = hub.fetch(weight)
    assert hub.verify(weight) == ""
    stamp = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "run: facegen weights fetch model" in hub.verify(weight)
    assert hub.remove(weight) == len(CONTENT)
    assert hub.state_of(weight) == "absent"
    with pytest.raises(InputError, match="came with the installation"):
        hub.remove(hub_file(source=Package("typer"), filename="typer/py.typed"))


@pytest.mark.parametrize(
    "changes",
    [
        {"filename": "nets/other.safetensors"},
        {"source": Hub("somebody/other", COMMIT)},
        {"source": Hub("somebody/model", "f" * 40)},
    ],
    ids=["file", "repository", "revision"],
)
def test_missing_on_the_hub(small_hub: SmallHub, changes: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="found nothing there"):
        hub.fetch(hub_file(**changes))


def test_gated_repository_says_how_to_be_let_in(small_hub: SmallHub) -> None:
    small_hub.gated.add("somebody/model")
    with pytest.raises(WeightsError, match="hf auth login"):
        hub.fetch(hub_file())


def test_offline_switch_is_honoured(small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        hub.fetch(hub_file())
    assert small_hub.requests == []


def test_no_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with running_hub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.endpoint)
    with pytest.raises(WeightsError, match="Cannot reach"):
        hub.fetch(hub_file())


def test_licence_is_accepted_once_by_name(small_hub: SmallHub, facegen_home: Path) -> None:
    weight = hub_file(licence="research only")
    with pytest.raises(WeightsError, match="facegen weights accept model"):
        hub.fetch(weight)
    assert small_hub.requests == []
    hub.fetch(weight, accept_licence=True)
    assert hub.is_accepted(weight)
    hub.fetch(weight)
    assert not hub.is_accepted(dataclasses.replace(weight, licence="research only, new wording"))


def test_nothing_but_the_file_is_asked_of_the_hub(small_hub: SmallHub) -> None:
    hub.fetch(hub_file())
    assert {path for _, path, _ in small_hub.requests} == {f"/somebody/model/resolve/{COMMIT}/nets/model.safetensors"}


def test_home_that_cannot_be_written(small_hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("FACEGEN_HOME", str(tmp_path / "a-file"))
    with pytest.raises(ResourceError, match="FACEGEN_HOME"):
        hub.fetch(hub_file())


def test_package_source() -> None:
    weight = hub_file(
        source=Package("typer"), filename="typer/py.typed", sha256=hashlib.sha256(b"").hexdigest(), size=0
    )
    assert hub.is_present(weight)
    assert os.fspath(hub.fetch(weight)).endswith("typer/py.typed")
    with pytest.raises(WeightsError, match="changed or cut short"):
        hub.fetch(dataclasses.replace(weight, sha256=SHA256))
    with pytest.raises(WeightsError, match="found no file"):
        hub.fetch(dataclasses.replace(weight, filename="typer/gone"))
    missing = dataclasses.replace(weight, source=Package("no-such-package"))
    assert not hub.is_present(missing)
    with pytest.raises(WeightsError, match="not installed"):
        hub.fetch(missing)


def test_bundled_source_that_is_missing() -> None:
    weight = hub_file(source=Bundled(), filename="nowhere/model.safetensors", licence="research only")
    assert not hub.is_present(weight)
    assert not weight.needs_acceptance
    with pytest.raises(WeightsError, match="restore it from the repository"):
        hub.fetch(weight)


def test_an_own_file_takes_a_place_and_gives_it_back(tmp_path: Path) -> None:
    from facegen.catalog import find_weight

    weight, own = find_weight("parser"), tmp_path / "mine.safetensors"
    with pytest.raises(InputError, match="found none"):
        hub.use_custom(weight, own)
    own.write_bytes(b"no model")
    with pytest.raises(InputError, match=r"Expected a \.safetensors file of a model"):
        hub.use_custom(weight, own)
    picture = tmp_path / "mine.jpg"
    picture.write_bytes(b"a picture")
    with pytest.raises(InputError, match=r"found mine\.jpg"):
        hub.use_custom(weight, picture)
    mine = (2).to_bytes(8, "little") + b"{}"  # a safetensors file of no tensors
    own.write_bytes(mine)
    assert hub.use_custom(weight, own, origin="a test").read_bytes() == mine
    own.unlink()
    assert hub.fetch(weight).read_bytes() == mine
    assert hub.is_present(weight)
    assert hub.custom_file(weight).origin == "a test"
    hub.use_default(weight)
    assert hub.fetch(weight) == hub.locate(weight)
    assert hub.custom_file(weight) is None
