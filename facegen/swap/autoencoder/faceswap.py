"""The models of faceswap, built from a few blocks after their published sizes.

Channels follow `e_dims` (encoder) and `d_dims` (decoder), the bottleneck has `ae_dims`; with the presets' numbers a model
has as many parameters as its original.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.swap.autoencoder.networks import DeepConv2d, Inter, LeakyResidual, Upscale, activation_of
from facegen.swap.autoencoder.options import Bottleneck, SaehdOptions

LEAKY_RELU = activation_of(frozenset())


@dataclass(frozen=True, kw_only=True)
class FaceswapConfig:
    """The layers of one model; widths are channels."""

    encoder_widths: tuple[int, ...] = ()
    """Strided convolutions of the encoder; none where it is a network of timm."""
    encoder_residuals: tuple[int, ...] = ()
    """LeakyResidual blocks after each of them."""
    separable: tuple[int, ...] = ()
    """Indices of those that are depthwise separable."""
    inter_width: int
    """Channels of the inter's output."""
    inter_upscaled: int = 0
    """Channels after the upscale behind it; 0: there is none."""
    decoder_widths: tuple[int, ...]
    """Upscales of A's decoder."""
    decoder_b_widths: tuple[int, ...] = ()
    """Upscales of B's where they differ."""
    decoder_residuals: int = 0
    """How many of A's upscales a residual block follows."""
    decoder_b_residuals: int = 0
    """How many of B's, where these differ."""
    bottleneck: Bottleneck = "shared"
    """Layout of the inters."""
    has_two_decoders: bool = True
    """Whether each person has a decoder."""


def faceswap_config(options: SaehdOptions) -> FaceswapConfig:
    """The configuration of one of the architectures `FACESWAP`."""
    e, d = options.e_dims, options.d_dims
    four = (e, 2 * e, 4 * e, 8 * e)
    three_up, four_up = (4 * d, 2 * d, d), (8 * d, 4 * d, 2 * d, d)
    configs: Mapping[str, FaceswapConfig] = {
        "lightweight": FaceswapConfig(
            encoder_widths=four[:3], inter_width=4 * e, inter_upscaled=4 * d, decoder_widths=(2 * d, d)
        ),
        "original": FaceswapConfig(
            encoder_widths=four, inter_width=8 * e, inter_upscaled=8 * d, decoder_widths=three_up
        ),
        "iae": FaceswapConfig(
            encoder_widths=four, inter_width=8 * d, decoder_widths=four_up, bottleneck="iae", has_two_decoders=False
        ),
        "dfaker": FaceswapConfig(
            encoder_widths=four, inter_width=8 * e, inter_upscaled=8 * d, decoder_widths=four_up, decoder_residuals=3
        ),
        "dfl-h128": FaceswapConfig(
            encoder_widths=four, inter_width=8 * d, inter_upscaled=8 * d, decoder_widths=three_up
        ),
        "realface": FaceswapConfig(
            encoder_widths=four,
            encoder_residuals=(1, 1, 1, 1),
            inter_width=8 * d,
            inter_upscaled=8 * d,
            decoder_widths=four_up,
            decoder_residuals=3,
        ),
        "unbalanced": FaceswapConfig(
            encoder_widths=four,
            inter_width=8 * d,
            inter_upscaled=8 * d,
            decoder_widths=(6 * d, 3 * d, 3 * d // 2),
            decoder_b_widths=four_up[:3],
            decoder_b_residuals=2,
        ),
        "villain": FaceswapConfig(
            encoder_widths=(e, *four),
            encoder_residuals=(16,),
            separable=(2, 4),
            inter_width=8 * e,
            inter_upscaled=8 * d,
            decoder_widths=four_up[:3],
            decoder_residuals=3,
        ),
        "dlight": FaceswapConfig(
            encoder_widths=(*four, 8 * e),
            inter_width=8 * d,
            inter_upscaled=8 * d,
            decoder_widths=(*three_up, d),
            decoder_b_widths=four_up,
            decoder_b_residuals=2,
        ),
        "phaze-a": FaceswapConfig(
            inter_width=8 * d,
            inter_upscaled=8 * d,
            decoder_widths=three_up,
            decoder_residuals=1,
            bottleneck="split" if options.is_middle_split else "shared",
            has_two_decoders=not options.is_decoder_shared,
        ),
    }
    return configs[options.architecture]


class StridedEncoder(nn.Module):
    """Strided 5x5 convolutions, some followed by residual blocks, to a flat vector."""

    def __init__(self, side: int, config: FaceswapConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for number, width in enumerate(config.encoder_widths):
            if number in config.separable:
                layers += [nn.Conv2d(before, before, 5, 2, 2, groups=before), nn.Conv2d(before, width, 1)]
            else:
                layers.append(DeepConv2d(before, width, 5, 2, 2))
            layers.append(nn.LeakyReLU(0.1))
            layers += [
                LeakyResidual(width)
                for _ in range(config.encoder_residuals[number] if number < len(config.encoder_residuals) else 0)
            ]
            before = width
        self.layers = nn.Sequential(*layers)
        self.size = before * (side // 2 ** len(config.encoder_widths)) ** 2

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] to (B, size)."""
        return self.layers(pictures).flatten(1)


class TimmEncoder(nn.Module):
    """A network of the timm library without its head, untrained, to a flat vector.

    Raises:
        InputError: timm has no network of that name, or one that does not return feature maps.
    """

    def __init__(self, side: int, name: str) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            raise InputError(
                f"Expected the name of a network in timm, found {name!r}; choose one such as mobilenetv3_small_100, "
                "efficientnet_lite0 or convnext_atto."
            )
        device = torch.empty(0).device
        with torch.device("cpu"):
            network: Any = timm.create_model(name, pretrained=False, num_classes=0, global_pool="", exportable=True)
            with torch.no_grad():
                features = network.eval().forward_features(torch.zeros(1, 3, side, side))
        self.network = network.train().to(device)
        if features.ndim != 4:
            raise InputError(f"Expected a network that returns feature maps, found {name}; choose another.")
        self.size = features[0].numel()

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] to (B, size)."""
        features: Tensor = cast(Any, self.network).forward_features((pictures - 0.5) * 4)
        return features.flatten(1)


class PlainDecoder(nn.Module):
    """Upscales, residual blocks after the first of them, and a 5x5 convolution to picture and mask."""

    def __init__(self, inputs: int, widths: tuple[int, ...], residuals: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (a, b) in enumerate(zip((inputs, *widths), widths, strict=False)):
            layers.append(Upscale(a, b, LEAKY_RELU))
            if number < residuals:
                layers.append(LeakyResidual(b))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 4, 5, 1, 2))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, L, L) to picture (B, 3, R, R) and mask (B, 1, R, R), both in [0, 1]."""
        output = torch.sigmoid(self.layers(features))
        return output[:, :3], output[:, 3:]


def build_encoder(options: SaehdOptions, config: FaceswapConfig) -> StridedEncoder | TimmEncoder:
    """The encoder."""
    side = options.encoder_resolution
    return StridedEncoder(side, config) if config.encoder_widths else TimmEncoder(side, options.timm_encoder)


def build_inter(options: SaehdOptions, config: FaceswapConfig, inputs: int) -> Inter:
    """One inter, for codes of `inputs` numbers."""
    side = options.resolution // 2 ** (len(config.decoder_widths) + bool(config.inter_upscaled))
    return Inter(inputs, options.ae_dims, side, config.inter_width, config.inter_upscaled, LEAKY_RELU)


def build_decoder(config: FaceswapConfig, *, is_b: bool) -> PlainDecoder:
    """The decoder of A, or of B."""
    inputs = (config.inter_upscaled or config.inter_width) * (2 if config.bottleneck == "iae" else 1)
    if is_b and config.decoder_b_widths:
        return PlainDecoder(inputs, config.decoder_b_widths, config.decoder_b_residuals)
    return PlainDecoder(inputs, config.decoder_widths, config.decoder_residuals)


def downsample(pictures: Tensor, side: int) -> Tensor:
    """(B, 3, R, R) to (B, 3, side, side) by averaging, where side divides R."""
    factor = pictures.shape[-1] // side
    return F.avg_pool2d(pictures, factor) if factor > 1 else pictures
