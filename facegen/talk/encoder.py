"""Speech encoders from the Hub, wav2vec 2.0 and HuBERT, in plain torch: embeddings of 768 numbers, 50 rows a second.

Own forward pass rather than transformers: importing its Wav2Vec2Model took 13 s on top of torch's 7 s.
Optional: the bundled motion network needs none; one trained with `task.network.encoder` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen import hub
from facegen.errors import WeightsError
from facegen.hub import WeightFile
from facegen.talk.weights import ENCODERS

EMBEDDING_RATE = 50
"""Rows of embeddings a second."""
SAMPLE_RATE = 16000
_HOP = SAMPLE_RATE // EMBEDDING_RATE
_STRIDES = (5, 2, 2, 2, 2, 2, 2)
_HEAD = 64
_GROUPS = 16
_WINDOW_SECONDS, _MARGIN_SECONDS = 20, 1
_SHORTEST = 400


class _TransformerLayer(nn.Module):
    """One transformer block with its norms behind (Vaswani et al. 2017)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.heads = max(1, width // _HEAD)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm, self.final_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        count, rows, width = x.shape
        query, key, value = (
            part(x).view(count, rows, self.heads, -1).transpose(1, 2) for part in (self.q, self.k, self.v)
        )
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(count, rows, width)
        x = self.norm(x + self.out(mixed))
        return self.final_norm(x + self.fc2(F.gelu(self.fc1(x))))


class SpeechEncoder(nn.Module):
    """The «base» shape of wav2vec 2.0 (Baevski et al. 2020) and HuBERT (Hsu et al. 2021), built to fit its weights.

    Args:
        weights: tensors under the names of the Hub's files, with or without the name of the model before them.

    Raises:
        WeightsError: they are another model's.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        tensors = {_rename_key(name): value.float() for name, value in weights.items()}
        try:
            channels = tensors["convs.0.weight"].shape[0]
            width, pos_v = tensors["projection.weight"].shape[0], tensors.pop("pos_v")
            norm = pos_v.norm(dim=(0, 1), keepdim=True)
            tensors["pos_conv.weight"] = tensors.pop("pos_g") * pos_v / norm
            inner = tensors["layers.0.fc1.weight"].shape[0]
            depth = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("layers."))
        except (KeyError, IndexError) as error:
            raise WeightsError(f"Expected the weights of wav2vec 2.0 or HuBERT, found no {error}.") from error
        kernels = [tensors[f"convs.{number}.weight"].shape[2] for number in range(len(_STRIDES))]
        inputs = [1, *[channels] * (len(_STRIDES) - 1)]
        self.convs = nn.ModuleList(
            nn.Conv1d(count, channels, kernel, stride, bias=False)
            for count, kernel, stride in zip(inputs, kernels, _STRIDES, strict=True)
        )
        self.first_norm = nn.GroupNorm(channels, channels)
        self.norm, self.projection = nn.LayerNorm(channels), nn.Linear(channels, width)
        taps = pos_v.shape[2]
        self.pos_conv = nn.Conv1d(width, width, taps, padding=taps // 2, groups=width // pos_v.shape[1])
        self.pos_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(_TransformerLayer(width, inner) for _ in range(depth))
        self.width = width
        try:
            self.load_state_dict({name: tensors[name] for name in self.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise WeightsError(f"Expected the weights of wav2vec 2.0 or HuBERT, found others: {error}.") from error

    def forward(self, samples: Tensor) -> Tensor:
        """(B, N) mono at 16 kHz to (B, T, width), a row each 20 ms."""
        mean, deviation = samples.mean(1, keepdim=True), samples.std(1, keepdim=True)
        x = ((samples - mean) / (deviation + 1e-5))[:, None]
        for number, conv in enumerate(self.convs):
            x = conv(x)
            x = F.gelu(self.first_norm(x) if number == 0 else x)
        x = self.projection(self.norm(x.transpose(1, 2)))
        # an even kernel makes one row too many
        position = F.gelu(self.pos_conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        x = self.pos_norm(x + position)
        for layer in self.layers:
            x = layer(x)
        return x

    @torch.inference_mode()
    def encode(self, pieces: Iterable[np.ndarray]) -> np.ndarray:
        """(T, width) float16 embeddings of consecutive pieces of sound, computed in overlapping windows."""
        rows = [
            self(torch.from_numpy(window)[None])[0].to(torch.float16).numpy()[first : first + count]
            for window, first, count in _windows(pieces)
        ]
        return np.concatenate(rows) if rows else np.zeros((0, self.width), np.float16)


def load_encoder(name: str, weight: WeightFile | None = None) -> SpeechEncoder:
    """An encoder, downloaded on first use.

    Raises:
        WeightsError: it cannot be had, or the file holds another model.
    """
    weight = weight or ENCODERS[name]
    return SpeechEncoder(_read(hub.fetch(weight))).eval().requires_grad_(False)


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    loaded: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


_NAMES = {
    "feature_extractor.conv_layers.0.layer_norm": "first_norm",
    "feature_projection.layer_norm": "norm",
    "feature_projection.projection": "projection",
    "encoder.pos_conv_embed.conv.weight_g": "pos_g",
    "encoder.pos_conv_embed.conv.weight_v": "pos_v",
    "encoder.pos_conv_embed.conv.parametrizations.weight.original0": "pos_g",
    "encoder.pos_conv_embed.conv.parametrizations.weight.original1": "pos_v",
    "encoder.pos_conv_embed.conv": "pos_conv",
    "encoder.layer_norm": "pos_norm",
    "encoder.layers": "layers",
    "feature_extractor.conv_layers": "convs",
}
_PARTS = {
    ".conv.": ".",
    "attention.q_proj": "q",
    "attention.k_proj": "k",
    "attention.v_proj": "v",
    "attention.out_proj": "out",
    "feed_forward.intermediate_dense": "fc1",
    "feed_forward.output_dense": "fc2",
    "final_layer_norm": "final_norm",
    ".layer_norm.": ".norm.",
}


def _rename_key(name: str) -> str:
    """The name in `SpeechEncoder` of a tensor of the Hub's files."""
    name = name.removeprefix("wav2vec2.").removeprefix("hubert.")
    for theirs, ours in _NAMES.items():
        if name.startswith(theirs):
            name = ours + name[len(theirs) :]
            break
    for theirs, ours in _PARTS.items():
        name = name.replace(theirs, ours)
    return name


def _windows(pieces: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int, int]]:
    """Windows with a margin on both sides, the first of their rows that counts, and how many do."""
    step, margin = _WINDOW_SECONDS * SAMPLE_RATE, _MARGIN_SECONDS * SAMPLE_RATE
    held, before = np.zeros(0, np.float32), 0
    for piece in pieces:
        held = np.concatenate([held, piece])
        while held.size >= before + step + margin:
            yield held[: before + step + margin], before // _HOP, step // _HOP
            held = held[before + step - margin :]
            before = margin
    left = held.size - before
    if left > 0:
        rows = -(-left // _HOP)
        # the network needs a little sound behind a row's beginning
        padded = np.pad(held, (0, max(0, before + rows * _HOP + _SHORTEST - held.size)))
        yield padded.astype(np.float32), before // _HOP, rows
