"""`facegen verify`: what files say of their making."""

from pathlib import Path
from typing import Annotated, Any

import typer


def verify(
    files: Annotated[list[Path], typer.Argument(help="Pictures and videos, or folders of them.", metavar="FILES...")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON: of several files, a line each.")
    ] = False,
) -> None:
    """Say whether facegen made pictures or videos: their signature, watermark and notice.

    The exit code is 0 where each file is proven by a signature with this installation's own key, 1 where one is not, and 2
    where one cannot be read. A watermark, or a signature of another facegen, is reported and proves nothing.
    """
    import json

    from facegen.errors import InputError
    from facegen.provenance import verify as look

    paths = _expand(files)
    is_single = len(paths) == 1 and not files[0].is_dir()
    code = 0
    for path in paths:
        try:
            report = look(path)
        except InputError as error:
            if is_single:
                raise
            code = 2
            unread: dict[str, Any] = {"file": str(path), "error": str(error)}
            typer.echo(json.dumps(unread, ensure_ascii=False) if as_json else f"{path}: {error}")
            continue
        code = code or int(not report.is_proven)
        if as_json:
            typer.echo(json.dumps(report.as_dict(), indent=2 if is_single else None, ensure_ascii=False))
        else:
            typer.echo("\n".join(report.lines()) if is_single else f"{path}: {report.lines()[0]}")
    raise typer.Exit(code)


def _expand(files: list[Path]) -> list[Path]:
    """The files, and the pictures and videos in folders among them, in order.

    Raises:
        InputError: a folder holds none.
    """
    from facegen.errors import InputError
    from facegen.jobs.files import PICTURE_SUFFIXES, VIDEO_SUFFIXES

    known, found = {*PICTURE_SUFFIXES, *VIDEO_SUFFIXES}, []
    for file in files:
        inside = [one for one in sorted(file.rglob("*")) if one.suffix.lower() in known] if file.is_dir() else [file]
        if not inside:
            raise InputError(f"Expected pictures or videos in {file.name!r}, found none; name another folder.")
        found.extend(inside)
    return found
