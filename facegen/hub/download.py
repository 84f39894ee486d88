"""Downloads one file from the Hub, or links it from the Hub's own cache; the only module that sends requests to the Hub.

Pinned revisions; HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE honoured; no telemetry. A download goes
into a file beside its place and is taken up there again after whatever interrupted it: the library's own function for
files deletes what it has when it is interrupted, so its function for one address is called here.
"""

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from facegen.errors import ResourceError, WeightsError
from facegen.hub.digest import matches
from facegen.hub.weight_file import Hub, WeightFile, locate
from facegen.system import link_path

OnBytes = Callable[[int, int | None], None]
"""`on_bytes(bytes that are here, bytes in all where known)`; what it raises stops the download, which can be taken up again."""

_CHUNK_BYTES = 1 << 20
_RETRIES = 4
"""How often a Hub that answers with an error of its own is asked again, after 0.5, 1, 2 and 4 seconds."""
_SPARE_BYTES = 64 << 20
"""What stays free on the disk."""


def endpoint() -> str:
    """The address of the Hub: $HF_ENDPOINT, or huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def is_offline() -> bool:
    """Whether $HF_HUB_OFFLINE forbids to ask the Hub."""
    from huggingface_hub import constants

    return os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES or constants.HF_HUB_OFFLINE


def hub_cache() -> Path:
    """Where the Hub's own library keeps what other programs downloaded: $HF_HUB_CACHE, or hub/ of $HF_HOME."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named).expanduser()
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(os.environ.get("HF_HOME") or default).expanduser() / "hub"


def cached_file(weight: WeightFile, source: Hub) -> Path | None:
    """The file in the Hub's own cache, whose name in its folder of blobs is its digest; None where it is not there.

    The layout is that of huggingface_hub, whose import takes half a second.
    """
    repository = hub_cache() / f"models--{source.repo_id.replace('/', '--')}"
    reference = repository / "refs" / source.revision
    commit = reference.read_text().strip() if reference.is_file() else source.revision
    path = repository / "snapshots" / commit / weight.filename
    return path if path.is_file() else None


def link_cached(weight: WeightFile, source: Hub, path: Path, expected: str | None) -> bool:
    """Put a file of the Hub's own cache at `path` without a second copy where the disk allows it; False where it has none.

    Args:
        weight: the file.
        source: its repository.
        path: where it goes.
        expected: its SHA-256, where known; else the digest in the cache's own name of it is checked.
    """
    cached = cached_file(weight, source)
    if cached is None:
        return False
    stated = Path(os.readlink(cached)).name if cached.is_symlink() else ""
    wanted = expected or stated
    if len(wanted) not in (40, 64) or not matches(cached, wanted):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(cached.resolve(), path)
    except OSError:
        link_path(cached.resolve(), path)
    return True


def partial_files(weight: WeightFile) -> list[Path]:
    """What interrupted downloads of a file left, to be taken up again."""
    path = locate(weight)
    return sorted(path.parent.glob(f".{path.name}.*.part")) if path.parent.is_dir() else []


def download(weight: WeightFile, source: Hub, path: Path, on_bytes: OnBytes | None) -> str:
    """Download one file and return the digest the Hub states for it: SHA-256, or git's SHA-1 for small files.

    Raises:
        WeightsError: the Hub cannot be reached, or does not give the file.
        ResourceError: the disk is full, or facegen's home cannot be written.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    # The library reads these once, at its import, which another package may have caused before us.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES
    where = f"the model {weight.name} ({source.repo_id}/{weight.filename})"
    if is_offline():
        raise WeightsError(f"Cannot download {where} because HF_HUB_OFFLINE is set; unset it or place the file: {path}")
    with translated_errors(where, source):
        url = hf_hub_url(source.repo_id, weight.filename, revision=source.revision, endpoint=endpoint())
        stated = _retry(lambda: get_hf_file_metadata(url, token=get_token(), endpoint=endpoint()))
        if stated.etag is None or len(stated.etag) not in (40, 64):
            raise WeightsError(
                f"{endpoint()} states no digest for {where}, so its bytes cannot be checked; use the Hub."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{stated.etag[:16]}.part")
        for leftover in partial_files(weight):
            if leftover != partial:
                leftover.unlink(missing_ok=True)
        _check_space(where, path.parent, (stated.size or 0) - (partial.stat().st_size if partial.exists() else 0))

        def transfer() -> None:
            with partial.open("ab") as file:
                here = file.tell()
                http_get(
                    url,
                    file,
                    resume_size=here,
                    headers=build_hf_headers(token=get_token()),
                    expected_size=stated.size,
                    displayed_filename=path.name,
                    tqdm_class=_make_meter(on_bytes, stated.size),
                )

        try:
            _retry(transfer)
        except OSError as error:
            if error.errno is not None:
                partial.unlink(missing_ok=True)  # the disk is full: let it have the room
            raise
        partial.replace(path)
    return stated.etag


def _make_meter(on_bytes: OnBytes | None, size: int | None) -> type[Any]:
    """A class in the place of tqdm's bar that passes on how many bytes are here."""

    class Meter:
        def __init__(self, *_: object, initial: int = 0, **__: object) -> None:
            self.n = initial
            self.update(0)

        def update(self, count: int = 1) -> None:
            self.n += count
            if on_bytes is not None:
                on_bytes(self.n, size)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    return Meter


def _retry(call: Callable[[], Any]) -> Any:
    """What a call gives; asked again where the Hub answers with an error of its own."""
    from huggingface_hub.errors import HfHubHTTPError

    for retry in range(_RETRIES + 1):
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response.status_code < 500 or retry == _RETRIES:
                raise
            time.sleep(0.5 * 2**retry)
    raise AssertionError("unreachable")


def _check_space(where: str, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        raise ResourceError(
            f"Expected {needed / 1e6:.0f} MB of free disk for {where}, found {free / 1e6:.0f} MB in {folder}; free some "
            "space or set FACEGEN_HOME."
        )


@contextmanager
def translated_errors(where: str, source: Hub) -> Iterator[None]:
    """Say errors of the Hub's library in one sentence.

    Args:
        where: what is wanted, in words.
        source: from where.

    Raises:
        WeightsError: the Hub cannot be reached, or refuses.
        ResourceError: the disk is full, or facegen's home cannot be written.
    """
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"The Hub gives {where} only to accounts that were let in; ask on {endpoint()}/{source.repo_id} and log in "
            "with: hf auth login"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        if error.response is not None and error.response.status_code == 401:
            raise WeightsError(
                f"{endpoint()} shows {where} to nobody without an account, or has it no more; log in with: hf auth login."
            ) from error
        raise WeightsError(
            f"Expected {where} at revision {source.revision} on {endpoint()}, found nothing there; update facegen or "
            "choose another model."
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "try again later" if status >= 500 else "log in with: hf auth login"
        raise WeightsError(f"{endpoint()} refused {where} with status {status}; {remedy}.") from error
    except (httpx2.HTTPError, errors.LocalEntryNotFoundError, ConnectionError) as error:
        raise WeightsError(
            f"Cannot reach {endpoint()} for {where} ({type(error).__name__}); check the network and try again, which goes "
            "on where it stopped, or go on with the bundled models."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise ResourceError(
                f"Cannot store {where}: {error.strerror}; free some space or set FACEGEN_HOME to another place."
            ) from error
        raise WeightsError(
            f"The download of {where} was cut short; try again, which goes on where it stopped."
        ) from error


_WINDOW_SECONDS = 10.0


class Transfer:
    """The course of one download; an `OnBytes`, to be given to `fetch`."""

    def __init__(self, name: str, size: int | None = None) -> None:
        """Begin.

        Args:
            name: of the file, for people.
            size: bytes in all, where known beforehand.
        """
        self.name, self.size, self.done = name, size, 0
        self._history: deque[tuple[float, int]] = deque()

    def __call__(self, done: int, size: int | None) -> None:
        """Take down that `done` of `size` bytes are here."""
        now = time.monotonic()
        if self._history and done < self._history[-1][1]:
            self._history.clear()  # it began anew
        self.done, self.size = done, size or self.size
        self._history.append((now, done))
        while len(self._history) > 2 and now - self._history[0][0] > _WINDOW_SECONDS:
            self._history.popleft()

    @property
    def fraction(self) -> float:
        """0 to 1; 0 where the size is not known."""
        return min(self.done / self.size, 1.0) if self.size else 0.0

    @property
    def bytes_per_second(self) -> float | None:
        """Over the last ten seconds; None where there is too little to tell."""
        if len(self._history) < 2:
            return None
        (since, before), (now, done) = self._history[0], self._history[-1]
        return (done - before) / (now - since) if now - since >= 0.2 and done > before else None

    @property
    def seconds_left(self) -> float | None:
        """At the present rate; None where that is not known."""
        rate = self.bytes_per_second
        return (self.size - self.done) / rate if self.size and rate else None

    @property
    def text(self) -> str:
        """«parser: 3.1 of 7.3 MB, 1.2 MB/s, 4 s left»."""
        of = f"of {self.size / 1e6:.1f} MB" if self.size else "MB"
        words = [f"{self.name}: {self.done / 1e6:.1f} {of}"]
        if self.bytes_per_second:
            words.append(f"{self.bytes_per_second / 1e6:.1f} MB/s")
        if self.seconds_left is not None:
            minutes, seconds = divmod(round(self.seconds_left), 60)
            words.append(f"{minutes} min {seconds} s left" if minutes else f"{seconds} s left")
        return ", ".join(words)
