"""The loop: learning, resuming exactly, stopping, rolling back."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facegen.config import load
from facegen.errors import Cancelled, InputError, ResourceError, TrainingError
from facegen.faces.autoencoder import AutoencoderTask
from facegen.faces.parse.network import ParserNetConfig
from facegen.faces.parse.task import ParserTask
from facegen.json_file import read_json
from facegen.training import checkpoint as files
from facegen.training.logger import read_losses, send_command
from facegen.training.loop import SAMPLES_FILE, Trainer
from facegen.training.settings import OptimiserSettings, TrainSettings
from facegen.training.task import BatchSpec, SampleNames, Task


def losses_of(folder: Path) -> dict[int, dict[str, float]]:
    """Step -> losses."""
    return {line["step"]: line["losses"] for line in read_losses(folder) if "losses" in line}


def weights_of(folder: Path, name: str = "model") -> dict[str, Tensor]:
    """Weights of the last checkpoint."""
    return files.read_tensors(files.list_checkpoints(folder / "checkpoints")[-1], name)


def test_twenty_steps_overfit_a_batch(task: AutoencoderTask, plain_settings: TrainSettings, pictures: Path) -> None:
    for path in sorted(pictures.glob("*.png"))[4:]:
        path.unlink()
    faster = replace(plain_settings, steps=60, save_every=60, optimiser=OptimiserSettings(name="adam", rate=1e-2))
    folder = pictures.parent / "run"
    Trainer(task, faster, folder, data=pictures, on_line=lambda line: None).train()
    losses = [sum(values.values()) for values in losses_of(folder).values()]
    assert min(losses[-10:]) < 0.6 * losses[0]


def test_run_folder_holds_what_the_docs_say(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    lines: list[str] = []
    folder = pictures.parent / "run"
    result = Trainer(task, settings, folder, data=pictures, on_line=lines.append).train()
    assert result.is_complete
    assert result.step == 8
    assert result.files["weights"].is_file()
    assert result.files["settings"].is_file()
    assert any(line.startswith("Total Iterations: 8 | Loss face: ") for line in lines)
    assert (folder / "previews" / "strip.jpg").is_file()
    assert list((folder / "tensorboard").glob("events*"))
    assert [c.step for c in files.list_checkpoints(folder / "checkpoints")] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("name", ["adamw", "adabelief"])
def test_resume_equals_no_interruption(
    task: AutoencoderTask, settings: TrainSettings, pictures: Path, tmp_path: Path, name: str
) -> None:
    settings = replace(settings, optimiser=replace(settings.optimiser, name=name, lr_dropout=0.5))
    Trainer(task, settings, tmp_path / "whole", data=pictures, on_line=lambda line: None).train()
    first = Trainer(task, settings, tmp_path / "parts", data=pictures, on_line=lambda line: None)

    def stop_at_five(share: float, words: str) -> None:
        if share >= 5 / 8:
            raise Cancelled("enough")

    first.on_progress = stop_at_five
    assert not first.train().is_complete
    second = Trainer(task, settings, tmp_path / "parts", data=pictures, on_line=lambda line: None)
    assert second.train(resume=True).is_complete
    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")
    for name in ("model", "ema"):
        whole, parts = weights_of(tmp_path / "whole", name), weights_of(tmp_path / "parts", name)
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_memory_that_runs_out_is_a_sentence_and_the_training_goes_on(
    task: AutoencoderTask, settings: TrainSettings, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Trainer(task, settings, tmp_path / "run", data=pictures, on_line=lambda line: None)
    step_group = first.stepper._step_group

    def run_out(group: int, batch: dict[str, Tensor], step: int, *more: Any) -> None:
        if step == 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        step_group(group, batch, step, *more)

    monkeypatch.setattr(first.stepper, "_step_group", run_out)
    with pytest.raises(ResourceError, match="too small for batches of 4; lower batch_size"):
        first.train()
    second = Trainer(task, settings, tmp_path / "run", data=pictures, on_line=lambda line: None)
    assert second.train(resume=True).is_complete


def start_training(folder: Path, pictures: Path, *more: str) -> "subprocess.Popen[bytes]":
    """`facegen train autoencoder` as a process of its own."""
    arguments = ["--preset", "tiny", "--data", str(pictures), "--run", str(folder), "--steps", "400", *more]
    command = [sys.executable, "-m", "facegen", "train", "autoencoder", *arguments]
    settings = ["--set", "save_every=3", "--set", "device=cpu", "--set", "precision=float32", "--set", "keep=2"]
    return subprocess.Popen(
        [*command, *settings], env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL
    )


def wait_for_checkpoint(folder: Path, step: int, process: "subprocess.Popen[bytes]") -> None:
    """Returns once a checkpoint of this step or a later one is there."""
    deadline = time.monotonic() + 120
    while not any(int(p.name[5:]) >= step for p in (folder / "checkpoints").glob("step-*")):
        assert process.poll() is None, "the training ended early"
        assert time.monotonic() < deadline, "no checkpoint within two minutes"
        time.sleep(0.02)


def test_killed_run_resumes_on_the_same_curve(pictures: Path, tmp_path: Path) -> None:
    process = start_training(tmp_path / "run", pictures)
    wait_for_checkpoint(tmp_path / "run", 9, process)
    process.kill()
    process.wait()
    before = losses_of(tmp_path / "run")
    process = start_training(tmp_path / "run", pictures, "--resume")
    wait_for_checkpoint(tmp_path / "run", max(before) + 6, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    after = losses_of(tmp_path / "run")
    assert read_json(tmp_path / "run" / "status.json")["state"] == "cancelled"
    assert {step: after[step] for step in before} == before
    assert list(after) == list(range(1, max(after) + 1))
    # SIGTERM saved the very last step, not only those that were due
    assert files.list_checkpoints(tmp_path / "run" / "checkpoints")[-1].step == max(after)


def test_accumulated_batches_equal_one_big_batch(pictures: Path, tmp_path: Path) -> None:
    results = []
    for name, batch, accumulate in (("big", 4, 1), ("small", 2, 2)):
        settings = TrainSettings(
            steps=3, batch_size=batch, accumulate=accumulate, save_every=3, precision="float32", device="cpu"
        )
        Trainer(LineTask(), settings, tmp_path / name, on_line=lambda line: None).train()
        results.append(weights_of(tmp_path / name)["weight"])
    torch.testing.assert_close(results[0], results[1])


def test_commands_save_export_and_stop(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    folder = pictures.parent / "run"
    settings = replace(settings, save_every=1000)
    folder.mkdir()

    def ask(share: float, words: str) -> None:
        if share == 2 / 8:
            send_command(folder, "save")
        if share == 4 / 8:
            send_command(folder, "export")
        if share == 6 / 8:
            send_command(folder, "stop")

    result = Trainer(task, settings, folder, data=pictures, on_line=lambda line: None, on_progress=ask).train()
    assert not result.is_complete
    assert result.step == 7
    assert [c.step for c in files.list_checkpoints(folder / "checkpoints")] == [0, 3, 7]
    assert [path.name for path in (folder / "exports").iterdir()] == ["step-00000005"]


def test_export_every(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    folder = pictures.parent / "run"
    Trainer(task, replace(settings, export_every=3), folder, data=pictures, on_line=lambda line: None).train()
    assert sorted(p.name for p in (folder / "exports").iterdir()) == ["final", "step-00000003", "step-00000006"]


def test_minutes_end_a_run(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    settings = replace(settings, steps=10**6, minutes=0.005)
    result = Trainer(task, settings, pictures.parent / "run", data=pictures, on_line=lambda line: None).train()
    assert result.is_complete
    assert result.step < 10**6


def test_compile_falls_back_or_works(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    # no C++ compiler on the path: torch.compile must fail, and training must not
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        patch.setenv("CXX", "/nowhere/g++")
        settings = replace(settings, compile=True, steps=2)
        result = Trainer(task, settings, pictures.parent / "run", data=pictures, on_line=lines.append).train()
    torch.compiler.reset()
    assert result.is_complete
    assert any("going on without it" in line for line in lines)


@dataclass(frozen=True, kw_only=True)
class LineTask(Task):
    """A straight line through points; the loss is not a number where a weight passes `wall`."""

    wall: float = 1e9

    def build_data(self, folder: Path | None, device: torch.device) -> "LineData":
        return LineData()

    def build_model(self) -> nn.Module:
        model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(model.weight)
        return model

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        gap = (model(batch["x"]) - 0.4 * batch["x"]).square().mean()
        bare = model.module if hasattr(model, "module") else model
        return {"gap": gap + 0 * (self.wall - bare.weight).sqrt().sum()}

    def export(self, model: nn.Module, folder: Path) -> dict[str, Path]:
        return {}


class LineData:
    """Numbers."""

    skipped: tuple[str, ...] = ()
    names = SampleNames()

    def __len__(self) -> int:
        return 64

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        return {"x": 1 + spec.indices[:, None].float() / 64}


def line_settings(rate: float) -> TrainSettings:
    return TrainSettings(
        steps=30, save_every=100, precision="float32", device="cpu", optimiser=OptimiserSettings(name="adam", rate=rate)
    )


def test_rolls_back_and_halves_the_rate(tmp_path: Path) -> None:
    lines: list[str] = []
    result = Trainer(LineTask(wall=0.8), line_settings(1.0), tmp_path, on_line=lines.append).train()
    assert result.is_complete
    assert any("back to step 0 with the rate times 0.5" in line for line in lines)
    state = files.list_checkpoints(tmp_path / "checkpoints")[-1].state
    assert state["rollbacks"] >= 1
    assert state["rate_scale"] == 0.5 ** state["rollbacks"]


def test_gives_up_after_three_rollbacks(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower the learning rate"):
        Trainer(LineTask(wall=0.01), line_settings(1.0), tmp_path, on_line=lambda line: None).train()
    assert files.list_checkpoints(tmp_path / "checkpoints")


def test_running_run_is_not_started_again(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    folder = pictures.parent / "run"
    Trainer(task, settings, folder, data=pictures, on_line=lambda line: None).train()
    with pytest.raises(InputError, match="resume it or choose another"):
        Trainer(task, settings, folder, data=pictures, on_line=lambda line: None).train()


def test_checkpoint_of_another_model(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    folder = pictures.parent / "run"
    Trainer(task, settings, folder, data=pictures, on_line=lambda line: None).train()
    with pytest.raises(InputError, match="another model"):
        Trainer(replace(task, code=9), settings, folder, data=pictures, on_line=lambda line: None).train(resume=True)
    with pytest.raises(InputError, match="of LineTask"):
        Trainer(LineTask(), settings, folder, on_line=lambda line: None).train(resume=True)


def test_checkpoint_of_a_newer_facegen(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    folder = pictures.parent / "run"
    Trainer(task, settings, folder, data=pictures, on_line=lambda line: None).train()
    state = files.list_checkpoints(folder / "checkpoints")[-1].folder / "state.json"
    state.write_text(json.dumps({**read_json(state), "format": 99}))
    with pytest.raises(InputError, match="update facegen"):
        Trainer(task, settings, folder, data=pictures, on_line=lambda line: None).train(resume=True)


def test_bad_pictures_are_skipped_and_named(task: AutoencoderTask, settings: TrainSettings, pictures: Path) -> None:
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    (pictures / "empty.jpg").touch()
    lines: list[str] = []
    trainer = Trainer(task, replace(settings, steps=1), pictures.parent / "run", data=pictures, on_line=lines.append)
    assert lines == ["Skipped 2 files that cannot be used: broken.png, empty.jpg."]
    assert len(trainer.data) == 12


def test_what_was_learned_from_is_written_down(settings: TrainSettings, labelled: Path) -> None:
    folder = labelled.parent / "run"
    task = ParserTask(
        network=ParserNetConfig(widths=(4, 6, 8, 8, 8), blocks=(0, 1, 1, 1, 1)), early_size=32, final_size=32
    )
    Trainer(task, replace(settings, steps=1), folder, data=labelled, on_line=lambda line: None).train()
    names = load(SampleNames, folder / SAMPLES_FILE)
    assert len(names.held_back) == 2
    assert {*names.learned, *names.held_back} == {f"{number:02d}" for number in range(20)}
    assert not set(names.learned) & set(names.held_back)
