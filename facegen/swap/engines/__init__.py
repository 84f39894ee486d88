"""The swap engines, made by name."""

from pathlib import Path

from facegen.errors import InputError
from facegen.swap.engines.protocol import Engine, Prediction
from facegen.swap.options import TRAINED

__all__ = ["Engine", "Prediction", "make_engine", "model_mtime_ns"]


def make_engine(name: str) -> Engine:
    """Create the engine that `SwapOptions.engine` names.

    Raises:
        InputError: no engine has that name.
        WeightsError: it needs weights that are not here.
    """
    if name == "mesh":
        from facegen.swap.engines.mesh import MeshEngine

        return MeshEngine()
    if name.startswith(TRAINED):
        from facegen.swap.merge.engine import AutoencoderEngine

        return AutoencoderEngine(name)
    raise InputError(f"The engine must be mesh, autoencoder:RUN or dfm:FILE, but got {name!r}.")


def model_mtime_ns(name: str) -> int:
    """When an engine's model was last written, nanoseconds (trainings go on); 0 for an engine without one."""
    if not name.startswith(TRAINED):
        return 0
    path = Path(name.partition(":")[2])
    files = [path] if path.is_file() else [*path.glob("model.json"), *path.glob("exports/*/model.json")]
    return max((file.stat().st_mtime_ns for file in files), default=0)
