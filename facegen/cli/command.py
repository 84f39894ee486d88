"""Builds commands from the declaration of a job, and renders a request as the command that does it.

The fields of a request, and of the dataclasses inside it, become options of their names; the docstring under a field is
its help. Metadata of a field: `flag` (another name), `alias`, `short` (a letter), `metavar`, and `argument` for a positional
argument. A field with several values is repeated; one with values by key is written as KEY=VALUE. The options of a dataclass inside a
request begin with its `prefix`, where it has one.
"""

import dataclasses
import functools
import importlib
import inspect
import json
import os
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

import typer

from facegen.cli.consent import ask_consent
from facegen.config import to_dict
from facegen.device import DEVICE_VARIABLE, wanted_device
from facegen.errors import InputError
from facegen.jobs import Job, OnProgress, Run
from facegen.jobs.fields import Field, fields_of
from facegen.jobs.files import paths
from facegen.jobs.job import Result

if TYPE_CHECKING:
    from facegen.jobs.pipeline import Pipeline

Q = TypeVar("Q")
R = TypeVar("R", bound=Result)
_RENDERERS = {"generate": "facegen.cli.generate:arguments", "train": "facegen.cli.train:arguments"}
"""Functions that render the arguments of jobs whose commands do not follow the fields of their request."""
_TERMINAL_COLUMNS = 80
Values = dict[str, Any]
"""Values of options by field; those of a nested dataclass in a nested dict."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a command that concern its run and its output, not the request."""

    run: Path | None
    """The run folder, if one was set."""
    consent: bool
    as_json: bool
    verbose: bool
    retries: int = 0
    """How often each failed file of several is retried."""
    summary: Path | None = None
    """CSV file for the summary of several files."""
    cluster: str = ""
    """Address of a Ray cluster; empty to run on this machine."""


def job_command(
    job: Job[Q, R], *, without: tuple[str, ...] = (), takes_many: bool = False, takes_cluster: bool = False
) -> Callable[[Callable[..., None]], Callable[..., Any]]:
    """Makes a command of a function `(values, run_options, **further_options)`.

    Args:
        job: whose request the options come from.
        without: fields that the function handles itself.
        takes_many: whether it accepts several files (`facegen/cli/batch.py`).
        takes_cluster: whether the machines of a cluster can share its work.
    """
    fields = [item for item in fields_of(job.request) if item.name not in without]
    omitted = {
        *(() if job.consent else ("consent",)),
        *(() if takes_many else ("retries", "summary")),
        *(() if takes_cluster else ("cluster",)),
    }
    run_parameters = [item for name, item in _RUN_OPTIONS.items() if name not in omitted]

    def decorate(function: Callable[..., None]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(**arguments: Any) -> None:
            values = _pop_values(fields, arguments)
            use_device(arguments.pop("device"))
            run_options = RunOptions(
                **{"consent": True, **{item.name: arguments.pop(item.name) for item in run_parameters}}
            )
            function(values, run_options, **arguments)

        return _with_parameters(call, function, fields, [*run_parameters, DEVICE_OPTION], ("values", "run_options"))

    return decorate


def use_device(name: str) -> None:
    """Let every network of this process, and of those that it starts, run on a device; «auto» leaves it as it was.

    Raises:
        InputError: the name is no device.
    """
    if name != "auto":
        os.environ[DEVICE_VARIABLE] = name
    wanted_device()


def with_options(cls: type, *, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., Any]]:
    """Gives a function `(*, options, **further_options)` an option for each field of a dataclass whose fields have defaults.

    Args:
        cls: the dataclass; its bounds are checked where it is built.
        without: fields that the function handles itself.
    """
    fields = [item for item in fields_of(cls) if item.name not in without]

    def decorate(function: Callable[..., None]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(**arguments: Any) -> None:
            options = _pop_values(fields, arguments)
            function(**arguments, options=options)

        return _with_parameters(call, function, fields, [], ("options",))

    return decorate


def _pop_values(fields: Iterable[Field], arguments: Values) -> Values:
    """Removes the values of fields from the arguments, and returns them."""
    values: Values = {}
    for item in fields:
        _set_value(values, item, arguments.pop(item.name))
    return values


def _with_parameters(
    call: Callable[..., None],
    function: Callable[..., None],
    fields: Iterable[Field],
    additional: Iterable[inspect.Parameter],
    excluded: tuple[str, ...],
) -> Callable[..., None]:
    """`call` with the signature that typer reads: the fields, the function's parameters except `excluded`, and additional ones."""
    parameters_of_function = [
        item for item in inspect.signature(function).parameters.values() if item.name not in excluded
    ]
    parameters = [*(_parameter(item) for item in fields), *parameters_of_function, *additional]
    parameters = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {item.name: item.annotation for item in parameters}
    return call


def build(job: Job[Q, R], values: Mapping[str, Any]) -> Q:
    """Builds the request of a command.

    Raises:
        InputError: a value does not fit.
    """
    return _build(job.request, values)


def _build(cls: type[Q], values: Mapping[str, Any]) -> Q:
    hints = typing.get_type_hints(cls)
    arguments = {}
    for name, value in values.items():
        is_group = isinstance(value, Mapping) and dataclasses.is_dataclass(hints[name])
        arguments[name] = _build(hints[name], value) if is_group else value
    return cls(**arguments)


def run_job(job: Job[Q, R], request: Q, run_options: RunOptions) -> R:
    """Asks for consent, runs a job with a progress bar, and prints its result."""
    ask_consent(job, run_options.consent, paths(request))
    run = job.open_run(request, run_options.run) if run_options.run is not None else None
    with load_pipeline(job, run_options) as pipeline, progress_bar() as on_progress:
        result = pipeline(request, run=run, on_progress=on_progress)
    report(job, result, run_options)
    return result


@contextmanager
def load_pipeline(job: Job[Q, R], run_options: RunOptions) -> "Iterator[Pipeline[Q, R]]":
    """The pipeline of a job, on a cluster if one is set."""
    from facegen.jobs.cluster import Cluster

    with ExitStack() as stack:
        keywords = {"cluster": stack.enter_context(Cluster(run_options.cluster))} if run_options.cluster else {}
        yield job.load_pipeline()(on_line=functools.partial(typer.echo, err=True), **keywords)


def report(job: Job[Any, R], result: R, run_options: RunOptions) -> None:
    """Prints the result of a job: one line of JSON, or sentences."""
    if run_options.as_json:
        consent = {"consent": run_options.consent} if job.consent else {}
        typer.echo(json.dumps({**to_dict(result), **consent}, ensure_ascii=False))
        return
    for notice in result.notices:
        typer.echo(notice, err=True)
    written = paths(result, "output")
    target = written[0] if len(written) == 1 else f"{len(written)} files"
    typer.echo(f"Wrote {target}: {result.summary}" if written else result.summary, err=True)
    stages: Mapping[str, float] = getattr(result, "stages", {}) if run_options.verbose else {}
    for stage, seconds in sorted(stages.items(), key=lambda item: -item[1]):
        typer.echo(f"  {stage:10} {seconds:7.2f} s", err=True)


def render(job: Job[Q, R], request: Q, run: Run | None = None) -> list[str]:
    """The command line of a request: all options that differ from the defaults.

    Args:
        job: of the request.
        request: the request.
        run: its run folder.
    """
    renderer = _RENDERERS.get(job.name)
    if renderer:
        module, _, name = renderer.partition(":")
        arguments = getattr(importlib.import_module(module), name)(request)
    else:
        arguments = render_arguments(request, fields_of(job.request))
    command = ["facegen", *job.command.split(), *arguments, *(["--run", str(run.path)] if run is not None else [])]
    return [*command, "--consent"] if job.consent else command


def render_arguments(request: Any, items: Iterable[Field]) -> list[str]:
    """The arguments and options of these fields, as far as they differ from their defaults."""
    positional, options = [], []
    for item in items:
        value = functools.reduce(getattr, item.path, request)
        if value == item.default:
            continue
        if item.metadata.get("argument"):
            positional += [str(one) for one in (value if item.is_repeated else (value,))]
        else:
            options += _render_option(item, value)
    return positional + options


def _render_option(item: Field, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [item.flag if value else f"--no-{item.flag[2:]}"]
    if item.is_by_key:
        pairs = [(key, one) for key, held in value.items() for one in (held if isinstance(held, tuple) else (held,))]
        return [word for key, one in pairs for word in (item.flag, f"{key}={one}")]
    if item.is_repeated:
        return [word for one in value for word in (item.flag, str(one))]
    return [item.flag, "" if value is None else str(value)]


def _set_value(values: Values, item: Field, value: Any) -> None:
    for name in item.path[:-1]:
        values = values.setdefault(name, {})
    if item.is_by_key:
        values[item.path[-1]] = parse_entries(item, value or [])
    elif item.is_repeated:
        values[item.path[-1]] = tuple(value) if value else item.default if item.default is not MISSING else ()
    else:
        values[item.path[-1]] = value


def parse_entries(item: Field, entries: list[str]) -> dict[Any, Any]:
    """KEY=VALUE entries as a mapping; a key with several values where the field says so.

    Raises:
        InputError: an entry is of another form.
    """
    key_type, value_type = get_args(item.hint)
    holds_several = get_origin(value_type) is tuple
    one_type = get_args(value_type)[0] if holds_several else value_type
    mapping: dict[Any, Any] = {}
    for entry in entries:
        text, equals, value = entry.partition("=")
        try:
            if not equals:
                raise ValueError
            key, one = key_type(text.strip()), one_type(value)
        except ValueError:
            form = item.metadata.get("metavar", "KEY=VALUE")
            raise InputError(f"Expected {item.flag} {form}, found {entry!r}; see --help.") from None
        mapping[key] = (*mapping.get(key, ()), one) if holds_several else one
    return mapping


def _parameter(item: Field) -> inspect.Parameter:
    hint = list[str] | None if item.is_by_key else item.hint
    default = inspect.Parameter.empty if item.default is MISSING else item.default
    if item.is_repeated and not item.is_by_key:
        (of, *_) = get_args(item.hint)
        hint = list[of] if default is inspect.Parameter.empty else list[of] | None  # type: ignore[valid-type]
    if item.is_repeated and default is not inspect.Parameter.empty:
        default = list(item.default) if item.default and not item.is_by_key else None
    high, choices = item.metadata.get("max"), item.metadata.get("choices")
    text = f"{item.help}{' [0 to 1]' if high == 1.0 else ''}"
    metavar = item.metadata.get("metavar")
    if choices and not metavar:
        text, metavar = describe_choices(item.flag, text, choices)
    if item.metadata.get("argument"):
        option: Any = typer.Argument(help=text, metavar=metavar)
    else:
        short = [f"-{item.metadata['short']}"] if "short" in item.metadata else []
        flag = f"{item.flag}/--no-{item.flag[2:]}" if item.hint is bool else item.flag
        alias = [item.flag_of(item.metadata["alias"])] if "alias" in item.metadata else []
        option = typer.Option(flag, *alias, *short, help=text, metavar=metavar)
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, option]
    )


def describe_choices(flag: str, text: str, choices: Sequence[str]) -> tuple[str, str]:
    """Help and metavar of an option with choices: these are the metavar, or part of the help where a line has no room for them."""
    metavar = "|".join(choices)
    if len(f"  {flag} {metavar}") <= _TERMINAL_COLUMNS:
        return text, metavar
    return f"{text} One of {', '.join(choices)}.", "NAME"


def _make_option(name: str, hint: Any, default: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, option])


_DEVICE = typer.Option(
    "--device",
    metavar="auto|cpu|cuda:N|mps",
    help="What computes the networks, here and in what this starts (default: FACEGEN_DEVICE, else a GPU where there is one).",
)
Device = Annotated[str, _DEVICE]
"""For commands that are not made of a job; they pass it to `use_device`."""
DEVICE_OPTION = _make_option("device", str, "auto", _DEVICE)
_RUN_OPTIONS = {
    "run": _make_option(
        "run", Path | None, None, typer.Option("--run", help="Folder to work in, kept. Default: its own, removed.")
    ),
    "consent": _make_option(
        "consent", bool, False, typer.Option("--consent", help="Everyone whose face or voice is used agreed to it.")
    ),
    "as_json": _make_option("as_json", bool, False, typer.Option("--json", help="Print a summary as JSON.")),
    "verbose": _make_option(
        "verbose", bool, False, typer.Option("--verbose", help="Also print how long each stage took.")
    ),
    "retries": _make_option(
        "retries", int, 1, typer.Option("--retries", min=0, max=10, help="Of several files, try what failed again.")
    ),
    "cluster": _make_option(
        "cluster",
        str,
        "",
        typer.Option(
            "--cluster", metavar="local|ADDRESS", help="Share the work among the machines of a Ray cluster (host:6379)."
        ),
    ),
    "summary": _make_option(
        "summary",
        Path | None,
        None,
        typer.Option("--summary", metavar="CSV", help="Of several files, how each went; with it, what is done stays."),
    ),
}


@contextmanager
def progress_bar() -> Iterator[OnProgress | None]:
    """A bar with what is done and the time left; None where the output is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Starting", total=1.0)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)
