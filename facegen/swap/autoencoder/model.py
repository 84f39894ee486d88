"""The whole of a SAEHD model: the networks of one architecture, and the ways through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from facegen.swap.autoencoder import family
from facegen.swap.autoencoder.networks import CodeCritic, Decoder, Encoder, Inter, PatchCritic, activation_of
from facegen.swap.autoencoder.options import FACESWAP, SaehdOptions, parse_architecture
from facegen.swap.autoencoder.scratch import ScratchDecoder, ScratchEncoder


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a model draws of one batch."""

    picture: Tensor
    """(B, 3, R, R) in [0, 1]."""
    mask: Tensor
    """(B, 1, R, R) in [0, 1]."""
    code: Tensor
    """(B, C, L, L) what the decoder was given."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Parts:
    """What a model is put together from."""

    encoder: nn.Module
    inter: Callable[[], Inter]
    decoder: Callable[[bool], nn.Module]
    """Of A, or (True) of B."""
    way: str
    """How codes are made: one, liae, amp, iae or split."""
    has_two_decoders: bool


def _parts(options: SaehdOptions) -> _Parts:
    kind, flags = parse_architecture(options.architecture)
    if kind in FACESWAP:
        plan = family.plan_of(options)
        seeing = family.encoder_of(options, plan)
        return _Parts(
            encoder=seeing,
            inter=lambda: family.inter_of(options, plan, seeing.size),
            decoder=lambda is_b: family.decoder_of(plan, is_b=is_b),
            way=plan.way,
            has_two_decoders=plan.has_two_decoders,
        )
    size, code, is_scratch = options.resolution, options.ae_dims, kind == "scratch"
    wide = code * 2 if kind == "liae" else code
    inputs = wide * 2 if kind == "liae" else wide
    encoder = (
        ScratchEncoder(options.seen, options.e_dims) if is_scratch else Encoder(options.seen, options.e_dims, flags)
    )
    side = size // (32 if "d" in flags else 16)

    def decoder(_is_b: bool) -> nn.Module:
        if is_scratch:
            return ScratchDecoder(inputs, options.d_dims)
        return Decoder(inputs, options.d_dims, options.d_mask_dims, flags)

    return _Parts(
        encoder=encoder,
        inter=lambda: Inter(encoder.size, code, side, wide, 0 if "t" in flags else wide, activation_of(flags)),
        decoder=decoder,
        way=kind if kind in ("liae", "amp") else "one",
        has_two_decoders=kind in ("df", "scratch"),
    )


class SaehdModel(nn.Module):
    """Draws A and B again, and A with B's face.

    Args:
        options: its shape.
        with_critics: whether the rivals that only training needs are built too.
    """

    def __init__(self, options: SaehdOptions, *, with_critics: bool = False) -> None:
        super().__init__()
        parts = _parts(options)
        self.way, self.has_two_decoders = parts.way, parts.has_two_decoders
        self.morph, self.seen = options.morph_factor, options.seen
        self.encoder = parts.encoder
        if self.has_two_decoders and self.way == "one":
            self.inter = parts.inter()
        elif self.way == "liae":
            # the middle that only A's faces go through keeps DeepFaceLab's name: inter_B
            self.inter_ab, self.inter_b = parts.inter(), parts.inter()
        else:
            self.inter_a, self.inter_b = parts.inter(), parts.inter()
        if self.way == "iae":
            self.inter_both = parts.inter()
        if self.has_two_decoders:
            self.decoder_b, self.decoder_a = parts.decoder(True), parts.decoder(False)
        else:
            self.decoder = parts.decoder(False)
        self.code_critic = None
        if with_critics and options.uses_true_face:
            inter = self._inters()[0]
            self.code_critic = CodeCritic(options.ae_dims, inter.side * (1 if inter.up is None else 2))
        self.critic = PatchCritic(options.patch, options.gan_dims) if with_critics and options.gan_power else None
        for module in self.children():
            if not isinstance(module, family.TimmEncoder):
                module.apply(_initialize)

    def _inters(self) -> list[Inter]:
        return [module for module in self.children() if isinstance(module, Inter)]

    def _flat(self, pictures: Tensor) -> Tensor:
        return self.encoder(family.shrunk(pictures, self.seen))

    def draw_a(self, pictures: Tensor, *, is_frozen: bool = False) -> Drawn:
        """A drawn again; see `draw_b`."""
        flat = self._flat(pictures)
        return self._drawn("a", self._codes(flat, len(flat), is_frozen=is_frozen))

    def draw_b(self, pictures: Tensor, *, is_frozen: bool = False) -> Drawn:
        """B drawn again.

        Args:
            pictures: (B, 3, R, R).
            is_frozen: liae's shared middle is left as it is, as it must be once inputs are not warped any more.
        """
        return self._drawn("b", self._codes(self._flat(pictures), 0, is_frozen=is_frozen))

    def draw_both(self, a: Tensor, b: Tensor, *, is_frozen: bool = False) -> tuple[Drawn, Drawn]:
        """A and B drawn again as `draw_a` and `draw_b` do, with both at once wherever they share weights.

        Deep layers are bound by their weights, which are then read, and their gradients written, once instead of twice.
        """
        count = len(a)
        code = self._codes(self._flat(torch.cat([a, b])), count, is_frozen=is_frozen)
        if self.has_two_decoders:
            return self._drawn("a", code[:count]), self._drawn("b", code[count:])
        drawn = self._drawn("a", code)
        first, second = (
            Drawn(drawn.picture[part], drawn.mask[part], drawn.code[part])
            for part in (slice(count), slice(count, None))
        )
        return first, second

    def _codes(self, flat: Tensor, count: int, *, is_frozen: bool = False) -> Tensor:
        """(N, C, L, L): what the decoders get for `count` faces of A and then faces of B."""
        if self.way == "one":
            return self.inter(flat)
        if self.way == "liae":
            shared = _frozen(self.inter_ab, flat) if is_frozen else self.inter_ab(flat)
            if count == 0:
                return torch.cat([shared, shared], 1)
            own = self.inter_b(flat) if count == len(flat) else torch.cat([self.inter_b(flat[:count]), shared[count:]])
            return torch.cat([own, shared], 1)
        if self.way == "amp":
            of_a, of_b = self.inter_a(flat), self.inter_b(flat[count:]) if count < len(flat) else None
            if of_b is None:
                return of_a
            mix = torch.rand(of_b.shape[:2], device=of_b.device)[..., None, None] < self.morph
            return torch.cat([of_a[:count], torch.where(mix, of_b, of_a[count:]) if self.training else of_b])
        own = torch.cat([inter(part) for inter, part in self._split(flat, count)])
        return torch.cat([own, self.inter_both(flat)], 1) if self.way == "iae" else own

    def _split(self, flat: Tensor, count: int) -> list[tuple[Inter, Tensor]]:
        # whole batches are not cut, so that an exported graph takes batches of any size
        if count in (0, len(flat)):
            return [(self.inter_a if count else self.inter_b, flat)]
        return [(self.inter_a, flat[:count]), (self.inter_b, flat[count:])]

    def swap(self, pictures: Tensor, morph: float = 1.0, *, is_code_fixed: bool = False) -> Drawn:
        """A with B's face.

        Args:
            pictures: (B, 3, R, R) of A.
            morph: how far to go, 0 to 1; only `amp` can stop between.
            is_code_fixed: gradients end at the code.
        """
        flat = self._flat(pictures)
        if self.way == "amp":
            own, other = self.inter_b(flat), self.inter_a(flat)
            share = round(own.shape[1] * morph)
            code = torch.cat([own[:, :share], other[:, share:]], 1)
        else:
            code = self._codes(flat, 0)
        return self._drawn("b", code.detach() if is_code_fixed else code)

    def _drawn(self, who: str, code: Tensor) -> Drawn:
        decoder = (self.decoder_a if who == "a" else self.decoder_b) if self.has_two_decoders else self.decoder
        picture, mask = decoder(code)
        return Drawn(picture, mask, code)

    def forward(self, way: str, *arguments: Any, **options: Any) -> Any:
        """One of `draw_a`, `draw_b`, `draw_both`, `swap`, `code_critic`, `critic`: what several processes listen to."""
        return getattr(self, way)(*arguments, **options)

    def drawing_state(self) -> dict[str, Tensor]:
        """The weights without the critics: what a swap needs."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(("critic.", "code_critic."))}

    def own_parameters(self) -> list[nn.Parameter]:
        """The weights that draw."""
        return [p for name, p in self.named_parameters() if not name.startswith(("critic.", "code_critic."))]

    def critic_parameters(self) -> list[nn.Parameter]:
        """The weights that judge; none where there are no critics."""
        return [p for name, p in self.named_parameters() if name.startswith(("critic.", "code_critic."))]

    def forget_people(self) -> None:
        """Starts the middles afresh: what a pretrained model does when it gets two people of its own."""
        for inter in self._inters():
            inter.apply(_initialize)


def _frozen(module: nn.Module, x: Tensor) -> Tensor:
    """The module's output without gradients for its weights, but with those for what goes in."""
    return functional_call(module, {name: value.detach() for name, value in module.named_parameters()}, (x,))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
