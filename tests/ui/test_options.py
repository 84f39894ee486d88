"""Widgets from config dataclasses."""

from dataclasses import dataclass, field, fields

import gradio as gr
import pytest

from facegen.config import field_help
from facegen.errors import InputError
from facegen.swap.options import SwapOptions
from facegen.ui.options import parse, widgets


@dataclass(frozen=True, kw_only=True)
class Small:
    """Of each kind one."""

    amount: float = field(default=0.5, metadata={"min": 0.0, "max": 1.0, "step": 0.05})
    """How much."""
    count: int = field(default=3, metadata={"min": 1, "max": 9, "step": 1})
    """How many."""
    way: str = field(default="a", metadata={"choices": ("a", "b", "c")})
    """Which way."""
    is_on: bool = True
    """Whether."""
    limit: int | None = None
    """Where it ends."""
    name: str = ""
    """What it is called."""
    steps: str = field(default="", metadata={"several": ("cut", "wash")})
    """What is done, in order."""


def test_bounds_default_and_help_come_from_the_field() -> None:
    with gr.Blocks():
        made = widgets(Small, ["amount", "count", "way", "is_on", "limit", "name"], labels={"way": "The way"})
    amount, count, way, is_on, limit, name = made.components
    assert (amount.minimum, amount.maximum, amount.step, amount.value) == (0.0, 1.0, 0.05, 0.5)
    assert (count.minimum, count.maximum, count.step, count.value) == (1, 9, 1, 3)
    assert (way.label, way.info, [value for _, value in way.choices]) == ("The way", "Which way.", ["a", "b", "c"])
    assert is_on.value is True
    assert (limit.value, name.value) == ("", "")


def test_what_the_widgets_hold_at_first_is_the_default_config() -> None:
    with gr.Blocks():
        made = widgets(Small, [item.name for item in fields(Small)], labels={})
    assert made.config([component.value for component in made.components]) == Small()


def test_choices_without_words_are_not_offered() -> None:
    with gr.Blocks():
        made = widgets(Small, ["way"], labels={}, choices={"way": {"a": "First", "b": "Second"}})
    assert made.components[0].choices == [("First", "a"), ("Second", "b")]


def test_a_browser_sends_whole_numbers_as_fractions_and_nothing_as_text() -> None:
    assert parse(Small, {"count": 4.0, "limit": ""}) == Small(count=4)
    assert parse(Small, {"limit": " 7 "}) == Small(limit=7)


def test_a_text_of_several_names_is_chosen_in_order() -> None:
    with gr.Blocks():
        (steps,) = widgets(Small, ["steps"], labels={}).components
    assert (steps.multiselect, [value for _, value in steps.choices], steps.value) == (True, ["cut", "wash"], [])
    assert parse(Small, {"steps": ["wash", "cut=0.5"]}) == Small(steps="wash, cut=0.5")


@pytest.mark.parametrize(
    "settings", [{"count": 4.5}, {"limit": "many"}, {"amount": "much"}, {"colour": 1}, {"is_on": "yes"}]
)
def test_what_does_not_fit_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        parse(Small, settings)


def test_every_swap_option_explains_itself() -> None:
    assert set(field_help(SwapOptions)) == {item.name for item in fields(SwapOptions)}
