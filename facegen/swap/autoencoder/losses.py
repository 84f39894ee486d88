"""What a SAEHD model is asked for, term by term with DeepFaceLab's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from facegen.swap.autoencoder.model import Drawn
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.swap.autoencoder.samples import gaussian_blur, is_warping
from facegen.training.losses import EYES_MOUTH_FACTOR, dssim, mse, soft_mask, total_variation

STYLE_WEIGHT = 10_000.0


def drawing_losses(model: Any, options: SaehdOptions, batch: dict[str, Tensor], progress: float) -> dict[str, Tensor]:
    """The terms of the weights that draw: A and B for each person's own, then what was asked for besides."""
    warping = is_warping(options, progress)
    is_frozen = options.architecture.startswith("liae") and not warping and not options.pretrain
    a: Drawn
    b: Drawn
    a, b = model("draw_both", batch["a_input"], batch["b_input"], is_frozen=is_frozen)
    losses = {"A": _own(a, options, batch, "a"), "B": _own(b, options, batch, "b")}
    if options.pretrain:
        return losses
    if options.uses_true_face:
        judged = model("code_critic", b.code)
        losses["true_face"] = options.true_face_power * _judged(judged, 1.0)
    if options.face_style_power or options.bg_style_power:
        losses |= _style(model, options, batch, a)
    if options.gan_power and progress >= options.gan_start:
        losses |= _deceived(model, options, batch, b)
    return losses


def _own(drawn: Drawn, options: SaehdOptions, batch: dict[str, Tensor], name: str) -> Tensor:
    """Structure, colour, eyes and mouth, and mask of one person."""
    target, mask = batch[f"{name}_target"], batch[f"{name}_mask"]
    picture, drawn_mask = drawn.picture.float(), drawn.mask.float()
    seen, wanted = picture, target
    if options.masked_training:
        soft = soft_mask(mask, options.resolution)
        seen, wanted = picture * soft, target * soft
    total = 10 * dssim(seen, wanted) + 10 * mse(seen, wanted) + 10 * mse(drawn_mask, mask)
    if options.eyes_mouth_prio:
        features = batch[f"{name}_features"]
        total = total + EYES_MOUTH_FACTOR * ((picture - target) * features).abs().mean()
    return total


def _judged(logits: Tensor, wanted: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits.float(), wanted))


def _style(model: Any, options: SaehdOptions, batch: dict[str, Tensor], a: Drawn) -> dict[str, Tensor]:
    """The swapped face is to have the colours, and its surroundings the look, of A drawn again."""
    swapped: Drawn = model("swap", batch["a_input"], is_code_fixed=True)
    own, other = swapped.picture.float(), a.picture.float().detach()
    mask = gaussian_blur((swapped.mask.float() * a.mask.float()).detach(), max(options.resolution // 32, 1))
    losses = {}
    if options.face_style_power:
        power = options.face_style_power / 100
        losses["face_style"] = STYLE_WEIGHT * power * statistics_gap(own, other, mask, options.resolution // 8)
    if options.bg_style_power:
        power = options.bg_style_power / 100
        around = 1 - mask
        losses["bg_style"] = 10 * power * (dssim(own * around, other * around) + mse(own * around, other * around))
    return losses


def statistics_gap(drawn: Tensor, wanted: Tensor, mask: Tensor, radius: int) -> Tensor:
    """Squared gaps of local mean and deviation of colours inside a mask (after Huang and Belongie, arXiv:1703.06868)."""
    sigma = max(radius / 2, 1.0)

    def local(pictures: Tensor) -> tuple[Tensor, Tensor]:
        weight = gaussian_blur(mask, sigma).clamp_min(1e-3)
        mean = gaussian_blur(pictures * mask, sigma) / weight
        square = gaussian_blur(pictures.square() * mask, sigma) / weight
        return mean, (square - mean.square()).clamp_min(1e-5).sqrt()

    (mean, deviation), (new_mean, new_deviation) = local(drawn), local(wanted)
    gap = (mean - new_mean).square() + (deviation - new_deviation).square()
    return (gap * mask).mean()


def _masked_b(options: SaehdOptions, batch: dict[str, Tensor], pictures: Tensor) -> Tensor:
    soft = soft_mask(batch["b_mask"], options.resolution)
    return pictures * soft if options.masked_training else pictures


def _deceived(model: Any, options: SaehdOptions, batch: dict[str, Tensor], b: Drawn) -> dict[str, Tensor]:
    """What the rival for detail leaves to wish for, and what keeps the unmasked part calm meanwhile."""
    picture = b.picture.float()
    centre, full = model("critic", _masked_b(options, batch, picture))
    losses = {"gan": options.gan_power * (_judged(centre, 1.0) + _judged(full, 1.0))}
    if options.masked_training:
        outside = 1 - soft_mask(batch["b_mask"], options.resolution)
        background = mse(picture * outside, batch["b_target"] * outside)
        losses["calm"] = 1e-6 * total_variation(picture, picture) + 0.02 * background
    return losses


def judging_losses(model: Any, options: SaehdOptions, batch: dict[str, Tensor], progress: float) -> dict[str, Tensor]:
    """The terms of the rivals: real ones are 1, drawn ones 0."""
    losses: dict[str, Tensor] = {}
    has_begun = progress >= options.gan_start
    if not has_begun and not options.uses_true_face:
        # nothing to judge yet: a loss without slope leaves the rival as it is
        centre, full = model("critic", batch["b_target"][:1, :, :64, :64])
        return {"critic": 0 * (centre.mean() + full.mean())}
    with torch.no_grad():
        b: Drawn = model("draw_b", batch["b_input"])
        a: Drawn | None = model("draw_a", batch["a_input"]) if options.uses_true_face else None
    if a is not None:
        real, drawn = model("code_critic", a.code), model("code_critic", b.code)
        losses["code_critic"] = (_judged(real, 1.0) + _judged(drawn, 0.0)) / 2
    if options.gan_power and has_begun:
        terms = []
        for pictures, wanted in ((batch["b_target"], 1.0), (b.picture.float(), 0.0)):
            centre, full = model("critic", _masked_b(options, batch, pictures))
            terms += [_judged(centre, wanted), _judged(full, wanted)]
        losses["critic"] = torch.stack(terms).sum() / 2
    return losses
