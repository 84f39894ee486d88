"""`facegen verify`: what files say of their making."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

_URL_SECONDS = 60.0
_MOST_BYTES = 2_000_000_000


def verify(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, videos and sounds, folders of them, or URLs such as those of a studio's results.",
            metavar="FILES...",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON: of several files, a line each.")
    ] = False,
) -> None:
    """Say whether facegen made pictures, videos or sounds: their signature, watermark and notice.

    The exit code is 0 where each file is proven by a signature with this installation's own key, 1 where one is not, and 2
    where one cannot be read. A watermark, or a signature of another facegen, is reported and proves nothing.
    """
    import json

    from facegen.errors import InputError
    from facegen.provenance import verify as look

    named = _expand(files)
    is_single = len(named) == 1 and not Path(files[0]).is_dir()
    code = 0
    for name in named:
        try:
            with tempfile.TemporaryDirectory(prefix="facegen-verify-") as folder:
                report = look(_fetch(name, Path(folder)) if _is_url(name) else name)
        except InputError as error:
            if is_single:
                raise
            code = 2
            unread: dict[str, Any] = {"file": name, "error": str(error)}
            typer.echo(json.dumps(unread, ensure_ascii=False) if as_json else f"{name}: {error}")
            continue
        code = code or int(not report.is_proven)
        if as_json:
            content = {**report.as_dict(), "file": name}
            typer.echo(json.dumps(content, indent=2 if is_single else None, ensure_ascii=False))
        else:
            typer.echo("\n".join(report.lines()) if is_single else f"{name}: {report.lines()[0]}")
    raise typer.Exit(code)


def _expand(files: list[str]) -> list[str]:
    """The files and URLs, and the pictures, videos and sounds in folders among them, in order.

    Raises:
        InputError: a folder holds none.
    """
    from facegen.errors import InputError
    from facegen.jobs.files import PICTURE_SUFFIXES, VIDEO_SUFFIXES

    suffixes, expanded = {*PICTURE_SUFFIXES, *VIDEO_SUFFIXES, ".wav"}, []
    for name in files:
        inside = [name]
        if not _is_url(name) and Path(name).is_dir():
            inside = [str(one) for one in sorted(Path(name).rglob("*")) if one.suffix.lower() in suffixes]
        if not inside:
            raise InputError(f"Expected pictures or videos in {Path(name).name!r}, found none; name another folder.")
        expanded.extend(inside)
    return expanded


def _is_url(name: str) -> bool:
    return name.lower().startswith(("http://", "https://"))


def _fetch(url: str, folder: Path) -> Path:
    """A copy of the file at a URL, under its own name.

    Raises:
        InputError: it cannot be fetched, or is larger than two gigabytes.
    """
    import shutil
    import urllib.request
    from urllib.parse import unquote, urlsplit

    from facegen.errors import InputError

    copy = folder / (Path(unquote(urlsplit(url).path)).name or "file")
    try:
        with urllib.request.urlopen(url, timeout=_URL_SECONDS) as answer, copy.open("wb") as file:
            if int(answer.headers.get("content-length") or 0) > _MOST_BYTES:
                raise InputError(
                    f"Expected at most {_MOST_BYTES / 1e9:g} GB at {url}, found more; fetch the file first."
                )
            shutil.copyfileobj(answer, file)
    except (OSError, ValueError) as error:
        raise InputError(f"Expected a file at {url}, but {error}; check the address.") from error
    return copy
