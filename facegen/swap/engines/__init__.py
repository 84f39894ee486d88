"""The swap engines, made by name."""

from pathlib import Path

from facegen.errors import InputError
from facegen.swap.engines.protocol import Draft, Engine
from facegen.swap.options import TRAINED

__all__ = ["Draft", "Engine", "last_change", "make_engine"]


def make_engine(name: str) -> Engine:
    """Build the engine that `SwapOptions.engine` names.

    Raises:
        InputError: no engine has that name.
        WeightsError: it needs weights that are not here.
    """
    if name == "mesh":
        from facegen.swap.engines.mesh import MeshEngine

        return MeshEngine()
    if name.startswith(TRAINED):
        from facegen.swap.engines.trained import TrainedEngine

        return TrainedEngine(name)
    raise InputError(f"The engine must be mesh, autoencoder:RUN or dfm:FILE, but got {name!r}.")


def last_change(name: str) -> int:
    """When the model that an engine draws with was last written, nanoseconds: trainings go on; 0 where there is none."""
    if not name.startswith(TRAINED):
        return 0
    place = Path(name.partition(":")[2])
    written = [place] if place.is_file() else [*place.glob("model.json"), *place.glob("exports/*/model.json")]
    return max((path.stat().st_mtime_ns for path in written), default=0)
