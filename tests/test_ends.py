"""Both ends of the versions that requirements.txt allows: imports, the page, short tests, in environments of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_facegen_works_at_both_ends(resolution: str, tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    if not Path(uv).exists():
        pytest.skip("uv is not installed; run make install")
    own = ("FACEGEN_", "GRADIO_", "PYTEST_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    try:
        done = subprocess.run(
            ["bash", "tests/ends.sh", resolution, str(tmp_path / "environment")],
            cwd=REPOSITORY,
            env={**environment, "UV": uv, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(tmp_path / "environment", ignore_errors=True)  # 8 GB
    if "Failed to fetch" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "page built and modules imported with torch" in done.stdout
    assert "passed" in done.stdout
