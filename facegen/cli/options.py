"""Command-line options made from the fields of a config dataclass: default, choices and help stand there once."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

from facegen.config import field_help


def with_options(
    cls: type, parameter: str, *, without: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of a config dataclass.

    The command is called with `parameter` set to a mapping of field names to what the user gave. Bounds are left to the
    dataclass, whose sentences are the same in the browser.

    Args:
        cls: the dataclass; all of its fields have defaults.
        parameter: the command's parameter.
        without: fields that the command takes in its own way.
    """
    hints, about = typing.get_type_hints(cls), field_help(cls)
    offered = [item for item in dataclasses.fields(cls) if item.name not in without]
    names = [item.name for item in offered]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**values: Any) -> None:
            given = {name: values.pop(name) for name in names}
            command(**values, **{parameter: given})

        own = [item for item in inspect.signature(command).parameters.values() if item.name != parameter]
        added = [
            inspect.Parameter(
                item.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=item.default,
                annotation=Annotated[hints[item.name], _option(item, about.get(item.name, ""))],
            )
            for item in offered
        ]
        parameters = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in own] + added
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {item.name: item.annotation for item in parameters}
        return call

    return decorate


def _option(item: dataclasses.Field[Any], text: str) -> Any:
    choices, high = item.metadata.get("choices"), item.metadata.get("max")
    bounds = " [0 to 1]" if high == 1.0 else ""
    return typer.Option(help=f"{text}{bounds}", metavar="|".join(choices) if choices else None)
