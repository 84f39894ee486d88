"""Many files for one job: their names, one after another with retries, and the summary."""

import csv
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facegen import media
from facegen.__main__ import main
from facegen.errors import Cancelled, InputError, ResourceError
from facegen.jobs import batch
from facegen.jobs.batch import BatchRow
from tests.factories import noise_rgb, write_portrait

ROWS = [BatchRow(file=f"{name}.mp4", output=f"{name}-new.mp4") for name in "abc"]


def test_folders_are_looked_into(tmp_path: Path) -> None:
    for name in ("b.MP4", "a.mp4", ".hidden.mp4", "notes.txt"):
        (tmp_path / name).touch()
    found = batch.expand_files(["x.mov", str(tmp_path), "x.mov"], (".mp4",))
    assert found == ["x.mov", str(tmp_path / "a.mp4"), str(tmp_path / "b.MP4")]
    with pytest.raises(InputError, match="found none"):
        batch.expand_files([str(tmp_path)], (".webm",))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{stem}-{source}.mp4", "clip-ada.mp4"),
        ("new/{number}{suffix}", "new/007.webm"),
        ("{other}-{{stem}}.mp4", "{other}-{clip}.mp4"),
    ],
)
def test_patterns(pattern: str, name: str) -> None:
    assert batch.name_output(pattern, file="in/clip.mov", source="s/ada.jpg", number=7, default="clip.webm") == name


def test_outputs_overwrite_nothing() -> None:
    batch.check_outputs(["a/x.mp4", "b/x.mp4"], ["1.mp4", "2.mp4"])
    with pytest.raises(InputError, match="of its own"):
        batch.check_outputs(["a/x.mp4", "b/x.mp4"], ["x.mp4", "./x.mp4"])
    with pytest.raises(InputError, match="found the input"):
        batch.check_outputs(["a.mp4", "b.mp4"], ["c.mp4", "a.mp4"])


def test_what_fails_is_tried_again_after_the_rest_and_what_is_refused_is_not() -> None:
    tried: list[int] = []

    def work(index: int) -> str:
        tried.append(index)
        if index == 0 and tried.count(0) == 1:
            raise ResourceError("The disk is full.")
        if index == 1:
            raise InputError("Expected a face, found none.")
        return "1 frame."

    rows = batch.run_batch(ROWS, work, retries=2)
    assert tried == [0, 1, 2, 0]
    assert [(row.state, row.attempts) for row in rows] == [("done", 2), ("refused", 1), ("done", 1)]
    assert rows[1].text == "Expected a face, found none."


def test_a_bug_stops_only_its_own_file(capsys: pytest.CaptureFixture[str]) -> None:
    def work(index: int) -> str:
        return f"{1 / index}"

    rows = batch.run_batch(ROWS, work, retries=0)
    assert [row.state for row in rows] == ["failed", "done", "done"]
    assert "ZeroDivisionError" in rows[0].text
    assert "Traceback" in capsys.readouterr().err


def test_whoever_stops_stops_all(tmp_path: Path) -> None:
    def work(index: int) -> str:
        if index == 1:
            raise Cancelled("Cancelled.")
        return "Done."

    with pytest.raises(Cancelled):
        batch.run_batch(ROWS, work, on_change=lambda rows: batch.write_summary(tmp_path / "s.csv", rows))
    with (tmp_path / "s.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["done", "cancelled", "queued"]


def test_a_summary_tells_what_is_done(tmp_path: Path) -> None:
    (tmp_path / "made.mp4").touch()
    rows = [
        BatchRow(file="=A1.mp4", output=str(tmp_path / "made.mp4"), state="done", text="6 frames, 6 faces.", key="k1"),
        BatchRow(file="b", output=str(tmp_path / "gone.mp4"), state="done", key="k2"),
        BatchRow(file="c", output=str(tmp_path / "made.mp4"), state="failed", key="k3"),
    ]
    batch.write_summary(tmp_path / "s.csv", rows)
    assert "'=A1.mp4" in (tmp_path / "s.csv").read_text()
    assert batch.read_done(tmp_path / "s.csv") == {"k1": "6 frames, 6 faces."}
    assert batch.read_done(tmp_path / "none.csv") == {}
    (tmp_path / "other.csv").write_text("name,price\n1,2\n")
    with pytest.raises(InputError, match="another file"):
        batch.read_done(tmp_path / "other.csv")


@pytest.fixture
def swap(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str]]]:
    """`facegen swap` in this process: how it ended, and what it printed."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["facegen", "swap", "--consent", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out + err

    yield run
    signal.signal(signal.SIGTERM, handler)


def test_a_folder_of_targets(swap: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    targets, summary = tmp_path / "in", tmp_path / "summary.csv"
    targets.mkdir()
    source = write_portrait(tmp_path / "face.png")
    write_portrait(targets / "a.png")
    media.write_picture(targets / "b.png", noise_rgb(256, 256))
    (targets / "c.jpg").write_bytes(b"no picture")
    write_portrait(targets / "d.jpg")
    typed = ("--source", source, "--target", targets, "--output", tmp_path / "out" / "{stem}-{source}{suffix}")
    code, words = swap(*typed, "--summary", summary, "--json")
    assert code == 2, words
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-face.png", "d-face.jpg"]
    with summary.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["done", "refused", "refused", "done"]
    assert "Expected a face in the target" in rows[1]["text"]
    said = [json.loads(line) for line in words.splitlines() if line.startswith("{")]
    assert sorted(line.get("state", "made") for line in said) == ["made", "made", "refused", "refused"]
    # what is done stays as it is
    before = (tmp_path / "out" / "a-face.png").stat().st_mtime_ns
    write_portrait(targets / "b.png")
    code, words = swap(*typed, "--summary", summary)
    assert "3 of 4 files done." in words
    assert (tmp_path / "out" / "a-face.png").stat().st_mtime_ns == before
    assert (tmp_path / "out" / "b-face.png").exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("--output", "one.mp4"), "{stem}-{source}.mp4"),
        (("--output", "{source}.mp4"), "a pattern with {stem}"),
        (("--output", "out", "--run", "runs/a"), "leave it out"),
        (("--output", "out", "--preview", "3"), "one target for a preview"),
    ],
)
def test_several_targets_with_one_output_are_refused(
    swap: Callable[..., tuple[int, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed = swap("--source", "face.png", "--target", "a.mp4", "--target", "b.mp4", *typed)
    assert (code, words in printed) == (2, True), printed
    assert [path for path in tmp_path.iterdir() if path.name != "facegen-home"] == []
