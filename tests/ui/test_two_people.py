"""Trained swaps in the studio: the guided way to one, the models on offer, and the settings of their merge."""

from dataclasses import replace
from pathlib import Path

import pytest

from facegen.errors import InputError
from facegen.jobs import Run
from facegen.jobs.files import paths
from facegen.swap.jobs import SWAP, SWAP_TRAIN
from facegen.swap.merge.options import MergeOptions, parse_merge_options
from facegen.swap.oneshot.models import ENGINES
from facegen.swap.options import LIVE_PORTRAIT
from facegen.swap.request import SwapTrainRequest
from facegen.ui.profile import Profile
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import requests as swaps
from facegen.ui.tabs.swap import trained as trained_swaps
from facegen.ui.tabs.train import two_people
from tests.factories import gradient_rgb, write_clip


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    made = Services()
    monkeypatch.setattr(made, "start_next", lambda: None)
    return made


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "a clip; x.mp4", [gradient_rgb(64, 96, 0.1)] * 4))


@pytest.fixture
def trained(services: Services) -> Run:
    """A run that has exported a model."""
    run = Run.create("swap-train", {}, owner=Visitor("v").mark)
    (run.path / "exports" / "final").mkdir(parents=True)
    (run.path / "exports" / "final" / "model.json").write_text("{}")
    return run


def test_the_videos_stay_with_the_run(services: Services, clip: str) -> None:
    asked = SwapTrainRequest(person_a=(clip,), person_b=(clip, clip), target=clip, minutes=5, fresh=True)
    run = two_people.start(services, Visitor(), asked)
    run.cancel()
    kept = SWAP_TRAIN.read_request(run)
    assert (len(kept.person_a), len(kept.person_b), kept.fresh) == (1, 2, True)
    assert all(Path(path).is_file() and Path(path).is_relative_to(run.path) for path in paths(kept))
    assert kept.output == str(run.results / "merged.mp4")


@pytest.mark.parametrize("missing", ["person_a", "person_b", "target"])
def test_every_video_is_needed(missing: str, clip: str) -> None:
    given = {"person_a": (clip,), "person_b": (clip,), "target": clip} | {
        missing: type(clip)() if missing == "target" else ()
    }
    with pytest.raises(InputError, match="video"):
        SwapTrainRequest(**given)


def test_models_are_offered_to_their_visitor_alone(trained: Run) -> None:
    shared = Services(Profile(shared=True))
    names = {who: [value for _, value in trained_swaps.list_models(shared, Visitor(who))] for who in ("v", "w")}
    everybody = ["", *ENGINES, LIVE_PORTRAIT]
    assert names == {"v": [*everybody, trained.name], "w": everybody}
    with pytest.raises(InputError):
        trained_swaps.engine_of(shared, Visitor("w"), trained.name, None)
    with pytest.raises(InputError):
        trained_swaps.engine_of(shared, Visitor("v"), trained_swaps.FILE, "/etc/passwd")


def test_a_trained_model_needs_no_source(services: Services, trained: Run, clip: str) -> None:
    visitor = Visitor("v")
    chosen = MergeOptions(mode="seamless", erode=-20)
    settings = {name: getattr(chosen, name) for name in ("mode", "erode")}
    engine = trained_swaps.engine_of(services, visitor, trained.name, None)
    merge = trained_swaps.merge_text(services, visitor, settings)
    asked = swaps.request([], clip, {}, None, {"engine": engine, "merge": merge})
    assert (asked.sources, asked.options.engine) == ((), f"autoencoder:{trained.path}")
    assert parse_merge_options(asked.options.merge) == chosen
    trained_swaps.save_options(services, visitor, trained.name, settings)
    assert trained_swaps.load_options(services, visitor, trained.name) == chosen
    assert trained_swaps.load_options(services, visitor, "") == MergeOptions()
    trained_swaps.save_options(services, visitor, trained.name, {**settings, "blur": 7}, clip)
    assert trained_swaps.load_options(services, visitor, trained.name, clip).blur == 7
    assert trained_swaps.load_options(services, visitor, trained.name, "/else/where/other.mp4") == chosen
    assert [trained_swaps.has_options(services, visitor, trained.name, name) for name in (clip, "other.mp4", None)] == [
        True, False, False,
    ]  # fmt: skip


def test_a_trained_mask_is_named_by_its_run(services: Services, trained: Run, clip: str) -> None:
    visitor, other = Visitor("v"), Visitor("w")
    mask = Run.create("train", {"task": "mask"}, owner=visitor.mark)
    (mask.path / "exports" / "final").mkdir(parents=True)
    (mask.path / "exports" / "final" / "mask.safetensors").touch()
    settings = {"mask": "own", "own_mask": mask.name}
    trained_swaps.save_options(services, visitor, trained.name, settings)
    kept = trained_swaps.load_options(services, visitor, trained.name)
    assert kept.own_mask == str(mask.path.absolute())
    assert trained_swaps.own_masks(services, visitor, kept) == ([mask.name], mask.name)
    shared = Services(Profile(shared=True))
    for name in (mask.name, str(mask.path)):
        with pytest.raises(InputError, match="one of your runs|run"):
            trained_swaps.merge_text(shared, other, {**settings, "own_mask": name})
    with pytest.raises(InputError, match="own_mask"):
        trained_swaps.merge_text(services, visitor, {"mask": "own", "own_mask": None})


def test_patches_are_packed_once_they_are_there(services: Services, trained: Run, clip: str) -> None:
    visitor = Visitor("v")
    asked = swaps.request([], clip, {}, None, {"engine": f"autoencoder:{trained.path}", "merge": "mode=seamless"})
    run = services.start(visitor, SWAP, replace(asked, patches=True))
    run.cancel()
    place = Path(SWAP.read_request(run).output)
    assert place == run.results / swaps.PATCHES
    assert swaps.patches_archive(services, visitor, run) is None
    place.mkdir()
    (place / "patches.jsonl").write_text("{}")
    made = swaps.patches_archive(services, visitor, run)
    assert made is not None
    assert Path(made).stat().st_size > 0
