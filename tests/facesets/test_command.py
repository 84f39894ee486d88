"""`facegen faceset`: what the commands print and leave."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from facegen.cli import build_app
from facegen.errors import InputError
from facegen.facesets import Faceset


def run(*words: object) -> Any:
    """What a command prints with --json."""
    done = CliRunner().invoke(build_app(["faceset"]), ["faceset", *map(str, words), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_clusters_name_the_files(faceset: Faceset) -> None:
    found = run("cluster", faceset.folder)
    assert [sorted(group) for group in found["clusters"]] == [sorted(r.file_name for r in faceset.records)]


def test_dry_runs_change_nothing(faceset: Faceset, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in faceset.folder.rglob("*")}
    assert len(run("sort", faceset.folder, "--by", "final", "--count", 4, "--dry-run")["dropped"]) == 8
    assert run("clean", faceset.folder, "--reason", "blurred", "--dry-run")["moved"] is False
    assert run("clean", faceset.folder, "--drop", faceset.records[0].file_name, "--dry-run")["faces"] == 12
    assert run("mask", faceset.folder, "--dry-run")["masked"] == 12
    for words in (["resize", "--size", 64], ["pack"], ["export", "--as", "dfl-jpeg"]):
        run(words[0], faceset.folder, "--output", tmp_path / "made", *words[1:], "--dry-run")
    assert not (tmp_path / "made").exists()
    assert {path: path.stat().st_mtime_ns for path in faceset.folder.rglob("*")} == before


def test_sort_clean_and_back(faceset: Faceset) -> None:
    order = run("sort", faceset.folder, "--by", "pitch")["order"]
    assert [record.file_name for record in Faceset.open(faceset.folder).records] == order
    assert run("clean", faceset.folder, "--drop", order[2], "--drop", order[3])["faces"] == 10
    assert run("clean", faceset.folder, "--undo") == {"restored": 2, "faces": 12}
    assert [record.file_name for record in Faceset.open(faceset.folder).records] == order


def test_pack_and_info(faceset: Faceset, tmp_path: Path) -> None:
    assert len(run("pack", faceset.folder, "--output", tmp_path / "packed")["shards"]) == 1
    assert run("unpack", tmp_path / "packed", "--output", tmp_path / "again")["faces"] == 12
    assert run("info", tmp_path / "again", "--picture", tmp_path / "info.png")["people"] == [12]
    assert (tmp_path / "info.png").is_file()
    assert run("metadata", "save", tmp_path / "again", tmp_path / "kept.jsonl")["faces"] == 12
    assert run("metadata", "restore", tmp_path / "again", tmp_path / "kept.jsonl")["unknown"] == []


def test_unknown_words_are_refused(faceset: Faceset) -> None:
    for words in (
        ["sort", "--by", "taste"],
        ["mask", "--by", "magic"],
        ["clean", "--reason", "ugly"],
        ["clean", "--drop", "x"],
    ):
        with pytest.raises(InputError, match="Expected"):
            run(words[0], faceset.folder, *words[1:])
