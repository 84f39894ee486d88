"""A SAEHD model: encoder, inters and decoders of one architecture, reconstruction and swap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from facegen.swap.autoencoder import faceswap
from facegen.swap.autoencoder.networks import (
    CodeDiscriminator,
    Decoder,
    Encoder,
    Inter,
    UNetPatchDiscriminator,
    activation_of,
)
from facegen.swap.autoencoder.options import FACESWAP, Bottleneck, SaehdOptions, parse_architecture
from facegen.swap.autoencoder.scratch import ScratchDecoder, ScratchEncoder


@dataclass(frozen=True, eq=False)
class SaehdOutput:
    """What a model predicts for one batch."""

    picture: Tensor
    """(B, 3, R, R) RGB in [0, 1]."""
    mask: Tensor
    """(B, 1, R, R) in [0, 1]."""
    code: Tensor
    """(B, C, L, L) input of the decoder."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Components:
    """What a model is built from."""

    encoder: nn.Module
    build_inter: Callable[[], Inter]
    build_decoder: Callable[[bool], nn.Module]
    """Of A, or (True) of B."""
    bottleneck: Bottleneck
    has_two_decoders: bool


def _components(options: SaehdOptions) -> _Components:
    kind, flags = parse_architecture(options.architecture)
    if kind in FACESWAP:
        config = faceswap.faceswap_config(options)
        faceswap_encoder = faceswap.build_encoder(options, config)
        return _Components(
            encoder=faceswap_encoder,
            build_inter=lambda: faceswap.build_inter(options, config, faceswap_encoder.size),
            build_decoder=lambda is_b: faceswap.build_decoder(config, is_b=is_b),
            bottleneck=config.bottleneck,
            has_two_decoders=config.has_two_decoders,
        )
    size, code, is_scratch = options.resolution, options.ae_dims, kind == "scratch"
    width = code * 2 if kind == "liae" else code
    inputs = width * 2 if kind == "liae" else width
    side = options.encoder_resolution
    encoder = ScratchEncoder(side, options.e_dims) if is_scratch else Encoder(side, options.e_dims, flags)
    inter_side = size // (32 if "d" in flags else 16)

    def build_decoder(_is_b: bool) -> nn.Module:
        if is_scratch:
            return ScratchDecoder(inputs, options.d_dims)
        return Decoder(inputs, options.d_dims, options.d_mask_dims, flags)

    return _Components(
        encoder=encoder,
        build_inter=lambda: Inter(
            encoder.size, code, inter_side, width, 0 if "t" in flags else width, activation_of(flags)
        ),
        build_decoder=build_decoder,
        bottleneck=cast(Bottleneck, kind) if kind in ("liae", "amp") else "shared",
        has_two_decoders=kind in ("df", "scratch"),
    )


class SaehdModel(nn.Module):
    """Reconstructs faces of A and of B, and predicts A with B's face.

    Args:
        options: its shape.
        with_discriminators: whether the discriminators, which only training needs, are built too.
    """

    def __init__(self, options: SaehdOptions, *, with_discriminators: bool = False) -> None:
        super().__init__()
        parts = _components(options)
        self.bottleneck, self.has_two_decoders = parts.bottleneck, parts.has_two_decoders
        self.morph_factor, self.encoder_resolution = options.morph_factor, options.encoder_resolution
        # names of modules are keys of saved weights
        self.encoder = parts.encoder
        if self.has_two_decoders and self.bottleneck == "shared":
            self.inter = parts.build_inter()
        elif self.bottleneck == "liae":
            # the inter of A's faces alone has DeepFaceLab's name, inter_B
            self.inter_ab, self.inter_b = parts.build_inter(), parts.build_inter()
        else:
            self.inter_a, self.inter_b = parts.build_inter(), parts.build_inter()
        if self.bottleneck == "iae":
            self.inter_both = parts.build_inter()
        if self.has_two_decoders:
            self.decoder_b, self.decoder_a = parts.build_decoder(True), parts.build_decoder(False)
        else:
            self.decoder = parts.build_decoder(False)
        self.code_critic = self.critic = None
        if with_discriminators and options.uses_true_face:
            inter = self._inters()[0]
            self.code_critic = CodeDiscriminator(options.ae_dims, inter.side * (1 if inter.up is None else 2))
        if with_discriminators and options.gan_power:
            self.critic = UNetPatchDiscriminator(options.discriminator_patch, options.gan_dims)
        for module in self.children():
            if not isinstance(module, faceswap.TimmEncoder):
                module.apply(_initialize)

    def _inters(self) -> list[Inter]:
        return [module for module in self.children() if isinstance(module, Inter)]

    def _encode(self, pictures: Tensor) -> Tensor:
        return self.encoder(faceswap.downsample(pictures, self.encoder_resolution))

    def reconstruct_a(self, pictures: Tensor, *, is_inter_frozen: bool = False) -> SaehdOutput:
        """Reconstructs A; see `reconstruct_b`."""
        flat = self._encode(pictures)
        return self._decode("a", self._codes(flat, len(flat), is_inter_frozen=is_inter_frozen))

    def reconstruct_b(self, pictures: Tensor, *, is_inter_frozen: bool = False) -> SaehdOutput:
        """Reconstructs B.

        Args:
            pictures: (B, 3, R, R) RGB in [0, 1].
            is_inter_frozen: liae's inter AB gets no gradients, as it must be once inputs are not warped any more.
        """
        return self._decode("b", self._codes(self._encode(pictures), 0, is_inter_frozen=is_inter_frozen))

    def reconstruct_both(
        self, a: Tensor, b: Tensor, *, is_inter_frozen: bool = False
    ) -> tuple[SaehdOutput, SaehdOutput]:
        """Reconstructs A and B, both in one batch wherever they share weights.

        Deep layers are bound by their weights, which are then read, and their gradients written, once instead of twice.
        """
        count = len(a)
        code = self._codes(self._encode(torch.cat([a, b])), count, is_inter_frozen=is_inter_frozen)
        if self.has_two_decoders:
            return self._decode("a", code[:count]), self._decode("b", code[count:])
        both = self._decode("a", code)
        first, second = (
            SaehdOutput(both.picture[part], both.mask[part], both.code[part])
            for part in (slice(count), slice(count, None))
        )
        return first, second

    def _codes(self, flat: Tensor, count: int, *, is_inter_frozen: bool = False) -> Tensor:
        """(N, C, L, L): the decoders' input for `count` faces of A followed by faces of B."""
        if self.bottleneck == "shared":
            return self.inter(flat)
        if self.bottleneck == "liae":
            shared = _call_frozen(self.inter_ab, flat) if is_inter_frozen else self.inter_ab(flat)
            if count == 0:
                return torch.cat([shared, shared], 1)
            own = self.inter_b(flat) if count == len(flat) else torch.cat([self.inter_b(flat[:count]), shared[count:]])
            return torch.cat([own, shared], 1)
        if self.bottleneck == "amp":
            of_a, of_b = self.inter_a(flat), self.inter_b(flat[count:]) if count < len(flat) else None
            if of_b is None:
                return of_a
            mix = torch.rand(of_b.shape[:2], device=of_b.device)[..., None, None] < self.morph_factor
            return torch.cat([of_a[:count], torch.where(mix, of_b, of_a[count:]) if self.training else of_b])
        own = torch.cat([inter(part) for inter, part in self._split_people(flat, count)])
        return torch.cat([own, self.inter_both(flat)], 1) if self.bottleneck == "iae" else own

    def _split_people(self, flat: Tensor, count: int) -> list[tuple[Inter, Tensor]]:
        # whole batches are not cut, so that an exported graph takes batches of any size
        if count in (0, len(flat)):
            return [(self.inter_a if count else self.inter_b, flat)]
        return [(self.inter_a, flat[:count]), (self.inter_b, flat[count:])]

    def swap(self, pictures: Tensor, morph: float = 1.0, *, is_code_detached: bool = False) -> SaehdOutput:
        """Predicts A with B's face.

        Args:
            pictures: (B, 3, R, R) of A.
            morph: how far to go, 0 to 1; only `amp` can stop between.
            is_code_detached: gradients end at the code.
        """
        flat = self._encode(pictures)
        if self.bottleneck == "amp":
            own, other = self.inter_b(flat), self.inter_a(flat)
            share = round(own.shape[1] * morph)
            code = torch.cat([own[:, :share], other[:, share:]], 1)
        else:
            code = self._codes(flat, 0)
        return self._decode("b", code.detach() if is_code_detached else code)

    def _decode(self, person: str, code: Tensor) -> SaehdOutput:
        decoder = (self.decoder_a if person == "a" else self.decoder_b) if self.has_two_decoders else self.decoder
        picture, mask = decoder(code)
        return SaehdOutput(picture, mask, code)

    def forward(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method or a discriminator by name: distributed training synchronises gradients of `forward` alone."""
        return getattr(self, method)(*arguments, **options)

    def autoencoder_state(self) -> dict[str, Tensor]:
        """The weights without the discriminators: what a swap needs."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(("critic.", "code_critic."))}

    def autoencoder_parameters(self) -> list[nn.Parameter]:
        """Those of encoder, inters and decoders."""
        return [p for name, p in self.named_parameters() if not name.startswith(("critic.", "code_critic."))]

    def discriminator_parameters(self) -> list[nn.Parameter]:
        """Those of the discriminators; empty without any."""
        return [p for name, p in self.named_parameters() if name.startswith(("critic.", "code_critic."))]

    def reset_inters(self) -> None:
        """Initialises the inters anew, for a pretrained model that is trained for two people."""
        for inter in self._inters():
            inter.apply(_initialize)


def _call_frozen(module: nn.Module, x: Tensor) -> Tensor:
    """The module's output, with gradients for its input but not for its weights."""
    return functional_call(module, {name: value.detach() for name, value in module.named_parameters()}, (x,))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
