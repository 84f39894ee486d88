"""Custom files that replace weights files of the catalog, listed in weights/own.json of facegen's home."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegen.config import from_dict, to_dict, write_json
from facegen.errors import InputError, ResourceError, WeightsError
from facegen.hub.digest import hold_lock, sha256_of
from facegen.hub.weight_file import WeightFile, weights_home
from facegen.json_file import read_object


@dataclass(frozen=True, kw_only=True)
class CustomFile:
    """A custom file in the place of one of the catalog, as own.json lists it; `origin` is for people to read."""

    path: str
    sha256: str
    origin: str
    since: str


def custom_file(weight: WeightFile) -> CustomFile | None:
    """The custom file that replaces this one; None without one.

    Raises:
        InputError: own.json is damaged.
    """
    entry = _read_custom().get(weight.name)
    try:
        return None if entry is None else from_dict(CustomFile, entry)
    except InputError as error:
        raise InputError(f"{weights_home() / 'own.json'}: {error}") from error


def use_custom(weight: WeightFile, path: Path, *, origin: str = "") -> Path:
    """Replace a file by a copy of a custom one, such as a model trained here.

    Args:
        weight: the file that is replaced.
        path: the file; whoever loads it says whether it fits.
        origin: where it comes from, for people to read.

    Returns:
        The copy, from which `fetch` serves from now on.

    Raises:
        InputError: there is no such file, or it is of another kind.
        ResourceError: the disk is full or facegen's home cannot be written.
    """
    if not path.is_file():
        raise InputError(f"Expected a model file at {path}, found none; export the training first.")
    _check_kind(weight, path)
    digest = sha256_of(path)
    copy = weights_home() / "own" / weight.name / f"{digest[:16]}{path.suffix}"
    with hold_lock(weights_home() / ".locks" / "own.json"):
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            partial = copy.with_name(f".{copy.name}")
            shutil.copyfile(path, partial)
            partial.replace(copy)
        except OSError as error:
            raise ResourceError(f"Cannot store {copy}: {error.strerror}; free some space.") from error
        since = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        entry = to_dict(CustomFile(path=str(copy), sha256=digest, origin=origin or str(path), since=since))
        write_json(weights_home() / "own.json", {**_read_custom(), weight.name: entry})
    return copy


def _check_kind(weight: WeightFile, path: Path) -> None:
    """Raises InputError where a file cannot be what another one is; whether it fits in full, its reader says."""
    from safetensors import SafetensorError, safe_open

    kind = Path(weight.filename).suffix
    is_alike = path.suffix == kind
    if is_alike and kind == ".safetensors":
        try:
            with safe_open(path, "numpy"):
                pass
        except SafetensorError:
            is_alike = False
    if not is_alike:
        raise InputError(
            f"Expected a {kind} file of a model in the place of {weight.name}, found {path.name}; "
            "export the training first."
        )


def use_default(weight: WeightFile) -> None:
    """Go back to the file of the catalog and remove the custom one."""
    with hold_lock(weights_home() / ".locks" / "own.json"):
        others = _read_custom()
        if others.pop(weight.name, None) is not None:
            write_json(weights_home() / "own.json", others)
    shutil.rmtree(weights_home() / "own" / weight.name, ignore_errors=True)


def _read_custom() -> dict[str, Any]:
    return read_object(weights_home() / "own.json", is_optional=True)


def check_custom(weight: WeightFile, custom: CustomFile) -> Path:
    """Where a custom file lies, its SHA-256 checked.

    Raises:
        WeightsError: it is gone, or was changed.
    """
    path = Path(custom.path)
    if not path.is_file() or sha256_of(path) != custom.sha256:
        raise WeightsError(
            f"Expected your own model in the place of {weight.name} at {path}, found it gone or changed; go back to "
            f"the one of facegen with: facegen weights reset {weight.name}"
        )
    return path
