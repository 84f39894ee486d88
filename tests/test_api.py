"""facegen in a program: quick to import, what docs/api.md shows works, types and tables are those of the declarations."""

import ast
import inspect
import re
import runpy
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import facegen
from facegen import api, media
from facegen.errors import FacegenError, InputError
from facegen.provenance import verify
from facegen.ui.examples import FILES
from tests.conftest import REPOSITORY
from tests.factories import moving_portrait, write_clip, write_portrait

PAGE = REPOSITORY / "docs" / "api.md"
MAKER = runpy.run_path(str(REPOSITORY / "docs" / "make_api.py"))


def run_examples(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the Python of a page, block after block, where its files are there."""
    write_portrait(folder / "face.jpg")
    write_clip(folder / "clip.mp4", moving_portrait(6))
    shutil.copy(FILES / "said.m4a", folder / "said.wav")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        (folder / "block.py").write_text(block, encoding="utf-8")
        names = runpy.run_path(str(folder / "block.py"), init_globals=names)


def test_the_examples_of_the_page_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_examples(PAGE, tmp_path, monkeypatch)
    assert media.read_picture(tmp_path / "face.png").shape == (512, 512, 3)
    assert sorted(path.name for path in (tmp_path / "faces").iterdir()) == ["0000.png", "0001.png"]
    assert media.probe(tmp_path / "result.mp4").frame_count == 6
    assert 0.9 < media.probe(tmp_path / "talks.mp4").duration_seconds < 1.1
    printed = capsys.readouterr().out
    assert "6 6 6 frames, 6 faces" in printed
    assert "restore" in printed
    assert "98% Joining" in printed


def test_the_quick_start_of_the_readme_is_of_this_interface() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    calls = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    made = {ast.unparse(call.func): call for call in calls}
    for name in ("generate", "swap", "talk"):
        call = made[f"facegen.{name}"]
        inspect.signature(getattr(api, name)).bind(*call.args, **{str(item.arg): item.value for item in call.keywords})


def test_importing_loads_nothing_else() -> None:
    program = "import sys, types; before = set(sys.modules); import facegen; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["facegen"]


def test_a_function_loads_no_torch_before_it_is_called() -> None:
    program = "import sys, facegen, inspect; inspect.signature(facegen.swap); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_a_room_is_a_package_and_a_function() -> None:
    from facegen.swap import SwapOptions

    assert facegen.swap.SwapOptions is SwapOptions
    assert inspect.signature(facegen.swap) == inspect.signature(api.swap)
    assert {"extract", "generate", "swap", "talk"} <= set(facegen.__all__)
    with pytest.raises(AttributeError):
        facegen.nothing  # noqa: B018


def test_types_and_tables_are_those_of_the_declarations() -> None:
    stub = (REPOSITORY / "facegen" / "api.pyi").read_text(encoding="utf-8")
    assert ast.dump(ast.parse(stub)) == ast.dump(ast.parse(MAKER["stub"]())), "run: python docs/make_api.py"
    page = PAGE.read_text(encoding="utf-8")
    assert page == MAKER["with_tables"](page), "run: python docs/make_api.py"
    assert "temporal_smoothing: float" in stub
    assert "| `best_of` | `1` |" in page


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="did you mean 'restore'"):
        facegen.swap("a.jpg", "b.mp4", "c.mp4", restroe=1, consent=True)
    with pytest.raises(InputError, match="restore"):
        facegen.swap("a.jpg", "b.mp4", "c.mp4", restore="much", consent=True)
    with pytest.raises(InputError, match="folder"):
        facegen.generate(film=True, sweep="mouth")
    with pytest.raises(InputError, match="portrait"):
        facegen.talk(None, "a.wav", "b.mp4", consent=True)
    with pytest.raises(FacegenError):
        facegen.extract(tmp_path / "none.mp4", tmp_path / "faces")


def test_missing_consent_is_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught, pytest.raises(FacegenError):
        warnings.simplefilter("always")
        facegen.swap(tmp_path / "a.jpg", tmp_path / "b.mp4", tmp_path / "c.mp4")
    assert [("consent=True" in str(one.message), one.filename) for one in caught] == [(True, __file__)]


def test_pictures_in_memory_are_those_of_the_command(tmp_path: Path) -> None:

    (picture,) = facegen.generate(seed=7, eyes=0.9)
    (written,) = facegen.generate(tmp_path, seed=7, eyes=0.9)
    assert np.array_equal(np.asarray(picture), np.asarray(written))
    assert np.array_equal(np.asarray(written), media.read_picture(tmp_path / "0000.png"))
    picture.save(tmp_path / "saved.png")
    assert verify(tmp_path / "saved.png").verdict in ("made here", "marked here")
