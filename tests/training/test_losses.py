"""Losses: zero for equal pictures, right on known ones, masked where asked."""

from pathlib import Path

import pytest
import torch

from facegen.errors import InputError, WeightsError
from facegen.training import losses
from facegen.training.losses import (
    LOSSES,
    LPIPS_BACKBONE,
    LPIPS_HEADS,
    Lpips,
    Mixture,
    dssim,
    lpips,
    soft_mask,
    ssim,
)

PLAIN = sorted(set(LOSSES) - {"lpips", "total_variation"})


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    wanted = torch.rand(2, 3, 64, 64, generator=random)
    return (wanted + 0.1 * torch.randn(wanted.shape, generator=random)).clamp(0, 1), wanted


@pytest.mark.parametrize("name", PLAIN)
def test_zero_for_equal_and_positive_for_different(name: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawn, wanted = pair
    assert float(LOSSES[name](wanted, wanted)) == pytest.approx(0, abs=2e-5)
    assert float(LOSSES[name](drawn, wanted)) > 1e-4


@pytest.mark.parametrize("name", [*PLAIN, "total_variation"])
@pytest.mark.parametrize("side", [32, 64])
def test_gradients_are_finite_even_at_equal_pictures(name: str, side: int) -> None:
    wanted = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    drawn = wanted.clone().requires_grad_()
    LOSSES[name](drawn, wanted).backward()
    assert bool(torch.isfinite(drawn.grad).all())


@pytest.mark.parametrize("name", [*PLAIN, "total_variation"])
def test_autocast_does_not_coarsen_a_loss(name: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawn, wanted = pair
    with torch.autocast("cpu", torch.bfloat16):
        coarse = LOSSES[name](drawn, wanted)
    assert float(coarse) == pytest.approx(float(LOSSES[name](drawn, wanted)), rel=1e-5)


def test_ssim_is_that_of_scikit_image(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    from skimage.metrics import structural_similarity

    drawn, wanted = pair
    expected = structural_similarity(
        drawn[0].numpy(),
        wanted[0].numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert float(ssim(drawn[:1], wanted[:1])) == pytest.approx(expected, abs=2e-3)


def test_total_variation_of_a_flat_picture_is_zero() -> None:
    flat = torch.full((1, 3, 16, 16), 0.3)
    assert float(LOSSES["total_variation"](flat, flat)) == 0


def test_mask_hides_what_is_outside(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawn, wanted = pair
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    mixture = Mixture({"mse": 10.0, "dssim": 10.0})
    outside = torch.where(mask > 0, wanted, drawn)
    assert float(mixture(outside, wanted, mask=mask)) == pytest.approx(0, abs=1e-5)
    assert float(mixture(drawn, wanted, mask=mask)) > 0


def test_eyes_and_mouth_count_besides(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    drawn, wanted = pair
    mask = torch.ones(2, 1, 64, 64)
    mixture = Mixture({"l1": 1.0})
    plain = float(mixture(drawn, wanted))
    assert float(mixture(drawn, wanted, eyes_mouth=mask)) == pytest.approx(301 * plain, rel=1e-4)


def test_unknown_loss_is_named() -> None:
    with pytest.raises(InputError, match="'perceptual'"):
        Mixture({"perceptual": 1.0})


def test_large_pictures_use_two_windows() -> None:
    drawn, wanted = torch.rand(1, 1, 256, 256), torch.rand(1, 1, 256, 256)
    expected = ((1 - ssim(drawn, wanted, 22)) / 2 + (1 - ssim(drawn, wanted, 11)) / 2) / 2
    torch.testing.assert_close(dssim(drawn, wanted), expected)


def test_soft_mask_keeps_the_inside() -> None:
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 32:96, 32:96] = 1
    soft = soft_mask(mask, 128)
    assert float(soft[0, 0, 64, 64]) == pytest.approx(1)
    assert float(soft[0, 0, 32, 64]) > 0.9
    assert float(soft[0, 0, 5, 5]) == 0


def test_lpips_without_weights_says_what_it_needs(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    if losses._find_lpips_file(LPIPS_BACKBONE):
        pytest.skip("the LPIPS weights are on this machine")
    with pytest.raises(WeightsError, match="take another loss"):
        lpips(*pair)


def test_lpips_reads_the_usual_files(pair: tuple[torch.Tensor, torch.Tensor], facegen_home: Path) -> None:
    torch.manual_seed(0)
    made = Lpips().requires_grad_(False)
    folder = facegen_home / "weights" / "lpips"
    folder.mkdir(parents=True)
    torch.save({f"features.{k}": v for k, v in made.features.state_dict().items()}, folder / LPIPS_BACKBONE)
    torch.save({f"lin{i}.model.1.weight": h.detach() for i, h in enumerate(made.heads)}, folder / LPIPS_HEADS)
    losses._load_lpips.cache_clear()
    drawn, wanted = pair
    assert float(lpips(wanted, wanted)) == 0
    assert float(lpips(drawn, wanted)) == pytest.approx(float(made(drawn, wanted).mean()), rel=1e-5)
    losses._load_lpips.cache_clear()
