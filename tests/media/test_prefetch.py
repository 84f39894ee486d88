"""A stream in its own thread: in order, bounded, with its errors, and gone when it is closed."""

import threading
import time
from collections.abc import Iterator

import pytest

from facegen.media import prefetch


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


def test_keeps_the_order() -> None:
    assert list(prefetch(range(100), depth=3)) == list(range(100))
    assert threads() == []


def test_makes_no_more_than_its_depth_ahead() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    stream = prefetch(numbers(), depth=4)
    next(stream)
    time.sleep(0.2)
    assert len(made) <= 1 + 4 + 1
    stream.close()


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("in the thread")

    stream = prefetch(broken())
    assert next(stream) == 1
    with pytest.raises(KeyError, match="in the thread"):
        next(stream)
    assert threads() == []


def test_closing_early_closes_the_source_and_joins_the_thread() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    stream = prefetch(endless(), depth=2)
    next(stream)
    stream.close()
    assert closed.is_set()
    assert threads() == []


def test_starts_nothing_before_it_is_asked() -> None:
    prefetch(range(3))
    assert threads() == []
