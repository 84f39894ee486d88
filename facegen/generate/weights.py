"""The generator's model files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facegen.hub import Bundled, WeightFile

if TYPE_CHECKING:
    from facegen.generate.attribute_net import AttributeNet

_LICENCE = "Apache-2.0"

GENERATOR = WeightFile(
    name="generator",
    source=Bundled(),
    filename="generate/vae/diffusion_pytorch_model.safetensors",
    sha256="0" * 64,
    size=0,
    licence=_LICENCE,
    card="generate/README.md",
)
ATTRIBUTES = WeightFile(
    name="attributes",
    source=Bundled(),
    filename="generate/attributes.safetensors",
    sha256="0" * 64,
    size=0,
    licence=_LICENCE,
    card="generate/README.md",
)
REALISM = WeightFile(
    name="realism",
    source=Bundled(),
    filename="generate/realism.safetensors",
    sha256="0" * 64,
    size=0,
    licence=_LICENCE,
    card="generate/README.md",
)
DIRECTIONS = WeightFile(
    name="directions",
    source=Bundled(),
    filename="generate/directions.safetensors",
    sha256="0" * 64,
    size=0,
    licence=_LICENCE,
    card="generate/README.md",
)
WEIGHTS = (GENERATOR, ATTRIBUTES, REALISM, DIRECTIONS)


def generator_folder() -> Path:
    """Where the bundled generator lies, verified, as diffusers saved it."""
    from facegen import hub

    return Path(hub.fetch(GENERATOR)).parent


def load_attributes() -> AttributeNet:
    """The frozen network of the five input models."""
    from facegen import hub
    from facegen.generate.attribute_net import AttributeNetConfig, load_attribute_net

    return load_attribute_net(str(hub.fetch(ATTRIBUTES)), AttributeNetConfig())
