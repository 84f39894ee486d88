"""The generator's model files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facegen.hub import Bundled, WeightFile

if TYPE_CHECKING:
    from facegen.generate.attribute_net import AttributeNet

_LICENCE = "Apache-2.0"

GENERATOR = (
    WeightFile(
        name="generator-1",
        source=Bundled(),
        filename="generate/vae/diffusion_pytorch_model-00001-of-00002.safetensors",
        sha256="b09dd01b2b378be4831d435b07234c6cf4b7f3de00540d1e633c3d1e33e9c22c",
        size=6973850,
        licence=_LICENCE,
        card="generate/README.md",
    ),
    WeightFile(
        name="generator-2",
        source=Bundled(),
        filename="generate/vae/diffusion_pytorch_model-00002-of-00002.safetensors",
        sha256="ddcd21797c94ef61826b0df9666f9dabac34c37642e6b3654597ff98dbdac662",
        size=4379986,
        licence=_LICENCE,
        card="generate/README.md",
    ),
)
"""The generator's two files, as diffusers shards them."""
ATTRIBUTES = WeightFile(
    name="attributes",
    source=Bundled(),
    filename="generate/attributes.safetensors",
    sha256="31ef07ceb715508a6aa5f7635862bf955ffa53c3d1251c3612626bba3dbc53b0",
    size=3272940,
    licence=_LICENCE,
    card="generate/README.md",
)
DIRECTIONS = WeightFile(
    name="directions",
    source=Bundled(),
    filename="generate/directions.safetensors",
    sha256="cf2877eb1a341678339ca49268c0333819904c0f40e531ef983f411c4a26aae1",
    size=18920,
    licence=_LICENCE,
    card="generate/README.md",
)
REALISM = WeightFile(
    name="realism",
    source=Bundled(),
    filename="generate/realism.safetensors",
    sha256="6d053e543dff15b79aea2246e114d02cfd571af2dc3a0a00b81ad77c5e194689",
    size=1047842,
    licence=_LICENCE,
    card="generate/README.md",
)
SKIN = WeightFile(
    name="skin",
    source=Bundled(),
    filename="generate/skin.safetensors",
    sha256="025b0eaa624f3214663bd37494e222be6e59f169c727c0c0e54b6282da3c0bff",
    size=1105560,
    licence=_LICENCE,
    card="generate/README.md",
)
SURROUNDINGS = WeightFile(
    name="surroundings",
    source=Bundled(),
    filename="generate/surroundings.safetensors",
    sha256="48c50369a3a85e12a5db4a3b7621a128a21467b7d4ac82d3054acccf068c9b91",
    size=319096,
    licence=_LICENCE,
    card="generate/README.md",
)
WEIGHTS = (*GENERATOR, ATTRIBUTES, DIRECTIONS, REALISM, SKIN, SURROUNDINGS)


def generator_folder() -> Path:
    """Where the bundled generator lies, verified, as diffusers saved it."""
    from facegen import hub

    first, _ = (Path(hub.fetch(weight)) for weight in GENERATOR)
    return first.parent


def generator_available() -> bool:
    """Whether everything that draws faces is there; it is bundled, so False only in a broken install."""
    from facegen import hub

    return all(hub.is_present(weight) for weight in (*GENERATOR, DIRECTIONS, SKIN, SURROUNDINGS))


def load_attributes() -> AttributeNet:
    """The frozen network of the five input models."""
    from facegen import hub
    from facegen.generate.attribute_net import AttributeNetConfig, load_attribute_net

    return load_attribute_net(str(hub.fetch(ATTRIBUTES)), AttributeNetConfig())
