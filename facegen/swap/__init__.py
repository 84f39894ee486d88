"""A face swapped in a video or a picture. See docs/swap.md.

```
media.read_frames ─▶ faces.analyse_clip          first pass: faces detected, tracked and smoothed over the whole clip
media.read_frames ─▶ predict ─▶ smooth ─▶ composite ─▶ paste ─▶ mark ─▶ segment ─▶ join ─▶ sign        second pass
```

Importing this package is cheap: names are loaded on first use.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from facegen import CallableRoom

if TYPE_CHECKING:
    from facegen.swap.options import SwapOptions
    from facegen.swap.pipeline import SwapPipeline
    from facegen.swap.preview import contact_sheet, write_contact_sheet
    from facegen.swap.request import SwapRequest, SwapResult

_HOME = {
    "SwapOptions": "options",
    "SwapPipeline": "pipeline",
    "SwapRequest": "request",
    "SwapResult": "request",
    "contact_sheet": "preview",
    "write_contact_sheet": "preview",
}

__all__ = ["SwapOptions", "SwapPipeline", "SwapRequest", "SwapResult", "contact_sheet", "write_contact_sheet"]


# facegen.swap(...) is the function of facegen/api.py
sys.modules[__name__].__class__ = CallableRoom


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"facegen.swap.{_HOME[name]}"), name)
    raise AttributeError(f"module 'facegen.swap' has no attribute {name!r}")
