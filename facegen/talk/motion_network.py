"""The network from speech to mouth movements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import check
from facegen.talk.rig import RIG_SIZE
from facegen.talk.speech import FEATURES

EncoderName = Literal["none", "wav2vec2", "hubert"]
EMBEDDING_SIZE = 768
"""Numbers in a row of an encoder's embeddings."""
DOWN = 2
"""Rows of features to one row of movements."""


@dataclass(frozen=True, kw_only=True)
class MotionNetConfig:
    """Size of the network."""

    width: int = field(default=96, metadata={"min": 8, "max": 512, "step": 8})
    """Channels."""
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4)
    """Spread of each block's three taps, in rows of 20 ms; together they see about half a second to each side."""
    dropout: float = field(default=0.4, metadata={"min": 0.0, "max": 0.9, "step": 0.05})
    """Share of a block's output that is left out while training."""
    encoder: EncoderName = field(default="none", metadata={"choices": get_args(EncoderName)})
    """Speech encoder from the Hub whose embeddings are a further input (wav2vec2, hubert), fetched on first use."""

    def __post_init__(self) -> None:
        check(self)


class DilatedBlock(nn.Module):
    """Residual block of a dilated and a pointwise convolution over time."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.spread = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, width, T) to the same."""
        return rows + self.dropout(self.mix(F.gelu(self.spread(self.norm(rows)))))


class MotionNet(nn.Module):
    """Dilated convolutions over mels and phones (as in van den Oord et al., WaveNet, 2016, but looking both ways)."""

    def __init__(self, config: MotionNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.enter = nn.Conv1d(FEATURES, width, 5, padding=2)
        self.down = nn.Conv1d(width, width, 2 * DOWN, stride=DOWN, padding=DOWN // 2)
        if config.encoder != "none":
            self.codes = nn.Sequential(nn.Dropout(config.dropout), nn.Conv1d(EMBEDDING_SIZE, width, 1))
        self.blocks = nn.Sequential(*[DilatedBlock(width, dilation, config.dropout) for dilation in config.dilations])
        self.leave = nn.Sequential(nn.GroupNorm(1, width), nn.Conv1d(width, RIG_SIZE, 1))

    def forward(self, features: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """Predicts the movements of a mouth.

        Args:
            features: (B, FEATURES, 2 T) of `Speech.features`, a row each 10 ms.
            embeddings: (B, EMBEDDING_SIZE, T) of the encoder, where the network has one.

        Returns:
            (B, K, T) coefficients of the rig, a row each 20 ms.
        """
        rows = self.down(F.gelu(self.enter(features)))
        if embeddings is not None:
            rows = rows + self.codes(embeddings)
        return self.leave(self.blocks(F.gelu(rows)))
