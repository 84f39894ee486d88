"""Which pictures of a data folder no training sees: by the hash of their names, the same on every machine and in every task."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np

HELD_OUT_SHARE = 300 / 3500
"""Share of the pictures that is held out at least."""
_CUT = "1664"
"""Names whose SHA-256, in hexadecimal, is below are held out whatever other pictures are there."""


def is_held_out(files: Iterable[str | Path], share: float = HELD_OUT_SHARE) -> np.ndarray:
    """(N,) bool: pictures that no training sees; at least one, and at least `share` of them.

    Args:
        files: names or paths; folders do not count, and a WebP is the photograph of the same name as JPEG.
        share: of the pictures.
    """
    names = [Path(file).name for file in files]
    names = [str(Path(name).with_suffix(".jpg")) if name.endswith(".webp") else name for name in names]
    hashes = np.array([sha256(name.encode()).hexdigest() for name in names])
    is_held = hashes < _CUT
    is_held[np.argsort(hashes)[: max(1, round(len(names) * share))]] = True
    return is_held
