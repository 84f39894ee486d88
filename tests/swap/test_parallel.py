"""Order and bounds of what runs at once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from facegen.jobs.ordered_map import ordered_map
from facegen.swap.render import sliding_windows


def test_results_come_in_order_and_few_are_under_way() -> None:
    taken = handed_on = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(40):
            taken += 1
            assert taken - handed_on <= 4
            yield item

    def work(item: int) -> int:
        time.sleep(0.002 if item % 3 else 0.006)
        return item * item

    with ThreadPoolExecutor(2) as pool:
        for expected, result in enumerate(ordered_map(work, items(), pool, ahead=4)):
            assert result == expected * expected
            handed_on += 1
    assert handed_on == 40


def test_an_error_in_the_work_reaches_the_caller() -> None:
    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda item: 1 // (3 - item), range(9), pool, ahead=3))


@pytest.mark.parametrize("around", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 8])
def test_windows_hold_what_is_around(around: int, count: int) -> None:
    seen = list(sliding_windows(range(count), around))
    assert [window[centre] for window, centre in seen] == list(range(count))
    for item, (window, _) in enumerate(seen):
        assert window == list(range(max(0, item - around), min(count, item + around + 1)))
