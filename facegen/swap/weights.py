"""The model files of the swap: the delighting and the harmonization of the mesh engine, and the model that trained swaps begin with."""

from __future__ import annotations

from pathlib import Path

from facegen.hub import Bundled, WeightFile
from facegen.swap.oneshot.models import WEIGHTS as ONESHOT_WEIGHTS

PRETRAINED = "pretrained"
"""What `task.start_from` says for the model below."""
_SHA256: tuple[tuple[str, int], ...] = (
    ("75bbce58d9b27b94c68cb2d37d8258befc72691ab00a7c457f7eb663d36e8d2b", 8065456),
    ("0657af9e6ec1597af9d44a4eaa4e2ba2e8642364e09c0d63216dfea7ac21601c", 8852720),
    ("b7c2db37095d9dc011895afdbaaf3d211ae634ff02453512b3cf75b2564dc328", 6247386),
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
        purpose=f"what a trained swap begins with, part {number} of {len(_SHA256)}",
        jobs=("swap",),
    )
    for number, (sha256, size) in enumerate(_SHA256, 1)
)
"""The files of the pretrained liae-ud of 128 pixels; its settings lie beside them."""
HARMONIZATION = WeightFile(
    name="harmonization",
    source=Bundled(),
    filename="swap/harmonization.safetensors",
    sha256="fbe13d21a94c029b13d395a5a23922eb8ced97039c5c395f465fd93544e04e24",
    size=1178896,
    licence="computer-made faces and CC0 portraits",
    card="swap/README.md",
    purpose="light, shine and detail of a swapped face",
    jobs=("swap",),
)
"""The network that relights the drawing of the mesh engine."""
DELIGHTING = WeightFile(
    name="delighting",
    source=Bundled(),
    filename="swap/delighting.safetensors",
    sha256="66e5955bf3dc793dacab0e202cc8444f816edbfbffa531fe662d64f07e0ad633",
    size=1176302,
    licence="computer-made faces and CC0 portraits",
    card="swap/README.md",
    purpose="shadows and shine taken out of a source's picture",
    jobs=("swap",),
)
"""The network that tells the light on a source's face from its skin."""
WEIGHTS: tuple[WeightFile, ...] = (*AUTOENCODER, HARMONIZATION, DELIGHTING, *ONESHOT_WEIGHTS)


def pretrained_folder() -> Path:
    """Where the pretrained model lies, its files verified.

    Raises:
        WeightsError: a file is missing or was changed.
    """
    from facegen import hub

    paths = [Path(hub.fetch(weight)) for weight in AUTOENCODER]
    return paths[0].parent
