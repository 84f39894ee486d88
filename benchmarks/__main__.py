"""`python -m benchmarks` lists the benchmarks, `python -m benchmarks NAME ...` runs one, `all` runs every one.

`--check` lists the results that are older than the code they speak of.

A benchmark is a module of this package with a function `main(arguments: list[str]) -> None`.
"""

import importlib
import sys
from pathlib import Path

from benchmarks.freshness import old_results
from benchmarks.report import RESULTS
from facegen.errors import FacegenError

_TOOLS = {
    "__init__",
    "__main__",
    "calibrate",
    "claims",
    "digest_inputs",
    "division",
    "fault_disks",
    "fault_site",
    "freshness",
    "people",
    "realism_faces",
    "report",
    "swap_clips",
}


def names() -> list[str]:
    """Every benchmark there is."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _TOOLS)


def check() -> None:
    """Print the results whose code has changed since they were measured."""
    old = list(old_results(RESULTS))
    for name, measured, changed in old:
        print(f"{name:28} measured {measured}; since then changed: {', '.join(changed)}")
    print(f"{len(old)} results are older than their code.")


def main() -> None:
    """Run what the command line asks for."""
    known = names()
    chosen, arguments = sys.argv[1:2], sys.argv[2:]
    if not chosen:
        for name in known:
            purpose = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip().splitlines()[0]
            print(f"{name:18} {purpose}")
        return
    if chosen == ["--check"]:
        check()
        return
    if chosen != ["all"] and chosen[0] not in known:
        sys.exit(f"Expected the name of a benchmark, found {chosen[0]!r}; choose from: all, {', '.join(known)}")
    for name in known if chosen == ["all"] else chosen:
        try:
            importlib.import_module(f"benchmarks.{name}").main(arguments)
        except FacegenError as error:
            sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
