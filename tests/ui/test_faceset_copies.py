"""The Faceset tab's copies, exchange and drawn masks, on a small faceset of a portrait."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from facegen.errors import InputError
from facegen.facesets import ExtractOptions, Faceset, extract
from facegen.facesets import mask as masking
from facegen.facesets.tasks import MASK
from facegen.training.launch import train_in_folder
from facegen.training.request import make_request
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.faceset import copies as faceset_copies
from facegen.ui.tabs.faceset import facesets as work
from facegen.ui.tabs.faceset import mask_drawing
from tests import factories


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    made = Services()
    monkeypatch.setattr(made, "start_next", lambda: None)
    return made


@pytest.fixture
def faceset(services: Services, tmp_path: Path) -> Faceset:
    clip = factories.write_clip(tmp_path / "portrait.mp4", factories.moving_portrait(6))
    folder = work.faceset_path(services, Visitor(), "faces")
    extract([clip], folder, ExtractOptions(size=96))
    return Faceset.open(folder)


def test_copies_and_people(services: Services, faceset: Faceset) -> None:
    visitor = Visitor()
    tiles = faceset_copies.people(faceset)
    assert [words for _, words in tiles] == ["6 faces"]
    assert faceset_copies.split(services, visitor, faceset) == ["faces person 0"]
    assert "6 faces of 64" in faceset_copies.resize(services, visitor, faceset, "small", 64, "full")
    assert work.open_faceset(services, visitor, "small").face_type == "full"
    with pytest.raises(InputError, match="new faceset"):
        faceset_copies.resize(services, visitor, faceset, "small", 64, "")
    assert set(work.names(services, visitor)) == {"faces", "faces person 0", "small"}


@pytest.mark.parametrize("kind", ["dfl-pak", "dfl-jpeg"])
def test_there_and_back(kind: str, services: Services, faceset: Faceset, tmp_path: Path) -> None:
    visitor = Visitor()
    written = Path(faceset_copies.export_faceset(services, visitor, faceset, kind))
    files = [written]
    if written.suffix == ".zip":
        shutil.unpack_archive(written, tmp_path / "unpacked")
        files = sorted((tmp_path / "unpacked").glob("*.jpg"))
    said = faceset_copies.import_faceset(services, visitor, "back", [str(path) for path in files])
    assert said.startswith(f"6 faces of {kind}")
    assert len(work.open_faceset(services, visitor, "back")) == 6
    with pytest.raises(InputError):
        faceset_copies.import_faceset(services, visitor, "none", [])


def test_drawn_masks_teach_one_s_own(services: Services, faceset: Faceset, tmp_path: Path) -> None:
    visitor = Visitor()
    for number in range(5):
        record = faceset.records[number]
        value = mask_drawing.editor_value(faceset, record)
        assert value["background"].shape == (mask_drawing.CANVAS, mask_drawing.CANVAS, 3)
        with pytest.raises(InputError, match="painted"):
            mask_drawing.painted_mask([layer[..., 3] for layer in value["layers"]], 96)
        value["layers"][0][128:384, 128:384] = 255
        png = cv2.imencode(".png", value["layers"][0])[1].tobytes()
        layers = [mask_drawing.read_layer(services, visitor, png)]
        faceset = masking.set_drawn_mask(faceset, record, mask_drawing.painted_mask(layers, 96))
        kept = faceset.mask(faceset.records[number])
        assert kept is not None
        assert (int(kept[48, 48]), int(kept[4, 4])) == (255, 0)
    assert mask_drawing.count(faceset) == 5
    run = mask_drawing.train(services, visitor, faceset)
    train_in_folder(run.path, MASK, make_request(MASK, preset="tiny", data=str(faceset.folder)), on_line=lambda _: None)
    assert mask_drawing.trained_masks(services, visitor) == [run.name]
    masked = mask_drawing.apply(services, visitor, faceset, run.name)
    assert [record.mask_kind for record in masked.records] == ["brush"] * 5 + ["trained"]
    found = masked.mask(masked.records[5])
    assert found is not None
    assert 0 < float((found > 127).mean()) < 1
    assert np.array_equal(kept, masked.mask(masked.records[4]))


def test_too_few_drawn_masks_are_refused(services: Services, faceset: Faceset) -> None:
    with pytest.raises(InputError, match="drawn by hand"):
        mask_drawing.train(services, Visitor(), faceset)
    with pytest.raises(InputError, match="trained"):
        masking.apply(faceset, "trained:nowhere")
