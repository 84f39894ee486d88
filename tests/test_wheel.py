"""A built wheel is all that facegen needs: installed apart from any checkout, it swaps a face with its own weights."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.factories import write_portrait

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network from a copy of what belongs to it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for name in ("facegen", "weights", "tests", "benchmarks"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    output = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(output), str(source))
    (path,) = output.glob("facegen-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel, and the packages it needs from this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # packages on such a path are found, but the .pth file of an editable facegen beside them is not read
    (packages / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    pip(str(folder / "bin" / "python"), "install", "--no-deps", str(wheel))
    return folder / "bin"


def pip(python: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": ""})


def run(command: list[str | Path], folder: Path) -> str:
    """What a command prints, run in a folder that has nothing to do with the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_its_weights_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    weights = {
        path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "weights").rglob("*") if path.is_file()
    }
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "facegen").rglob("*.py")}
    page = REPOSITORY / "facegen" / "ui"
    stored = [*(page / "examples" / "files").iterdir(), *(page / "languages").glob("*.json")]
    assert {name for name in names if ".dist-info/" not in name} == {
        "facegen/py.typed",
        "facegen/api.pyi",
        "facegen/ui/icon.png",
        *(path.relative_to(REPOSITORY).as_posix() for path in stored),
        *modules,
        *(f"facegen/{name}" for name in weights),
    }
    assert wheel.stat().st_size < 100e6


def test_every_bundled_weight_is_found_in_the_installed_package(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(run([installed / "facegen", "weights", "list", "--json"], tmp_path))
    bundled = [weight for weight in listed if weight["source"] == "bundled"]
    assert bundled
    assert [weight["name"] for weight in bundled if not weight["is_present"]] == []


def test_a_face_is_swapped_from_another_folder(installed: Path, tmp_path: Path) -> None:
    where = run([installed / "python", "-c", "import facegen; print(facegen.__file__)"], tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    portrait = write_portrait(tmp_path / "portrait.png")
    run(
        [installed / "facegen", "swap", "--source", portrait, "--target", portrait, "--output", "out.png", "--consent"],
        tmp_path,
    )
    assert (tmp_path / "out.png").is_file()
