"""What was measured on files: found by content, bounded, emptied."""

import os
from pathlib import Path

import pytest

from facegen.config import home
from facegen.errors import InputError
from facegen.jobs.cache import Cache, clear_old_folders, file_fingerprint


def test_a_file_is_known_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("a.bin", "b.bin", "c.bin"))
    first.write_bytes(b"x" * 300_000)
    second.write_bytes(b"x" * 300_000)
    third.write_bytes(b"x" * 150_000 + b"y" + b"x" * 149_999)
    os.utime(second, (1, 1))
    assert file_fingerprint(first) == file_fingerprint(second) != file_fingerprint(third)
    before = file_fingerprint(first)
    first.write_bytes(b"z" * 300_000)
    assert file_fingerprint(first) != before
    with pytest.raises(InputError):
        file_fingerprint(tmp_path / "nothing")


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    before = file_fingerprint(tmp_path)
    (tmp_path / "b").write_text("b")
    assert file_fingerprint(tmp_path) != before


def test_an_entry_is_made_once_and_leaves_nothing_where_it_fails() -> None:
    cache, made = Cache(name="tries", summary="Tries"), []
    path = cache.path("clip", 1, suffix=".txt")

    def make(temporary: Path) -> None:
        made.append(1)
        temporary.write_text("content")

    assert cache.get(path, make).read_text() == cache.get(path, make).read_text() == "content"
    assert made == [1]
    assert cache.path("clip", 2) != path.with_suffix("")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise InputError("Expected more, found half.")

    with pytest.raises(InputError, match="half"):
        cache.get(cache.path("other"), fail)
    assert [entry.name for entry, _ in cache.entries()] == [path.name]


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = Cache(name="tries", summary="Tries", most_entries=3, most_bytes=1000)
    for number in range(5):
        path = cache.get(cache.path(number), lambda temporary: temporary.write_bytes(b"x" * 100) and None)
        os.utime(path, (number, number))
    cache.prune()
    assert [path.stat().st_mtime for path, _ in cache.entries()] == [4, 3, 2]
    large = cache.get(cache.path("large"), lambda temporary: temporary.write_bytes(b"x" * 2000) and None)
    assert [path for path, _ in cache.entries()] == [large]
    assert cache.clear() == 2000
    assert cache.entries() == []


def test_what_an_earlier_facegen_kept_can_be_emptied() -> None:
    (home() / "analyses").mkdir(parents=True)
    (home() / "analyses" / "old.npz").write_bytes(b"x" * 10)
    assert clear_old_folders() == 10
    assert not (home() / "analyses").exists()
