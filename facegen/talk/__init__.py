"""Talk: a portrait that speaks. See docs/talk.md.

Importing this package is cheap: names are loaded on first use.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from facegen import CallableRoom

if TYPE_CHECKING:
    from facegen.talk.options import TalkOptions
    from facegen.talk.pipeline import TalkPipeline
    from facegen.talk.request import TalkRequest, TalkResult

_HOME = {"TalkOptions": "options", "TalkPipeline": "pipeline", "TalkRequest": "request", "TalkResult": "request"}

__all__ = ["TalkOptions", "TalkPipeline", "TalkRequest", "TalkResult"]


# facegen.talk(...) is the function of facegen/api.py
sys.modules[__name__].__class__ = CallableRoom


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"facegen.talk.{_HOME[name]}"), name)
    raise AttributeError(f"module 'facegen.talk' has no attribute {name!r}")
