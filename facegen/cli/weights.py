"""`facegen weights`: which model files there are, where they come from, and under which licence."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from facegen import hub
from facegen.config import to_dict
from facegen.hub import Bundled, Hub, Package, WeightFile

app = typer.Typer(help="List and fetch model files.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List every model file with its source and licence."""
    from facegen.catalog import WEIGHTS

    described = [_describe(weight) for weight in WEIGHTS]
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for item in described:
        state = "own" if item["own"] else "present" if item["is_present"] else "absent"
        size = f"{item['size'] / 1e6:.1f} MB" if item["size"] else "?"
        typer.echo(f"{item['name']:22} {state:8} {size:>9}  {item['source']:40} {item['licence']}")


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names as «facegen weights list» shows them; all if none.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of the files named; asked once for each.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch model files and check their SHA-256."""
    from facegen.catalog import WEIGHTS, find_weight

    paths = {}
    for weight in [find_weight(name) for name in names] if names else WEIGHTS:
        paths[weight.name] = str(hub.fetch(weight, accept_licence))
        if not as_json:
            typer.echo(f"{weight.name:22} {paths[weight.name]}")
    if as_json:
        typer.echo(json.dumps(paths, indent=2))


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


def _describe(weight: WeightFile) -> dict[str, Any]:
    custom = hub.custom_file(weight)
    return {
        "name": weight.name,
        "source": _source_in_words(weight.source),
        "is_present": hub.is_present(weight),
        "own": None if custom is None else to_dict(custom),
        "is_accepted": hub.is_accepted(weight),
        "size": weight.size,
        "sha256": weight.sha256,
        "licence": weight.licence,
        "card": weight.card,
    }


def _source_in_words(source: Bundled | Package | Hub) -> str:
    if isinstance(source, Hub):
        return f"Hub, {source.repo_id}"
    return f"package {source.distribution}" if isinstance(source, Package) else "bundled"
