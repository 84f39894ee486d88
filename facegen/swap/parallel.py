"""Work on many frames at once, and hand the results on in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], pool: Executor, *, ahead: int
) -> Generator[R, None, None]:
    """Apply `function` in the pool; results come in the order of `items`, at most `ahead` of them under way.

    The bound is what keeps memory from growing: an item is taken only when a result has been handed on. What was
    begun is cancelled or waited for when the caller stops early.
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


def windows(items: Iterable[T], around: int) -> Iterator[tuple[list[T], int]]:
    """Slide a window over a stream: for each item, the items up to `around` before and after it, and its place."""
    window: deque[T] = deque()
    centre = 0
    for item in items:
        window.append(item)
        if len(window) > centre + around:
            yield list(window), centre
            if centre < around:
                centre += 1
            else:
                window.popleft()
    while centre < len(window):
        yield list(window), centre
        if centre < around:
            centre += 1
        else:
            window.popleft()
