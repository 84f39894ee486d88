"""One restorer for generated faces, swaps, talks and facesets. Imports no torch until one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegen.restore.restorer import Restorer

__all__ = ["Restorer"]


def __getattr__(name: str) -> Any:
    if name == "Restorer":
        from facegen.restore.restorer import Restorer

        return Restorer
    raise AttributeError(name)
