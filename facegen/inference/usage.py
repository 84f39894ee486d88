"""Records which accelerator each network of a job ran on: a log line at its first run, notices for the job's result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

_watching: list[Usage] = []
_lock = threading.Lock()


class Network(Protocol):
    """A network that has run."""

    name: str
    """What people call it."""

    @property
    def ran_on(self) -> str:
        """What it ran on, in words."""

    @property
    def fall(self) -> str:
        """Why it did not run on the accelerator that was expected; empty where it did."""


class Usage:
    """The networks that ran while somebody watched.

    Args:
        on_line: gets a line for each, when it first runs or moves to another accelerator.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._seen: dict[str, str] = {}
        self._falls: dict[str, list[str]] = {}

    def add(self, network: Network) -> None:
        """Take down that a network ran."""
        if self._seen.get(network.name) == network.ran_on:
            return
        self._seen[network.name] = network.ran_on
        if network.fall:
            self._falls.setdefault(network.fall, []).append(network.name)
        self._on_line(f"{network.name} runs on {network.ran_on}.")

    @property
    def notices(self) -> tuple[str, ...]:
        """A sentence for each reason why networks ran on the CPU though more was expected."""
        return tuple(f"{', '.join(names)} ran on the CPU: {reason}." for reason, names in self._falls.items())


@contextmanager
def watch_networks(on_line: Callable[[str], None]) -> Iterator[Usage]:
    """Watch what networks run on in the body, in all threads of the process."""
    usage = Usage(on_line)
    with _lock:
        _watching.append(usage)
    try:
        yield usage
    finally:
        with _lock:
            _watching.remove(usage)


def report_run(network: Network) -> None:
    """Tell those who watch that a network ran."""
    for usage in tuple(_watching):
        with _lock:
            usage.add(network)
