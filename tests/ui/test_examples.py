"""The examples that need no download."""

from pathlib import Path

import pytest

from facegen import media
from facegen.errors import InputError
from facegen.provenance import verify
from facegen.ui.examples import (
    CLIPS,
    EXAMPLES,
    FACESET,
    FILES,
    PORTRAITS,
    SWAP,
    TRAINING,
    Examples,
    portrait_path,
    thumbnail,
    training_rows,
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_is_there(example, tmp_path: Path) -> None:
    sources, target = Examples(tmp_path).files(example.name)
    assert all(media.is_picture(source) for source in sources)
    assert media.is_picture(target) or 2.5 < media.probe(target).duration_seconds < 4
    assert all(Path(path).is_relative_to(tmp_path) for path in (*sources, target))
    assert all(portrait_path(name).is_file() for name in example.portraits)


@pytest.mark.parametrize(
    "name", [*(f"{name}.jpg" for name in PORTRAITS), *(f"{name}.mp4" for name in CLIPS), SWAP, TRAINING, *FACESET]
)
def test_every_stored_picture_and_clip_says_that_facegen_made_it(name: str) -> None:
    report = verify(FILES / name)
    assert report.verdict in ("marked", "signed elsewhere")
    assert report.credentials is not None
    assert report.credentials.is_intact


def test_the_stored_examples_are_small() -> None:
    assert sum(path.stat().st_size for path in FILES.iterdir()) < 1_400_000


def test_the_stored_training_learns() -> None:
    rows = training_rows()
    for name in {name for _, name, _ in rows}:
        losses = [value for _, other, value in rows if other == name]
        assert losses[-1] < losses[0] / 2


def test_a_file_is_copied_once(tmp_path: Path) -> None:
    examples = Examples(tmp_path)
    _, first = examples.files("ada_to_bea")
    made = Path(first).stat().st_mtime_ns
    assert Path(examples.files("ada_to_bea")[1]).stat().st_mtime_ns == made


def test_thumbnails_are_inside_the_page() -> None:
    assert thumbnail("ada").startswith("data:image/jpeg;base64,")


def test_names_of_the_last_release_still_give_an_example(tmp_path: Path) -> None:
    examples = Examples(tmp_path)
    assert examples.files("collins_to_hopper") == examples.files("ada_to_bea")
    assert examples.files("hopper_to_collins") == examples.files("dan_to_carl")


def test_an_unknown_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ada_to_bea"):
        Examples(tmp_path).files("../../etc/passwd")
    with pytest.raises(InputError, match="example"):
        Examples(tmp_path).file("../__init__.py")


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_is_offered_from_the_studios_own_folder(name: str, tmp_path: Path) -> None:
    # the page may not read the folder of an installed package
    path = Examples(tmp_path).file(f"{name}.jpg")
    assert path.parent == tmp_path
    assert path.read_bytes() == portrait_path(name).read_bytes()
