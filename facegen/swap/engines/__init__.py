"""The swap engines, made by name."""

from facegen.errors import InputError
from facegen.swap.engines.protocol import Draft, Engine
from facegen.swap.options import TRAINED

__all__ = ["Draft", "Engine", "make_engine"]


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
