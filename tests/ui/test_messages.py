"""What the browser says in place of the command line's remedies."""

from pathlib import Path

import pytest

from facegen.config import home
from facegen.ui.messages import to_browser_message


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        (
            "Expected a source face, but got none; name a picture with --source.",
            "Expected a source face, but got none; add a picture of the face.",
        ),
        (
            "Expected a folder of aligned face pictures, found none given; add --data DIR.",
            "Expected a folder of aligned face pictures, found none given; choose the data under «On what?».",
        ),
        (
            "Expected one face in the source 'a.jpg', but found 2; choose one with --source-face N (0 to 1, from left to "
            "right) or crop the picture.",
            "Expected one face in the source 'a.jpg', but found 2; choose face 0 to 1, from left to right under «Faces» or "
            "crop the picture.",
        ),
        ("Expected a thing, found none; run: facegen frobnicate --all.", "Expected a thing, found none."),
        ("Cannot start python: no such file; run make install again.", None),
    ],
)
def test_no_command_line_in_a_browser(sentence: str, words: str | None) -> None:
    said = to_browser_message(sentence)
    assert "--" not in said
    assert "facegen " not in said
    assert "make install" not in said
    if words:
        assert said == words


def test_a_file_of_the_server_is_named_without_its_folder(tmp_path: Path) -> None:
    for root in (home(), Path("/tmp/gradio/abc")):
        said = to_browser_message(
            f"Expected a video, found something else in '{root / 'runs' / 'a clip.mp4'}'; choose another."
        )
        assert str(root) not in said
        assert "clip.mp4" in said
        assert said.endswith("choose another.")


def test_other_sentences_stay() -> None:
    sentence = "Expected 1 to 16 faces at once, found 99."
    assert to_browser_message(sentence) == sentence
