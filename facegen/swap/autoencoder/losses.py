"""The losses of a SAEHD model, with DeepFaceLab's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from facegen.swap.autoencoder.data import gaussian_blur, is_warping
from facegen.swap.autoencoder.model import SaehdOutput
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.training.losses import EYES_MOUTH_FACTOR, dssim, mse, soft_mask, total_variation

STYLE_WEIGHT = 10_000.0


def autoencoder_losses(
    model: Any, options: SaehdOptions, batch: dict[str, Tensor], progress: float
) -> dict[str, Tensor]:
    """Reconstruction losses A and B, then the style and adversarial losses that the options ask for."""
    warping = is_warping(options, progress)
    is_inter_frozen = options.architecture.startswith("liae") and not warping and not options.pretrain
    a: SaehdOutput
    b: SaehdOutput
    a, b = model("reconstruct_both", batch["a_input"], batch["b_input"], is_inter_frozen=is_inter_frozen)
    losses = {"A": _reconstruction(a, options, batch, "a"), "B": _reconstruction(b, options, batch, "b")}
    if options.pretrain:
        return losses
    if options.uses_true_face:
        losses["true_face"] = options.true_face_power * _cross_entropy(model("code_critic", b.code), 1.0)
    if options.face_style_power or options.bg_style_power:
        losses |= _style(model, options, batch, a)
    if options.gan_power and progress >= options.gan_start:
        losses |= _adversarial(model, options, batch, b)
    return losses


def _reconstruction(output: SaehdOutput, options: SaehdOptions, batch: dict[str, Tensor], name: str) -> Tensor:
    """DSSIM and MSE of the picture, MSE of the mask, and L1 of eyes and mouth, of one person."""
    target, mask = batch[f"{name}_target"], batch[f"{name}_mask"]
    picture, predicted_mask = output.picture.float(), output.mask.float()
    masked, masked_target = picture, target
    if options.masked_training:
        soft = soft_mask(mask, options.resolution)
        masked, masked_target = picture * soft, target * soft
    total = 10 * dssim(masked, masked_target) + 10 * mse(masked, masked_target) + 10 * mse(predicted_mask, mask)
    if options.eyes_mouth_prio:
        features = batch[f"{name}_features"]
        total = total + EYES_MOUTH_FACTOR * ((picture - target) * features).abs().mean()
    return total


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits.float(), label))


def _style(model: Any, options: SaehdOptions, batch: dict[str, Tensor], a: SaehdOutput) -> dict[str, Tensor]:
    """Style losses of the swapped face and of its surroundings, against the reconstruction of A."""
    swapped: SaehdOutput = model("swap", batch["a_input"], is_code_detached=True)
    picture, reference = swapped.picture.float(), a.picture.float().detach()
    mask = gaussian_blur((swapped.mask.float() * a.mask.float()).detach(), max(options.resolution // 32, 1))
    losses = {}
    if options.face_style_power:
        power = options.face_style_power / 100
        losses["face_style"] = STYLE_WEIGHT * power * style_loss(picture, reference, mask, options.resolution // 8)
    if options.bg_style_power:
        power = options.bg_style_power / 100
        outside = 1 - mask
        structure = dssim(picture * outside, reference * outside)
        losses["bg_style"] = 10 * power * (structure + mse(picture * outside, reference * outside))
    return losses


def style_loss(pictures: Tensor, references: Tensor, mask: Tensor, radius: int) -> Tensor:
    """Squared differences of local mean and deviation inside a mask (after Huang and Belongie, arXiv:1703.06868).

    Args:
        pictures: (B, 3, R, R).
        references: (B, 3, R, R).
        mask: (B, 1, R, R).
        radius: of the neighbourhood, pixels.
    """
    sigma = max(radius / 2, 1.0)

    def local(pictures: Tensor) -> tuple[Tensor, Tensor]:
        weight = gaussian_blur(mask, sigma).clamp_min(1e-3)
        mean = gaussian_blur(pictures * mask, sigma) / weight
        square = gaussian_blur(pictures.square() * mask, sigma) / weight
        return mean, (square - mean.square()).clamp_min(1e-5).sqrt()

    (mean, deviation), (reference_mean, reference_deviation) = local(pictures), local(references)
    difference = (mean - reference_mean).square() + (deviation - reference_deviation).square()
    return (difference * mask).mean()


def _masked_b(options: SaehdOptions, batch: dict[str, Tensor], pictures: Tensor) -> Tensor:
    soft = soft_mask(batch["b_mask"], options.resolution)
    return pictures * soft if options.masked_training else pictures


def _adversarial(model: Any, options: SaehdOptions, batch: dict[str, Tensor], b: SaehdOutput) -> dict[str, Tensor]:
    """Adversarial loss of B, and a regularisation of the pixels outside the mask, which it does not see."""
    picture = b.picture.float()
    centre, full = model("critic", _masked_b(options, batch, picture))
    losses = {"gan": options.gan_power * (_cross_entropy(centre, 1.0) + _cross_entropy(full, 1.0))}
    if options.masked_training:
        outside = 1 - soft_mask(batch["b_mask"], options.resolution)
        background = mse(picture * outside, batch["b_target"] * outside)
        losses["background"] = 1e-6 * total_variation(picture, picture) + 0.02 * background
    return losses


def discriminator_losses(
    model: Any, options: SaehdOptions, batch: dict[str, Tensor], progress: float
) -> dict[str, Tensor]:
    """The losses of the discriminators: real pictures are labelled 1, predicted ones 0."""
    losses: dict[str, Tensor] = {}
    has_begun = progress >= options.gan_start
    if not has_begun and not options.uses_true_face:
        # not begun: a loss without gradient leaves the discriminator as it is
        centre, full = model("critic", batch["b_target"][:1, :, :64, :64])
        return {"critic": 0 * (centre.mean() + full.mean())}
    with torch.no_grad():
        b: SaehdOutput = model("reconstruct_b", batch["b_input"])
        a: SaehdOutput | None = model("reconstruct_a", batch["a_input"]) if options.uses_true_face else None
    if a is not None:
        real, fake = model("code_critic", a.code), model("code_critic", b.code)
        losses["code_critic"] = (_cross_entropy(real, 1.0) + _cross_entropy(fake, 0.0)) / 2
    if options.gan_power and has_begun:
        terms = []
        for pictures, label in ((batch["b_target"], 1.0), (b.picture.float(), 0.0)):
            centre, full = model("critic", _masked_b(options, batch, pictures))
            terms += [_cross_entropy(centre, label), _cross_entropy(full, label)]
        losses["critic"] = torch.stack(terms).sum() / 2
    return losses
