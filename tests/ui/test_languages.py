"""The tables of the languages: complete, alike, and with the same places for what differs."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from facegen.catalog import TASKS, WEIGHTS
from facegen.hub import Hub
from facegen.ui.languages import LANGUAGES, read_table, translations
from facegen.ui.messages import to_browser_message
from facegen.ui.studio import build_studio
from facegen.ui.tabs.train import tab
from tests.conftest import REPOSITORY

UNCHANGED = re.compile(r"Hub,|[\d.]+ (?:kB|MB|GB)|[a-z0-9_.*+:=/-]+|[a-z]+( by name|: .*)|Ada|Bea|Carl|Dan")
"""Names of codecs, presets and people, and of the arguments of endpoints."""
NAMES = {weight.licence for weight in WEIGHTS if " " not in weight.licence}
NAMES |= {
    f"{weight.source.repo_id} @ {weight.source.revision[:8]}" for weight in WEIGHTS if isinstance(weight.source, Hub)
}
"""Names of licences and repositories."""
PLACES = re.compile(r"\{\d\}")


class Texts(HTMLParser):
    """The texts that a piece of HTML shows, but for code."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = 0
        self.feed(words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in ("code", "pre")
        self.found += [value for name, value in attrs if name == "data-label" and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.found.append(data)


def texts() -> Iterator[str]:
    """Every text of the page, as it stands in the code."""
    for block in build_studio().blocks.values():
        kind = type(block).__name__
        yield from (getattr(block, name, None) or "" for name in ("label", "info", "placeholder"))
        if kind in ("Button", "UploadButton", "DownloadButton"):
            yield block.value or ""
        if kind == "HTML":
            yield from Texts(block.value or "").found
        if kind in ("Dropdown", "Radio", "CheckboxGroup"):
            yield from (choice[0] for choice in block.choices)
    for task in TASKS:
        yield from Texts(tab.describe_task(task.name)).found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tables_have_the_same_texts_and_places(language: str) -> None:
    table = read_table(language)
    assert set(table) == set(read_table("de"))
    assert [key for key, words in table.items() if not words.strip()] == []
    assert [key for key, words in table.items() if set(PLACES.findall(key)) != set(PLACES.findall(words))] == []
    assert translations().translations_dict[language] == table


def test_every_text_of_the_page_has_its_translation() -> None:
    table = read_table("de")
    patterns = [
        re.compile(PLACES.sub("(.+?)", re.escape(key).replace(r"\{", "{").replace(r"\}", "}"))) for key in table
    ]
    wanted = {" ".join(text.split()) for text in texts() if isinstance(text, str) and re.search("[A-Za-z]", text)}
    missing = [text for text in wanted if text not in {*table, *NAMES} and not UNCHANGED.fullmatch(text)]
    assert [text for text in missing if not any(pattern.fullmatch(text) for pattern in patterns)] == []


def sentences() -> Iterator[str]:
    """Every text of the code as a browser shows it, with a number where something is filled in."""
    for file in (REPOSITORY / "facegen").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [part.value if isinstance(part, ast.Constant) else "7" for part in parts]
            if isinstance(node, ast.JoinedStr | ast.Constant) and all(isinstance(text, str) for text in texts):
                yield to_browser_message("".join(str(text) for text in texts))


def test_every_refusal_of_the_tables_is_one_of_the_code() -> None:
    said = "\n".join(sentences())
    refusals = [key for key in read_table("de") if key.startswith("Expected ") and not key.startswith("Expected {0}, ")]
    patterns = {key: PLACES.sub(".+?", re.escape(key).replace(r"\{", "{").replace(r"\}", "}")) for key in refusals}
    assert len(refusals) > 50
    assert [key for key, pattern in patterns.items() if not re.search(f"^{pattern}$", said, re.MULTILINE)] == []


@pytest.mark.parametrize(
    "sentence", ["Expected the name of a run, found 'x'; see: facegen runs list", "Cannot start 7: 7."]
)
def test_a_sentence_of_the_page_ends_with_a_stop(sentence: str) -> None:
    assert to_browser_message(sentence).endswith(".")


def test_no_choice_is_sent_back_translated() -> None:
    """Gradio translates the value of a list on its way to the page, too; a value must be no text of the tables."""
    lists = [block for block in build_studio().blocks.values() if type(block).__name__ == "Dropdown"]
    assert [block.value for block in lists if isinstance(block.value, str) and block.value in read_table("de")] == []
