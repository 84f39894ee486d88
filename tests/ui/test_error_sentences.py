"""Each error sentence that can reach a page, and what runs say, has its translation, all of it."""

import ast
import re
from collections.abc import Iterator

import pytest

from facegen.ui.languages import read_table
from facegen.ui.messages import to_browser_message
from tests.conftest import REPOSITORY

TERMINAL = {
    "facegen/cli/": "the command line",
    "facegen/api.py": "a program's own calls",
    "facegen/ui/endpoints/": "programs that call the studio",
    "facegen/ui/agents/": "agents that call the studio",
    "facegen/ui/__main__.py": "whoever starts a studio, in a terminal",
    "facegen/ui/studio.py": "whoever starts a studio, in a terminal",
    "facegen/ui/accounts.py": "whoever starts a studio, in a terminal",
    "facegen/jobs/batch.py": "many files on the command line",
    "facegen/jobs/cluster.py": "a cluster, which only the command line takes",
    "facegen/training/search.py": "«facegen train --search»",
    "facegen/training/publishing.py": "«facegen train publish»",
    "facegen/hub/repository.py": "«facegen train publish»",
    "facegen/facesets/metadata.py": "«facegen faceset metadata»",
}
"""Rooms and modules whose sentences no page shows, and who reads them instead."""
COMPOSED = {
    "7, 7 of 7": "a step of a faceset's work",
    "7 frame 7 of 7": "a step of a clip's work",
    "7 faces": "how many are there so far; as a pattern it would take other texts",
    "7 stills": "the command line",
    "7 of 7 cannot be decoded without what came before: left out.": "«The first frame», «The first 7 frames»",
    "High dynamic range (7): depth, tags and mastering data are kept7.": "«, Dolby Vision is not»",
    "The photograph 7; move the sliders.": "«as it is», «with another expression»",
}
"""What is put together of pieces, and of which."""
SETTING = re.compile(r"\w+\.\w+")
"""The name of a setting, which stays as it is: «SwapOptions.engine»."""
PLACES = re.compile(r"\{\d\}")
TABLE = read_table("de")
PATTERNS = [
    (re.compile("(.+?)".join(map(re.escape, PLACES.split(key)))), PLACES.findall(key), words)
    for key, words in sorted(TABLE.items(), key=lambda entry: -len(PLACES.sub("", entry[0])))
    if "{0}" in key
]


def translate(words: str, depth: int = 0) -> tuple[str, bool]:
    """What the page's script makes of a text, and whether no English is left in it."""
    if words in TABLE:
        return TABLE[words], True
    sentences = re.split(r"(?<=[.!?]) (?=\S)", words)
    if len(sentences) > 1:
        done = [translate(sentence, depth) for sentence in sentences]
        return " ".join(text for text, _ in done).replace("。 ", "。"), all(is_whole for _, is_whole in done)
    if depth <= 3:
        for pattern, places, target in PATTERNS:
            if match := pattern.fullmatch(words):
                parts = [translate(part, depth + 1) for part in match.groups()]
                for place, (text, _) in zip(places, parts, strict=True):
                    target = target.replace(place, text)
                return target, all(is_whole for _, is_whole in parts)
    return words, not re.search("[A-Za-z]", words) or SETTING.fullmatch(words) is not None


def error_names(trees: dict[str, ast.Module]) -> set[str]:
    """`FacegenError` and the classes below it."""
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names = {"FacegenError"}
    while more := {c.name for c in classes if names & {ast.unparse(base) for base in c.bases}} - names:
        names |= more
    return names


def text_of(node: ast.AST) -> str | None:
    """A text of the code with a number where something is filled in; nothing where it is no text."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [part.value if isinstance(part, ast.Constant) else "7" for part in parts]
    is_text = isinstance(node, ast.JoinedStr | ast.Constant) and all(isinstance(text, str) for text in texts)
    return "".join(map(str, texts)) if is_text else None


def whole_texts(node: ast.AST) -> Iterator[ast.AST]:
    """The texts in a piece of code, without the parts of those in which something is filled in."""
    if isinstance(node, ast.JoinedStr | ast.Constant):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from whole_texts(child)


def error_sentences() -> Iterator[tuple[str, str]]:
    """Where each error sentence that can reach a page stands, and the sentence."""
    files = sorted((REPOSITORY / "facegen").rglob("*.py"))
    trees = {file.relative_to(REPOSITORY).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in files}
    names = error_names(trees)
    for name, tree in trees.items():
        if name.startswith(tuple(TERMINAL)):
            continue
        for node in ast.walk(tree):
            found: list[str | None] = []
            if isinstance(node, ast.Call) and ast.unparse(node.func) in names and node.args:
                found = [text_of(node.args[0])]
            elif isinstance(node, ast.Return) and node.value is not None:
                found = [
                    text for text in map(text_of, whole_texts(node.value)) if text and text.startswith("Expected ")
                ]
            for text in found:
                if text:
                    # where a whole sentence is filled in, it ends as one
                    yield name, re.sub(r"(?<=[.] )7(?= [A-Z])", "7.", text)


def said_texts() -> Iterator[str]:
    """What the page and the runs say beside errors: remarks, steps of the work and notices."""
    for file in sorted((REPOSITORY / "facegen").rglob("*.py")):
        if file.relative_to(REPOSITORY).as_posix().startswith(tuple(TERMINAL)):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                where, _, name = ast.unparse(node.func).rpartition(".")
                is_said = name in ("note", "hold", "requeue") or (name == "append" and where.endswith("notices"))
                is_step = name in ("report", "_report", "on_progress") and len(node.args) > 1
                text = text_of(node.args[1 if is_step else 0]) if is_said or is_step else None
                if text and text not in COMPOSED:
                    yield " ".join(to_browser_message(text).split())


SENTENCES = sorted(set(error_sentences()))


def test_the_sentences_are_found() -> None:
    assert len(SENTENCES) > 450
    assert {name for name in TERMINAL if not (REPOSITORY / name).exists()} == set()


def test_the_page_keeps_what_was_expected() -> None:
    """A remedy of the command line goes, what was expected and found stays."""
    lost = [s for _, s in SENTENCES if to_browser_message(s)[:8].rstrip(".") != s[:8].rstrip(".;")]
    assert lost == []


def test_every_error_sentence_of_the_page_is_translated() -> None:
    shown = {sentence: " ".join(to_browser_message(sentence).split()) for _, sentence in SENTENCES}
    assert {name: shown[sentence] for name, sentence in SENTENCES if not translate(shown[sentence])[1]} == {}


def test_what_runs_say_is_translated() -> None:
    said = sorted(set(said_texts()))
    assert len(said) > 60
    assert [text for text in said if not translate(text)[1]] == []


def test_no_pattern_spans_two_sentences() -> None:
    """The page looks a text up sentence by sentence before it tries the patterns."""
    assert [key for key in TABLE if "{0}" in key and re.search(r"[.!?] \S", key)] == []


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Expected faces in 'my faces', found none; extract some first.", "In 'my faces' sind keine Gesichter; "),
        ("train.json: Expected a JSON file at 'x', found nothing there; check the path.", "train.json: Bei 'x' "),
        ("Expected a detector of auto, scrfd, found 'x'; choose one of these.", "Gesichtsdetektor: Zur Wahl steht "),
        ("Expected the weights a for the engine mesh, found none; fetch them in the tab Models, or choose no mask.", "Für die Engine mesh fehlen "),
    ],
)  # fmt: skip
def test_the_sentence_of_a_pattern_is_its_own(sentence: str, words: str) -> None:
    """No more general pattern takes it."""
    assert translate(sentence)[0].startswith(words)
