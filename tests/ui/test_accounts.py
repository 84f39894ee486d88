"""Signing in: hashed passwords, a bound on guesses, and a line for each run."""

import json
import stat
from pathlib import Path

import pytest

from facegen.errors import InputError
from facegen.ui import accounts, visitors
from facegen.ui.accounts import Accounts, Audit, add_account
from facegen.ui.visitors import Visitor

PASSWORD = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "accounts"
    add_account(path, "ada", PASSWORD)
    return path


def test_the_right_password_and_no_other(file: Path) -> None:
    add_account(file, "bea", "another long one")
    check = Accounts(file)
    assert check("ada", PASSWORD)
    assert check("bea", "another long one")
    assert not check("ada", "another long one")
    assert not check("nobody", PASSWORD)


def test_the_file_holds_no_password_and_is_its_owners(file: Path) -> None:
    content = file.read_text()
    assert PASSWORD not in content
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    add_account(file, "ada", PASSWORD)
    assert file.read_text() != content  # another salt


def test_guessing_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_fits", lambda password, _hashed: password == PASSWORD)
    now = [0.0]
    monkeypatch.setattr("facegen.ui.accounts.time.monotonic", lambda: now[0])
    check = Accounts(file)
    assert not any(check("ada", "wrong") for _ in range(10))
    assert not check("ada", PASSWORD)
    now[0] = 901.0
    assert check("ada", PASSWORD)


@pytest.mark.parametrize(("name", "password"), [("a b", PASSWORD), ("ada:x", PASSWORD), ("ada", "short")])
def test_what_does_not_do_is_refused(tmp_path: Path, name: str, password: str) -> None:
    with pytest.raises(InputError, match="Expected"):
        add_account(tmp_path / "accounts", name, password)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    path.write_text("# ours\nada:password\n")
    with pytest.raises(InputError, match="line 2"):
        Accounts(path)


def test_who_signed_in_is_one_visitor_whatever_the_cookie() -> None:
    first, second = (visitors.recognise(Visitor(), {visitors.COOKIE: "x" * 24}, "ada") for _ in range(2))
    assert first.mark == second.mark
    assert visitors.recognise(Visitor(), {visitors.COOKIE: "name ada".ljust(24)}).mark != first.mark


def test_each_run_has_a_line_and_old_lines_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facegen.ui.accounts._AUDIT_BYTES", 1000)
    audit = Audit(tmp_path / "logs" / "audit.jsonl")
    for number in range(100):
        audit.write(who="mark", job="swap", run=f"swap-{number}", needs_consent=True)
    files = sorted((tmp_path / "logs").iterdir())
    assert len(files) == 6
    assert all(file.stat().st_size <= 1000 for file in files)
    last = json.loads((tmp_path / "logs" / "audit.jsonl").read_text().splitlines()[-1])
    assert (last["who"], last["job"], last["run"], last["consent"]) == ("mark", "swap", "swap-99", "given")
