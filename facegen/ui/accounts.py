"""Accounts of a studio, and the audit log of its runs.

Accounts are a file of names with hashed passwords; `python -m facegen.ui.accounts FILE NAME` adds one.

A line is «name:scrypt$salt$hash», both in hexadecimal. Who guesses is slowed down: after ten wrong passwords for a name it is
refused for a quarter of an hour, right ones too.
"""

import getpass
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import sys
import threading
import time
from collections import defaultdict
from logging.handlers import RotatingFileHandler
from pathlib import Path

from facegen.errors import InputError, ResourceError
from facegen.worker import exit_codes

LEAST_LENGTH = 10
"""Characters of a password."""
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_LINE = re.compile(r"([A-Za-z0-9._@-]{1,64}):scrypt\$([0-9a-f]{32})\$([0-9a-f]{64})")
_COST = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": 32}
_MOST_FAILURES, _FAILURE_SECONDS = 10, 900.0
_MOST_NAMES = 10_000
_AUDIT_BYTES, _AUDIT_FILES = 5_000_000, 5


class Accounts:
    """Checks names and passwords; called by Gradio with both."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            InputError: it cannot be read, or a line is no account.
        """
        self._hashes = read_accounts(path)
        self._failures: dict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        self._nobody = hash_password(secrets.token_hex(16))

    def __call__(self, name: str, password: str) -> bool:
        """Whether the password is that of the name; takes as long for names that there are not."""
        with self._lock:
            now = time.monotonic()
            recent = [when for when in self._failures.pop(name, ()) if now - when < _FAILURE_SECONDS]
            if recent:
                self._failures[name] = recent
            if len(recent) >= _MOST_FAILURES or len(self._failures) > _MOST_NAMES:
                return False
        is_right = _fits(password, self._hashes.get(name, self._nobody)) and name in self._hashes
        with self._lock:
            if is_right:
                self._failures.pop(name, None)
            else:
                self._failures[name].append(time.monotonic())
        return is_right


def hash_password(password: str) -> str:
    """The salted hash of a password, as it stands in the file: scrypt with 32 MB of memory."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **_COST).hex()}"


def _fits(password: str, hashed: str) -> bool:
    _, salt, known = hashed.split("$")
    return hmac.compare_digest(hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **_COST).hex(), known)


def read_accounts(path: Path) -> dict[str, str]:
    """Hashes by name.

    Raises:
        InputError: the file cannot be read, or a line is no account.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a file of accounts at {path}, found none that can be read ({error}).") from error
    accounts = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise InputError(
                f"Expected «name:scrypt$salt$hash» in line {number} of {path.name}, found something else; add accounts with "
                "--add-user."
            )
        accounts[found[1]] = line.strip().partition(":")[2]
    return accounts


def add_account(path: Path, name: str, password: str) -> None:
    """Adds an account or changes its password; the file is readable for its owner only.

    Raises:
        InputError: the name or the password does not do.
        ResourceError: the file cannot be written.
    """
    if _NAME.fullmatch(name) is None:
        raise InputError(f"Expected a name of letters, digits and . _ @ -, found {name!r}; choose another.")
    if len(password) < LEAST_LENGTH:
        raise InputError(
            f"Expected a password of at least {LEAST_LENGTH} characters, found {len(password)}; choose another."
        )
    accounts = read_accounts(path) if path.exists() else {}
    accounts[name] = hash_password(password)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{one}:{hashed}\n" for one, hashed in accounts.items())
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(f"Cannot write {path}: {error.strerror}; choose another place.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _main() -> None:
    path, name = sys.argv[1:3]
    with exit_codes():
        password = (
            getpass.getpass(f"Password for {name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        )
        add_account(Path(path), name, password)
        print(f"{name} may sign in with {path}.")


class Audit:
    """Writes `audit.jsonl`: a line for each run that visitors start, with time, visitor and consent, without names of files.

    A full file becomes `audit.jsonl.1` and so on, of which five are kept.
    """

    def __init__(self, path: Path) -> None:
        """Opens nothing yet.

        Args:
            path: the newest file.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handler = RotatingFileHandler(
            path, maxBytes=_AUDIT_BYTES, backupCount=_AUDIT_FILES, encoding="utf-8", delay=True
        )
        self._handler.setFormatter(logging.Formatter("%(message)s"))

    def write(self, *, who: str, job: str, run: str, needs_consent: bool) -> None:
        """Adds a line.

        Args:
            who: the visitor's mark, or the name that signed in.
            job: the job's name.
            run: the run's name.
            needs_consent: whether it is one that starts only after consent was given.
        """
        line = {
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "who": who,
            "job": job,
            "run": run,
            "consent": "given" if needs_consent else "not needed",
        }
        self._handler.emit(logging.makeLogRecord({"msg": json.dumps(line), "args": None}))
        self._handler.close()  # opened anew by the next line, so that the file may be moved meanwhile


if __name__ == "__main__":
    _main()
