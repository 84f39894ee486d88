"""Makes swap engines by name."""

from pathlib import Path

from facegen.errors import InputError
from facegen.swap.engines.protocol import Engine, Prediction
from facegen.swap.oneshot.models import ENGINES, find_model
from facegen.swap.options import LIVE_PORTRAIT, TRAINED

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
    if name == LIVE_PORTRAIT:
        from facegen.swap.engines.live_portrait import LivePortraitEngine

        return LivePortraitEngine()
    if model := find_model(name):
        from facegen.swap.oneshot.engine import OneShotEngine

        return OneShotEngine(model)
    raise InputError(
        f"Expected an engine of mesh, {', '.join(ENGINES)}, {LIVE_PORTRAIT}, autoencoder:RUN or dfm:FILE, found {name!r}; "
        "choose one."
    )


def model_mtime_ns(name: str) -> int:
    """When an engine's model was last written, nanoseconds (trainings go on); 0 for an engine without one."""
    if not name.startswith(TRAINED):
        return 0
    path = Path(name.partition(":")[2])
    files = [path] if path.is_file() else [*path.glob("model.json"), *path.glob("exports/*/model.json")]
    return max((file.stat().st_mtime_ns for file in files), default=0)
