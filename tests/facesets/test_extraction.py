"""Faces cut out of clips and pictures: where, which, and going on after an end."""

from pathlib import Path

import numpy as np
import pytest

from facegen.errors import Cancelled, InputError
from facegen.faces import FaceAnalyser, align
from facegen.facesets import ExtractOptions, Faceset, crop, extract, extraction
from facegen.media import write_picture
from tests import factories


def test_faces_of_a_clip(faceset: Faceset) -> None:
    assert [record.source_frame for record in faceset.records] == list(range(12))
    assert {record.face_type for record in faceset.records} == {"whole_face"}
    assert all(faceset.picture(record).shape == (96, 96, 3) for record in faceset.records)
    for record in faceset.records:
        assert record.crop_matrix is not None
        again = crop.crop_matrix(record.points68, crop.face_type("whole_face"), 96, record.yaw_deg)
        # cut again by its own points a face stays where it is
        np.testing.assert_allclose(again, [[1, 0, 0], [0, 1, 0]], atol=0.05)
        assert record.embedding is not None


def test_types_nest_and_have_the_paddings_of_the_field() -> None:
    points = crop.mean_face() * 100 + 200
    sides = {}
    for name, kind in crop.FACE_TYPES.items():
        corners = crop.outline(crop.crop_matrix(points, kind, 256), 256)
        sides[name] = float(np.linalg.norm(corners[1] - corners[0])) / 100
    wanted = {"half": 1.0, "mid_full": 1.1909, "full": 1.5966, "whole_face": 2.1314, "head": 2.9799}
    assert sides == pytest.approx(wanted, abs=1e-3)


def test_crops_turn_with_the_head() -> None:
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (crop.mean_face() @ turn.T * 80 + 300).astype(np.float32)
    matrix = crop.crop_matrix(points, crop.face_type("full"), 128)
    eyes = align.apply(matrix, points[[36, 45]])
    assert eyes[0, 1] == pytest.approx(eyes[1, 1], abs=1e-2)


def test_a_second_call_adds_nothing(portrait_clip: Path, faceset: Faceset, analyser: FaceAnalyser) -> None:
    result = extract([portrait_clip], faceset.folder, ExtractOptions(size=96), analyser=analyser)
    assert (result.faces, result.total) == (0, 12)
    assert "done before" in result.skipped[0]


def test_goes_on_where_it_was_cut_off(
    portrait_clip: Path, made: Path, analyser: FaceAnalyser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "PIECE_FRAMES", 6)
    options = ExtractOptions(size=96)

    def stop(fraction: float, _words: str) -> None:
        if fraction > 0.6:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        extract([portrait_clip], tmp_path / "faces", options, analyser=analyser, on_progress=stop)
    assert len(Faceset.open(tmp_path / "faces")) == 6
    result = extract([portrait_clip], tmp_path / "faces", options, analyser=analyser)
    assert (result.faces, result.looked_at) == (6, 6)
    names = [record.file_name for record in Faceset.open(tmp_path / "faces").records]
    assert names == [record.file_name for record in Faceset.open(made).records]


def test_only_the_person_who_is_wanted(analyser: FaceAnalyser, tmp_path: Path) -> None:
    portrait = tmp_path / "portrait.png"
    write_picture(portrait, factories.portrait_rgb())
    options = ExtractOptions(size=64, debug=True)
    wanted = extract([portrait], tmp_path / "a", options, persons=[portrait], analyser=analyser)
    unwanted = extract([portrait], tmp_path / "b", options, others=[portrait], analyser=analyser)
    assert (wanted.faces, unwanted.faces) == (1, 0)
    assert unwanted.left_out == {"an unwanted person": 1}
    assert (tmp_path / "a" / extraction.DEBUG / "portrait.jpg").is_file()
    small = extract([portrait], tmp_path / "c", ExtractOptions(min_face_px=400), analyser=analyser)
    soft = extract([portrait], tmp_path / "d", ExtractOptions(min_sharpness=99), analyser=analyser)
    assert (small.left_out, soft.left_out) == ({"too small": 1}, {"not sharp": 1})


def test_refusals(faceset: Faceset, portrait_clip: Path, analyser: FaceAnalyser, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whole_face of 96"):
        extract([portrait_clip], faceset.folder, ExtractOptions(size=128), analyser=analyser)
    with pytest.raises(InputError, match="found nothing there"):
        extract([tmp_path / "none"], tmp_path / "x", analyser=analyser)
    with pytest.raises(InputError, match="face_type"):
        ExtractOptions(face_type="nose")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="facegen faceset extract"):
        Faceset.open(tmp_path)
