"""A real studio as a process of its own, on a free port of this machine, with a facegen home of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, kw_only=True)
class StudioProcess:
    """Where it is reached, and where its runs lie."""

    url: str
    home: Path
    process: "subprocess.Popen[str]"


@contextmanager
def studio_process(home: Path, *flags: str) -> Iterator[StudioProcess]:
    """Serve a studio while the body runs; whatever it started is stopped with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "facegen", "studio", "--port", "0", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "FACEGEN_HOME": str(home), "OMP_NUM_THREADS": "1"},
    )
    try:
        yield StudioProcess(url=_address(process), home=home, process=process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        for left in psutil.process_iter(["cmdline", "environ"]):
            is_worker = "facegen.worker" in (left.info["cmdline"] or ())
            if is_worker and (left.info["environ"] or {}).get("FACEGEN_HOME") == str(home):
                left.kill()


def _address(process: "subprocess.Popen[str]") -> str:
    """The address that the studio prints; after it, it says too little to fill a pipe that nobody reads."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"http://\S+", line):
            return found.group()
    raise AssertionError("the studio did not start:\n" + "".join(said))
