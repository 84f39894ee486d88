"""facegen: a studio for synthetic faces. `swap`, `generate`, `talk` and `extract` are its jobs as functions (docs/api.md).

Importing this package loads nothing else: the functions are loaded when they are first used.
"""

import os
from types import ModuleType

TYPE_CHECKING = False  # as type checkers know it; the module `typing` takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from facegen.api import extract, generate, swap, talk
    from facegen.catalog import from_pretrained

__version__ = "0.1.0"
__all__ = ["__version__", "extract", "from_pretrained", "generate", "swap", "talk"]

# ONNX Runtime reads this when it is imported, and otherwise tells its maker of every start
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class CallableRoom(ModuleType):
    """The package of a room that can be called like its job: `facegen.swap(...)` beside `facegen.swap.SwapPipeline`."""

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        """Calls the function of this room's name in `facegen/api.py`."""
        return self.__wrapped__(*args, **kwargs)

    @property
    def __wrapped__(self) -> "Any":
        """The function, where `inspect.signature` and notebooks look for it."""
        return getattr(_load("facegen.api"), self.__name__.rpartition(".")[2])


def _load(name: str) -> ModuleType:
    from importlib import import_module

    return import_module(name)


def __getattr__(name: str) -> "Any":
    if name in ("swap", "generate", "talk"):
        return _load(f"facegen.{name}")
    if name == "extract":
        return _load("facegen.api").extract
    if name == "from_pretrained":
        return _load("facegen.catalog").from_pretrained
    raise AttributeError(f"module 'facegen' has no attribute {name!r}")
