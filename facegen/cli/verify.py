"""`facegen verify`: what a file says of its making."""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    file: Annotated[Path, typer.Argument(help="A picture or video.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Say whether facegen made a picture or video: its signature, its watermark and its notice.

    The exit code is 0 where an intact signature of facegen or its watermark says so, 1 where nothing proves it, and 2
    where the file cannot be read.
    """
    import json

    from facegen.provenance import verify as look

    report = look(file)
    typer.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False) if as_json else "\n".join(report.lines()))
    raise typer.Exit(0 if report.is_proven else 1)
