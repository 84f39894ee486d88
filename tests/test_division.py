"""The rule that divides the material of the benchmarks: nothing that is chosen sees what proves."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import division, face_expressions, freshness, people, swap_clips, talk_rig, thresholds
from benchmarks.report import RESULTS, estimate
from facegen.catalog import TASKS
from facegen.errors import InputError
from facegen.faces import SAME_PERSON
from facegen.faces.mesh import VERTEX_COUNT
from facegen.faces.parse.data import LabelledPictures, split
from facegen.facesets.options import PERSON_DISTANCE_LIMIT, CleanOptions
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.realism import RealismData
from facegen.media import write_picture
from facegen.provenance import THRESHOLD
from facegen.restore.data import RestorerData
from facegen.talk.clips import split_clips
from facegen.talk.speech import SPEECH_SCORE
from tests.conftest import REPOSITORY


def test_one_person_has_one_part() -> None:
    for files in (
        ("identities/person003/00.jpg", "identities/person003/05.jpg"),
        ("portraits/london/009_03_neutral.jpg", "portraits/london/009_08_smiling.jpg", "portraits/london/009_03_neutral.tem"),
        ("faces/celebamask/images/0a1.jpg", "faces/celebamask/masks/0a1.png"),
        ("faces/generated/male/white_24.jpg", "faces/generated512/male/white_24.webp"),
    ):  # fmt: skip
        assert len({division.part_of(file) for file in files}) == 1, files


def test_the_rule_stays_what_it_is() -> None:
    expected = {
        "identities/person003/00.jpg": "tuning",
        "identities/person001/00.jpg": "proving",
        "portraits/synthetic/female_12_1024.webp": "proving",
        "portraits/synthetic/female_13_1024.webp": "tuning",
        "portraits/synthetic/female_00_1024.jpg": "tuning",
        "talking/synthetic/vasa_3.mp4": "proving",
        "talking/synthetic/vasa_5.mp4": "tuning",
        "talking/cnn2_25fps_512_71s.mp4": "proving",
        "clips/liveportrait_d9.mp4": "tuning",
    }
    assert {file: division.part_of(file) for file in expected} == expected


@pytest.mark.data
def test_the_tuning_part_holds_nothing_that_proves(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tuning"
    division.lay_out(folder, pattern="portraits/**/*")
    laid_out = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    everything = {p.relative_to(shared_data).as_posix() for p in (shared_data / "portraits").rglob("*") if p.is_file()}
    assert laid_out
    assert laid_out == {file for file in everything if division.part_of(file) == "tuning"}
    with pytest.raises(InputError, match="empty folder"):
        division.lay_out(folder)


@pytest.mark.data
def test_no_person_lies_in_both_parts(shared_data: Path) -> None:
    units: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for line in (shared_data / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        file = line.split("\t")[0]
        for collection in division.COLLECTIONS:
            if unit := collection.unit(file):
                units[division.part_of(file)].add((collection.name, unit))
    assert units["proving"]
    assert not units["proving"] & units["tuning"]


@pytest.mark.data
def test_trainings_of_talks_hold_the_proving_clips_back(shared_data: Path, tmp_path: Path) -> None:
    card = (REPOSITORY / "weights/talk/README.md").read_text(encoding="utf-8")
    motion, finish = (json.loads(found) for found in re.findall(r"task\.held_back=(\[[^\]]*\])", card))
    for folder in ("synthetic", "grid"):
        for path in (shared_data / "talking" / folder).iterdir():
            (tmp_path / path.name).symlink_to(path)
    for clips, names in ((shared_data / "talking", motion), (tmp_path, finish)):
        paths, apart = split_clips(clips, names)
        learned = [path.name for path in paths if path.stem not in apart]
        assert learned
        assert {division.part_of(f"talking/{name}") for name in learned} == {"tuning"}


@pytest.mark.data
def test_trainings_of_parser_and_generator_hold_the_proving_pictures_back(shared_data: Path) -> None:
    names = sorted(path.stem for path in (shared_data / "faces/celebamask/images").iterdir())
    nothing = torch.zeros(len(names), 1)
    learned, _ = split(LabelledPictures(pictures=nothing, labels=nothing, names=tuple(names)))
    assert learned.names
    assert {division.part_of(f"faces/celebamask/images/{name}.jpg") for name in learned.names} == {"tuning"}
    for folder in ("faces/generated", "faces/generated512"):
        files = [path.relative_to(shared_data / folder).as_posix() for path in (shared_data / folder).glob("*/*")]
        empty = dict.fromkeys(
            ("pictures", "drawn", "measured", "canonical", "flows", "shapes", "mean_shape"), np.zeros(0)
        )
        held = PackedFaces(names=tuple(files), groups=("",) * len(files), **empty).is_held_out()
        parts = np.array([division.part_of(f"{folder}/{name}") for name in files])
        assert set(parts[~held]) == {"tuning"}
        assert (parts == "proving").sum() == held.sum()


def _write_numbered(folder: Path, names: Sequence[str]) -> Path:
    """Pictures of these names, each in a grey of its own."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        write_picture(folder / name, np.full((16, 16, 3), 4 * number, np.uint8))
    return folder


def _numbers(pictures: torch.Tensor) -> set[int]:
    return {round(float(grey) / 4) for grey in pictures[:, 0, 8, 8]}


@pytest.mark.data
def test_trainings_on_pictures_hold_the_proving_faces_back(shared_data: Path, tmp_path: Path) -> None:
    """Whatever other pictures lie beside them, and in whatever order."""
    names = sorted({path.name for path in (shared_data / "faces/generated").glob("*/*")})[::60]
    proving = {n for n, name in enumerate(names) if division.part_of(f"faces/generated/x/{name}") == "proving"}
    assert proving
    photographs = _write_numbered(tmp_path / "photographs", names)
    _write_numbered(tmp_path / "generated", [f"{number:02}.png" for number in range(20)])
    restorer = RestorerData(photographs, 64, torch.device("cpu"))
    realism = RealismData(tmp_path, 32, torch.device("cpu"))
    for learned in (restorer.pictures[restorer.train_indices], realism.kinds[1]):
        assert not _numbers(learned) & proving
        assert len(learned) > len(names) / 2


HELD_OUT_BY_NAME = {"attributes", "generator", "parser", "realism", "restorer", "retoucher"}
"""Trainings that leave the proving pictures of their collection out wherever they find them."""
HELD_OUT_BY_COMMAND = {"finish", "motion"}
"""Those whose command in the card of their weights names the proving clips."""


def test_every_training_is_known_to_hold_out_or_to_need_the_tuning_part_alone() -> None:
    """A new training has to say which; docs/figures.md does it for users."""
    page = (REPOSITORY / "docs/figures.md").read_text(encoding="utf-8")
    others = {info.name for info in TASKS} - HELD_OUT_BY_NAME - HELD_OUT_BY_COMMAND
    line = next(line for line in page.splitlines() if line.startswith("| the tuning part alone"))
    assert set(re.findall(r"`([^`]+)`", line)) == others


@pytest.mark.data
def test_fits_of_benchmarks_read_nothing_that_proves(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def read_frames(path: Path) -> Iterator[np.ndarray]:
        read.append(path)
        return iter(())

    def read_clip(path: Path) -> SimpleNamespace:
        read.append(path)
        offsets = np.random.default_rng(len(read)).random((30, VERTEX_COUNT, 3))
        return SimpleNamespace(track=SimpleNamespace(offsets=offsets.astype(np.float32)))

    monkeypatch.setattr(face_expressions, "_frames", read_frames)
    monkeypatch.setattr(face_expressions.media, "read_picture", read.append)
    monkeypatch.setattr(talk_rig, "read_clip", read_clip)
    for _, pictures in face_expressions.tuning_people():
        list(pictures)
    tested = {f"{name}.mp4" for name in face_expressions.TESTED}
    assert len(read) > 1000
    assert not tested & {path.name for path in read}
    talk_rig.fit()
    assert {division.part_of(path) for path in read} == {"tuning"}


@pytest.mark.data
def test_pairs_of_swaps_share_nothing(shared_data: Path) -> None:
    proving, tuning = swap_clips.pairs("proving"), swap_clips.pairs("tuning")
    assert {division.part_of(file) for pair in proving for file in pair} == {"proving"}
    assert {division.part_of(file) for pair in tuning for file in pair} == {"tuning"}


@pytest.mark.data
@pytest.mark.slow
def test_thresholds_are_chosen_where_the_proving_part_does_not_exist(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    division.lay_out(tmp_path / "data", pattern="portraits/synthetic/*_0*")
    monkeypatch.setattr(division, "DATA", tmp_path / "missing")
    row = thresholds.blur(tmp_path / "data", 10).row()
    assert row["people"] == 10
    assert row["spread"][0] <= row["chosen (median)"] <= row["spread"][1]
    assert row["error of that in use"] < 0.1


def test_every_threshold_in_use_was_validated() -> None:
    rows = json.loads((RESULTS / "thresholds.json").read_text(encoding="utf-8"))["rows"]
    clean = CleanOptions()
    values = [SAME_PERSON, PERSON_DISTANCE_LIMIT, clean.blur_share, clean.most_covered, SPEECH_SCORE, THRESHOLD]
    assert [row["in use"] for row in rows] == values
    assert all(row["error of that in use"] < 0.1 for row in rows)


def test_cross_validation_leaves_whole_people_out() -> None:
    seen: list[tuple[set[str], set[str]]] = []
    names = [f"p{number % 7}" for number in range(30)]
    chosen: list[set[str]] = []

    def choose(some: set[str]) -> float:
        chosen.append(some)
        return float(len(some))

    def error(some: set[str], value: float) -> float:
        seen.append((chosen[-1], some))
        return value

    values, errors = people.cross_validate(names, choose, error)
    assert len(values) == len(errors) == 20
    assert all(not some & others and some | others == set(names) for some, others in seen)


def test_an_interval_is_wider_where_clips_differ() -> None:
    alike = estimate([[1.0, 2.0, 3.0]] * 6)
    apart = estimate([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]] * 3)
    assert alike["measured"] == apart["measured"] == 2
    assert alike["interval"] == [2, 2]
    assert apart["interval"][0] < 1.5 < 2.5 < apart["interval"][1]


def test_a_result_is_old_when_its_code_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "REPOSITORY", tmp_path)
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text("x = 1\n")
    result = {"name": "one", "rows": [], "measured": "today", "code": freshness.code_digests(["code"])}
    (tmp_path / "results").mkdir()
    (tmp_path / "results/one.json").write_text(json.dumps(result))
    (tmp_path / "code/README.md").write_text("words")
    assert list(freshness.old_results(tmp_path / "results")) == []
    (tmp_path / "code/a.py").write_text("x = 2\n")
    assert list(freshness.old_results(tmp_path / "results")) == [("one", "today", ["code"])]
    (tmp_path / "code/a.py").unlink()
    (tmp_path / "code").rename(tmp_path / "moved")
    assert list(freshness.old_results(tmp_path / "results")) == [("one", "today", ["code"])]
    with pytest.raises(InputError, match="depend"):
        freshness.code_digests(["missing"])
