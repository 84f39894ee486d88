"""The pretrained start: files that are verified, a training that begins with them, and weights cut into files."""

from pathlib import Path

import pytest
import torch

from facegen import hub
from facegen.config import from_dict
from facegen.errors import InputError
from facegen.swap.autoencoder import export
from facegen.swap.autoencoder.export import load_model, write_model
from facegen.swap.autoencoder.model import SaehdModel
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.swap.autoencoder.task import SaehdTask
from facegen.swap.tasks import SAEHD
from facegen.swap.weights import AUTOENCODER, PRETRAINED, pretrained_folder
from facegen.training.request import make_request

TINY = SaehdOptions(resolution=64, ae_dims=32, e_dims=16, d_dims=16, d_mask_dims=16)


def _task(*changes: str) -> SaehdTask:
    return from_dict(SaehdTask, make_request(SAEHD, preset="small-128", changes=changes).task_settings)


def test_its_files_are_small_and_whole() -> None:
    assert AUTOENCODER
    for weight in AUTOENCODER:
        assert weight.size is not None
        assert weight.size < 10_000_000
        assert hub.fetch(weight).stat().st_size == weight.size
        assert (hub.locate(weight).parent.parent / weight.card).is_file()


def test_a_training_begins_with_it_and_with_middles_of_its_own() -> None:
    task = _task()
    assert task.start_from == PRETRAINED
    given, options = load_model(pretrained_folder())
    assert options.pretrain
    torch.manual_seed(0)
    model = task.build_model()
    own, known = model.state_dict(), given.state_dict()
    assert set(own) == set(known)
    for name, value in own.items():
        is_middle = name.startswith("inter")
        assert torch.equal(value, known[name]) is not is_middle
    assert sum(value.numel() for value in own.values()) == pytest.approx(11.6e6, rel=0.01)


def test_it_draws_faces_again() -> None:
    """A bright oval with dark eyes on a ground comes back nearer to itself than a plain grey does."""
    model, options = load_model(pretrained_folder())
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
    face = torch.tensor([0.35, 0.3, 0.28]).view(3, 1, 1).repeat(1, 128, 128)
    inside = (columns / 0.7).square() + (rows / 0.9).square() < 1
    face[:, inside] = torch.tensor([0.8, 0.6, 0.5])[:, None]
    with torch.no_grad():
        drawn = model.reconstruct_a(face[None])
    gap = (drawn.picture[0] - face)[:, inside].abs().mean()
    assert float(gap) < float((face - 0.5)[:, inside].abs().mean())
    assert float(drawn.mask[0, 0][inside].mean()) > float(drawn.mask[0, 0][~inside].mean()) + 0.3
    assert options.resolution == 128


def test_nothing_may_be_begun_with_instead(tmp_path: Path) -> None:
    assert _task("task.start_from=").start_from == ""
    with pytest.raises(InputError, match="another"):
        _task("task.d_dims=16").build_model()


def test_weights_are_cut_into_files_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "SHARD_BYTES", 40_000)
    torch.manual_seed(0)
    model = SaehdModel(TINY)
    made = write_model(model, TINY, tmp_path, dfm_name=None, in_shards=True)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert made["weights"] == files[0]
    assert len(files) > 3
    assert all(path.stat().st_size < 60_000 for path in files)
    again, _ = load_model(tmp_path)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value.half().float())
