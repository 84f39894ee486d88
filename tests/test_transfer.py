"""How far a download is, in words."""

import time

import pytest

from facegen.hub import Transfer


def test_rate_and_time_left_come_from_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 1.0, 2.0, 30.0, 31.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    transfer = Transfer("parser", 90_000_000)
    assert transfer.text == "parser: 0.0 of 90.0 MB"
    for done in (0, 10_000_000, 20_000_000):
        transfer(done, None)
    assert transfer.text == "parser: 20.0 of 90.0 MB, 10.0 MB/s, 7 s left"
    for done in (30_000_000, 31_000_000):
        transfer(done, None)
    assert transfer.bytes_per_second == pytest.approx(1e6)
    assert transfer.text.endswith("59 s left")
    assert transfer.seconds_left == pytest.approx(59)


def test_a_download_that_begins_anew_has_no_rate_yet() -> None:
    transfer = Transfer("parser")
    transfer(10, None)
    transfer(0, 100)
    assert transfer.bytes_per_second is None
    assert (transfer.fraction, transfer.size) == (0.0, 100)
