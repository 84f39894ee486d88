"""`facegen weights`: which model files there are, where they come from, under which licence; to fetch, verify, remove them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from facegen import hub
from facegen.cli.command import progress_bar
from facegen.config import to_dict
from facegen.errors import InputError, WeightsError
from facegen.hub import Bundled, Hub, Package, WeightFile

app = typer.Typer(help="List, fetch, verify and remove model files.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_all(
    job: Annotated[str | None, typer.Option(help=f"Those that one job can use: {', '.join(hub.JOBS)}.")] = None,
    set_name: Annotated[str | None, typer.Option("--set", help=f"Those of a set: {', '.join(hub.SETS)}.")] = None,
    permissive: Annotated[
        bool, typer.Option("--permissive", help="Those that everybody may use for anything.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List model files: what each is for, state, size, licence and source."""
    from facegen.catalog import find_weights

    described = [_describe(weight) for weight in find_weights(job=job, set_name=set_name, permissive_only=permissive)]
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    width = max((len(item["name"]) for item in described), default=0)
    for item in described:
        size = f"{item['size'] / 1e6:.1f} MB" if item["size"] else "?"
        link = f" ({item['licence_url']})" if item["licence_url"].startswith("https:") else ""
        typer.echo(
            f"{item['name']:{width}} {item['state']:8} {size:>9}  {item['purpose']}; {item['licence']}{link}; {item['source']}"
        )


@app.command("sets")
def list_sets(as_json: AsJson = False) -> None:
    """List the sets that «fetch --set» takes: what is in each, what of it is missing, and whose licence is to be accepted."""
    from facegen.catalog import find_weights

    described: dict[str, dict[str, Any]] = {}
    for set_name, purpose in hub.SETS.items():
        weights = find_weights(set_name=set_name)
        missing = [weight for weight in weights if not hub.is_present(weight)]
        described[set_name] = {
            "purpose": purpose,
            "names": [weight.name for weight in weights],
            "missing": [weight.name for weight in missing],
            "missing_bytes": sum(weight.size or 0 for weight in missing),
            "unstated_sizes": sum(weight.size is None for weight in missing),
            "to_accept": [weight.name for weight in missing if not hub.is_accepted(weight)],
        }
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for title, item in described.items():
        typer.echo(f"{title}: {item['purpose']}")
        typer.echo(f"  {', '.join(item['names'])}")
        if not item["missing"]:
            typer.echo("  all of it is here")
            continue
        unstated = f", {item['unstated_sizes']} of sizes not stated" if item["unstated_sizes"] else ""
        typer.echo(f"  missing: {len(item['missing'])} files, {item['missing_bytes'] / 1e6:.0f} MB{unstated}")
        if item["to_accept"]:
            typer.echo(f"  first: facegen weights accept {' '.join(item['to_accept'])}")
        typer.echo(f"  facegen weights fetch --set {title}")


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Names as «facegen weights list» shows them.")] = None,
    set_name: Annotated[str | None, typer.Option("--set", help=f"All of a set: {', '.join(hub.SETS)}.")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licences of the files named; asked once for each.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch model files and check their SHA-256; what was interrupted is taken up where it stopped."""
    from facegen.catalog import find_weight, find_weights

    if bool(names) == bool(set_name) or (set_name and accept_licence):
        raise InputError(
            "Expected names of model files, or --set and a name; licences are accepted by the names of their files; see: "
            "facegen weights list"
        )
    selected = [find_weight(name) for name in names] if names else find_weights(set_name=set_name)
    if not accept_licence:
        _require_accepted(selected)
    paths = {}
    for weight in selected:
        with progress_bar() as show:
            transfer = hub.Transfer(weight.name, weight.size)

            def show_progress(done: int, size: int | None, transfer: hub.Transfer = transfer, show: Any = show) -> None:
                transfer(done, size)
                if show is not None:
                    show(transfer.fraction, transfer.text)

            paths[weight.name] = str(hub.fetch(weight, accept_licence, show_progress))
        if not as_json:
            typer.echo(f"{weight.name:22} {paths[weight.name]}")
    if as_json:
        typer.echo(json.dumps(paths, indent=2))


def _require_accepted(weights: Sequence[WeightFile]) -> None:
    """Before anything is fetched, say which licences are to be accepted.

    Raises:
        WeightsError: one or more are.
    """
    waiting = [weight for weight in weights if not hub.is_accepted(weight)]
    if waiting:
        reasons = "".join(f"\n  {_terms(weight)}" for weight in waiting)
        names = " ".join(weight.name for weight in waiting)
        raise WeightsError(
            f"Expected accepted licences, found these that are not yet:{reasons}\nrun: facegen weights accept {names}"
        )


@app.command()
def accept(
    names: Annotated[list[str], typer.Argument(help="Names as «facegen weights list» shows them.")],
    as_json: AsJson = False,
) -> None:
    """Accept the licences of model files, each by its name: kept until its wording changes."""
    from facegen.catalog import find_weight

    weights = [find_weight(name) for name in names]
    for weight in weights:
        if not as_json:
            typer.echo(_terms(weight))
        if weight.needs_acceptance:
            hub.remember_licence(weight)
    if as_json:
        typer.echo(json.dumps({weight.name: weight.licence for weight in weights}))


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names as «facegen weights list» shows them; all that are here if none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read model files anew and check their SHA-256; exit code 1 where one is wrong."""
    from facegen.catalog import WEIGHTS, find_weight

    selected = (
        [find_weight(name) for name in names] if names else [each for each in WEIGHTS if hub.state_of(each) != "absent"]
    )
    failures = {weight.name: hub.verify(weight) for weight in selected}
    if as_json:
        typer.echo(json.dumps(failures, indent=2))
    else:
        for name, reason in failures.items():
            typer.echo(f"{name:22} {reason or 'as it should be'}")
    if any(failures.values()):
        raise typer.Exit(1)


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="Names as «facegen weights list» shows them.")],
    as_json: AsJson = False,
) -> None:
    """Remove downloaded model files; what came with facegen stays."""
    from facegen.catalog import find_weight

    freed = {weight.name: hub.remove(weight) for weight in [find_weight(name) for name in names]}
    typer.echo(json.dumps(freed) if as_json else f"Freed {sum(freed.values()) / 1e6:.1f} MB.")


@app.command()
def publish(
    run: Annotated[str, typer.Argument(help="A training, by the name of its run or its folder.")],
    repo: Annotated[str, typer.Option(help="Where it goes on the Hub: OWNER/NAME.")],
    licence: Annotated[str, typer.Option(help="Its licence, as SPDX names it («Apache-2.0»), or in words.")] = "",
    data: Annotated[str, typer.Option(help="A sentence on what it was trained on, and who agreed to that.")] = "",
    private: Annotated[bool, typer.Option("--private", help="Nobody else may see it.")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Write what would be published into a new folder, and send nothing.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a trained generator, swap, motion network or field on the Hub, with a filled-in model card."""
    import tempfile

    from facegen.catalog import find_task
    from facegen.jobs import find_run
    from facegen.training.publishing import write_repository
    from facegen.training.request import read_request

    path = Path(run) if (Path(run) / "train.json").is_file() else find_run(run).path
    request = read_request(path)
    if folder is not None and folder.exists():
        raise InputError(f"Expected a new folder, found {folder} there already; choose another.")
    with tempfile.TemporaryDirectory(prefix="facegen-publish-") as temporary:
        written = write_repository(
            path,
            find_task(request.task),
            request,
            folder or Path(temporary) / "repository",
            repo_id=repo,
            licence=licence,
            data=data,
        )
        message = f"Publish {request.task}, trained with facegen"
        address = str(written) if folder else hub.upload_folder(written, repo, message=message, is_private=private)
    typer.echo(json.dumps({"repo": repo, "url": address}) if as_json else f"{path.name} is at {address}")


@app.command()
def use(
    name: Annotated[str, typer.Argument(help="Name of a model file, as «facegen weights list» shows it.")],
    file: Annotated[Path, typer.Argument(help="A model of your own, such as a training exported.")],
    as_json: AsJson = False,
) -> None:
    """Let a model of your own take the place of one of facegen's."""
    from facegen.catalog import find_weight

    path = hub.use_custom(find_weight(name), file)
    typer.echo(json.dumps({name: str(path)}) if as_json else f"{name} is now {file}, kept as {path}.")


@app.command()
def reset(
    name: Annotated[str, typer.Argument(help="Name of a model file, as «facegen weights list» shows it.")],
    as_json: AsJson = False,
) -> None:
    """Go back from a model of your own to facegen's."""
    from facegen.catalog import find_weight

    hub.use_default(find_weight(name))
    typer.echo(json.dumps({name: None}) if as_json else f"{name} is facegen's own again.")


def _terms(weight: WeightFile) -> str:
    return " ".join(filter(None, (f"{weight.name}: {weight.licence}.", weight.terms, weight.licence_link)))


def _describe(weight: WeightFile) -> dict[str, Any]:
    custom = hub.custom_file(weight)
    return {
        "name": weight.name,
        "purpose": weight.purpose,
        "jobs": weight.jobs,
        "sets": weight.sets,
        "source": _format_source(weight.source),
        "state": hub.state_of(weight),
        "is_present": hub.is_present(weight),
        "own": None if custom is None else to_dict(custom),
        "is_accepted": hub.is_accepted(weight),
        "size": weight.size,
        "sha256": weight.sha256,
        "licence": weight.licence,
        "licence_url": weight.licence_link,
        "terms": weight.terms,
        "card": weight.card,
    }


def _format_source(source: Bundled | Package | Hub) -> str:
    if isinstance(source, Hub):
        return f"Hub, {source.repo_id}@{source.revision[:12]}"
    return f"package {source.distribution}" if isinstance(source, Package) else "bundled"
