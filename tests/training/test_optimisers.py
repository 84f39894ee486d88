"""Optimisers, rates and initial weights."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import nn

from facegen.errors import InputError
from facegen.training.initializers import Initializer, convolution_aware, initialize
from facegen.training.optimisers import AdaBelief, LrDropout, build_optimiser, rate_at
from facegen.training.settings import Optimiser, OptimiserSettings
from facegen.training.stepper import Ema


@pytest.mark.parametrize("name", get_args(Optimiser))
def test_every_optimiser_descends(name: str) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.tensor([2.0, -3.0]))
    optimiser = build_optimiser([weight], OptimiserSettings(name=name, rate=0.05, epsilon_exponent=-6))
    for _ in range(100):
        optimiser.zero_grad()
        weight.square().sum().backward()
        optimiser.step()
    assert float(weight.detach().square().sum()) < 4


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adabelief_is_that_of_pytorch_optimizer(decay: float) -> None:
    import pytorch_optimizer

    torch.manual_seed(0)
    drawn = [torch.randn(8, 6, 3, 3).to(memory_format=torch.channels_last), torch.randn(700, 300), torch.randn(5)]
    ours, theirs = ([nn.Parameter(value.clone()) for value in drawn] for _ in range(2))
    own = AdaBelief(ours, 1e-2, (0.9, 0.99), 1e-12, decay)
    other = pytorch_optimizer.AdaBelief(
        theirs, lr=1e-2, betas=(0.9, 0.99), eps=1e-12, weight_decay=decay, rectify=False
    )
    for number in range(6):
        for mine, its in zip(ours, theirs, strict=True):
            its.grad = torch.randn(its.shape)
            mine.grad = its.grad.clone().contiguous()
        own.step()
        other.step()
        if number == 2:
            own.load_state_dict(own.state_dict())
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, atol=2e-6, rtol=1e-5)


def test_epsilon_is_ten_to_the_exponent() -> None:
    optimiser = build_optimiser([nn.Parameter(torch.ones(1))], OptimiserSettings(name="adam", epsilon_exponent=-5))
    assert optimiser.param_groups[0]["eps"] == pytest.approx(1e-5)


def test_warm_up_and_cosine() -> None:
    settings = OptimiserSettings(rate=1.0, warmup_steps=4, schedule="cosine")
    assert [rate_at(settings, step, 0.0) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate_at(settings, 10, 0.5) == pytest.approx(0.505)
    assert rate_at(settings, 10, 1.0) == pytest.approx(0.01)


def test_lr_dropout_moves_the_chosen_share_of_weights() -> None:
    settings = OptimiserSettings(name="adam", rate=0.1, lr_dropout=0.3)
    weight = nn.Parameter(torch.zeros(10_000))
    optimiser = build_optimiser([weight], settings)
    weight.grad = torch.ones_like(weight)
    LrDropout([weight], 0.3).step(optimiser, seed=1)
    moved = (weight.detach() != 0).float().mean()
    assert 0.28 < float(moved) < 0.32
    assert rate_at(settings, 0, 0.0) == pytest.approx(0.1)
    assert rate_at(settings, 250, 0.0) == pytest.approx(0.0)


def test_settings_out_of_bounds() -> None:
    with pytest.raises(InputError, match="rate must be"):
        replace(OptimiserSettings(), rate=-1.0)


def test_running_average_follows() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    ema = Ema(model, 0.5)
    before = ema.model[0].weight.clone()
    with torch.no_grad():
        model[0].weight += 1
        model[1].num_batches_tracked += 3
    ema.update(model, step=100)
    torch.testing.assert_close(ema.model[0].weight, before + 0.5)
    assert int(ema.model[1].num_batches_tracked) == 3
    assert not ema.model[0].weight.requires_grad


@pytest.mark.parametrize("name", get_args(Initializer))
def test_icnr_draws_no_checkerboard(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2))
    initialize(model, name)
    with torch.no_grad():
        model[1].bias.zero_()
        drawn = model(torch.rand(1, 3, 6, 6))
    torch.testing.assert_close(drawn[..., ::2, ::2], drawn[..., 1::2, 1::2])


def test_he_uniform_has_its_bound() -> None:
    model = nn.Conv2d(16, 64, 3)
    initialize(model, "he_uniform")
    limit = math.sqrt(6 / (16 * 9))
    assert 0.95 * limit < float(model.weight.detach().abs().max()) <= limit
    assert float(model.bias.detach().abs().max()) == 0


def test_convolution_aware_is_orthogonal_with_he_variance() -> None:
    torch.manual_seed(0)
    weight = convolution_aware(torch.empty(64, 5, 3, 3))
    assert float(weight.var()) == pytest.approx(2 / 45, rel=0.05)
    spectra = torch.fft.rfft2(weight[0]).real.flatten(1)
    spectra = spectra / spectra.norm(dim=1, keepdim=True)
    off_diagonal = spectra @ spectra.T - torch.eye(5)
    plain = torch.fft.rfft2(torch.randn(5, 3, 3)).real.flatten(1)
    plain = plain / plain.norm(dim=1, keepdim=True)
    assert float(off_diagonal.abs().mean()) < 0.75 * float((plain @ plain.T - torch.eye(5)).abs().mean())
