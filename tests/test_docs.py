"""README and docs say what is there: their links lead somewhere, their commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from facegen.cli import COMMANDS
from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    named = re.findall(r"(?:^|`)facegen ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= set(COMMANDS)


@pytest.mark.parametrize("command", ["swap", "swap train", "generate", "talk", "train"])
def test_options_in_the_readme_exist(command: str) -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    used = {
        option
        for line in re.findall(rf"`facegen {command} (?!train )([^`]+)`", text)
        for option in re.findall(r"--[a-z-]+", line)
    }
    done = subprocess.run(
        [sys.executable, "-m", "facegen", *command.split(), "--help"], capture_output=True, text=True, check=True
    )
    assert [option for option in sorted(used) if option not in done.stdout] == []
