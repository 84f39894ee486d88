"""The generator's model files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facegen.errors import WeightsError
from facegen.hub import Bundled, WeightFile

if TYPE_CHECKING:
    import numpy as np

_LICENCE = "Apache-2.0"

GENERATOR = (
    WeightFile(
        name="generator-1",
        source=Bundled(),
        filename="generate/vae/diffusion_pytorch_model-00001-of-00002.safetensors",
        sha256="0e26ad9fa6cec18393f4361bfd11d4238fbac340f0617492bca81b37395f4342",
        size=6909146,
        licence=_LICENCE,
        card="generate/README.md",
        purpose="draws faces that do not exist, first part",
        jobs=("generate",),
    ),
    WeightFile(
        name="generator-2",
        source=Bundled(),
        filename="generate/vae/diffusion_pytorch_model-00002-of-00002.safetensors",
        sha256="47011dee628f4514bf6965db92b25fa9ab84b6557ed01fb42fe4275f5c7fb06e",
        size=3934306,
        licence=_LICENCE,
        card="generate/README.md",
        purpose="draws faces that do not exist, second part",
        jobs=("generate",),
    ),
)
"""The generator's two files, as diffusers shards them."""
ATTRIBUTES = WeightFile(
    name="attributes",
    source=Bundled(),
    filename="generate/attributes.safetensors",
    sha256="5626723522b3a609b782456cfa137ce4bdd5319a77eda24a576b58c35495c6e1",
    size=3272940,
    licence=_LICENCE,
    card="generate/README.md",
    purpose="measures the attributes behind the five sliders",
    jobs=("generate",),
)
DIRECTIONS = WeightFile(
    name="directions",
    source=Bundled(),
    filename="generate/directions.safetensors",
    sha256="97dbcd9224d56e541e3fbb401be9e7e3a2876e607440fe6ab91bd09f46cc19ce",
    size=18920,
    licence=_LICENCE,
    card="generate/README.md",
    purpose="what each slider of a face moves",
    jobs=("generate",),
)
REALISM = WeightFile(
    name="realism",
    source=Bundled(),
    filename="generate/realism.safetensors",
    sha256="ed31e177234070e4836656921515264e26becf3a5603bbe0a0464d07827ae168",
    size=1047842,
    licence=_LICENCE,
    card="generate/README.md",
    purpose="tells drawn faces from photographs",
    jobs=("generate",),
)
RETOUCHER = WeightFile(
    name="retoucher",
    source=Bundled(),
    filename="generate/retoucher.safetensors",
    sha256="72dc207303ded3763f7bb2ccd54bcd75ec6a6022429c2230e01e5a135da5e93b",
    size=1925728,
    licence=_LICENCE,
    card="generate/README.md",
    purpose="fine detail of drawn faces",
    jobs=("generate",),
)
WEIGHTS = (*GENERATOR, ATTRIBUTES, DIRECTIONS, REALISM, RETOUCHER)


def generator_folder() -> Path:
    """Folder of the bundled generator as diffusers saved it, its checksums verified."""
    from facegen import hub

    first, _ = (Path(hub.fetch(weight)) for weight in GENERATOR)
    return first.parent


def generator_mean_shape() -> np.ndarray:
    """(468, 3) float32: the mean shape of the bundled generator, in whose canonical frame it draws."""
    from safetensors import safe_open

    from facegen import hub

    for weight in GENERATOR:
        with safe_open(hub.fetch(weight), "numpy") as file:
            if "shape_mean" in file.keys():  # noqa: SIM118 (no mapping)
                return file.get_tensor("shape_mean").reshape(468, 3).astype("float32")
    raise WeightsError("Expected a mean shape in the bundled generator, found none; install it again.")


def generator_available() -> bool:
    """Whether all weights that drawing faces needs are installed; False only in a broken install."""
    from facegen import hub

    return all(hub.is_present(weight) for weight in (*GENERATOR, DIRECTIONS, RETOUCHER))
