"""Facesets made from others in the browser: split by person, resized, enhanced, imported, exported."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from facegen.errors import InputError
from facegen.guarded import Limits, run_guarded
from facegen.jobs.files import link_into
from facegen.media.apart import is_foreign
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.faceset import facesets as work

if TYPE_CHECKING:
    from facegen.facesets import Faceset
    from facegen.facesets.exchange import ImportResult

MIN_MASKS = 5
"""People with fewer faces get no faceset of their own."""
_SHOWN = 24
_THUMBNAIL = 112
_IMPORT_LIMITS = Limits(memory_mb=4000, cpu_seconds=1800, wall_seconds=3600.0)


def new_faceset_path(services: Services, visitor: Visitor, name: str) -> Path:
    """Where a new faceset of this name goes.

    Raises:
        InputError: there is one already, or the name does not do.
    """
    place = work.faceset_path(services, visitor, name)
    if place.exists() and any(place.iterdir()):
        raise InputError(f"Expected the name of a new faceset, found {name!r} there already; choose another.")
    return place


def people(faceset: "Faceset") -> list[tuple[np.ndarray, str]]:
    """A tile a person, with how many faces are that person's, the most seen first."""
    from facegen.facesets.cluster import cluster, compute_embeddings
    from facegen.facesets.faceset import resize_picture

    faceset = compute_embeddings(faceset)
    return [
        (resize_picture(faceset.picture(max(group, key=lambda r: r.sharpness)), _THUMBNAIL), f"{len(group)} faces")
        for group in cluster(faceset)[:_SHOWN]
    ]


def split(services: Services, visitor: Visitor, faceset: "Faceset") -> list[str]:
    """Makes a faceset of each person with `MIN_MASKS` faces or more; returns their names.

    Raises:
        InputError: nobody has so many, or a faceset of such a name is there already.
    """
    from facegen.facesets.cluster import cluster, compute_embeddings, split_people

    groups = [group for group in cluster(compute_embeddings(faceset)) if len(group) >= MIN_MASKS]
    if not groups:
        raise InputError(f"Expected a person with at least {MIN_MASKS} faces, found none; cut more faces out.")
    names = [f"{faceset.folder.name} person {number}" for number in range(len(groups))]
    places = [new_faceset_path(services, visitor, name) for name in names]
    with tempfile.TemporaryDirectory(dir=work.root(services, visitor), prefix=".split-") as folder:
        for made, place in zip(split_people(faceset, groups, Path(folder) / "all"), places, strict=True):
            made.rename(place)
    return names


def resize(services: Services, visitor: Visitor, faceset: "Faceset", name: str, size: float, face_type: str) -> str:
    """Makes a faceset of another size; returns what was made, in words."""
    from facegen.facesets.resize import resize as change

    made = change(faceset, new_faceset_path(services, visitor, name), size=int(size), face_type=face_type or None)
    return f"{made.faces} faces of {made.size} pixels in {name}."


def enhance(services: Services, visitor: Visitor, faceset: "Faceset", name: str, strength: float) -> str:
    """Makes a faceset with details restored; returns what was made, in words."""
    from facegen.facesets.enhance import enhance as restore

    made = restore(faceset, new_faceset_path(services, visitor, name), strength=float(strength))
    return f"{len(made)} faces restored in {name}."


def import_faceset(services: Services, visitor: Visitor, name: str, files: Sequence[str]) -> str:
    """Makes a faceset of another program's files; returns what was taken, in words.

    Args:
        services: the studio's.
        visitor: whose it becomes.
        name: of the new faceset.
        files: DeepFaceLab's JPEG files or its `faceset.pak`, faceswap's PNG files, or its `.fsa` with the video.

    Raises:
        InputError: there are none, or they are something else; a file that would run code is refused and named.
    """
    if not files:
        raise InputError("Expected files of DeepFaceLab or faceswap, found none; choose some first.")
    output = new_faceset_path(services, visitor, name)
    with tempfile.TemporaryDirectory(dir=services.visitor_folder(visitor)) as folder:
        for path in map(Path, files):
            link_into(path, Path(folder))
        given = sorted(Path(folder).iterdir())
        whole = [path for path in given if path.suffix in (".pak", ".fsa")]
        if len(whole) > 1:
            raise InputError(f"Expected one .pak or .fsa at a time, found {len(whole)}; take them one by one.")
        frames = [path for path in given if path not in whole] if whole and whole[0].suffix == ".fsa" else []
        described = frames[0] if len(frames) == 1 else (Path(folder) if frames else None)
        made = _import(whole[0] if whole else Path(folder), output, described)
    refused = f" {len(made.refused)} refused: {made.refused[0]}" if made.refused else ""
    return f"{made.faces} faces of {made.kind} in {name}.{refused}"


def _import(path: Path, output: Path, frames: Path | None) -> "ImportResult":
    """The import; strangers' files are read and measured in a process with limits."""
    from facegen.facesets.exchange import ImportResult, import_faces

    if not is_foreign(path):
        return import_faces(path, output, frames=frames)
    output.mkdir(parents=True, exist_ok=True)
    try:
        made = run_guarded(
            "facegen.facesets.exchange:import_apart", str(path), str(output), str(frames or ""),
            what="what you sent", limits=_IMPORT_LIMITS, writes=output,
        )  # fmt: skip
    except InputError:
        shutil.rmtree(output, ignore_errors=True)
        raise
    return ImportResult(**{**made, "refused": tuple(made["refused"])})


def export_faceset(services: Services, visitor: Visitor, faceset: "Faceset", kind: str) -> str:
    """Writes a faceset for another program; returns the file to download."""
    from facegen.facesets.exchange import export_faces

    folder = services.visitor_folder(visitor) / "exported"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    name = faceset.folder.name
    if kind.endswith(("-pak", "-fsa")):
        place = folder / ("faceset.pak" if kind.endswith("-pak") else f"{name}.fsa")
        export_faces(faceset, place, cast(Any, kind))
        return str(place)
    export_faces(faceset, folder / name, cast(Any, kind))
    return shutil.make_archive(str(folder / f"{name}-{kind}"), "zip", folder / name)
