"""Checkpoints: complete or not there, pruned sensibly, a full disk survived."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from facegen.errors import ResourceError, TrainingError
from facegen.training import checkpoint as files


def write(folder: Path, step: int, **state: float) -> files.Checkpoint:
    return files.write_checkpoint(folder, {"model": {"w": torch.full((3,), float(step))}}, {"step": step, **state})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = write(tmp_path, 7, measure=0.5)
    (found,) = files.list_checkpoints(tmp_path)
    assert found.step == made.step == 7
    assert found.measure == 0.5
    assert torch.equal(files.read_tensors(found, "model")["w"], torch.full((3,), 7.0))
    assert files.read_tensors(found, "ema") == {}


def test_partial_folders_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / ".partial-123").mkdir()
    (tmp_path / ".partial-123" / "model.safetensors").write_bytes(b"half")
    assert [c.step for c in files.list_checkpoints(tmp_path)] == [1]
    files.remove_partial(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]


def test_prune_keeps_newest_best_and_hourly(tmp_path: Path) -> None:
    for step in range(10):
        write(tmp_path, step, elapsed=step * 1200.0, measure=abs(step - 4) / 10)
    files.prune(tmp_path, keep=2, keep_hourly=2)
    # three checkpoints an hour: 0-2, 3-5, 6-8, 9; the newest of the last two hours are 8 and 9
    assert [c.step for c in files.list_checkpoints(tmp_path)] == [4, 8, 9]


def test_damaged_weights_name_the_file(tmp_path: Path) -> None:
    found = write(tmp_path, 1)
    path = found.folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(TrainingError, match=r"model\.safetensors"):
        files.read_tensors(found, "model")


def test_optimiser_state_survives(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(4))
    optimiser = torch.optim.NAdam([weight])
    weight.sum().backward()
    optimiser.step()
    tensors, plain = files.pack_optimiser(optimiser.state_dict())
    unpacked = files.unpack_optimiser(tensors, plain)
    other = torch.optim.NAdam([torch.nn.Parameter(torch.ones(4))])
    other.load_state_dict(unpacked)
    assert torch.equal(other.state_dict()["state"][0]["exp_avg"], optimiser.state_dict()["state"][0]["exp_avg"])


FULL_DISK = """
import resource, sys, torch
from pathlib import Path
from facegen.errors import ResourceError
from facegen.training.checkpoint import list_checkpoints, write_checkpoint
folder = Path(sys.argv[1])
write_checkpoint(folder, {"model": {"w": torch.ones(10)}}, {"step": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_checkpoint(folder, {"model": {"w": torch.ones(100_000)}}, {"step": 2})
except ResourceError as error:
    print(error)
print([c.step for c in list_checkpoints(folder)], sorted(p.name for p in folder.iterdir()))
"""


def test_full_disk_leaves_the_last_good_one(tmp_path: Path) -> None:
    # a limit on file sizes makes the write itself fail, as a full disk does
    assert resource.RLIMIT_FSIZE
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    words, state = done.stdout.strip().splitlines()
    assert "earlier ones are intact" in words
    assert state == "[1] ['step-00000001']"


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError):
        write(tmp_path / "file" / "checkpoints", 1)
