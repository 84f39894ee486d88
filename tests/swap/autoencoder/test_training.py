"""`facegen swap train`: three videos in, one out, and going on where it was cut off."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from facegen.cli import build_app
from facegen.encoding import EncodeOptions
from facegen.errors import Cancelled, InputError
from facegen.media import probe
from facegen.swap.autoencoder.training import SwapTrainPipeline
from facegen.swap.jobs import SWAP_TRAIN
from facegen.swap.merge.options import parse_merge_options
from facegen.swap.request import SwapTrainRequest
from tests import factories

TINY = ("steps=4", "save_every=2", "task.export_dfm=false")


def _run(*words: object) -> Any:
    arguments = ["swap", "train", *map(str, words)]
    done = CliRunner().invoke(build_app(arguments), arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("videos")
    frames = factories.moving_portrait(10)
    other = [frame[:, ::-1] // 2 + 60 for frame in frames]
    return factories.write_clip(folder / "a.mp4", frames), factories.write_clip(folder / "b.mp4", other)


def test_three_videos_become_one(videos: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = videos
    words = ["--person-a", a, "--person-b", b, "--merge", a, "--preset", "tiny", "--every", 1, "--minutes", 0]
    words += [word for change in TINY for word in ("--set", change)]
    words += ["--merge-file-type", "mov", "--merge-encoder", "h265"]
    made = _run(*words, "--run", tmp_path / "run", "--consent", "--json")
    assert (made["faces_a"], made["faces_b"], made["steps"], made["frames"]) == (10, 10, 4, 10)
    assert Path(made["output"]).name == "merged.mov"
    assert probe(made["output"]).codec == "hevc"
    assert (tmp_path / "run" / "people" / "a" / "masks").is_dir()
    again = _run(*words, "--run", tmp_path / "run", "--output", tmp_path / "other.mp4", "--json")
    assert again["resumed"] == ["faces a", "faces b", "training"]
    assert parse_merge_options("", tmp_path / "run").mode == "mesh-guided"


def test_what_cannot_be_written_is_refused_before_the_training(videos: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = map(str, videos)
    request = SwapTrainRequest(person_a=(a,), person_b=(b,), target=a, encode=EncodeOptions(encoder="prores"))
    with pytest.raises(InputError, match="ProRes"):
        SwapTrainPipeline()(request, SWAP_TRAIN.create_run(request, path=tmp_path / "run"))
    assert not (tmp_path / "run" / "people").exists()


def test_goes_on_after_a_stop(videos: tuple[Path, Path], tmp_path: Path) -> None:
    request = SwapTrainRequest(
        person_a=(str(videos[0]),),
        person_b=(str(videos[1]),),
        target=str(videos[0]),
        output=str(tmp_path / "out.mp4"),
        preset="tiny",
        minutes=0,
        every=1,
        changes=TINY,
    )
    run = SWAP_TRAIN.create_run(request, path=tmp_path / "run")
    pipeline = SwapTrainPipeline(on_line=lambda _: None)

    def stop(share: float, words: str) -> None:
        if "Total Iterations" in words and share > 0.4:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        pipeline(request, run, stop)
    result = pipeline(request, run)
    assert result.resumed == ("faces a", "faces b")
    assert (result.steps, result.frames) == (4, 10)
