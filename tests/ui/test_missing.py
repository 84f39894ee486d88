"""Options whose files are still on the Hub: which they are, and what is said of them."""

import json
import re
from collections.abc import Iterator
from html import unescape

import gradio as gr
import pytest

from facegen import catalog, hub
from facegen.errors import InputError
from facegen.ui import missing
from facegen.ui.handlers import Shell
from facegen.ui.missing import HubOptions
from facegen.ui.profile import PROFILES
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs import faceset, generate, swap, talk


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    made = Services(PROFILES["own"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def fields(services: Services) -> list[missing._HubField]:
    """Of the whole page."""
    with gr.Blocks():
        shell = Shell(visitor=gr.State(Visitor()), consent=gr.Checkbox(), hub_options=HubOptions())
        swap.build(services, shell)
        with gr.Tab("Generate") as tab:
            generate.build(services, shell, tab)
        talk.build(services, shell)
        faceset.build(services, shell)
    return shell.hub_options._fields


def test_every_option_names_files_of_the_catalog(fields: list[missing._HubField]) -> None:
    """Where all of a field need the same, the field says what that is called."""
    for field in fields:
        options = [one for _, one in field.choices(Visitor())] or [1]
        files = [field.files(one) for one in options]
        assert any(files), field.component.elem_id
        assert (field.name == "LivePortrait") == (len(set(map(tuple, files))) == 1), field.component.elem_id
        for weight in {weight.name: weight for weights in files for weight in weights}.values():
            assert catalog.find_weight(weight.name) == weight


def test_greyed_options_are_those_whose_files_are_missing(
    fields: list[missing._HubField], monkeypatch: pytest.MonkeyPatch
) -> None:
    (field,) = (field for field in fields if field.component.elem_id == "option-recogniser")
    monkeypatch.setattr(hub, "is_present", lambda weight: weight.name != "arcface-w600k")
    offered = field.choices(Visitor())
    update = missing._update(field, offered, "embedded", missing._is_absent)
    marked = [words for words, _ in update.choices if words.endswith(" (to be fetched)")]
    assert marked == ["ArcFace (w600k) (to be fetched)"]
    places = re.search('data-missing="(.*?)"', missing._places([field], [offered], missing._is_absent))
    assert places is not None
    assert json.loads(unescape(places[1])) == {"option-recogniser": {"1": "arcface"}}
    assert missing._missing(field, "auraface") == ("", [])
    assert [weight.name for weight in missing._missing(field, "arcface")[1]] == ["arcface-w600k"]


def test_what_is_chosen_goes_only_where_it_is_offered_no_more(fields: list[missing._HubField]) -> None:
    (field,) = (field for field in fields if field.component.elem_id == "swap-engine")
    offered = [("Built in", ""), ("Trained here: anna", "anna")]
    chosen = [
        missing._update(field, offered, value, missing._is_absent)._constructor_args[0] for value in ("anna", "ben")
    ]
    assert [args.get("value", "as before") for args in chosen] == ["as before", ""]


def test_options_written_with_a_strength_count_by_their_names(
    fields: list[missing._HubField], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "is_present", lambda _: False)
    (field,) = (field for field in fields if field.component.elem_id == "option-enhance")
    assert missing._missing(field, ["restorer=0.3"])[1] == []
    name, weights = missing._missing(field, ["gfpgan-1-4=0.8", "restorer", "codeformer"])
    assert name == "gfpgan-1-4, codeformer"
    assert [weight.name for weight in weights] == ["gfpgan-1-4", "codeformer"]


def test_a_shared_studio_names_whom_to_ask(fields: list[missing._HubField]) -> None:
    weight = catalog.find_weight("gfpgan-1-4")
    shared = Services(PROFILES["shared"])
    words, column, accepted, fetch, wanted = missing._describe(shared, weight.name, [weight])
    assert "gfpgan-1-4 is not here yet." in words
    assert "Ask whoever runs this studio for it." in words
    assert [column.visible, accepted.visible, fetch.visible, wanted.files] == [True, False, False, ("gfpgan-1-4",)]
    with pytest.raises(InputError, match="ask whoever runs it"):
        missing.require_own(shared)
    shared.close()
