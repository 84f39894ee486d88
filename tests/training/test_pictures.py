"""Which files below a folder are training pictures, and what becomes of those that cannot be read."""

import shutil
from pathlib import Path

import pytest

from facegen.errors import InputError
from facegen.training.pictures import PictureStore, find_pictures


def test_masks_and_the_trash_of_a_faceset_are_no_samples(pictures: Path) -> None:
    for other in ("masks", ".trash", "more"):
        (pictures / other).mkdir()
        shutil.copy(pictures / "00.png", pictures / other / "00.png")
    assert len(find_pictures(pictures)) == 12 + 2
    (pictures / "metadata.jsonl").write_text("")
    assert len(find_pictures(pictures)) == 12 + 1


def test_damaged_pictures_are_skipped_and_named(pictures: Path, tmp_path: Path) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    store = PictureStore.read(pictures, 16)
    assert store.pictures.shape == (12, 3, 16, 16)
    assert store.skipped == ("broken.png",)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="found none"):
        find_pictures(tmp_path / "empty")
