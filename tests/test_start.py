"""What a command loads before it begins: nothing that it does not use, as that is what makes it slow to start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from facegen.ui.examples import FILES, SPEECH

NETWORKS = ("torch", "onnx", "onnxruntime", "mediapipe", "dlib")
TRAINING = ("diffusers", "accelerate", "torchvision", "pytorch_optimizer", "optuna", "tensorboard", "timm", "facexlib")
SCIENCE = ("scipy.stats", "sklearn", "skimage", "numba", "sympy", "matplotlib", "torch._dynamo", "torch._inductor")
OTHERS = ("moviepy", "ray", "transformers", "pocketsphinx")
PICTURES = ("numpy", "cv2", "PIL", "av")
PAGE = ("gradio", "pandas", "fastapi")
WORDS = ("rich", "huggingface_hub", "cryptography", "c2pa")
RUN = """
import runpy, sys
try:
    runpy.run_module("facegen", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
"""


def loaded(code: str, absent: tuple[str, ...], *arguments: str, folder: Path | None = None) -> list[str]:
    """Those of some modules that a program has loaded when it ends."""
    code += f"\nimport json; print('loaded', json.dumps([name for name in {absent!r} if name in sys.modules]))"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    names: list[str] = json.loads(done.stdout.rsplit("loaded ", 1)[1])
    return names


@pytest.mark.parametrize("words", [("generate", "--help"), ("runs", "list"), ("weights", "list")], ids=" ".join)
def test_help_and_lists_load_words_alone(words: tuple[str, ...]) -> None:
    assert loaded(RUN, (*NETWORKS, *TRAINING, *SCIENCE, *OTHERS, *PICTURES, *PAGE, *WORDS), *words) == []


def test_the_help_of_all_commands_loads_none_of_them() -> None:
    assert loaded(RUN, ("facegen.jobs", "facegen.catalog", "facegen.cli.command", "psutil", "pydantic"), "--help") == []


@pytest.mark.slow
def test_the_page_loads_no_network() -> None:
    code = "import sys; from facegen.ui.studio import build_studio; build_studio()"
    assert loaded(code, (*NETWORKS, *TRAINING, *SCIENCE, *OTHERS)) == []


@pytest.mark.slow
def test_a_face_loads_no_library_of_training(tmp_path: Path) -> None:
    absent = (*TRAINING, *SCIENCE, *OTHERS, *PAGE, "mediapipe", "dlib", "scipy")
    assert loaded(RUN, absent, "generate", "--seed", "3", "--output", "faces", folder=tmp_path) == []


@pytest.mark.slow
def test_a_swap_and_a_talk_load_no_library_of_training(tmp_path: Path) -> None:
    ada, carl = str(FILES / "ada.jpg"), str(FILES / "carl.jpg")
    swap = ("swap", "--consent", "--source", ada, "--target", carl, "--output", "swapped.png")
    talk = (
        "talk",
        "--consent",
        "--portrait",
        ada,
        "--audio",
        str(FILES / SPEECH),
        "--seconds",
        "1",
        "--output",
        "talk.mp4",
    )
    assert loaded(RUN, (*TRAINING, *SCIENCE, *OTHERS, *PAGE), *swap, folder=tmp_path) == []
    assert loaded(RUN, (*TRAINING, *SCIENCE, *PAGE, "moviepy", "ray"), *talk, folder=tmp_path) == []
