"""Named endpoints, their arguments and answers: hidden components with a type and a description each, as `view_api` shows them."""

import functools
import types
import typing
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

import gradio as gr

from facegen.config import to_dict
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.jobs.fields import Field, fields_of
from facegen.jobs.job import Job
from facegen.jobs.process import State
from facegen.ui.messages import to_browser_message
from facegen.ui.services import Services, Visitor

C = TypeVar("C", bound=gr.components.Component)
Q = TypeVar("Q")
Schema = dict[str, Any]
"""A JSON schema."""
_PLAIN: Mapping[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def describe(component: C, about: str, schema: Schema | None = None) -> C:
    """The component, whose description says what it is for; with a schema, its type too."""
    own = component.api_info

    def api_info() -> Schema:
        return {**(own() if schema is None else schema), "description": about, "additional_description": about}

    for name in ("api_info", "api_info_as_input", "api_info_as_output"):
        setattr(component, name, api_info)
    return component


def file(label: str, about: str) -> gr.File:
    """One file."""
    return describe(gr.File(label=label), about)


def files(label: str, about: str) -> gr.File:
    """Several files."""
    return describe(gr.File(label=label, file_count="multiple"), about)


def text(label: str, about: str, value: str | None = None) -> gr.Textbox:
    """A text; optional where it has a value."""
    return describe(gr.Textbox(value, label=label), about)


def number(label: str, about: str, value: float | None = None) -> gr.Number:
    """A number; optional where it has a value."""
    return describe(gr.Number(value, label=label), about)


def flag(label: str, about: str) -> gr.Checkbox:
    """A yes or no."""
    return describe(gr.Checkbox(label=label), about)


def picture(about: str) -> gr.Image:
    """A picture, PNG."""
    return describe(gr.Image(format="png", buttons=[]), about)


def json_value(label: str, about: str, schema: Schema) -> gr.JSON:
    """A value of a JSON schema."""
    return describe(gr.JSON(label=label), about, schema)


def options(label: str, about: str, cls: type) -> gr.JSON:
    """The fields of a dataclass by name; those that are left out keep their defaults."""
    return json_value(label, about, schema_of(cls))


def consent() -> gr.Checkbox:
    """The caller's consent."""
    return flag("consent", "Whether everyone whose face or voice is used agreed to it; must be true.")


def run_name() -> gr.Textbox:
    """The name of a run."""
    return text("name", "The name of a run, as `run` in what other endpoints answer.")


def schema_of(cls: type) -> Schema:
    """The JSON schema of an object with the fields of a dataclass."""
    return {"type": "object", "properties": {item.name: _field_schema(item) for item in fields_of(cls)}}


def _field_schema(item: Field) -> Schema:
    bounds = {"minimum": item.metadata.get("min"), "maximum": item.metadata.get("max")}
    found = {**_type_schema(item.hint), **{key: value for key, value in bounds.items() if value is not None}}
    if isinstance(item.default, (bool, int, float, str, tuple)) or item.default is None:
        found["default"] = list(item.default) if isinstance(item.default, tuple) else item.default
    return {**found, "description": item.help}


def _type_schema(hint: Any) -> Schema:
    origin, of = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if hint is type(None):
        return {"type": "null"}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_type_schema(one) for one in of]}
    if origin is Literal:
        return {"enum": list(of)}
    if origin is tuple:
        return {"type": "array", "items": _type_schema(of[0])}
    return {"type": "object", "additionalProperties": _type_schema(of[1])}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
NUMBERS: Schema = {"type": "object", "additionalProperties": NUMBER}
PEOPLE: Schema = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}}
STATUS: Schema = _object(
    run=TEXT,
    kind=TEXT,
    state={"enum": list(get_args(State))},
    progress=NUMBER,
    text=TEXT,
    rate={"anyOf": [TEXT, {"type": "null"}]},
    eta_seconds={"anyOf": [NUMBER, {"type": "null"}]},
    updated=NUMBER,
)
"""How a run stands."""


def extend_schema(schema: Schema, **properties: Schema) -> Schema:
    """A schema of an object with further properties."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def status(about: str = "How the run stands.", **properties: Schema) -> gr.JSON:
    """How a run stands, with further values."""
    return json_value("status", about, extend_schema(STATUS, **properties))


_INNER = ("pid", "process_created", "group", "is_enqueued")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A function with the hidden components of its arguments and answers; its name is the function's."""

    function: Callable[..., Any]
    inputs: Sequence[Any] = ()
    outputs: Sequence[Any]
    queue: str = ""
    """Shared by endpoints (and events of the page) that use the same loaded models."""


def job_endpoints(
    services: Services,
    job: Job[Q, Any],
    make_request: Callable[..., Q],
    fields: Callable[[], Sequence[Any]],
    action: str,
    has_start: bool = True,
) -> list[Endpoint]:
    """`/NAME` of a job, which waits for its result, and `/NAME_start`, which returns at once.

    Args:
        services: of the studio.
        job: what is run.
        make_request: its request; its parameters, a visitor before them, are those of the endpoints.
        fields: makes the components of these.
        action: what the job does, as the description begins.
        has_start: whether there is `/NAME_start`.
    """

    @functools.wraps(make_request)
    async def wait(visitor: Visitor, *values: Any) -> AsyncIterator[Any]:
        run = services.start(visitor, job, make_request(visitor, *values))
        async for _ in services.watch(run):
            yield describe_run(run), None
        path = services.output(run)
        yield describe_run(run), services.publish(visitor, path) if path else None

    @functools.wraps(make_request)
    def start(visitor: Visitor, *values: Any) -> Any:
        return describe_run(services.start(visitor, job, make_request(visitor, *values)))

    queue = "into the queue and return at once; `/run_status` and `/run_result` take the run's name."
    wait.__name__, start.__name__ = job.name, f"{job.name}_start"
    wait.__doc__ = f"{action} and wait: yields how the run stands, at the end with the file that it made."
    start.__doc__ = f"Put a {job.name} {queue}"
    result = file("result", "What was made, at the end; nothing before.")
    waiting = Endpoint(function=wait, inputs=fields(), outputs=[status(), result])
    return [waiting, *([Endpoint(function=start, inputs=fields(), outputs=[status()])] if has_start else [])]


def describe_run(run: Run) -> dict[str, Any]:
    """How a run stands, without what only its machine is concerned with."""
    return {"run": run.name, "kind": run.kind, **describe_status(run)}


def describe_status(run: Run) -> dict[str, Any]:
    """State, progress and words of a run."""
    status = to_dict(run.status())
    return {
        **{key: value for key, value in status.items() if key not in _INNER},
        "text": to_browser_message(status["text"]),
    }


def plain_dict(value: Any, what: str) -> dict[str, Any]:
    """An argument that is an object, or nothing.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value or {}, dict):
        raise InputError(f"Expected {what} as an object, found something else; pass a dict or nothing.")
    return dict(value or {})
