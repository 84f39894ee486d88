"""The Models tab and its downloads, with files of a small Hub in the catalog."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from facegen import catalog, hub
from facegen.hub import Hub, WeightFile
from facegen.ui import missing
from facegen.ui.downloads import Downloads
from facegen.ui.profile import PROFILES
from facegen.ui.services import Services
from facegen.ui.tabs import models
from tests.small_hub import COMMIT, SmallHub, hub_with, make_weights

CONTENT = bytes(range(256)) * (4 << 12)


FREE, STRICT = make_weights(CONTENT)


@pytest.fixture
def small_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SmallHub]:
    others = [weight for weight in catalog.WEIGHTS if not isinstance(weight.source, Hub)]
    monkeypatch.setattr(catalog, "WEIGHTS", (*others, FREE, STRICT))
    with hub_with((FREE, STRICT), CONTENT, monkeypatch, tmp_path) as server:
        yield server


def wait_until_ended(downloads: Downloads, one: WeightFile) -> None:
    for _ in range(1000):
        download = downloads.get(one)
        if download is not None and not download.is_active:
            return
        time.sleep(0.01)
    raise AssertionError(f"{one.name} goes on and on")


def test_a_download_is_stopped_and_taken_up_again(small_hub: SmallHub) -> None:
    renewed = list[bool]()
    downloads = Downloads(lambda: renewed.append(True))
    small_hub.gate = threading.Event()
    downloads.start((FREE,))
    downloads.start((FREE,))
    download = downloads.get(FREE)
    assert download is not None
    for _ in range(1000):
        if download.transfer.done >= 2 << 20:
            break
        time.sleep(0.01)
    download.cancel()
    small_hub.gate.set()
    wait_until_ended(downloads, FREE)
    assert download.error == "Cancelled."
    assert hub.state_of(FREE) == "partial"
    small_hub.gate = None
    downloads.start((FREE,))
    wait_until_ended(downloads, FREE)
    assert hub.is_present(FREE)
    assert small_hub.requests[-1][2] == f"bytes={2 << 20}-"
    assert downloads.is_recent()
    downloads.close()
    assert renewed == [True, True]


def test_a_refusal_is_kept_for_the_page(small_hub: SmallHub) -> None:
    small_hub.files.clear()
    services = Services(PROFILES["own"])
    services.downloads.start((FREE, STRICT))
    for one, reason in ((FREE, "found nothing there"), (STRICT, "not accepted yet")):
        wait_until_ended(services.downloads, one)
        assert reason in models._state(services, one)
    services.close()


def test_several_files_end_in_one_sentence(small_hub: SmallHub) -> None:
    downloads = Downloads(lambda: None)
    hub.remember_licence(STRICT)
    small_hub.gate = threading.Event()
    downloads.start((FREE, STRICT))
    assert downloads.describe_batch() == "0 of 2 files fetched; the others are on their way."
    small_hub.gate.set()
    for one in (FREE, STRICT):
        wait_until_ended(downloads, one)
    assert downloads.describe_batch() == "All 2 files are fetched."
    hub.remove(FREE)
    hub.remove(STRICT)
    small_hub.files.pop(f"somebody/models/{STRICT.filename}")
    downloads.start((FREE, STRICT))
    for one in (FREE, STRICT):
        wait_until_ended(downloads, one)
    assert downloads.describe_batch().startswith("1 of 2 files fetched. Expected the model strict")
    downloads.start((STRICT,))
    wait_until_ended(downloads, STRICT)
    assert downloads.describe_batch() == ""
    downloads.close()


def test_the_list_offers_what_can_be_done() -> None:
    own, shared = Services(PROFILES["own"]), Services(PROFILES["shared"])
    assert 'data-act="fetch"' in models._state(own, FREE)
    assert "data-act" not in models._state(shared, FREE)
    assert "data-act" not in models._state(own, catalog.find_weight("parser"))
    assert "https://spdx.org/licenses/MIT.html" in missing.licence(FREE)
    assert "Its author allows research alone." in missing.licence(STRICT)
    assert COMMIT[:8] in models._origin(FREE)
    for services in (own, shared):
        services.close()
