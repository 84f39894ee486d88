"""Downloads of model files in progress, as the page shows them."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from facegen import hub
from facegen.errors import Cancelled, FacegenError
from facegen.hub import Transfer, WeightFile

_AT_ONCE = 2
_MOMENT_SECONDS = 3.0
CANCELLED = "Cancelled."


class Download:
    """One file on its way."""

    def __init__(self, weight: WeightFile) -> None:
        self.weight = weight
        self.transfer = Transfer(weight.name, weight.size)
        self.error = ""
        """Why it ended without the file; «Cancelled.» where somebody stopped it."""
        self.is_active = True
        self._stop = threading.Event()

    def cancel(self) -> None:
        """Stop it at the next bytes; what is here stays, to be taken up again."""
        self._stop.set()

    def run(self) -> None:
        """Fetch the file."""

        def tell(done: int, size: int | None) -> None:
            if self._stop.is_set():
                raise Cancelled(CANCELLED)
            self.transfer(done, size)

        try:
            tell(hub.partial_bytes(self.weight), None)
            hub.fetch(self.weight, on_bytes=tell)
        except FacegenError as error:
            self.error = str(error)
        except BaseException as error:
            self.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.is_active = False


class Downloads:
    """The downloads since the studio began, by the names of their files; two at once, the others wait."""

    def __init__(self, when_done: Callable[[], None]) -> None:
        """Begin with none.

        Args:
            when_done: called after each.
        """
        self._when_done = when_done
        self._found: dict[str, Download] = {}
        self._batch: list[Download] = []
        """Those that were started while others of them were on their way."""
        self._lock = threading.Lock()
        self._last_end = -_MOMENT_SECONDS
        self._pool = ThreadPoolExecutor(_AT_ONCE, "download")

    def start(self, weights: Iterable[WeightFile]) -> None:
        """Fetch files whose licences are accepted; those that are here or on their way are left alone."""
        if not any(download.is_active for download in self._batch):
            self._batch = []
        for weight in weights:
            with self._lock:
                before = self._found.get(weight.name)
                if hub.is_present(weight) or (before is not None and before.is_active):
                    continue
                self._found[weight.name] = download = Download(weight)
                self._batch.append(download)
            self._pool.submit(self._run, download)

    def _run(self, download: Download) -> None:
        try:
            download.run()
        finally:
            self._last_end = time.monotonic()
            self._when_done()

    def get(self, weight: WeightFile) -> Download | None:
        """The last download of a file; None where there was none."""
        return self._found.get(weight.name)

    def is_recent(self) -> bool:
        """Whether one is under way, or ended a moment ago."""
        is_active = any(download.is_active for download in self._found.values())
        return is_active or time.monotonic() - self._last_end < _MOMENT_SECONDS

    def describe_batch(self) -> str:
        """What became of several files that were started together, in a sentence; nothing for one, or where one was cancelled."""
        batch, failed = self._batch, [each for each in self._batch if each.error]
        if len(batch) < 2 or any(each.error == CANCELLED for each in failed):
            return ""
        fetched = sum(not each.is_active and not each.error for each in batch)
        if any(each.is_active for each in batch):
            return f"{fetched} of {len(batch)} files fetched; the others are on their way."
        if not failed:
            return f"All {len(batch)} files are fetched."
        return f"{fetched} of {len(batch)} files fetched. {failed[0].error}"

    def close(self) -> None:
        """Stop all of them."""
        for download in self._found.values():
            download.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
