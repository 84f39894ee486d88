"""`make audit`: known weaknesses, or the ages of what is locked, and what was not looked up."""

import datetime
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import audit
from tests.conftest import REPOSITORY

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
FILES = {
    "some-name": [("some_name-1.10-py3-none-any.whl", "2026-05-01"), ("some_name-1.1-py3-none-any.whl", "2020-01-01")],
    "other": [("other-2.0.tar.gz", "2024-06-01"), ("other-2.0-py3-none-any.whl", "2024-06-02")],
}


def fetch(name: str) -> Mapping[str, Any]:
    if name not in FILES:
        raise OSError("404")
    return {"files": [{"filename": file, "upload-time": f"{day}T00:00:00Z"} for file, day in FILES[name]]}


def report(skipped: tuple[str, ...] = (), weak: tuple[str, ...] = ()) -> str:
    found: list[dict[str, Any]] = [{"name": name, "skip_reason": "not found"} for name in skipped]
    for name in ("some-name", "other", "third"):
        if name not in skipped:
            problems = [{"id": "PYSEC-1", "fix_versions": ["3"]}] if name in weak else []
            found.append({"name": name, "version": "1", "vulns": problems})
    return json.dumps({"dependencies": found, "fixes": []})


def test_the_ages_of_pins_are_those_of_their_own_version() -> None:
    pins = {"some-name": "1.10", "other": "2.0", "third": "1"}
    ages = audit.find_ages(pins, NOW, fetch)
    assert {name: round(months) for name, months in ages.items()} == {"some-name": 1, "other": 24}
    *old, said = audit.describe(pins, set(), ages, 12.0, 0.5)
    assert old == ["other 2.0: 24 months old"]
    assert "for none of the 3" in said
    assert "Of 2 of these" in said
    assert "1 are older than 12 months" in said
    assert "Of 1 it does not; the lock" in said


def test_each_version_of_the_lock_is_read() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    pins = audit.read_pins(lock)
    assert len(pins) > 100
    assert set(pins) >= {"torch", "gradio", "opencv-python"}
    assert len([line for line in lock.splitlines() if "==" in line and not line.startswith((" ", "#"))]) >= len(pins)


@pytest.mark.parametrize(
    ("written", "code", "words"),
    [
        (report(), 0, "all 3 locked versions were looked up; none known"),
        (report(weak=("other",)), 1, "other 1: PYSEC-1, mended in 3"),
        (report(skipped=("third",)), 2, "for 2 of 3"),
        (report(skipped=("third",), weak=("other",)), 1, "for 2 of 3"),
        (report(skipped=("some-name", "other", "third")), 2, "for none of the 3"),
        ("", 2, "for none of the 3"),
    ],
)
def test_the_exit_code_says_what_was_looked_up(
    written: str, code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lock = tmp_path / "requirements.lock"
    lock.write_text("some_name==1.10 \\\n    --hash=sha256:00\nother==2.0 ; python_version < '3.12'\nthird[extra]==1\n")
    answer = tmp_path / "answer.json"
    answer.write_text(written)
    command = f"{sys.executable} -c \"print(open('{answer}').read())\""
    monkeypatch.setattr(sys, "argv", ["audit", "--lock", str(lock), "--pip-audit", command])
    monkeypatch.setattr(audit, "fetch_project", fetch)
    assert audit.main() == code
    assert words in capsys.readouterr().out
