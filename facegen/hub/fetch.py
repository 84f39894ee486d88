"""The path to a model file: its bytes checked, its licence accepted, or an error that says how to get it."""

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from facegen.config import write_json
from facegen.errors import WeightsError
from facegen.hub.custom import check_custom, custom_file
from facegen.hub.digest import hold_lock, lock_entry, lock_path, matches, read_lock, sha256_of
from facegen.hub.download import OnBytes, cached_file, download, link_cached, partial_files
from facegen.hub.weight_file import Hub, Package, WeightFile, locate, weights_home
from facegen.json_file import read_object


def is_accepted(weight: WeightFile) -> bool:
    """Whether the licence needs no acceptance, or was accepted in the wording it has now."""
    if not weight.needs_acceptance:
        return True
    path = weights_home() / "accepted.json"
    entry = read_object(path, is_optional=True).get(weight.name)
    return isinstance(entry, dict) and entry.get("licence") == weight.licence


def remember_licence(weight: WeightFile) -> None:
    """Remember that the user accepted the licence of this file."""
    with hold_lock(weights_home() / ".locks" / "accepted.json"):
        path = weights_home() / "accepted.json"
        accepted = read_object(path, is_optional=True)
        accepted[weight.name] = {"licence": weight.licence, "accepted": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        write_json(path, accepted)


def is_present(weight: WeightFile) -> bool:
    """Whether `fetch` would answer without the network; sizes are compared, digests are left to `fetch`."""
    if custom := custom_file(weight):
        return Path(custom.path).is_file()
    try:
        path = locate(weight)
    except WeightsError:
        return False
    if isinstance(weight.source, Hub) and not path.is_file():
        path = cached_file(weight, weight.source) or path
    return path.is_file() and weight.size in (None, path.stat().st_size)


def fetch(weight: WeightFile, accept_licence: bool = False, on_bytes: OnBytes | None = None) -> Path:
    """A path to the file, its SHA-256 checked; a Hub file is downloaded if it is not there yet.

    One that other programs have in the Hub's own cache is taken from there. A download that was interrupted is taken up
    where it stopped; whoever asks for a file that is being downloaded waits for that download.

    Args:
        weight: the file.
        accept_licence: accept a licence that asks for acceptance, now and for later.
        on_bytes: told how far a download is, also one of another process; what it raises stops this one.

    Raises:
        WeightsError: the file is missing, changed or cut short, the Hub cannot be reached, or the licence was not
            accepted.
        ResourceError: the disk is full or facegen's home cannot be written.
    """
    if custom := custom_file(weight):
        return check_custom(weight, custom)
    if isinstance(weight.source, Hub):
        return _fetch_from_hub(weight, weight.source, accept_licence, on_bytes)
    path = locate(weight)
    if not path.is_file():
        remedy = "run make install again" if isinstance(weight.source, Package) else "restore it from the repository"
        raise WeightsError(f"Expected the model {weight.name} at {path}, found no file; {remedy}.")
    digest = sha256_of(path)
    if digest != weight.sha256:
        raise WeightsError(
            f"Expected the model {weight.name} with SHA-256 {weight.sha256}, found {digest} in {path}; "
            "the file was changed or cut short, so install it again."
        )
    return path


def _fetch_from_hub(weight: WeightFile, source: Hub, accept: bool, on_bytes: OnBytes | None) -> Path:
    if accept and not is_accepted(weight):
        remember_licence(weight)
    if not is_accepted(weight):
        raise WeightsError(
            f"The model {weight.name} is under «{weight.licence}», which was not accepted yet. {weight.terms} Read "
            f"{weight.licence_link} and run: facegen weights accept {weight.name}"
        )
    return fetch_checked(weight, source, on_bytes)


def fetch_checked(weight: WeightFile, source: Hub, on_bytes: OnBytes | None) -> Path:
    """`fetch` for a file of the Hub, whatever its licence."""
    path, key = locate(weight), lock_key(weight, source)
    waiting = partial(_report_other_download, weight, on_bytes) if on_bytes else None
    with hold_lock(lock_path(weight), waiting):
        entry = read_lock().get(key, {})
        expected = weight.sha256 or entry.get("sha256")
        if expected is not None and path.is_file() and entry == lock_entry(path, expected):
            return path
        if expected is None or not path.is_file() or sha256_of(path) != expected:
            is_linked = link_cached(weight, source, path, expected)
            expected = sha256_of(path) if is_linked else _download_checked(weight, source, path, expected, on_bytes)
        with hold_lock(weights_home() / ".locks" / "lock.json"):
            write_json(weights_home() / "lock.json", {**read_lock(), key: lock_entry(path, expected)})
    return path


def lock_key(weight: WeightFile, source: Hub) -> str:
    """The key of a file in the lock file."""
    return f"{source.repo_id}@{source.revision}/{weight.filename}"


def _report_other_download(weight: WeightFile, on_bytes: OnBytes) -> None:
    """Say how far the download of another process or thread is."""
    on_bytes(sum(path.stat().st_size for path in partial_files(weight)), weight.size)


def _download_checked(
    weight: WeightFile, source: Hub, path: Path, expected: str | None, on_bytes: OnBytes | None
) -> str:
    """Download to `path` and return its SHA-256; wrong bytes are asked for once more, then refused and removed."""
    for _ in range(2):
        path.unlink(missing_ok=True)
        stated = download(weight, source, path, on_bytes)
        if matches(path, expected or stated):
            return sha256_of(path)
        digest = sha256_of(path)
        path.unlink()
    raise WeightsError(
        f"Expected the model {weight.name} with digest {expected or stated}, found {digest} twice in what the Hub sent; the "
        "file or the connection was tampered with, so nothing was kept."
    )


def require(weights: Iterable[WeightFile], wanted: str, instead: str) -> None:
    """Refuse a choice whose files are not on this machine.

    Args:
        weights: the files.
        wanted: what they are for: «the engine ghost-1-256».
        instead: what can be chosen without them: «the engine mesh».

    Raises:
        WeightsError: some are missing; the sentence names them and the command that fetches them.
    """
    if missing := [weight.name for weight in weights if not is_present(weight)]:
        raise WeightsError(
            f"Expected the weights {', '.join(missing)} for {wanted}, found none; fetch them in the tab Models or with "
            f"«facegen weights fetch {missing[0]}», or choose {instead}."
        )
