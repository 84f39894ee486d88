"""The container installs what `make install` does and starts what `make app` does; built only where Docker runs."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Every instruction with its arguments; comments dropped, continued lines joined."""
    lines = [line for line in TEXT.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def arguments_of(word: str) -> list[str]:
    return [arguments for name, arguments in instructions() if name == word]


def test_it_installs_the_pinned_requirements_and_nothing_else() -> None:
    assert [run for run in arguments_of("RUN") if "pip install" in run] == [
        "pip install --no-cache-dir -r requirements.txt",
        "pip install --no-cache-dir --no-deps -e .",
    ]
    requirements = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in requirements if line.strip())
    assert "-r requirements.txt -e ." in MAKEFILE


def test_bytecode_is_compiled_at_install() -> None:
    assert any(run.startswith("python -m compileall") for run in arguments_of("RUN"))
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
    names = [name for name, _ in instructions()]
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
    assert {"app.py", "facegen", "weights", "requirements.txt"} <= set(allowed)
    assert [name for name in allowed if not (REPOSITORY / name).exists()] == []


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


@pytest.mark.slow
@pytest.mark.network
def test_it_builds() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker engine here")
    subprocess.run(["docker", "build", "-t", "facegen-test", REPOSITORY], check=True)
