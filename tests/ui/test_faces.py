"""What the Generate tab does, apart from widgets."""

from pathlib import Path

import numpy as np
import pytest

from facegen.errors import InputError
from facegen.jobs.pipeline import Models
from facegen.provenance import verify
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.generate.faces import FaceEditor, parse_face
from tests.factories import write_portrait
from tests.reenact.stand_ins import use_stand_ins

SLIDERS = (0.8, 0.1, 0.7, 0.7, 0.5)


@pytest.fixture(scope="module")
def editor() -> FaceEditor:
    return FaceEditor(Models())


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="eyes"):
        parse_face((1.5, *SLIDERS[1:]), 0, 0.8, True)
    with pytest.raises(InputError, match="numbers"):
        parse_face((None, *SLIDERS[1:]), 0, 0.8, True)
    assert parse_face(SLIDERS, 3.0, 0.8, False, more=(0, 0, 1.5)).more == {"nose width": 1.5}


def test_a_face_several_and_a_sweep(editor: FaceEditor) -> None:
    asked = parse_face(SLIDERS, 3, 0.8, False)
    picture = editor.picture(asked)
    assert picture.shape == (384, 384, 3)
    grid, seeds = editor.grid(asked, 2)
    assert [words for _, words in grid] == ["Seed 3", "Seed 4"]
    assert seeds == [3, 4]
    assert editor.sweep(asked, "mouth").shape == (128, 7 * 128, 3)
    mixed = editor.picture(parse_face(SLIDERS, 3, 0.8, False, other_seed=9, mix=1.0))
    other = editor.picture(parse_face(SLIDERS, 9, 0.8, False))
    assert np.abs(mixed.astype(int) - other).mean() < np.abs(mixed.astype(int) - picture).mean()
    with pytest.raises(InputError, match="at once"):
        editor.grid(asked, 99)
    with pytest.raises(InputError, match="different"):
        editor.sweep(asked, "mouth", "mouth")


def test_a_slider_on_a_changed_face_has_nothing_retouched_again(
    editor: FaceEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    retoucher, calls = editor.pipeline.retoucher, []
    retouch = retoucher.retouch
    monkeypatch.setattr(retoucher, "retouch", lambda drawn, seeds: calls.append(seeds) or retouch(drawn, seeds))
    changed = {"more": (0, 2.0), "other_seed": 9, "mix": 0.4}
    open_, shut = (editor.picture(parse_face((eyes, *SLIDERS[1:]), 3, 0.8, True, **changed)) for eyes in (0.9, 0.0))
    assert calls == [(3,)]
    assert (open_ != shut).any()


def test_the_best_of_several_and_where_it_looks_generated(editor: FaceEditor) -> None:
    grid, seeds = editor.grid(parse_face(SLIDERS, 3, 0.8, False, best_of=2), 2)
    assert seeds[0] in (3, 4)
    assert seeds[1] in (5, 6)
    assert "realism" in grid[0][1]
    made = editor.before_and_after(parse_face(SLIDERS, 3, 0.8, False))
    assert made.marked.shape == (384, 768, 3)
    assert all(0 < score < 1 for score in made.scores)


def test_downloads_are_signed_and_the_visitors_own(editor: FaceEditor) -> None:
    services, visitor = Services(), Visitor()
    (file,) = editor.write(services, visitor, parse_face(SLIDERS, 3, 0.8, False))
    assert services.visitor_folder(visitor) in Path(file).parents
    assert verify(file).is_proven
    archive = editor.write_zip(services, visitor, parse_face(SLIDERS, 3, 0.8, False), 2)
    assert Path(archive).suffix == ".zip"


def test_a_photograph_gets_another_expression(editor: FaceEditor, tmp_path: Path) -> None:
    use_stand_ins(tmp_path)
    photo = str(write_portrait(tmp_path / "photo.png"))
    plain, moved = editor.encode(photo), editor.encode(photo, "mouth-smile=1, lip-open-ratio=1")
    assert np.abs(plain.image_rgb.astype(int) - moved.image_rgb).mean() > 1
    face = parse_face(SLIDERS, 1, 0.8, True, expression="mouth-smile=1", encoded=moved, photo=photo)
    assert face.options.expression == "mouth-smile=1"
    with pytest.raises(InputError, match="from -1 to 1 for mouth-smile"):
        editor.encode(photo, "mouth-smile=2")
