"""One named endpoint, and what several of them answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from facegen.config import to_dict
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.ui.sentences import for_browser

_INNER = ("pid", "process_created", "group", "is_enqueued")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A function with the hidden components of its arguments and answers; its name is the function's."""

    function: Callable[..., Any]
    inputs: Sequence[Any] = ()
    outputs: Sequence[Any]
    queue: str = ""
    """Shared by endpoints (and events of the page) that use the same loaded models."""


def describe_run(run: Run) -> dict[str, Any]:
    """How a run stands, without what only its machine is concerned with."""
    return {"run": run.name, "kind": run.kind, **describe_status(run)}


def describe_status(run: Run) -> dict[str, Any]:
    """State, progress and words of a run."""
    status = to_dict(run.status())
    return {**{key: value for key, value in status.items() if key not in _INNER}, "text": for_browser(status["text"])}


def plain_dict(value: Any, what: str) -> dict[str, Any]:
    """An argument that is an object, or nothing.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value or {}, dict):
        raise InputError(f"Expected {what} as an object, found something else; pass a dict or nothing.")
    return dict(value or {})
