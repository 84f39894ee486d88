"""How long `facegen --help` takes on a warm machine: under half a second."""

import statistics
import subprocess
import sys
import time

from benchmarks.report import report

ROUNDS = 10


def main(arguments: list[str]) -> None:
    """Time the help of the whole command line and of each command."""
    from facegen.cli import COMMANDS, build_app

    known = {group.name for group in build_app().registered_groups} | {
        command.name for command in build_app().registered_commands
    }
    rows = []
    for name in ("", *[name for name in COMMANDS if name in known]):
        command = [sys.executable, "-m", "facegen", *([name] if name else []), "--help"]
        _seconds(command)
        times = [_seconds(command) for _ in range(ROUNDS)]
        rows.append(
            {
                "command": f"facegen {name} --help".replace("  ", " "),
                "median s": round(statistics.median(times), 3),
                "slowest s": round(max(times), 3),
            }
        )
    report("cli_help", rows, notes=[f"Process start to end, {ROUNDS} rounds after one to warm up; bound 0.5 s."])


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
