"""`facegen faceset`: faces out of videos and pictures, sorted, cleaned, masked, packed, exchanged."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facegen.cli.command import (
    Device,
    RunOptions,
    Values,
    build,
    describe_choices,
    job_command,
    progress_bar,
    run_job,
    use_device,
    with_options,
)
from facegen.cli.faceset_exchange import (
    AsJson,
    DryRun,
    Folder,
    NewFolder,
    export,
    import_,
    open_faceset,
    pack,
    print_result,
    unpack,
)
from facegen.errors import InputError
from facegen.facesets.jobs import EXTRACT
from facegen.facesets.options import (
    CLEAN_REASONS,
    MASKS,
    PERSON_DISTANCE_LIMIT,
    SORT_KEYS,
    CleanOptions,
)
from facegen.jobs.job import count_text

if TYPE_CHECKING:
    from facegen.facesets.faceset import Faceset
    from facegen.facesets.record import FaceRecord

app = typer.Typer(
    help="Faces out of videos and pictures: extract, sort, cluster, clean, mask, resize, pack, exchange.",
    no_args_is_help=True,
)


_BY_HELP, _BY = describe_choices("--by", "What decides the order.", SORT_KEYS)


@app.command()
@job_command(EXTRACT, takes_cluster=True)
def extract(values: Values, run_options: RunOptions) -> None:
    """Cut faces out of videos and pictures; the same command goes on where it was cut off."""
    run_job(EXTRACT, build(EXTRACT, values), run_options)


@app.command()
def sort(
    folder: Folder,
    by: Annotated[str, typer.Option(metavar=_BY, help=_BY_HELP)] = "blur",
    count: Annotated[int, typer.Option(min=1, help="How many faces «final» keeps.")] = 2000,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put the faces into an order, best or most alike first; the order stands in their names."""
    from facegen.facesets import sort as sorting
    from facegen.facesets import trash

    faceset = open_faceset(folder)
    with progress_bar() as on_progress:
        order = sorting.sort(faceset, by, count=count, on_progress=on_progress)
    records = list(order.records)
    if not dry_run:
        trash.move(faceset, order.dropped, [f"sort by {by}"] * len(order.dropped))
        records = list(faceset.rename_in_order(records).records)
    if as_json:
        names = [record.file_name for record in records]
        typer.echo(json.dumps({"order": names, "dropped": _names(order.dropped), "values": order.values}))
        return
    if dry_run:
        for position, record in enumerate(records):
            value = f"{order.values[position]:9.3f}  " if order.values else ""
            typer.echo(f"{position:5}  {value}{record.file_name}")
    moved = f", {len(order.dropped)} to the trash" if order.dropped else ""
    typer.echo(f"{'Would sort' if dry_run else 'Sorted'} {count_text(len(records), 'face')} by {by}{moved}.", err=True)


@app.command()
def cluster(
    folder: Folder,
    limit: Annotated[
        float | None, typer.Option(min=0.1, max=1.5, help="Faces further apart on average are two people.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="Also write each person as a faceset of its own below here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Group the faces by person, without knowing who they are."""
    from facegen.facesets import cluster as clustering
    from facegen.facesets.cluster import split_people

    with progress_bar() as on_progress:
        faceset = clustering.compute_embeddings(open_faceset(folder), on_progress=on_progress)
    groups = clustering.cluster(faceset, limit=limit if limit is not None else PERSON_DISTANCE_LIMIT)
    folders = split_people(faceset, groups, split) if split is not None else []
    if as_json:
        typer.echo(
            json.dumps({"clusters": [_names(group) for group in groups], "folders": [str(path) for path in folders]})
        )
        return
    for number, group in enumerate(groups):
        typer.echo(f"Person {number}: {count_text(len(group), 'face')}, such as {', '.join(_names(group)[:3])}")


@app.command()
@with_options(CleanOptions, without=("reasons",))
def clean(
    folder: Folder,
    reason: Annotated[
        list[str] | None,
        typer.Option(metavar="|".join(CLEAN_REASONS), help="What to look for; repeatable. Default: all."),
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Drop this face (its file name); repeatable.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Keep this face although proposed; repeatable.")] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Forget faces whose pictures were deleted by hand.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Bring back what was taken out last.")] = False,
    restore: Annotated[list[str] | None, typer.Option(help="Bring back this face; repeatable.")] = None,
    empty_trash: Annotated[bool, typer.Option("--empty-trash", help="Delete for good what lies in the trash.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    *,
    options: Mapping[str, Any],
) -> None:
    """Move faces that do not belong to the trash: other people, doubles, blurred, misaligned, covered ones."""
    from facegen.facesets import clean as cleaning
    from facegen.facesets import trash

    faceset = open_faceset(folder)
    if empty_trash:
        count = len(trash.list_trash(folder)) if dry_run else trash.empty(folder)
        print_result(
            as_json, f"{count_text(count, 'face')} {'would be ' if dry_run else ''}deleted for good.", deleted=count
        )
        return
    if undo or restore:
        if dry_run:
            print_result(
                as_json,
                f"{count_text(len(trash.list_trash(folder)), 'face')} in the trash.",
                trash=len(trash.list_trash(folder)),
            )
            return
        faceset, count = trash.restore(faceset, restore or None)
        print_result(
            as_json, f"{count_text(count, 'face')} back, {len(faceset)} in all.", restored=count, faces=len(faceset)
        )
        return
    if missing:
        count = len(faceset.missing())
        if not dry_run:
            faceset, count = trash.forget_missing(faceset)
        print_result(
            as_json,
            f"{count_text(count, 'face')} without a picture {'would be ' if dry_run else ''}forgotten.",
            forgotten=count,
        )
        return
    rejected: list[tuple[FaceRecord, str, float]]
    if drop:
        rejected = [(_find_record(faceset, name), "by hand", 0.0) for name in drop]
    else:
        clean_options = CleanOptions(**options, reasons=tuple(reason or CLEAN_REASONS))
        with progress_bar() as on_progress:
            proposals = cleaning.propose(faceset, clean_options, on_progress)
        spared = {_find_record(faceset, name).file_name for name in keep or ()}
        rejected = [(r.record, r.reason, r.value) for r in proposals if r.record.file_name not in spared]
    if not dry_run:
        trash.move(faceset, [record for record, _, _ in rejected], [why for _, why, _ in rejected])
    if as_json:
        rejects = [{"file_name": r.file_name, "reason": why, "value": round(v, 4)} for r, why, v in rejected]
        typer.echo(
            json.dumps(
                {"rejects": rejects, "moved": not dry_run, "faces": len(faceset) - len(rejected) * (not dry_run)}
            )
        )
        return
    for record, why, value in rejected:
        typer.echo(f"{why:13} {value:8.3f}  {record.file_name}")
    verb = "would go" if dry_run else "went"
    typer.echo(
        f"{len(rejected)} of {count_text(len(faceset), 'face')} {verb} to the trash (back with --undo).", err=True
    )


@app.command()
def mask(
    folder: Folder,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            "--method",
            metavar="|".join((*MASKS, "trained:RUN")),
            help="What makes the masks; trained:RUN is a training of «mask». Those drawn by hand stay.",
        ),
    ] = "parser",
    fetch: Annotated[Path | None, typer.Option(help="Instead copy faces with their masks into this folder.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Instead delete all masks.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Also write a picture with some of the masks.")] = None,
    device: Device = "auto",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give every face a mask."""
    from facegen.facesets import mask as masking

    use_device(device)
    faceset = open_faceset(folder)
    masked = sum(record.mask_file_name is not None for record in faceset.records)
    if remove:
        count = masked if dry_run else masking.remove(faceset)[1]
        print_result(as_json, f"{count_text(count, 'mask')} {'would be ' if dry_run else ''}deleted.", removed=count)
        return
    with progress_bar() as on_progress:
        if fetch is not None:
            count = masked if dry_run else masking.fetch(faceset, fetch, on_progress)
            print_result(
                as_json,
                f"{count_text(count, 'face')} with masks {'would be ' if dry_run else ''}copied to {fetch}.",
                fetched=count,
            )
            return
        if dry_run:
            print_result(
                as_json,
                f"{count_text(len(faceset), 'face')} to get masks, {masked} with some now.",
                masked=len(faceset),
            )
            return
        faceset = masking.apply(faceset, by, on_progress)
    if sheet is not None:
        from facegen.facesets.info import sheet as draw_sheet
        from facegen.media import write_picture

        write_picture(sheet, draw_sheet(faceset))
    print_result(as_json, f"{count_text(len(faceset), 'face')} with masks by {by}.", masked=len(faceset))


@app.command()
def resize(
    folder: Folder,
    output: NewFolder,
    size: Annotated[int, typer.Option(help="Side of the new pictures, pixels.")],
    face_type: Annotated[str | None, typer.Option(help="A smaller face type, cut out of this one.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write the faces in another size; masks and points come with them."""
    from facegen.facesets.resize import resize as work

    faceset = open_faceset(folder)
    if dry_run:
        print_result(
            as_json,
            f"{count_text(len(faceset), 'face')} would be written with {size} pixels to {output}.",
            faces=len(faceset),
        )
        return
    with progress_bar() as on_progress:
        result = work(faceset, output, size=size, face_type=face_type, on_progress=on_progress)
    print_result(
        as_json,
        f"{count_text(result.faces, 'face')} of {result.size} pixels in {result.folder}.",
        **dataclasses.asdict(result),
    )


@app.command()
def enhance(
    folder: Folder,
    output: NewFolder,
    strength: Annotated[float, typer.Option(help="How much of what the restorer does, above 0 and up to 1.")] = 1.0,
    device: Device = "auto",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write the faces with their details restored; for soft or small ones."""
    from facegen.facesets.enhance import enhance as work

    use_device(device)
    faceset = open_faceset(folder)
    if dry_run:
        print_result(
            as_json, f"{count_text(len(faceset), 'face')} would be restored into {output}.", faces=len(faceset)
        )
        return
    with progress_bar() as on_progress:
        enhanced = work(faceset, output, strength=strength, on_progress=on_progress)
    print_result(as_json, f"{count_text(len(enhanced), 'face')} restored in {output}.", faces=len(enhanced))


app.command()(pack)
app.command()(unpack)


@app.command()
def metadata(
    action: Annotated[str, typer.Argument(metavar="save|restore", help="What to do.")],
    folder: Annotated[Path, typer.Argument(help="The faces.")],
    file: Annotated[Path, typer.Argument(help="Where the metadata is kept.")],
    as_json: AsJson = False,
) -> None:
    """Keep the metadata aside, and give it back to pictures that were edited elsewhere."""
    from facegen.facesets import metadata as keeping

    if action == "save":
        count = keeping.save(open_faceset(folder), file)
        print_result(as_json, f"The metadata of {count_text(count, 'face')} is in {file}.", faces=count)
    elif action == "restore":
        faceset, unknown = keeping.restore(folder, file)
        more = f"; {count_text(len(unknown), 'picture')} unknown to it, such as {unknown[0]}" if unknown else ""
        print_result(
            as_json,
            f"{count_text(len(faceset), 'face')} with their metadata back{more}.",
            faces=len(faceset),
            unknown=unknown,
        )
    else:
        raise InputError(f"Expected save or restore, found {action!r}; write one of them after metadata.")


@app.command()
def info(
    folder: Folder,
    picture: Annotated[Path | None, typer.Option(help="Also draw the spread into this picture.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a faceset holds: spread of poses, sharpness, brightness, people."""
    from facegen.facesets import info as looking

    faceset = open_faceset(folder)
    figures = looking.describe(faceset)
    if picture is not None:
        from facegen.media import write_picture

        write_picture(picture, looking.draw(faceset))
    if as_json:
        typer.echo(json.dumps(figures.to_json(), ensure_ascii=False))
        return
    for name, value in figures.to_json().items():
        if name == "spread":
            continue
        if name == "people":
            value = {f"{len(value)}, seen in": ", ".join(map(str, value[:8])) + ", ..." * (len(value) > 8)}
        parts = [f"{k} {v}" for k, v in value.items()] if isinstance(value, dict) else value
        text = parts if isinstance(parts, str | int) else ", ".join(map(str, parts[:8])) + ", ..." * (len(parts) > 8)
        typer.echo(f"{name:12} {text}")


def _names(records: "Sequence[FaceRecord]") -> list[str]:
    return [record.file_name for record in records]


def _find_record(faceset: "Faceset", name: str) -> "FaceRecord":
    for record in faceset.records:
        if name in (record.file_name, record.stem):
            return record
    raise InputError(f"Expected the name of a face in {faceset.folder}, found {name!r}; see its metadata.jsonl.")


app.command("import")(import_)
app.command()(export)
