"""A function applied to a stream in a pool of threads, with results in order and bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], pool: Executor, *, ahead: int
) -> Generator[R, None, None]:
    """Apply `function` in the pool; results come in the order of `items`, at most `ahead` of them are computed at once.

    So memory is bounded: an item is read only when a result has been yielded. When the caller stops early, work that has
    begun is cancelled or awaited.
    """
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
