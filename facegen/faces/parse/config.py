"""What rebuilds a parser network; read without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ParserNetConfig:
    """What rebuilds a parser network from its weights."""

    widths: tuple[int, ...] = (24, 48, 80, 112, 128)
    """Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input's side."""
    blocks: tuple[int, ...] = (0, 1, 2, 2, 1)
    """Residual blocks of the encoder at each of these scales."""
    classes: int = 19
    """Number of classes, background first."""

    @classmethod
    def tiny(cls) -> ParserNetConfig:
        """A few thousand weights, for tests."""
        return cls(widths=(4, 6, 8, 8, 8), blocks=(0, 1, 1, 1, 1))
