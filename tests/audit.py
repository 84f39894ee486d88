"""What is known of the locked versions: weaknesses by pip-audit, or their ages where its database cannot be asked.

    python tests/audit.py [--lock requirements.lock] [--months 12] [--pip-audit "uv tool run pip-audit==2.9.0"]

Ends with 0: weaknesses were looked up for each version, none is known; 1: some are known; 2: they were not looked up for all.
"""

import argparse
import datetime
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_CLEAN, _WEAK, _UNKNOWN = 0, 1, 2
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_SIMPLE = "application/vnd.pypi.simple.v1+json"
_DAYS_OF_A_MONTH = 30.44
_AT_ONCE = 8
Fetch = Callable[[str], Mapping[str, Any]]
"""The description of a project of the index, by its name; OSError where there is none."""


def main() -> int:
    """Print what is known; the exit code says what was looked up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, default=Path("requirements.lock"))
    parser.add_argument("--months", type=float, default=12.0, help="versions that are older than this are listed")
    parser.add_argument("--pip-audit", default="pip-audit", help="the command")
    known = parser.parse_args()
    pins = read_pins(known.lock.read_text(encoding="utf-8"))
    weak, looked_up = look_up(shlex.split(known.pip_audit), known.lock)
    for line in weak:
        print(line)
    left = sorted(set(pins) - looked_up)
    if not left:
        print(f"Weaknesses of all {len(pins)} locked versions were looked up; {len(weak) or 'none'} known.")
        return _WEAK if weak else _CLEAN
    now = datetime.datetime.now(datetime.UTC)
    ages = find_ages({name: pins[name] for name in left}, now, fetch_project)
    print("\n".join(describe(pins, looked_up, ages, known.months, lock_age(known.lock, now))))
    return _WEAK if weak else _UNKNOWN


def read_pins(lock: str) -> dict[str, str]:
    """Version by normalised name of what a lock pins."""
    return {normalise(name): version for name, version in _PIN.findall(lock)}


def normalise(name: str) -> str:
    """A name as indexes spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def look_up(command: list[str], lock: Path) -> tuple[list[str], set[str]]:
    """A line for each known weakness, and the names that the database was asked for and knows."""
    asked = ["--requirement", str(lock), "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run([*command, *asked], capture_output=True, text=True, check=False)
    except OSError:
        return [], set()
    return read_report(done.stdout)


def read_report(text: str) -> tuple[list[str], set[str]]:
    """What pip-audit wrote as JSON; nothing where it ended before it wrote any."""
    try:
        report = json.loads(text)
    except ValueError:
        return [], set()
    found = [one for one in report["dependencies"] if "skip_reason" not in one]
    weak = [
        f"{one['name']} {one['version']}: {problem['id']}, mended in {', '.join(problem['fix_versions']) or 'no version'}"
        for one in found
        for problem in one["vulns"]
    ]
    return weak, {normalise(one["name"]) for one in found}


def fetch_project(name: str) -> Mapping[str, Any]:
    """The files of a project as the package index lists them, with the times of their upload (PEP 700)."""
    index = os.environ.get("UV_INDEX_URL") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    request = urllib.request.Request(f"{index.rstrip('/')}/{name}/", headers={"Accept": _SIMPLE})
    with urllib.request.urlopen(request, timeout=20) as answer:
        content: Mapping[str, Any] = json.load(answer)
    return content


def find_ages(pins: Mapping[str, str], now: datetime.datetime, fetch: Fetch) -> dict[str, float]:
    """How many months ago each version was uploaded, by name; those of which the index does not say it are left out."""

    def age(name: str) -> float | None:
        try:
            files = fetch(name)["files"]
        except (OSError, ValueError, KeyError):
            return None
        stem = re.compile(rf"{re.sub('-', '[-_.]', name)}-{re.escape(pins[name])}(-|\.(tar|zip))", re.IGNORECASE)
        times = [file["upload-time"] for file in files if stem.match(file["filename"]) and "upload-time" in file]
        if not times:
            return None
        first = datetime.datetime.fromisoformat(min(times).replace("Z", "+00:00"))
        return (now - first).total_seconds() / 86400 / _DAYS_OF_A_MONTH

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = zip(pins, pool.map(age, pins), strict=True)
        return {name: months for name, months in found if months is not None}


def lock_age(lock: Path, now: datetime.datetime) -> float:
    """Months since the lock was last changed: its last commit, or its file's time where there is none."""
    log = subprocess.run(
        ["git", "log", "-1", "--format=%ct", "--", lock.name],
        cwd=lock.absolute().parent,
        capture_output=True,
        text=True,
    )
    seconds = float(log.stdout.strip() or lock.stat().st_mtime)
    return (now.timestamp() - seconds) / 86400 / _DAYS_OF_A_MONTH


def describe(
    pins: Mapping[str, str], looked_up: set[str], ages: Mapping[str, float], months: float, lock_months: float
) -> list[str]:
    """The versions that are old, and a sentence of what was and was not looked up."""
    old = sorted((name for name in ages if ages[name] > months), key=lambda name: -ages[name])
    unknown = sorted(set(pins) - looked_up - set(ages))
    asked = f"for {len(looked_up)} of {len(pins)}" if looked_up else f"for none of the {len(pins)}"
    said = (
        f"Weaknesses were looked up {asked} locked versions: the database of pip-audit did not answer for the others."
    )
    if ages:
        said += f" Of {len(ages)} of these the package index says when they were uploaded: {len(old)} are older than {months:g} months."
    if unknown:
        said += (
            f" Of {len(unknown)} it does not; the lock that names them was last changed {lock_months:.1f} months ago."
        )
    return [*(f"{name} {pins[name]}: {ages[name]:.0f} months old" for name in old), said]


if __name__ == "__main__":
    sys.exit(main())
