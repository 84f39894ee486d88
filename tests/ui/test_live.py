"""The Live tab: nobody waits for its models, its frames stay off the disk, a refusal is said once."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from facegen import media
from facegen.errors import NoFaceError
from facegen.ui.examples import FILES
from facegen.ui.handlers import Shell
from facegen.ui.missing import HubOptions
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs import live
from tests.factories import gradient_rgb

SOURCE = str(FILES / "ada.jpg")


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    return Services()


def frame_handler(services: Services) -> Any:
    """What the camera's stream calls."""
    with gr.Blocks() as page:
        live.build(services, Shell(visitor=gr.State(Visitor()), consent=gr.Checkbox(), hub_options=HubOptions()))
    return next(function.fn for function in page.fns.values() if function.fn and "swap_frame" in function.fn.__name__)


def test_the_models_are_said_to_load_until_the_first_frame(services: Services) -> None:
    visitor, frame = Visitor(), (FILES / "bea.jpg").read_bytes()
    handle = frame_handler(services)
    words, picture, seen = handle(visitor, True, SOURCE, frame, live.Seen())
    assert "being loaded" in words
    assert picture == gr.skip()
    live_swaps = next(
        cell.cell_contents for cell in handle.__closure__ if isinstance(cell.cell_contents, live.LiveSwaps)
    )
    live_swaps.prepare(visitor, SOURCE).result(60)
    _, picture, seen = handle(visitor, True, SOURCE, frame, seen)
    assert picture.shape[2] == 3
    assert (seen.count, len(seen.times)) == (1, 1)
    assert not any((services.visitor_folder(visitor) / "camera").iterdir())


def test_no_frame_is_written(services: Services, tmp_path: Path) -> None:
    with gr.Blocks():
        shown = live.frame_image(gradient_rgb(48, 64, 0.2))
    before = list((tmp_path / "shown").rglob("*"))
    sent = shown.postprocess(gradient_rgb(48, 64, 0.5))
    assert sent.url.startswith("data:image/jpeg;base64,")
    assert sent.path is None
    assert list((tmp_path / "shown").rglob("*")) == before


def test_a_refusal_is_said_once(services: Services) -> None:
    handle, frame = frame_handler(services), (FILES / "bea.jpg").read_bytes()
    words, _, seen = handle(Visitor(), False, SOURCE, frame, live.Seen())
    assert 'data-needs="consent"' in words
    words, _, seen = handle(Visitor(), False, SOURCE, frame, seen)
    assert words == gr.skip()
    words, _, seen = handle(Visitor(), True, None, frame, seen)
    assert "found none" in words


def test_a_source_without_a_face_is_refused_by_the_next_frame(services: Services, tmp_path: Path) -> None:
    media.write_picture(tmp_path / "grey.png", np.full((200, 200, 3), 90, np.uint8))
    swap = live.LiveSwaps(services).prepare(Visitor(), str(tmp_path / "grey.png"))
    with pytest.raises(NoFaceError):
        swap.result(60)
