"""Files of each kind, damaged in 2,000 ways, are read or are one sentence; the corpus is what was found before."""

from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz import CORPUS, KINDS, cases, try_file

CASES = 2000


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    found = []
    for number, (kind, content) in enumerate(islice(cases(20), CASES)):
        folder = tmp_path / str(number)
        folder.mkdir()
        if words := try_file(kind, content, folder):
            found.append(f"{kind} {number}: {words}")
    assert not found, f"{len(found)} of {CASES}\n" + "\n".join(found[:20])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_before_stays_mended(path: Path, tmp_path: Path) -> None:
    assert not try_file(path.parent.name, path.read_bytes(), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(KINDS[kind][0])
    KINDS[kind][1](tmp_path / "whole")
