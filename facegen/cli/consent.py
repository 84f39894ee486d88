"""Consent that a job requires before it uses a person's face or voice: by `--consent`, or asked on a terminal."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from facegen.config import home, write_json
from facegen.errors import InputError
from facegen.jobs import Job
from facegen.json_file import read_json


def ask_consent(job: Job[Any, Any], is_given: bool, files: Iterable[str]) -> None:
    """Asks on a terminal, unless consent for these folders was remembered; reminds scripts of `--consent`.

    Args:
        job: what is to run.
        is_given: whether `--consent` was set.
        files: its input pictures, videos and sounds.

    Raises:
        InputError: the answer is no.
    """
    if not job.consent or is_given:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        typer.echo(f"{job.consent} (say --consent).", err=True)
        return
    folders = {str(path if path.is_dir() else path.parent) for path in (Path(file).resolve() for file in files)}
    agreed = _read_folders()
    if folders and folders <= agreed:
        return
    if not typer.confirm(f"{job.consent}. Did everyone agree?", err=True):
        raise InputError("Expected the consent of everyone whose face or voice is used, found none; ask them first.")
    if typer.confirm(f"Remember this for {', '.join(sorted(folders))}?", default=False, err=True):
        write_json(_path(), sorted(agreed | folders))


def _path() -> Path:
    return home() / "consent.json"


def _read_folders() -> set[str]:
    """Folders for which consent was remembered."""
    if not _path().is_file():
        return set()
    folders = read_json(_path())
    return {str(folder) for folder in folders} if isinstance(folders, list) else set()
