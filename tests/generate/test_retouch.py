"""Drawings become photographs, and stay the person."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from facegen import hub
from facegen.errors import WeightsError
from facegen.faces import distance
from facegen.generate.attributes.measure import measure_faces
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.retouch.retoucher import RetoucherConfig, RetoucherNet
from facegen.generate.retouch.task import RetoucherTask
from facegen.generate.sliders import Sliders
from facegen.generate.weights import RETOUCHER
from facegen.restore.checkpoint import load_frozen, save_int8

SEEDS = range(40, 46)


class Perfect(RetoucherNet):
    """Knows where every line ends."""

    def __init__(self, photograph: torch.Tensor) -> None:
        super().__init__(RetoucherConfig(widths=(8, 8, 8)))
        self.photograph = photograph * 2 - 1

    def forward(self, pictures: torch.Tensor, drawn: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        return (pictures - self.photograph) / shares[:, None, None, None]


@pytest.fixture(scope="module")
def pipeline() -> GeneratePipeline:
    return GeneratePipeline(device="cpu")


@pytest.mark.parametrize("steps", [1, 5])
def test_lines_are_followed_to_their_end(steps: int) -> None:
    photograph, drawn = torch.rand(2, 2, 3, 128, 128)
    made = Perfect(photograph).retouch(drawn, torch.randn_like(drawn), steps)
    torch.testing.assert_close(made, photograph, atol=1e-4, rtol=0)


def test_lines_begin_at_the_drawing_with_fine_noise_in_the_face_and_any_around() -> None:
    class Still(Perfect):
        def forward(self, pictures: torch.Tensor, drawn: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
            began.append(pictures)
            return torch.zeros_like(pictures)

    began: list[torch.Tensor] = []
    drawn, noise = torch.rand(1, 3, 128, 128), torch.randn(1, 3, 128, 128)
    made = Still(drawn).retouch(drawn, noise, 1)
    added = began[0] - (drawn * 2 - 1)
    torch.testing.assert_close(made, ((began[0] + 1) / 2).clamp(0, 1))
    face, corners = added[..., 50:98, 48:80], added[..., :16]
    assert 0.3 < float(face.std()) < 0.36
    assert float(F.avg_pool2d(face, 16).std()) < 0.02
    assert float(F.avg_pool2d(corners, 16).std()) > 0.1


def test_a_larger_network_begins_with_what_the_smaller_one_knows() -> None:
    torch.manual_seed(0)
    small, large = (RetoucherConfig(widths=(8, 8, 8), fine=fine).build().eval() for fine in ((), (32, 32)))
    large.unet = small.unet
    drawn, noise = torch.rand(2, 3, 128, 128), torch.randn(2, 3, 256, 256)
    with torch.inference_mode():
        made = large.retouch(F.interpolate(drawn, scale_factor=2), noise)
        torch.testing.assert_close(F.avg_pool2d(made, 2), small.retouch(drawn, 2 * F.avg_pool2d(noise, 2)))


def test_a_file_says_which_network_it_is_of(tmp_path: Path) -> None:
    config = RetoucherConfig(widths=(8, 8, 8), fine=(32, 32))
    RetoucherTask(network=config).export(config.build(), tmp_path)
    assert RetoucherConfig.from_weights(tmp_path / "retoucher.safetensors") == config
    assert RetoucherConfig.from_weights(Path(hub.fetch(RETOUCHER))) == RetoucherConfig()


def test_eight_bits_are_enough(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = RetoucherConfig().build().eval()
    save_int8(network, tmp_path / "a.safetensors")
    stored = load_frozen(RetoucherConfig().build(), tmp_path / "a.safetensors", "retoucher")
    inputs = torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128), torch.ones(1)
    with torch.inference_mode():
        before, after = network(*inputs), stored(*inputs)
    assert float((after - before).abs().mean()) < 0.02 * float(before.abs().mean())
    assert (tmp_path / "a.safetensors").stat().st_size < 1.1 * sum(p.numel() for p in network.parameters())


def test_another_file_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="retoucher"):
        load_frozen(RetoucherConfig().build(), tmp_path / "a.safetensors", "retoucher")
    for size in ({}, {"fine": (48, 96)}):
        task = RetoucherTask(network=RetoucherConfig(**size), start=str(tmp_path / "b.safetensors"))
        with pytest.raises(WeightsError, match="no such file"):
            task.build_model()


def test_a_retouch_looks_more_like_a_photograph_of_the_same_person(pipeline: GeneratePipeline) -> None:
    latents = pipeline.sample(SEEDS)
    drawn, retouched = (pipeline.draw(latents, Sliders(), retouch=retouch) for retouch in (False, True))
    assert retouched.shape == (len(SEEDS), 256, 256, 3)
    scores = [pipeline.realism.score(pictures) for pictures in (drawn, retouched)]
    assert np.mean(scores[1] > scores[0]) > 0.6
    assert scores[1].mean() > scores[0].mean() + 0.1
    large = [np.ascontiguousarray(p.repeat(2, 0).repeat(2, 1)) for p in drawn]
    (before, faces), (after, again) = (measure_faces(pipeline.analyser, list(p)) for p in (large, retouched))
    assert all(face is not None for face in again)
    assert np.abs(after - before).mean(0).max() < 0.15
    people = [
        [pipeline.analyser.embed(p, [f])[0].embedding for p, f in zip(pictures, found, strict=True)]
        for pictures, found in ((large, faces), (list(retouched), again))
    ]
    assert np.mean([distance(a, b) for a, b in zip(*people, strict=True)]) < 0.5


def test_a_face_does_not_depend_on_those_beside_it(pipeline: GeneratePipeline) -> None:
    both = pipeline.retouch(pipeline.sample([41, 42]))
    alone = pipeline.retouch(pipeline.sample([42]))
    assert both.photographs is not None
    assert alone.photographs is not None
    np.testing.assert_array_equal(both.photographs.maps[1], alone.photographs.maps[0])
    assert pipeline.retouch(both) is both


def test_what_changes_a_new_face_has_it_retouched_again(pipeline: GeneratePipeline) -> None:
    face = pipeline.retouch(pipeline.sample([41]))
    assert face.mix(pipeline.sample([42]), 0.5).photographs is None
    assert pipeline.directions.apply(face, {"smile": 1.0}).photographs is None
