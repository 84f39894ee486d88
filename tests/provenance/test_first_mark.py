"""The first form of the mark is still found, although it is no longer written."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facegen.media import write_picture
from facegen.provenance import get_installation_key, to_luma, verify
from facegen.provenance.first_mark import (
    FIRST_THRESHOLD,
    STEP,
    cell_grid,
    cell_plan,
    find_first_mark,
    payload_signs,
    tile_plan,
    wave_patterns,
)
from tests.factories import portrait_rgb

PAYLOAD = 0xC0FFEE


def mark_as_before(image: np.ndarray, payload: int) -> np.ndarray:
    """The picture as facegen marked it before."""
    size_hw = (image.shape[0], image.shape[1])
    rows, columns = cell_grid(size_hw)
    signs, waves = (tile_plan(part, rows, columns) for part in cell_plan())
    cells = (signs * payload_signs(payload, rows, columns))[..., None, None] * wave_patterns()[waves]
    canvas = cells.transpose(0, 2, 1, 3).reshape(rows * STEP, columns * STEP)
    scaled = cv2.resize(canvas, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    delta = np.rint(scaled / scaled.std())
    return np.clip(image + delta[..., None], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("turns", [0, 1])
def test_it_is_still_found(turns: int) -> None:
    marked = np.ascontiguousarray(np.rot90(mark_as_before(portrait_rgb(), PAYLOAD), turns))
    score, payload, orientation = find_first_mark(to_luma(marked))
    assert score > 15
    assert payload == PAYLOAD
    assert (orientation == "upright") == (turns == 0)
    assert find_first_mark(to_luma(marked), PAYLOAD)[0] > score


def test_a_picture_without_it_is_not_taken_for_one() -> None:
    assert find_first_mark(to_luma(portrait_rgb()), PAYLOAD)[0] < FIRST_THRESHOLD


def test_a_file_with_it_is_reported_as_marked(tmp_path: Path) -> None:
    path = tmp_path / "old.png"
    write_picture(path, mark_as_before(portrait_rgb()[:300, :300], get_installation_key().installation_id))
    report = verify(path)
    assert report.verdict == "marked"
    assert report.is_mark_ours
    assert report.search.best is not None
    assert report.search.best.form == 1
