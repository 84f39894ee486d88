"""The examples that need no download."""

from pathlib import Path

import pytest

from facegen import media
from facegen.errors import InputError
from facegen.ui.examples import EXAMPLES, PORTRAITS, Examples, portrait_path, thumbnail


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_is_made_on_the_spot(example, tmp_path: Path) -> None:
    sources, target = Examples(tmp_path).files(example.name)
    assert all(media.is_picture(source) for source in sources)
    assert media.is_picture(target) or media.probe(target).frame_count == 60
    assert all(Path(path).is_relative_to(tmp_path) for path in (*sources, target))
    assert all(portrait_path(name).is_file() for name in example.pictured)


def test_a_clip_is_made_once(tmp_path: Path) -> None:
    examples = Examples(tmp_path)
    _, first = examples.files("collins_to_hopper")
    made = Path(first).stat().st_mtime_ns
    assert Path(examples.files("collins_to_hopper")[1]).stat().st_mtime_ns == made


def test_thumbnails_are_inside_the_page() -> None:
    assert thumbnail("astronaut").startswith("data:image/jpeg;base64,")


def test_an_unknown_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="collins_to_hopper"):
        Examples(tmp_path).files("../../etc/passwd")


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_is_offered_from_the_studios_own_folder(name: str, tmp_path: Path) -> None:
    # the page may not read the folder of an installed package
    path = Examples(tmp_path).file(name)
    assert path.parent == tmp_path
    assert path.read_bytes() == portrait_path(name).read_bytes()
