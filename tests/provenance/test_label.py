"""The visible label: there in every language, in pictures and frames, and nowhere else."""

from typing import get_args

import numpy as np
import pytest

from facegen.encoding import LabelLanguage
from facegen.media import Frame
from facegen.provenance import MarkKey, Watermark, mark_picture
from facegen.provenance.label import TEXTS, draw_label, draw_label_on_frame
from tests.factories import gradient_rgb

KEY = MarkKey(installation_id=7, secret=b"label")


def test_each_language_has_words_that_are_drawn() -> None:
    assert set(get_args(LabelLanguage)) - set(TEXTS) == {"auto", "none"}
    image = gradient_rgb(240, 320, 0.5)
    drawn = {language: draw_label(image, language) for language in TEXTS}
    for language, labelled in drawn.items():
        rows, columns = np.nonzero((labelled != image).any(axis=2))
        assert rows.min() > 200, language
        assert 8 < columns.max() < 200, language
        assert labelled.max() >= 225, language  # the letters
    assert len({labelled.tobytes() for labelled in drawn.values()}) == len(set(TEXTS.values()))


@pytest.mark.parametrize("language", ["auto", "none"])
def test_without_a_language_nothing_is_drawn(language: LabelLanguage) -> None:
    image = gradient_rgb(120, 160, 0.5)
    assert draw_label(image, language) is image
    frame = Frame.from_picture(image, index=0, pts=0, time_base=1)
    assert draw_label_on_frame(frame, language) is frame
    tiny = gradient_rgb(48, 48, 0.5)
    assert draw_label(tiny, "en") is tiny


def test_a_narrow_picture_keeps_what_fits() -> None:
    assert draw_label(gradient_rgb(900, 70, 0.5), "es").shape == (900, 70, 3)


def test_pictures_and_frames_are_marked_under_their_label() -> None:
    image = gradient_rgb(240, 320, 0.5)
    plain, labelled = mark_picture(image, KEY), mark_picture(image, KEY, label="de")
    assert np.abs(labelled[:190].astype(int) - plain[:190]).max() <= 12
    assert np.abs(labelled[215:].astype(int) - plain[215:]).max() > 60
    frame = Frame.from_picture(image, index=0, pts=0, time_base=1)
    plain, labelled = (Watermark((240, 320), KEY, label=one).mark_frame(frame) for one in ("none", "de"))
    changed = np.abs(labelled.planes[0].astype(int) - plain.planes[0]) > 40
    rows, columns = np.nonzero(changed)
    assert rows.min() > 200
    assert columns.max() < 200
    assert labelled.planes[0].max() >= 225
