"""The commands of README and docs run as they are written, with the people of the studio's examples for the reader's files."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen import media
from facegen.ui.examples import FILES
from tests.conftest import REPOSITORY
from tests.factories import write_clip
from tests.talk.sounds import babble, write_wave
from tests.test_docs import PAGES, find_commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ELSEWHERE = {
    r"\btrain\b|dataset|trained:|autoencoder:|dfrf": "hours; tests/training and tests/browser train for seconds",
    r"--cluster": "machines of others; tests/swap and tests/facesets start a small cluster",
    r"weights|--engine (hyperswap|live-portrait)|--expression": "files of the Hub; tests/test_hub.py has a small one, tests/reenact stand-ins",
    r"^facegen studio": "does not end; tests/browser drives it",
    r"facegen runs (show|log|cancel|resume|delete)": "a run's own name; tests/jobs",
    r"faceset import": "a file of another program; tests/facesets",
    r"\b(DIR|RUN|NAME)\b": "a name of the reader's own",
    r"--text": "espeak-ng, which is not everywhere",
}
"""Pattern of a command that does not run here -> why, and what tries it."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages call face.jpg, clip.mp4, said.wav and so on, as the folder one is in."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("face", "a", "me", "small", "anna"):
        shutil.copy(FILES / "ada.jpg", folder / f"{name}.jpg")
    for name in ("b", "ben"):
        shutil.copy(FILES / "carl.jpg", folder / f"{name}.jpg")
    faces = [Image.open(FILES / f"{name}.jpg").resize((256, 256)) for name in ("ada", "carl", "dan")]
    Image.fromarray(np.hstack([np.asarray(face) for face in faces])).save(folder / "group.jpg")
    shown = [frame.image_rgb for frame in media.read_frames(FILES / "two.mp4")][::6]
    there_and_back = [*shown, *shown[::-1]]
    frames = [there_and_back[number % len(there_and_back)] for number in range(36)]
    for name in ("clip", "one", "CLIP", "head", "A", "B"):
        write_clip(folder / f"{name}.mp4", frames, rate=6, has_sound=True)
    for name in ("clips", "PHOTOS", "FOLDER", "sounds"):
        (folder / name).mkdir()
    shutil.copy(folder / "one.mp4", folder / "clips" / "one.mp4")
    shutil.copy(FILES / "ada.jpg", folder / "PHOTOS" / "ada.jpg")
    shutil.copy(FILES / "preview.jpg", folder / "FOLDER" / "preview.jpg")
    shutil.copy(FILES / "preview.jpg", folder / "FILE")
    Image.open(FILES / "bea.jpg").save(folder / "two.png")
    write_wave(folder / "said.wav", babble(3))
    shutil.copy(folder / "said.wav", folder / "sounds" / "said.wav")
    monkeypatch.chdir(folder)
    return folder


def runs_here(line: str) -> bool:
    """Whether a command is one that can be tried in a folder of files."""
    return not any(re.search(pattern, line) for pattern in ELSEWHERE)


TRIED = [page for page in PAGES if any(map(runs_here, find_commands(page)))]


@pytest.mark.parametrize("page", TRIED, ids=lambda page: page.name)
@pytest.mark.usefixtures("home")
def test_commands_of_a_page_run_as_they_are_written(page: Path) -> None:
    failed = []
    for line in filter(runs_here, find_commands(page)):
        command = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        # the examples were made by another installation, which is 1 to verify: not proven
        if done.returncode not in ((0, 1) if line.startswith("facegen verify") else (0,)):
            failed.append(f"{line}: {done.returncode} {done.stderr[-400:]}")
    assert failed == []


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
@pytest.mark.usefixtures("home")
def test_python_of_a_page_runs_as_it_is_written(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    assert "facegen." in script
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr[-800:]
