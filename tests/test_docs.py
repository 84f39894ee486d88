"""README and docs say what is there: their links lead somewhere, their commands exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from benchmarks import claims
from facegen.cli import COMMANDS, build_app
from tests.conftest import REPOSITORY

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    named = re.findall(r"(?:^|`)facegen ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_exist(page: Path) -> None:
    folders = (REPOSITORY / name for name in ("facegen", "tests", "benchmarks"))
    paths = [REPOSITORY / "app.py", *(path for folder in folders for path in folder.rglob("*.py"))]
    modules = ["/" + path.relative_to(REPOSITORY).as_posix() for path in paths]
    named = re.findall(r"`((?:[a-z0-9_]+/)*[a-z0-9_]+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not any(module.endswith(f"/{name}") for module in modules)] == []


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


def find_commands(page: Path) -> list[str]:
    """The commands of a page, in its order, without what is said beside them or may be added; names and gaps to fill are left out."""
    text = page.read_text(encoding="utf-8")
    lines = [line.strip() for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    found = [*lines, *re.findall(r"^\|[^|]*\| `(facegen [^`]+)`", text, re.MULTILINE)]
    found = [re.sub(r" \[[^\]]*\]", "", line) for line in found if line.startswith("facegen ")]
    said = [re.split(r" {2,}|\t| # |; ", line)[0] for line in found]
    said = [line for line in said if re.search(r" -|[./]", line)]
    whole = [line for line in said if not re.search(r"[\[<…|]|\.\.\.", line) and not line.endswith("\\")]
    return list(dict.fromkeys(whole))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood_as_they_stand(page: Path) -> None:
    refused = []
    for line in find_commands(page):
        words = shlex.split(line)[1:]
        command = get_command(build_app(words))
        while hasattr(command, "resolve_command") and not words[0].startswith("-"):
            with command.make_context("facegen", [], resilient_parsing=True) as context:
                _, command, words = command.resolve_command(context, words)
        try:
            command.make_context("facegen", list(words))
        except Exception as error:
            refused.append(f"{line}: {error}")
    assert refused == []


def test_the_index_lists_every_page() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[\w+\]\((\w+\.md)\)", index, re.MULTILINE)
    assert sorted(listed) == sorted({path.name for path in (REPOSITORY / "docs").glob("*.md")} - {"index.md"})


def test_pages_for_those_who_work_on_it_exist() -> None:
    contributing = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "docs/glossary.md" in contributing
    assert (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8").startswith("# Changelog")


def test_hooks_before_a_commit_are_what_make_check_runs() -> None:
    hooks = re.findall(r"^ +entry: (.+)$", (REPOSITORY / ".pre-commit-config.yaml").read_text("utf-8"), re.MULTILINE)
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    recipe = re.findall(r"^check:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)[0]
    assert hooks == [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]


def test_what_the_glossary_names_is_there() -> None:
    missing = []
    for line in (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines():
        where = line.rstrip("| ").rpartition(" | ")[2] if line.startswith("| ") else ""
        paths = [REPOSITORY / "facegen" / path for path in re.findall(r"`([\w/]+\.py)`", where)]
        text = "".join(path.read_text(encoding="utf-8") if path.is_file() else "" for path in paths)
        names = re.findall(r"`(\w+)`", where)
        missing += [path.name for path in paths if not path.is_file()]
        missing += [name for name in names if not re.search(rf"^(class |def |){name}\b", text, re.MULTILINE)]
    assert missing == []


@pytest.mark.parametrize("page", claims.PAGES, ids=lambda page: page.name)
def test_figures_are_those_that_were_measured(page: Path, tmp_path: Path) -> None:
    anew = tmp_path / page.name
    anew.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    claims.write(anew)
    # the last column of the figures says whether code has changed since, which any change may
    written, expected = (
        [re.sub(r"(the same|changed) \|$", "", line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (page, anew)
    )
    assert written == expected
