"""How long the help of all commands and of each takes on a warm machine: 0.3 s are aimed at."""

import resource
import statistics
import subprocess
import sys
import time

from benchmarks.report import report

MEASURES = ("facegen/cli",)
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
                "median s": round(statistics.median(wall for wall, _ in times), 3),
                "slowest s": round(max(wall for wall, _ in times), 3),
                "median CPU s": round(statistics.median(cpu for _, cpu in times), 3),
            }
        )
    report(
        "cli_help",
        rows,
        notes=[f"Process start to end, {ROUNDS} rounds after one to warm up; aim 0.3 s."],
        measures=MEASURES,
    )


def _seconds(command: list[str]) -> tuple[float, float]:
    """Seconds on the clock and seconds of CPU; the second hardly feels what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
