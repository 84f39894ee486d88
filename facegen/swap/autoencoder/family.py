"""The models of faceswap, put together from a few blocks after their published sizes.

Widths follow `e_dims` (encoder) and `d_dims` (decoder), the bottleneck is `ae_dims`; with the presets' numbers a model
has the parameters that its original has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.swap.autoencoder.deep import DeepConv2d
from facegen.swap.autoencoder.networks import Inter, Residual, Upscale, activation_of
from facegen.swap.autoencoder.options import SaehdOptions

PLAIN = activation_of(frozenset())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a model is made of; numbers are channels."""

    down: tuple[int, ...] = ()
    """Strided convolutions of the encoder; none where timm's network sees."""
    kept: tuple[int, ...] = ()
    """Residual blocks after each of them."""
    separable: tuple[int, ...] = ()
    """Which of them, counted from 0, go channel by channel first."""
    middle: int
    """The picture of features that the dense layers make."""
    lifted: int = 0
    """The same after an upscale; 0: it has none."""
    up: tuple[int, ...]
    """Upscales of A's decoder."""
    up_b: tuple[int, ...] = ()
    """Upscales of B's where they differ."""
    residuals: int = 0
    """Upscales that a residual block follows, in A's decoder."""
    residuals_b: int = 0
    """And in B's where that has upscales of its own."""
    way: Literal["one", "split", "iae"] = "one"
    """One middle; one each; or one each besides a shared one."""
    has_two_decoders: bool = True
    """Whether each person has a decoder."""


def plan_of(options: SaehdOptions) -> Plan:
    """The plan of one of `FACESWAP`."""
    e, d = options.e_dims, options.d_dims
    four = (e, 2 * e, 4 * e, 8 * e)
    three_up, four_up = (4 * d, 2 * d, d), (8 * d, 4 * d, 2 * d, d)
    plans: Mapping[str, Plan] = {
        "lightweight": Plan(down=four[:3], middle=4 * e, lifted=4 * d, up=(2 * d, d)),
        "original": Plan(down=four, middle=8 * e, lifted=8 * d, up=three_up),
        "iae": Plan(down=four, middle=8 * d, up=four_up, way="iae", has_two_decoders=False),
        "dfaker": Plan(down=four, middle=8 * e, lifted=8 * d, up=four_up, residuals=3),
        "dfl-h128": Plan(down=four, middle=8 * d, lifted=8 * d, up=three_up),
        "realface": Plan(down=four, kept=(1, 1, 1, 1), middle=8 * d, lifted=8 * d, up=four_up, residuals=3),
        "unbalanced": Plan(
            down=four, middle=8 * d, lifted=8 * d, up=(6 * d, 3 * d, 3 * d // 2), up_b=four_up[:3], residuals_b=2
        ),
        "villain": Plan(
            down=(e, *four), kept=(16,), separable=(2, 4), middle=8 * e, lifted=8 * d, up=four_up[:3], residuals=3
        ),
        "dlight": Plan(down=(*four, 8 * e), middle=8 * d, lifted=8 * d, up=(*three_up, d), up_b=four_up, residuals_b=2),
        "phaze-a": Plan(
            middle=8 * d,
            lifted=8 * d,
            up=three_up,
            residuals=1,
            way="split" if options.is_middle_split else "one",
            has_two_decoders=not options.is_decoder_shared,
        ),
    }
    return plans[options.architecture]


class StridedEncoder(nn.Module):
    """5x5 convolutions that halve the side, some with residual blocks behind them, to a flat vector."""

    def __init__(self, side: int, plan: Plan) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for number, width in enumerate(plan.down):
            if number in plan.separable:
                layers += [nn.Conv2d(before, before, 5, 2, 2, groups=before), nn.Conv2d(before, width, 1)]
            else:
                layers.append(DeepConv2d(before, width, 5, 2, 2))
            layers.append(nn.LeakyReLU(0.1))
            layers += [Residual(width) for _ in range(plan.kept[number] if number < len(plan.kept) else 0)]
            before = width
        self.layers = nn.Sequential(*layers)
        self.size = before * (side // 2 ** len(plan.down)) ** 2

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] to (B, size)."""
        return self.layers(pictures).flatten(1)


class TimmEncoder(nn.Module):
    """A network of the timm library without its head, to a flat vector; it starts untrained.

    Raises:
        InputError: timm has no network of that name, or none that sees pictures of this side.
    """

    def __init__(self, side: int, name: str) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            raise InputError(
                f"Expected the name of a network in timm, found {name!r}; choose one such as mobilenetv3_small_100, "
                "efficientnet_lite0 or convnext_atto."
            )
        wanted = torch.empty(0).device
        with torch.device("cpu"):
            network: Any = timm.create_model(name, pretrained=False, num_classes=0, global_pool="", exportable=True)
            with torch.no_grad():
                found = network.eval().forward_features(torch.zeros(1, 3, side, side))
        self.network = network.train().to(wanted)
        if found.ndim != 4:
            raise InputError(f"Expected a network that makes pictures of features, found {name}; choose another.")
        self.size = found[0].numel()

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] to (B, size)."""
        found: Tensor = cast(Any, self.network).forward_features((pictures - 0.5) * 4)
        return found.flatten(1)


class PlainDecoder(nn.Module):
    """Upscales, residual blocks after the first of them, and a 5x5 convolution that draws picture and mask."""

    def __init__(self, inputs: int, widths: tuple[int, ...], residuals: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (a, b) in enumerate(zip((inputs, *widths), widths, strict=False)):
            layers.append(Upscale(a, b, PLAIN))
            if number < residuals:
                layers.append(Residual(b))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 4, 5, 1, 2))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, L, L) to picture (B, 3, R, R) and mask (B, 1, R, R), both in [0, 1]."""
        drawn = torch.sigmoid(self.layers(features))
        return drawn[:, :3], drawn[:, 3:]


def encoder_of(options: SaehdOptions, plan: Plan) -> StridedEncoder | TimmEncoder:
    """What sees."""
    return StridedEncoder(options.seen, plan) if plan.down else TimmEncoder(options.seen, options.timm_encoder)


def inter_of(options: SaehdOptions, plan: Plan, inputs: int) -> Inter:
    """A middle."""
    side = options.resolution // 2 ** (len(plan.up) + bool(plan.lifted))
    return Inter(inputs, options.ae_dims, side, plan.middle, plan.lifted, PLAIN)


def decoder_of(plan: Plan, *, is_b: bool) -> PlainDecoder:
    """What draws A, or B."""
    inputs = (plan.lifted or plan.middle) * (2 if plan.way == "iae" else 1)
    if is_b and plan.up_b:
        return PlainDecoder(inputs, plan.up_b, plan.residuals_b)
    return PlainDecoder(inputs, plan.up, plan.residuals)


def shrunk(pictures: Tensor, side: int) -> Tensor:
    """(B, 3, R, R) to (B, 3, side, side), where side divides R."""
    factor = pictures.shape[-1] // side
    return F.avg_pool2d(pictures, factor) if factor > 1 else pictures
