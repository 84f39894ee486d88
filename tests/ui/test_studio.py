"""The page as a whole: it builds from nothing, asks nobody outside, and offers every option and endpoint."""

import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import fields

import pytest

from facegen.swap.options import SwapOptions
from facegen.talk.options import TalkOptions
from facegen.ui import theme
from facegen.ui.studio import address_line, build_studio, serve
from facegen.ui.tabs.swap.layout import LABELS, SEPARATE_FIELDS
from tests.conftest import REPOSITORY

TABS = ["Swap", "Generate", "Talk", "Faceset", "Train", "Runs", "Models", "Verify"]
ENDPOINTS = {
    "/generate",
    "/generate_sweep",
    "/generate_edit",
    *("/swap", "/swap_start", "/swap_preview", "/find_people", "/example", "/verify"),
    *("/talk", "/talk_preview", "/talk_read"),
    *("/train_start", "/train_status", "/train_ask", "/train_use"),
    *("/runs", "/run_status", "/run_result", "/run_cancel", "/run_resume", "/run_delete", "/delete_everything"),
}


@pytest.fixture(scope="module")
def studio():
    return build_studio()


def run_alone(code: str) -> None:
    """Run a program in an interpreter of its own, which must end well."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_builds_without_weights_network_or_torch() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('the page asked the network')\n"
        "socket.socket.connect = refuse\n"
        "from facegen.ui.studio import build_studio\n"
        "build_studio()\n"
        "heavy = {'torch', 'mediapipe', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run_alone(code)


def test_gradio_is_imported_without_a_look_at_its_own_sources() -> None:
    code = (
        "import ast, inspect\n"
        "def refuse(*_): raise AssertionError('gradio compares its stubs')\n"
        "ast.get_source_segment = refuse\n"
        "import facegen.ui.__main__\n"
        "from gradio import Button\n"
        "assert inspect.getfile(Button).endswith('button.py')\n"
    )
    run_alone(code)


def test_every_tab_is_there(studio) -> None:
    labels = [block.label for block in studio.blocks.values() if block.get_block_name() == "tabitem"]
    assert [label for label in labels if label in TABS] == TABS


def test_every_swap_option_has_a_widget(studio) -> None:
    offered = {getattr(block, "elem_id", None) for block in studio.blocks.values()}
    for item in fields(SwapOptions):
        assert f"option-{item.name}" in offered or item.name in SEPARATE_FIELDS
    assert set(LABELS) <= {item.name for item in fields(SwapOptions)}


def test_every_talk_option_has_a_widget(studio) -> None:
    offered = {getattr(block, "elem_id", None) for block in studio.blocks.values()}
    wanted = {f"talk-{name}" for name in (*(item.name for item in fields(TalkOptions)), "driving")}
    assert wanted <= offered


def test_what_the_tabs_do_is_a_named_endpoint(studio) -> None:
    assert set(studio.get_api_info()["named_endpoints"]) == ENDPOINTS
    assert not studio.get_api_info()["unnamed_endpoints"]


def test_the_page_of_the_docs_lists_every_tab_and_endpoint(studio) -> None:
    page = (REPOSITORY / "docs" / "studio.md").read_text(encoding="utf-8")
    table = page[page.index("| endpoints |") : page.index("```python")]
    assert set(re.findall(r"`(/[a-z_]+)`", table)) == set(studio.get_api_info()["named_endpoints"])
    assert all(f"| {tab} |" in page for tab in TABS)


@pytest.mark.parametrize(
    ("job", "files"), [("swap", {"swap-sources", "swap-target"}), ("talk", {"talk-portrait", "talk-audio"})]
)
def test_no_answer_about_a_file_goes_where_a_refusal_stands(studio, job: str, files: set[str]) -> None:
    """A late one would replace it; what empties a status does so in the page, at once."""
    named = {block: getattr(component, "elem_id", None) for block, component in studio.blocks.items()}
    into_status = [
        event
        for event in studio.fns.values()
        if any(kind == "change" and named[block] in files for block, kind in event.targets)
        and f"{job}-status" in (named[output._id] for output in event.outputs)
    ]
    assert len(into_status) == 2
    assert not any(event.fn for event in into_status)


def test_nothing_is_fetched_from_elsewhere(studio) -> None:
    assert studio.analytics_enabled is False
    look = theme.studio_theme()
    assert "http" not in theme.CSS + theme.header(shared=True)
    assert not [sheet for sheet in look._stylesheets if "http" in sheet]


def test_no_component_offers_to_share() -> None:
    """gr.Audio, gr.Video and others bring a button that hands a file to a public site."""
    for block in build_studio().blocks.values():
        names = [button for button in getattr(block, "buttons", None) or [] if isinstance(button, str)]
        assert "share" not in names, f"{type(block).__name__} {getattr(block, 'label', '')}"
        assert getattr(block, "show_share_button", None) is not True


def test_endpoints_have_types_and_descriptions_and_stand_in_the_docs(studio) -> None:
    """`python docs/make_api.py` writes the page."""
    maker = runpy.run_path(str(REPOSITORY / "docs" / "make_api.py"))
    info = studio.get_api_info()["named_endpoints"]
    assert set(info) == ENDPOINTS
    for name, endpoint in info.items():
        assert endpoint["description"], name
        for item in endpoint["parameters"]:
            assert item["python_type"]["description"], f"{name}: {item['parameter_name']}"
            assert item["python_type"]["type"] not in ("Any", "dict()", "str | float | bool | list | dict"), name
        for item in endpoint["returns"]:
            assert item["type"].get("description"), f"{name} answers {item['label']}"
            assert item["python_type"]["type"] not in ("Any", "dict()", "str | float | bool | list | dict"), name
    swap = {item["parameter_name"]: item["type"] for item in info["/swap"]["parameters"]}
    shape = swap["options"]["properties"]["face_shape"]
    assert (shape["type"], shape["minimum"], shape["maximum"], shape["default"]) == ("number", 0.0, 1.0, 0.9)
    page = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
    assert f"<!-- endpoints -->\n{maker['endpoint_table'](info)}<!-- end -->" in page


def test_a_program_reads_where_it_is() -> None:
    assert json.loads(address_line("http://127.0.0.1:7860/", as_json=True)) == {
        "url": "http://127.0.0.1:7860/",
        "pid": os.getpid(),
    }
    assert "http://127.0.0.1:7860/" in address_line("http://127.0.0.1:7860/", as_json=False)


def test_sessions_that_nobody_ends_are_bounded(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("gradio.state_holder.SessionState", lambda blocks: object())
    with serve(port=0) as studio:
        sessions = studio.app.state_holder
        for number in range(1500):
            assert sessions[f"call {number}"]
        kept = sessions.session_data
        assert len(kept) == 1000
        assert "call 1499" in kept
        assert "call 0" not in kept
