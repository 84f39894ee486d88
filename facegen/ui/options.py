"""Makes widgets from the fields of a config dataclass: bounds, choices, default and help text."""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Literal, TypeVar

import gradio as gr

from facegen.config import field_help, from_dict

T = TypeVar("T")

ENCODING = {
    "file_type": "Kind of file",
    "encoder": "Encoder",
    "crf": "Quality of the file",
    "preset": "Effort of the encoder",
    "transparency": "Keep transparency",
}
"""Titles of the fields of `EncodeOptions`, in the order of their widgets."""


@dataclass(frozen=True, kw_only=True)
class Widgets:
    """The widgets of some fields of one config class, in order."""

    cls: type
    names: tuple[str, ...]
    components: tuple[Any, ...]

    def settings(self, values: Sequence[Any]) -> dict[str, Any]:
        """What the widgets say, by field name; an empty number box means None."""
        return dict(zip(self.names, values, strict=True))

    def config(self, values: Sequence[Any], **more: Any) -> Any:
        """The config that the widgets say, the other fields at their defaults or as in `more`.

        Raises:
            InputError: a value does not fit its field.
        """
        return parse(self.cls, {**self.settings(values), **more})


def parse(cls: type[T], settings: Mapping[str, Any]) -> T:
    """A config from values as a browser sends them: 3.0 where an integer is meant, "" where nothing is, lists for text.

    Raises:
        InputError: an unknown name, or a value that does not fit its field.
    """
    hints = typing.get_type_hints(cls)
    values = dict(settings)
    for name in values.keys() & hints.keys():
        kinds, value = _kinds(hints[name]), values[name]
        if isinstance(value, list) and str in kinds:
            values[name] = ", ".join(map(str, value))
        if isinstance(value, float) and value.is_integer() and int in kinds and float not in kinds:
            values[name] = int(value)
        if isinstance(value, str) and type(None) in kinds and str not in kinds:
            values[name] = _number(value.strip(), kinds)
    return from_dict(cls, values)


def widgets(
    cls: type,
    names: Sequence[str],
    *,
    labels: Mapping[str, str],
    choices: Mapping[str, Mapping[str, str]] | None = None,
    first: Any = None,
    prefix: str = "option",
    below: Mapping[str, Callable[[Any], None]] | None = None,
) -> Widgets:
    """Make a widget for each named field, inside the Blocks that is being built.

    Args:
        cls: a config dataclass whose fields have defaults; metadata `several` lists what a text may name, between commas.
        names: the fields, in the order of the widgets.
        labels: a field's title; its name in plain letters where it is not given.
        first: a config with the first values; the defaults where it is not given.
        choices: for a field with choices, the words to show for each value; a value without words is not offered.
        prefix: how the elements' ids begin, before the field's name.
        below: for a field, what builds more below its widget, which it is given.
    """
    made = []
    for name in names:
        made.append(_widget(cls, name, labels.get(name), (choices or {}).get(name), first, prefix))
        if build := (below or {}).get(name):
            build(made[-1])
    return Widgets(cls=cls, names=tuple(names), components=tuple(made))


def _widget(cls: type, name: str, label: str | None, words: Mapping[str, str] | None, first: Any, prefix: str) -> Any:
    item = next(entry for entry in fields(cls) if entry.name == name)
    default = getattr(first, name) if first is not None else _default(item)
    title = label or name.replace("_", " ").capitalize()
    about: dict[str, Any] = {
        "label": title,
        "info": field_help(cls).get(name),
        "elem_id": f"{prefix}-{name}",
    }
    hint = typing.get_type_hints(cls)[name]
    offered = item.metadata.get("choices") or (typing.get_args(hint) if typing.get_origin(hint) is Literal else None)
    if offered:
        shown = [(words[value] if words else str(value), value) for value in offered if not words or value in words]
        return gr.Dropdown(shown, value=default, filterable=len(shown) > 8, **about)
    if several := item.metadata.get("several"):
        # in the order in which they are chosen; what is typed may say more than a name
        chosen = [part.strip() for part in default.split(",") if part.strip()]
        return gr.Dropdown(list(several), value=chosen, multiselect=True, allow_custom_value=True, **about)
    kinds = _kinds(hint)
    if bool in kinds:
        return gr.Checkbox(value=default, **about)
    if {"min", "max"} <= item.metadata.keys() and type(None) not in kinds:
        whole = float not in kinds
        step = item.metadata.get("step", 1 if whole else None)
        low, high = item.metadata["min"], item.metadata["max"]
        if step and high - low <= 1000 * step:
            return gr.Slider(low, high, value=default, step=step, buttons=["reset"], **about)
    if kinds & {int, float} and type(None) in kinds:
        # A number box cannot be empty: it would show and send 0.
        return gr.Textbox(value="" if default is None else str(default), placeholder="automatic", **about)
    if kinds & {int, float}:
        return gr.Number(value=default, precision=0 if float not in kinds else None, **about)
    return gr.Textbox(value="" if default is None else str(default), **about)


def _number(text: str, kinds: set[Any]) -> Any:
    """What stands in the box of a number that may be left out; what is no number stays as it is, to be refused."""
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return text or None


def _default(item: Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not MISSING else None


def _kinds(hint: Any) -> set[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set(typing.get_args(hint))
    return {hint}
