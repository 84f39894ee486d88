"""The container installs what `make install` does and starts what `make app` does; carried out in a clean root, without an engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import clean_root
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = clean_root.read_instructions(TEXT)
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def arguments_of(word: str) -> list[str]:
    return [arguments for name, arguments in INSTRUCTIONS if name == word]


def test_it_installs_what_make_install_does_at_the_versions_of_the_lock() -> None:
    installs = [run for run in arguments_of("RUN") if "pip install" in run]
    assert "-c requirements.lock -r requirements.txt" in installs[0]
    assert installs[1:] == ["pip install --no-cache-dir --no-deps ."]
    assert "-c requirements.lock -e ." in MAKEFILE


def test_the_lock_holds_a_version_of_each_requirement() -> None:
    """`make lock` writes it; `make ends` tries the other versions that the ranges allow."""
    pinned = {
        canonicalize_name(name): version
        for name, version in re.findall(
            r"^([\w.-]+)==([^\s;]+)", (REPOSITORY / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    for line in (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").split():
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), line
        assert "<" in str(requirement.specifier) or "==" in str(requirement.specifier), line


def test_the_lock_has_a_hash_of_each_version() -> None:
    """By these `make install` refuses a file that is another than the one that was locked."""
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^[\w.-]+==\S+.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+", lock, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[\w.-]+==", lock, re.MULTILINE)) > 100


def test_bytecode_is_compiled_at_install() -> None:
    assert "--no-compile" not in TEXT
    assert MAKEFILE.count("uv pip install") == MAKEFILE.count("--compile-bytecode") == 2
    assert "-m compileall -q facegen" in MAKEFILE


def test_it_needs_the_same_libraries() -> None:
    libraries = re.search(r"^LIBRARIES := (.+)$", MAKEFILE, re.MULTILINE)
    assert libraries is not None
    assert any(libraries.group(1) in run for run in arguments_of("RUN"))


def test_it_starts_the_same_entry() -> None:
    assert json.loads(arguments_of("CMD")[-1]) == ["python", "app.py"]
    assert "$(BIN)/python app.py" in MAKEFILE


def test_it_serves_as_a_user_without_rights() -> None:
    assert int(arguments_of("USER")[-1]) > 0
    names = [name for name, _ in INSTRUCTIONS]
    assert names.index("USER") > max(index for index, name in enumerate(names) if name == "RUN")
    assert names.index("USER") < names.index("CMD")


def test_health_volumes_and_privacy() -> None:
    assert arguments_of("HEALTHCHECK")
    (home,) = json.loads(arguments_of("VOLUME")[0])
    settings = " ".join(arguments_of("ENV"))
    for setting in (f"FACEGEN_HOME={home}", "GRADIO_SERVER_NAME=0.0.0.0", "HF_HUB_DISABLE_TELEMETRY=1"):
        assert setting in settings


def test_what_is_copied_exists_and_secrets_stay_out() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    assert {"app.py", "facegen", "weights", "requirements.txt", "requirements.lock", "setup.py"} <= set(allowed)
    assert [name for name in allowed if not (REPOSITORY / name).exists()] == []


def test_without_a_gpu_torch_comes_from_the_index_of_its_builds_without_cuda(tmp_path: Path) -> None:
    """What the shell makes of the first installation's line, with an installer that says what it was asked for."""
    (tmp_path / "pip").write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    (tmp_path / "pip").chmod(0o755)
    line = next(run for run in arguments_of("RUN") if "requirements.txt" in run)
    said = {}
    for device in ("cuda", "cpu"):
        environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "DEVICE": device}
        shutil.copy(REPOSITORY / "requirements.lock", tmp_path)
        said[device] = subprocess.run(
            ["sh", "-c", line], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "--hash" not in (tmp_path / "requirements.lock").read_text(encoding="utf-8")
    index = "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert said["cuda"].stdout == "install --no-cache-dir -c requirements.lock -r requirements.txt\n"
    assert index in said["cpu"].stdout
    assert "-c requirements.lock -r requirements.txt" in said["cpu"].stdout


def test_opencv_packages_share_one_version() -> None:
    requirements = dict(re.findall(r"^(opencv-[a-z-]+)==(.+)$", (REPOSITORY / "requirements.txt").read_text(), re.M))
    assert len(requirements) == 2
    assert len(set(requirements.values())) == 1


def test_lint() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is not installed; run make test")
    done = subprocess.run([hadolint, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def test_compose_follows_its_specification() -> None:
    specification = pytest.importorskip("compose_spec")
    parsed = specification.ComposeSpecification.model_validate(compose())
    assert set(parsed.services) == {"studio", "studio-cpu"}


def test_both_services_hold_their_container_tight() -> None:
    services = compose()["services"]
    assert services["studio"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert services["studio-cpu"]["build"]["args"] == {"DEVICE": "cpu"}
    assert "deploy" not in services["studio-cpu"]
    assert (REPOSITORY / ".env").read_text(encoding="utf-8").strip() == "COMPOSE_PROFILES=gpu"
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["ports"] == ["127.0.0.1:7860:7860"]
        assert {volume.split(":")[1] for volume in service["volumes"]} == {
            "/data",
            "/data/weights",
            "/data/runs",
            "/data/keys",
        }
        assert service["stop_grace_period"] == "1m"


DRAW = """
from pathlib import Path
from gradio_client import Client
files = Client("http://127.0.0.1:7860", verbose=False).predict(
    {"eyes": 0.9}, {"seed": 7}, {}, api_name="/generate")
print(files)
"""


@pytest.mark.slow
@pytest.mark.timeout(4800)
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can make another root")
def test_every_instruction_in_a_clean_root(request: pytest.FixtureRequest) -> None:
    """All that an engine would do: both stages, then the command, its health check, a face and its end, with few rights."""
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed; run make test-slow")
    # pytest's own folders are closed to other users
    folder = Path(tempfile.mkdtemp(prefix="facegen-image-"))
    request.addfinalizer(lambda: shutil.rmtree(folder))
    folder.chmod(0o755)
    stage = clean_root.build(REPOSITORY / "Dockerfile", folder, {})
    (home,) = json.loads(arguments_of("VOLUME")[0])
    with stage.start(home) as container:
        for _ in range(240):
            healthy = container.execute(stage.health_check).returncode == 0
            if healthy or container.process.poll() is not None:
                break
            time.sleep(1)
        assert healthy
        assert container.execute(["id", "-u"]).stdout.strip() == stage.user != "0"
        assert "Read-only" in container.execute(["touch", "/app/new"]).stderr
        drawn = container.execute(["python", "-c", DRAW])
        assert ".png" in drawn.stdout, drawn.stderr
        assert container.stop(seconds=60) in (0, 130)


@pytest.mark.slow
@pytest.mark.network
def test_it_builds() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker engine here")
    subprocess.run(["docker", "build", "-t", "facegen-test", REPOSITORY], check=True)
