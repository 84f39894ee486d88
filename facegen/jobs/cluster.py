"""Several machines for one job, by Ray: ordered tasks, transfer of input files, replacement of failed workers.

A task is a function of a module of facegen with one item; what all tasks of a job share travels once to each machine and is
kept by each of its workers. Ray starts a task again elsewhere when its worker or its machine dies, so a task must be free of
effects. Every machine needs facegen in the same version. The extra `cluster` brings Ray.
"""

import functools
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from facegen import __version__
from facegen.device import usable_cores
from facegen.errors import Cancelled, FacegenError, InputError, ResourceError
from facegen.jobs.cache import Cache, file_fingerprint

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")

COPIES = Cache(
    name="cluster-copies",
    summary="Files that other machines of a cluster sent to be worked on.",
    most_entries=50,
    most_bytes=50_000_000_000,
)
LOCAL = "local"
"""The address of a cluster of this machine's own cores, which lasts as long as the command."""
REPLACEMENTS = 5
"""How often a task is started again when its worker dies."""
CACHES = (COPIES,)
_AHEAD = 3
"""Tasks for each core that wait or work at a time: results come in order, and a slow one must not leave the others idle."""
_TICK_SECONDS = 0.5
_CLOSE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class SharedFile:
    """A file that tasks read, wherever they run."""

    path: str
    """On the machine that began the job."""
    digest: str
    """SHA-256 of its content."""
    content: Any = None
    """Ray's reference to its bytes; None where one machine is all there is."""

    def local(self) -> str:
        """A path to the file here: the same one where it has the same content, else that of a copy.

        Raises:
            ResourceError: there is no room for the copy.
        """
        if os.path.isfile(self.path) and (self.content is None or file_fingerprint(self.path) == self.digest):
            return self.path
        if self.content is None:
            raise InputError(f"Expected {self.path} on {socket.gethostname()}, found none; let all machines reach it.")
        import ray

        def write(temporary: Path) -> None:
            temporary.write_bytes(ray.get(self.content))

        return str(COPIES.get(COPIES.path(self.digest, suffix=Path(self.path).suffix), write))


class Cluster:
    """Machines that share the work of jobs; safe to use from several threads."""

    def __init__(self, address: str, *, cores: int | None = None) -> None:
        """Join a cluster, or begin one.

        Args:
            address: `local`, or that of a cluster: «host:6379», «auto» for the one that this machine belongs to.
            cores: of this machine, for `local`; all that this process may use by default.

        Raises:
            InputError: there is no cluster at the address.
            ResourceError: Ray is not installed.
        """
        # read at its import; nothing leaves the machine unasked
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError:
            raise ResourceError(
                "Expected Ray for a cluster, found none; install it: pip install 'facegen[cluster]'"
            ) from None
        where: dict[str, Any] = {"num_cpus": cores or usable_cores(), "include_dashboard": False}
        try:
            ray.init(
                **(where if address == LOCAL else {"address": address}),
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"Expected a Ray cluster at {address}, but {reason}; start one with: ray start --head"
            ) from error
        self._ray: Any = ray
        self._stopping = False
        self._working = 0
        self._changes = threading.Condition()

    def close(self) -> None:
        """Leave the cluster, once the threads that wait for results have noticed; a local one ends."""
        with self._changes:
            self._stopping = True
            self._changes.wait_for(lambda: not self._working, timeout=_CLOSE_SECONDS)
        self._ray.shutdown()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cores(self) -> int:
        """Tasks that can work at a time."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def share_file(self, path: str) -> SharedFile:
        """A file for tasks; its bytes travel where there is more than one machine."""
        hosts = {node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]}
        content = self._ray.put(Path(path).read_bytes()) if len(hosts) > 1 else None
        return SharedFile(path=os.path.abspath(path), digest=file_fingerprint(path), content=content)

    def map(
        self,
        work: Callable[[S, T], R],
        shared: S,
        items: Iterable[T],
        *,
        on_tick: Callable[[], None] = lambda: None,
    ) -> Generator[R, None, None]:
        """The results of `work(shared, item)`, in the order of the items.

        Args:
            work: a function of a module of facegen, without effects; it may run more than once for an item.
            shared: sent to each machine once.
            items: small.
            on_tick: called twice a second while a result is awaited; may raise `Cancelled`.

        Raises:
            FacegenError: what `work` raised first, in the order of the items.
            ResourceError: workers died again and again.
            Cancelled: the cluster was closed.
        """
        ray = self._ray
        task = ray.remote(num_cpus=1, max_retries=REPLACEMENTS)(_work)
        common = ray.put(_Shared(value=shared, version=__version__))
        waiting: deque[Any] = deque()
        rest = iter(items)
        try:
            self._count(1)
            while True:
                while len(waiting) < _AHEAD * self.cores and (item := next(rest, _END)) is not _END:
                    waiting.append(task.remote(work, [common], item))
                if not waiting:
                    return
                while not ray.wait([waiting[0]], timeout=_TICK_SECONDS)[0]:
                    on_tick()
                    if self._stopping:
                        raise Cancelled("Cancelled.")
                yield self._result(waiting.popleft())
        finally:
            for reference in waiting:
                ray.cancel(reference)
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changes:
            self._working += change
            self._changes.notify_all()

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, FacegenError):
                raise error.cause from None
            raise
        except (
            errors.RayActorError,
            errors.WorkerCrashedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
        ) as error:
            raise ResourceError(
                f"Expected workers that live, but {REPLACEMENTS + 1} died at the same task ({type(error).__name__}); give each "
                "machine fewer cores (ray start --num-cpus=N), and the same command goes on from here."
            ) from error


@dataclass(frozen=True, kw_only=True)
class _Shared(Generic[S]):
    """What the tasks of one job share, and the version of facegen that began it."""

    value: S
    version: str


_END = object()


def _work(work: Callable[[Any, Any], Any], shared: list[Any], item: Any) -> Any:
    """What a worker runs; the reference to what is shared comes in a list, or Ray would send the whole of it each time."""
    return work(_fetch(shared[0]), item)


@functools.lru_cache(maxsize=2)
def _fetch(reference: Any) -> Any:
    import ray

    shared = ray.get(reference)
    if shared.version != __version__:
        raise InputError(
            f"Expected facegen {shared.version} on every machine, found {__version__} on {socket.gethostname()}; install "
            "the same version there."
        )
    return shared.value
