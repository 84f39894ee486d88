"""`facegen faceset import`, `export`, `pack` and `unpack`, and what all commands on facesets share."""

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


def pack(
    folder: Folder,
    output: NewFolder,
    shard_mb: Annotated[int, typer.Option(min=1, help="Size of a shard, megabytes.")] = 256,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Pack the faceset into tar shards (WebDataset), which trainings read as they are."""
    from facegen.facesets.pack import pack as work

    faceset = open_faceset(folder)
    if dry_run:
        print_result(as_json, f"{count_text(len(faceset), 'face')} would be packed into {output}.", faces=len(faceset))
        return
    with progress_bar() as on_progress:
        made = work(faceset, output, shard_bytes=shard_mb * 1_000_000, on_progress=on_progress)
    print_result(
        as_json,
        f"{count_text(len(faceset), 'face')} in {len(made)} tar file{'s' if len(made) != 1 else ''} in {output}.",
        shards=[str(path) for path in made],
    )


def unpack(
    packed: Annotated[Path, typer.Argument(help="A folder of shards, or one shard.")],
    output: NewFolder,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a folder of shards again."""
    from facegen.facesets.pack import PackedFaceset
    from facegen.facesets.pack import unpack as work

    if dry_run:
        count = len(PackedFaceset.open(packed))
        print_result(as_json, f"{count_text(count, 'face')} would be unpacked to {output}.", faces=count)
        return
    with progress_bar() as on_progress:
        faceset = work(packed, output, on_progress)
    print_result(as_json, f"{count_text(len(faceset), 'face')} in {output}.", faces=len(faceset))


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
