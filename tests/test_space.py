"""The repository as it is makes a Space: its front matter, its packages, and the page that starts with SPACE_ID."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from gradio_client import Client
from PIL import Image

from facegen.catalog import WEIGHTS
from facegen.hub import Hub
from tests.conftest import REPOSITORY

KEYS = {
    *(
        "title",
        "emoji",
        "colorFrom",
        "colorTo",
        "sdk",
        "sdk_version",
        "python_version",
        "app_file",
        "app_port",
        "license",
    ),
    *(
        "suggested_hardware",
        "short_description",
        "models",
        "datasets",
        "tags",
        "thumbnail",
        "pinned",
        "hf_oauth",
        "header",
    ),
    *("fullWidth", "startup_duration_timeout", "preload_from_hub", "custom_headers", "disable_embedding"),
}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def front_matter() -> dict[str, Any]:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_the_front_matter_is_what_a_space_reads() -> None:
    matter = front_matter()
    assert set(matter) <= KEYS
    assert matter["sdk"] == "gradio"
    assert (REPOSITORY / matter["app_file"]).is_file()
    assert {matter["colorFrom"], matter["colorTo"]} <= COLOURS
    assert len(matter["short_description"]) <= 60
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    assert f"\ngradio=={matter['sdk_version']} " in lock
    assert matter["python_version"] in ("3.11", "3.12", "3.13")


def test_what_is_preloaded_are_permissive_files_of_the_catalog() -> None:
    known = {
        (weight.source.repo_id, weight.source.revision, weight.filename): weight.is_permissive
        for weight in WEIGHTS
        if isinstance(weight.source, Hub)
    }
    for line in front_matter()["preload_from_hub"]:
        repository, files, revision = line.split()
        assert repository in front_matter()["models"]
        for file in files.split(","):
            assert known[repository, revision, file]


def test_debian_packages_are_those_of_make_install() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    (libraries,) = re.findall(r"^LIBRARIES := (.+)$", makefile, re.MULTILINE)
    assert set(libraries.split()) <= set((REPOSITORY / "packages.txt").read_text(encoding="utf-8").split())


def test_requirements_take_the_torch_of_zero_gpu() -> None:
    from packaging.requirements import Requirement

    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").split()
    torch = next(requirement for requirement in map(Requirement, lines) if requirement.name == "torch")
    assert all(version in torch.specifier for version in ("2.8.0", "2.9.1", "2.10.0", "2.11.0"))


def test_no_file_is_larger_than_a_space_takes_without_large_file_storage() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    sizes = {name: (REPOSITORY / name).stat().st_size for name in names.split("\0") if (REPOSITORY / name).is_file()}
    assert {name: size for name, size in sizes.items() if size > 10e6} == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_exact_tree_starts_as_a_space(tmp_path: Path) -> None:
    """Committed files alone, in an environment with nothing but requirements.txt, at the versions of the lock."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    if not Path(uv).exists():
        pytest.skip("uv is not installed; run make install")
    tree, environment = tmp_path / "tree", tmp_path / "environment"
    tree.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", tree], input=archive, check=True)
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, environment], check=True)
    python = environment / "bin" / "python"
    install = [uv, "pip", "install", "-q", "--python", str(python), "-c", "requirements.lock", "-r", "requirements.txt"]
    if subprocess.run(install, cwd=tree, check=False).returncode:
        pytest.skip("the package index cannot be reached")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    settings = {"SPACE_ID": "somebody/facegen", "GRADIO_SERVER_PORT": port, "FACEGEN_HOME": str(tmp_path / "home")}
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with subprocess.Popen([python, front_matter()["app_file"]], cwd=tree, env={**plain, **settings}) as space:
        try:
            address = f"http://127.0.0.1:{port}"
            page = wait_for_page(f"{address}/config", space)
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert b"facegen" in answer.read()
            (face,) = Client(address, verbose=False).predict({"eyes": 0.9}, {"seed": 7}, {}, api_name="/generate")
            with Image.open(face) as drawn:
                assert drawn.size == (512, 512)
        finally:
            space.terminate()
            space.wait(timeout=60)
    words = json.dumps(page)
    assert "60 seconds of a clip" in words
    assert "200 MB a file" in words


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(3600)
def test_the_oldest_versions_that_are_allowed_work(tmp_path: Path) -> None:
    """`make ends`: gigabytes of an older torch; the newest versions are those of the lock, with which this suite runs."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(
        ["bash", REPOSITORY / "tests" / "ends.sh", "lowest-direct", tmp_path / "environment"],
        check=True,
        env=environment,
    )


def wait_for_page(address: str, process: "subprocess.Popen[bytes]") -> Any:
    """What the studio says of its page, as JSON."""
    for _ in range(300):
        assert process.poll() is None, f"the studio ended with {process.returncode}"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(1)
    raise AssertionError(f"no page at {address}")
