"""Several targets for one face: a run each, what cannot be done in a sentence, and a retry."""

from pathlib import Path

import numpy as np
import pytest

from facegen import media
from facegen.errors import InputError
from facegen.jobs import list_runs
from facegen.swap.request import SwapRequest
from facegen.ui.examples import FILES
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import batch, requests


def test_each_target_has_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services, visitor = Services(), Visitor()
    monkeypatch.setattr(services, "start_next", lambda: None)
    request = SwapRequest(sources=(str(FILES / "ada.jpg"),), target=str(FILES / "bea.jpg"), output="")
    run = services.start(visitor, batch.SWAP, request)
    rows = [(str(FILES / "bea.jpg"), run.name, ""), (str(tmp_path / "a<b>.mp4"), "", "Expected a video, found none.")]
    table = batch._table(services, visitor, rows)
    assert 'data-state="queued"' in table
    assert 'data-state="refused"' in table
    assert "a&lt;b&gt;.mp4" in table
    assert "Expected a video" in table
    assert batch._results(services, visitor, rows) == []
    summary = Path(batch._summary(services, visitor, rows)).read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[2] for line in summary] == ["state", "queued", "refused"]
    run.delete()
    assert 'data-state="deleted"' in batch._table(services, visitor, rows)
    assert list_runs() == []


def test_two_people_and_hard_light_among_the_sources_are_noticed(tmp_path: Path) -> None:
    services = Services()
    ada, carl = str(FILES / "ada.jpg"), str(FILES / "carl.jpg")
    assert requests.describe_sources(services, [ada]) == ""
    assert requests.describe_sources(services, [ada, ada]) == ""
    assert "two people" in requests.describe_sources(services, [ada, carl])
    image_rgb = media.read_picture(ada).astype(np.float32)
    image_rgb[:, : image_rgb.shape[1] // 2] *= 0.1
    media.write_picture(tmp_path / "shadow.png", image_rgb.astype(np.uint8))
    assert "lit hard" in requests.describe_sources(services, [str(tmp_path / "shadow.png")])


def test_an_example_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError):
        Services().examples.file("")
