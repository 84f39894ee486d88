"""`facegen runs`: lists, shows, cancels, resumes and deletes runs."""

import dataclasses
import json
import shlex
import time
from typing import Annotated, Any

import typer

from facegen.catalog import find_job
from facegen.cli.command import render
from facegen.errors import InputError
from facegen.jobs import Run, find_run, list_runs

app = typer.Typer(help="List, watch, cancel, resume and delete runs.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the run, as «facegen runs list» shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List all runs, newest first."""
    entries = [_describe(run) for run in list_runs()]
    if as_json:
        typer.echo(json.dumps(entries, indent=2))
        return
    if not entries:
        typer.echo("No runs yet.")
    for item in entries:
        size = _format_size(item["size_bytes"])
        typer.echo(f"{item['name']:34} {item['state']:9} {item['progress']:>4.0%} {size:>9}  {item['text']}")


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show the request of a run and how it stands."""
    run = find_run(name)
    details = {**_describe(run), "request": run.request, "command": _command(run)}
    if damaged := run.read_stats().damaged:
        details["damaged_lines"] = damaged
    if as_json:
        typer.echo(json.dumps(details, indent=2))
        return
    details["command"] = shlex.join(details["command"])
    for key, value in details.items():
        typer.echo(f"{key:12} {json.dumps(value) if isinstance(value, (dict, list)) else value}")


@app.command()
def log(
    name: Name,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines from the end.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until the run ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the end of a run's log."""
    run = find_run(name)
    if as_json:
        typer.echo(json.dumps({"name": run.name, "log": run.log_tail(lines).splitlines()}))
        return
    typer.echo(run.log_tail(lines))
    if follow:
        _follow(run)


@app.command()
def cancel(name: Name, as_json: AsJson = False) -> None:
    """Stop a running or queued run."""
    run = find_run(name)
    run.cancel()
    _report(run, as_json)


@app.command()
def resume(name: Name, as_json: AsJson = False) -> None:
    """Go on with a run that was cancelled, failed or cut off."""
    run = find_run(name)
    run.resume()
    _report(run, as_json)


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a run with everything it made."""
    run = find_run(name)
    size = run.size_bytes()
    if not yes and not typer.confirm(f"Delete {run.path} ({_format_size(size)})?"):
        raise InputError(f"Expected a yes to delete {name}, found no; nothing was deleted.")
    run.delete()
    typer.echo(json.dumps({"name": name, "freed_bytes": size}) if as_json else f"Deleted {name}.")


def _describe(run: Run) -> dict[str, Any]:
    status = dataclasses.asdict(run.status())
    keep = ("state", "progress", "text", "rate", "eta_seconds", "pid", "updated")
    return {
        "name": run.name,
        "kind": run.kind,
        **{key: status[key] for key in keep},
        "size_bytes": run.size_bytes(),
        "created": run.created,
        "path": str(run.path),
    }


def _command(run: Run) -> list[str]:
    """The command line of the run's request; empty if it is of another version."""
    try:
        job = find_job(run.kind)
        return render(job, job.read_request(run), run) if run.can_run else []
    except InputError:
        return []


def _report(run: Run, as_json: bool) -> None:
    details = _describe(run)
    typer.echo(json.dumps(details, indent=2) if as_json else f"{run.name}: {details['state']}")


def _follow(run: Run) -> None:
    path = run.path / "log.txt"
    offset = path.stat().st_size if path.exists() else 0
    while True:
        is_active = run.status().is_active
        if path.exists():
            with path.open("rb") as file:
                file.seek(offset)
                typer.echo(file.read().decode("utf-8", errors="replace"), nl=False)
                offset = file.tell()
        if not is_active:
            return
        time.sleep(0.5)


def _format_size(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
