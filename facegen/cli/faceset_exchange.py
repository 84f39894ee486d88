"""`facegen faceset import` and `export`, and what all commands on facesets share."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facegen.cli.command import progress_bar
from facegen.facesets.options import EXPORTS
from facegen.jobs.job import count_text

if TYPE_CHECKING:
    from facegen.facesets import Faceset

Folder = Annotated[Path, typer.Argument(help="A faceset: a folder with metadata.jsonl.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
NewFolder = Annotated[Path, typer.Option("--output", "-o", help="A new folder.")]


def import_(
    path: Annotated[
        Path, typer.Argument(help="DeepFaceLab's JPEG files or faceset.pak, faceswap's PNG files or .fsa.")
    ],
    output: NewFolder,
    frames: Annotated[Path | None, typer.Option(help="For .fsa: the video or folder of pictures it describes.")] = None,
    face_type: Annotated[str, typer.Option(help="How faceswap's faces are cut.")] = "whole_face",
    size: Annotated[int, typer.Option(min=32, max=2048, help="Side of faceswap's faces, pixels.")] = 256,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take over faces of DeepFaceLab or faceswap; a file that would run code is refused and named."""
    from facegen.facesets import exchange

    if dry_run:
        kind = exchange.detect_kind(path)
        print_result(as_json, f"{path} holds {kind}.", kind=kind)
        return
    with progress_bar() as on_progress:
        result = exchange.import_faces(
            path, output, frames=frames, face_type=face_type, size=size, on_progress=on_progress
        )
    if not as_json:
        for line in result.refused:
            typer.echo(line, err=True)
    print_result(
        as_json,
        f"{count_text(result.faces, 'face')} of {result.kind} in {result.folder}.",
        **dataclasses.asdict(result),
    )


def export(
    folder: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for pictures, a file for .pak and .fsa.")],
    kind: Annotated[str, typer.Option("--as", metavar="|".join(EXPORTS), help="For which program.")] = "dfl-jpeg",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write the faces for DeepFaceLab or faceswap."""
    from facegen.facesets import exchange

    faceset = open_faceset(folder)
    if dry_run:
        print_result(
            as_json, f"{count_text(len(faceset), 'face')} would be written as {kind} to {output}.", faces=len(faceset)
        )
        return
    with progress_bar() as on_progress:
        count = exchange.export_faces(faceset, output, kind, on_progress)  # type: ignore[arg-type]
    print_result(as_json, f"{count_text(count, 'face')} written as {kind} to {output}.", faces=count)


def open_faceset(folder: Path) -> "Faceset":
    """The faceset in a folder."""
    from facegen.facesets import Faceset

    return Faceset.open(folder)


def print_result(as_json: bool, sentence: str, **figures: Any) -> None:
    """Says what was done, in a sentence or as JSON."""
    if as_json:
        typer.echo(json.dumps(figures, ensure_ascii=False))
    else:
        typer.echo(sentence, err=True)
