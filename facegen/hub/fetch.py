"""A path to a model file whose bytes were checked."""

from pathlib import Path

from facegen.config import write_json
from facegen.errors import WeightsError
from facegen.hub.custom import check_custom, custom_file
from facegen.hub.digest import git_digest, hold_lock, lock_entry, read_lock, sha256_of
from facegen.hub.download import download
from facegen.hub.licences import accept_licence as remember_licence
from facegen.hub.licences import is_accepted
from facegen.hub.weight_file import Hub, Package, WeightFile, locate, weights_home


def is_present(weight: WeightFile) -> bool:
    """Whether `fetch` would answer without the network; sizes are compared, digests are left to `fetch`."""
    if custom := custom_file(weight):
        return Path(custom.path).is_file()
    try:
        path = locate(weight)
    except WeightsError:
        return False
    if not path.is_file():
        return False
    return weight.size is None or path.stat().st_size == weight.size


def fetch(weight: WeightFile, accept_licence: bool = False) -> Path:
    """A path to the file, its SHA-256 checked; a Hub file is downloaded if it is not there yet.

    Args:
        weight: the file.
        accept_licence: accept a licence that asks for acceptance, now and for later.

    Raises:
        WeightsError: the file is missing, changed or cut short, the Hub cannot be reached, or the licence was not
            accepted.
        ResourceError: the disk is full or facegen's home cannot be written.
    """
    if custom := custom_file(weight):
        return check_custom(weight, custom)
    if isinstance(weight.source, Hub):
        return _fetch_from_hub(weight, weight.source, accept_licence)
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


def _fetch_from_hub(weight: WeightFile, source: Hub, accept: bool) -> Path:
    if accept and not is_accepted(weight):
        remember_licence(weight)
    if not is_accepted(weight):
        raise WeightsError(
            f"The model {weight.name} is under «{weight.licence}», which was not accepted yet; read {weight.card} and "
            f"run: facegen weights fetch {weight.name} --accept-licence"
        )
    path = locate(weight)
    key = f"{source.repo_id}@{source.revision}/{weight.filename}"
    with hold_lock(weights_home() / ".locks" / weight.name):
        entry = read_lock().get(key, {})
        expected = weight.sha256 or entry.get("sha256")
        if expected is not None and path.is_file() and entry == lock_entry(path, expected):
            return path
        if expected is None or not path.is_file() or sha256_of(path) != expected:
            expected = _download_checked(weight, source, path, expected)
        with hold_lock(weights_home() / ".locks" / "lock.json"):
            write_json(weights_home() / "lock.json", {**read_lock(), key: lock_entry(path, expected)})
    return path


def _download_checked(weight: WeightFile, source: Hub, path: Path, expected: str | None) -> str:
    """Download to `path` and return its SHA-256; wrong bytes are asked for once more, then refused and removed."""
    for attempt in (1, 2):
        path.unlink(missing_ok=True)
        stated = download(weight, source, path)
        digest = sha256_of(path)
        wanted = expected or stated
        if wanted == (digest if len(wanted) == 64 else git_digest(path)):
            return digest
        path.unlink()
        if attempt == 2:
            break
    raise WeightsError(
        f"Expected the model {weight.name} with digest {wanted}, found {digest} twice in what the Hub sent; the file or "
        "the connection was tampered with, so nothing was kept."
    )
