"""Records of the one-shot models: everything that differs between them. Imports neither torch nor numpy.

Facts of FaceFusion 3.8 and 3.9 (face_swapper), which publishes the files; none of them was run here with its real weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from facegen.faces.weights import ARCFACE
from facegen.hub import WeightFile
from facegen.hub.facefusion import APACHE, INSIGHTFACE, NONE_STATED, Terms, facefusion_file
from facegen.hub.weight_file import SetName

SourceKind = Literal["raw", "normalised", "projected", "converted", "converted-normalised", "picture"]
"""What a model is told of the source: its ArcFace embedding as it is or of length 1, projected by a matrix in the file (the
emap), converted by a network of its own, or a picture of the face."""

MOST_PIXELS = 1024
"""Largest side to which `pixel_boost` may bring a crop."""
MEAN_HALF = (0.5, 0.5, 0.5)
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, kw_only=True)
class SwapModel:
    """One model: inputs `source` and `target` (1, 3, size, size) RGB, first output (1, 3, size, size) RGB."""

    weight: WeightFile
    """Its file; the engine has the same name."""
    template: str
    """How the target's crop is aligned, see `faces.align.TEMPLATES`."""
    size: int
    """Side of the crop, pixels."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted from RGB in 0..1."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """By which that is divided."""
    source: SourceKind
    """What `source` is."""
    source_template: str = ""
    """How the source's crop is aligned, where it is a picture, RGB in 0..1."""
    source_size: int = 0
    """Its side, pixels."""
    converter: WeightFile | None = None
    """Network from an ArcFace embedding to the model's own, input `input` (1, 512)."""
    is_output_normalised: bool
    """Whether the output is in the range of the input; else it is in 0..1."""

    @property
    def name(self) -> str:
        """What `SwapOptions.engine` says."""
        return self.weight.name

    @property
    def weights(self) -> tuple[WeightFile, ...]:
        """All files that it needs."""
        recogniser = () if self.source == "picture" else (ARCFACE,)
        return (self.weight, *((self.converter,) if self.converter else ()), *recogniser)


_RAIL = Terms("ResearchRAIL-MS", "The licence is named, its text is not published: read it as research only.")
_NEURALCHEN = Terms("SimSwap, non-commercial", "The authors of SimSwap allow non-commercial use alone.")
_MAPOOON = Terms("BlendFace, non-commercial", "The authors of BlendFace allow non-commercial use alone.")
_ALPHAFACE = Terms(
    "AlphaFace, MIT or non-commercial", "The code is MIT, but FaceFusion calls the weights non-commercial: unresolved."
)
_file = functools.partial(facefusion_file, purpose="draws a face from one picture of it")


def _converter(kind: str, sha256: str) -> WeightFile:
    purpose = f"tells {kind} who a face is"
    return facefusion_file("3.4.0", f"crossface_{kind}.onnx", NONE_STATED, sha256=sha256, purpose=purpose)


_GHOST = _converter("ghost", "9ec5862d9ff1f723a7380ea89baf87cddec9c56670d4db766702657939284957")
_HIFIFACE = _converter("hififace", "dfb75f960cb8ef1967a82838e64963b9ff621c4af3e22f9fda48ad958dddec9a")
_SIMSWAP = _converter("simswap", "6452a261ec30cc30afdbe4a426d82c3b10a476f2df794e3494071c02574e6829")
_HYPERSWAP: dict[str, tuple[str, tuple[SetName, ...]]] = {
    "1a": ("c0e98a8a03a238f461ed3d2570e426b49f46745ee400854a60dceeb70c246add", ("best",)),
    "1b": ("5124031789c42f71b9558fb71954ef7aedb6da7ed9fac79293e23c61a792a73e", ()),
    "1c": ("5528c2d76fe9986c99d829278987ef9f3a630cb606db7628d02b57b330f406a5", ()),
}

MODELS: tuple[SwapModel, ...] = (
    *(
        SwapModel(
            weight=_file("3.3.0", f"hyperswap_{kind}_256.onnx", _RAIL, sha256=sha256, size=402742682, sets=sets),
            template="arcface-128",
            size=256,
            mean=MEAN_HALF,
            std=MEAN_HALF,
            source="normalised",
            is_output_normalised=True,
        )
        for kind, (sha256, sets) in _HYPERSWAP.items()
    ),
    SwapModel(
        weight=_file("3.0.0", "inswapper_128.onnx", INSIGHTFACE),
        template="arcface-128",
        size=128,
        source="projected",
        is_output_normalised=False,
    ),
    SwapModel(
        # two registries state different digests for this file, so that of the Hub is taken
        weight=_file("3.0.0", "inswapper_128_fp16.onnx", INSIGHTFACE, size=277680829, sets=("fast",)),
        template="arcface-128",
        size=128,
        source="projected",
        is_output_normalised=False,
    ),
    *(
        SwapModel(
            weight=_file("3.0.0", f"ghost_{number}_256.onnx", APACHE),
            template="arcface-112-v1",
            size=256,
            mean=MEAN_HALF,
            std=MEAN_HALF,
            source="converted",
            converter=_GHOST,
            is_output_normalised=True,
        )
        for number in (1, 2, 3)
    ),
    SwapModel(
        weight=_file("3.0.0", "simswap_256.onnx", _NEURALCHEN),
        template="arcface-112-v1",
        size=256,
        mean=_IMAGENET[0],
        std=_IMAGENET[1],
        source="converted-normalised",
        converter=_SIMSWAP,
        is_output_normalised=False,
    ),
    SwapModel(
        weight=_file(
            "3.0.0",
            "simswap_unofficial_512.onnx",
            _NEURALCHEN,
            name="simswap-512",
            size=239249034,
        ),
        template="arcface-112-v1",
        size=512,
        source="converted-normalised",
        converter=_SIMSWAP,
        is_output_normalised=False,
    ),
    SwapModel(
        weight=_file(
            "3.1.0",
            "hififace_unofficial_256.onnx",
            NONE_STATED,
            name="hififace-256",
            sha256="9de9751617976195114d7f067b9b6cf933748363355cf473cab2da57a739c2ef",
            size=203784742,
        ),
        template="mtcnn-512",
        size=256,
        mean=MEAN_HALF,
        std=MEAN_HALF,
        source="converted-normalised",
        converter=_HIFIFACE,
        is_output_normalised=True,
    ),
    SwapModel(
        weight=_file(
            "3.9.0",
            "alphaface_256.onnx",
            _ALPHAFACE,
            sha256="efcca3ffa1c28b75a007f689b39f7d4716c02810e7fa72d892e175f0b058a2e2",
            size=555624110,
        ),
        template="arcface-128",
        size=256,
        source="raw",
        is_output_normalised=False,
    ),
    SwapModel(
        weight=_file(
            "3.0.0",
            "uniface_256.onnx",
            NONE_STATED,
            sha256="eb5ce2af024cddf88ecb93b24e29a6eb44e354aba7d3319e84d29dcd868820f3",
            size=406964143,
        ),
        template="ffhq-512",
        size=256,
        mean=MEAN_HALF,
        std=MEAN_HALF,
        source="picture",
        source_template="ffhq-512",
        source_size=256,
        is_output_normalised=True,
    ),
    SwapModel(
        weight=_file("3.0.0", "blendswap_256.onnx", _MAPOOON),
        template="ffhq-512",
        size=256,
        source="picture",
        source_template="arcface-112-v2",
        source_size=112,
        is_output_normalised=False,
    ),
)
"""All of them, the one to begin with first."""
ENGINES: tuple[str, ...] = tuple(model.name for model in MODELS)
"""Their names, as `SwapOptions.engine` has them."""
WEIGHTS: tuple[WeightFile, ...] = (*(model.weight for model in MODELS), _GHOST, _HIFIFACE, _SIMSWAP)


def find_model(name: str) -> SwapModel | None:
    """The model of an engine's name; None for another engine."""
    return next((model for model in MODELS if model.name == name), None)
