"""What is refused, in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from facegen.errors import InputError
from facegen.generate.dataset.preparation import DatasetRequest, make_dataset, parse_keep, read_labels
from facegen.generate.request import DatasetResult, GenerateOptions, GenerateRequest
from facegen.generate.sliders import DRAWN, MEASURED, NAMES, Sliders
from facegen.media import write_picture
from tests.factories import noise_rgb


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_sliders_have_bounds(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        Sliders(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_scales_go_both_ways(name: str) -> None:
    for scales in (MEASURED, DRAWN):
        assert scales[name].value(scales[name].quantity(0.3)) == pytest.approx(0.3)


def test_options_have_bounds() -> None:
    with pytest.raises(InputError, match="count"):
        GenerateOptions(count=0)


@pytest.mark.parametrize(
    "wrong",
    [{"sweep": ("nose",)}, {"sweep": ("eyes", "eyes")}, {"film": True}, {"edit": "/nowhere/me.png"}],
)
def test_requests_that_do_not_fit(wrong: dict) -> None:
    with pytest.raises(InputError, match="Expected"):
        GenerateRequest(output="somewhere", **wrong)


def test_the_choice_is_read() -> None:
    assert parse_keep("female>=0.9999") == ("female", 0.9999)
    assert parse_keep("") == ("", 0.0)
    with pytest.raises(InputError, match=r"female>=0\.9999"):
        parse_keep("cats")


def test_labels_must_be_a_table(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with pytest.raises(InputError, match="no file"):
        read_labels(path)
    path.write_text("name,eyes\na.png,1\n")
    with pytest.raises(InputError, match="mouth"):
        read_labels(path)
    path.write_text("name,eyes,mouth,hair_color,background,head\na.png,1,,0.2,0.3,2\n")
    with pytest.raises(InputError, match="between 0 and 1"):
        read_labels(path)
    path.write_text("name,eyes,mouth,hair_color,background,head\na.png,1,,0.2,0.3,0.5\n")
    labels = read_labels(path)["a.png"]
    assert labels[0] == 1
    assert np.isnan(labels[1])


def test_a_folder_without_faces_is_refused(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    write_picture(photographs / "noise.png", noise_rgb(64, 64))
    with pytest.raises(InputError, match="kept none"):
        make_dataset(DatasetRequest(photographs=str(photographs), output=str(tmp_path / "out")))


def test_a_dataset_is_summarised_in_one_sentence() -> None:
    rows = (("photographs", 12, "0 without a usable face"), ("training pictures", 96, "with variants"))
    made = DatasetResult(rows=rows, skipped=())
    assert made.summary == "96 training pictures of 12 photographs."
    assert len(made.table.splitlines()) == 2
