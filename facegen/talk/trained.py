"""What trainings left in run folders that a talk can use: a person's own field, a motion network."""

from pathlib import Path

from facegen.errors import InputError
from facegen.runs import find_run
from facegen.talk.options import FIELD

FIELD_PLACES = ("field", "exports/final")
"""Where a run of «talk train», or of «train dfrf», keeps the trained field."""
MOTION_FILE = "motion.safetensors"
"""Name of the weights where a run of «train motion» keeps its network."""
_MOTION_PLACE = "exports/final"


def field_run(engine: str) -> Path:
    """The run folder that an engine «dfrf:RUN» names, by its path or by its name among the runs.

    Raises:
        InputError: there is none.
    """
    return _run_folder(engine.removeprefix(FIELD))


def has_field(run: Path) -> bool:
    """Whether a run folder holds a trained field."""
    return any((run / place / "field.json").exists() for place in FIELD_PLACES)


def motion_run(name: str) -> Path:
    """Where a run of «train motion», given by its path or by its name, keeps its network.

    Raises:
        InputError: there is no such run, or it has none.
    """
    run = _run_folder(name)
    if not has_motion(run):
        raise InputError(f"Expected a finished training of a motion network, found none in {name!r}; train it first.")
    return run / _MOTION_PLACE


def has_motion(run: Path) -> bool:
    """Whether a run folder holds a finished motion network."""
    return (run / _MOTION_PLACE / MOTION_FILE).exists()


def _run_folder(named: str) -> Path:
    return Path(named) if Path(named).is_dir() else find_run(named).path
