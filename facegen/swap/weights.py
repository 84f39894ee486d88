"""The model files of the swap: the `mesh` engine is geometry and needs none; trained swaps begin with a pretrained model."""

from __future__ import annotations

from pathlib import Path

from facegen.hub import Bundled, WeightFile

PRETRAINED = "pretrained"
"""What `task.start_from` says for the model below."""
_SHA256: tuple[tuple[str, int], ...] = (
    ("9d6f87ec2221db6363f87386b2bc84abc2867b41d2ff89a4e4aa704c6c7ff962", 8065456),
    ("729f10a3155914eb7aaf50acd4747cb0520047a44d8445b0cddd2b6d6636969a", 8852720),
    ("d78e722870d33a0c3f34e04cd3d45776cf5b60c2b7e0bb203bb7801d56f43db6", 6247386),
)
AUTOENCODER = tuple(
    WeightFile(
        name=f"autoencoder-{number}",
        source=Bundled(),
        filename=f"autoencoder/model-{number:05d}-of-{len(_SHA256):05d}.safetensors",
        sha256=sha256,
        size=size,
        licence="research use: trained on demo clips of VASA-1",
        card="autoencoder/README.md",
    )
    for number, (sha256, size) in enumerate(_SHA256, 1)
)
"""The files of the pretrained liae-ud of 128 pixels; its settings lie beside them."""
WEIGHTS: tuple[WeightFile, ...] = AUTOENCODER


def pretrained_folder() -> Path:
    """Where the pretrained model lies, its files verified.

    Raises:
        WeightsError: a file is missing or was changed.
    """
    from facegen import hub

    places = [Path(hub.fetch(weight)) for weight in AUTOENCODER]
    return places[0].parent
