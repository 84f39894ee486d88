"""The whole of a SAEHD model: the networks of one architecture, and the ways through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from facegen.swap.autoencoder.networks import CodeCritic, Decoder, Encoder, Inter, PatchCritic, parse_architecture
from facegen.swap.autoencoder.options import SaehdOptions
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


class SaehdModel(nn.Module):
    """Draws A and B again, and A with B's face.

    Args:
        options: its shape.
        with_critics: whether the rivals that only training needs are built too.
    """

    def __init__(self, options: SaehdOptions, *, with_critics: bool = False) -> None:
        super().__init__()
        self.kind, flags = parse_architecture(options.architecture)
        size, code = options.resolution, options.ae_dims
        self.morph = options.morph_factor
        self.has_two_decoders = self.kind in ("df", "scratch")
        is_scratch = self.kind == "scratch"
        self.encoder = ScratchEncoder(size, options.e_dims) if is_scratch else Encoder(size, options.e_dims, flags)
        wide = code * 2 if self.kind == "liae" else code
        inputs = wide * 2 if self.kind == "liae" else wide

        def inter() -> Inter:
            return Inter(self.encoder.size, size, code, wide, flags)

        def decoder() -> Decoder | ScratchDecoder:
            if is_scratch:
                return ScratchDecoder(inputs, options.d_dims)
            return Decoder(inputs, options.d_dims, options.d_mask_dims, flags)

        if self.has_two_decoders:
            self.inter = inter()
            self.decoder_b, self.decoder_a = decoder(), decoder()
        elif self.kind == "liae":
            self.inter_ab, self.inter_b = inter(), inter()
            self.decoder = decoder()
        else:
            self.inter_a, self.inter_b = inter(), inter()
            self.decoder = decoder()
        side = self._inters()[0].side * (1 if "t" in flags else 2)
        self.code_critic = CodeCritic(wide, side) if with_critics and options.uses_true_face else None
        self.critic = PatchCritic(options.patch, options.gan_dims) if with_critics and options.gan_power else None
        self.apply(_initialize)

    def _inters(self) -> list[Inter]:
        return [module for module in self.children() if isinstance(module, Inter)]

    def draw_a(self, pictures: Tensor, *, is_frozen: bool = False) -> Drawn:
        """A drawn again; see `draw_b`."""
        flat = self.encoder(pictures)
        if self.has_two_decoders:
            return self._drawn(self.decoder_a, self.inter(flat))
        if self.kind == "liae":
            # the middle that only A's faces go through keeps DeepFaceLab's name: inter_B
            shared = _frozen(self.inter_ab, flat) if is_frozen else self.inter_ab(flat)
            return self._drawn(self.decoder, torch.cat([self.inter_b(flat), shared], 1))
        return self._drawn(self.decoder, self.inter_a(flat))

    def draw_b(self, pictures: Tensor, *, is_frozen: bool = False) -> Drawn:
        """B drawn again.

        Args:
            pictures: (B, 3, R, R).
            is_frozen: liae's shared middle is left as it is, as it must be once inputs are not warped any more.
        """
        flat = self.encoder(pictures)
        if self.has_two_decoders:
            return self._drawn(self.decoder_b, self.inter(flat))
        if self.kind == "liae":
            shared = _frozen(self.inter_ab, flat) if is_frozen else self.inter_ab(flat)
            return self._drawn(self.decoder, torch.cat([shared, shared], 1))
        own, other = self.inter_b(flat), self.inter_a(flat)
        mix = torch.rand(own.shape[:2], device=own.device)[..., None, None] < self.morph
        return self._drawn(self.decoder, torch.where(mix, own, other) if self.training else own)

    def draw_both(self, a: Tensor, b: Tensor, *, is_frozen: bool = False) -> tuple[Drawn, Drawn]:
        """A and B drawn again as `draw_a` and `draw_b` do, with both at once wherever they share weights.

        Deep layers are bound by their weights, which are then read, and their gradients written, once instead of twice.
        """
        count, flat = len(a), self.encoder(torch.cat([a, b]))
        if self.has_two_decoders:
            code = self.inter(flat)
            return self._drawn(self.decoder_a, code[:count]), self._drawn(self.decoder_b, code[count:])
        if self.kind == "liae":
            shared = _frozen(self.inter_ab, flat) if is_frozen else self.inter_ab(flat)
            own = self.inter_b(flat[:count])
            code = torch.cat([torch.cat([own, shared[count:]]), shared], 1)
        else:
            of_a, of_b = self.inter_a(flat), self.inter_b(flat[count:])
            mix = torch.rand(of_b.shape[:2], device=of_b.device)[..., None, None] < self.morph
            code = torch.cat([of_a[:count], torch.where(mix, of_b, of_a[count:]) if self.training else of_b])
        drawn = self._drawn(self.decoder, code)
        first, second = (
            Drawn(drawn.picture[part], drawn.mask[part], drawn.code[part])
            for part in (slice(count), slice(count, None))
        )
        return first, second

    def swap(self, pictures: Tensor, morph: float = 1.0, *, is_code_fixed: bool = False) -> Drawn:
        """A with B's face.

        Args:
            pictures: (B, 3, R, R) of A.
            morph: how far to go, 0 to 1; only `amp` can stop between.
            is_code_fixed: gradients end at the code.
        """
        flat = self.encoder(pictures)
        if self.has_two_decoders:
            code = self.inter(flat)
        elif self.kind == "liae":
            shared = self.inter_ab(flat)
            code = torch.cat([shared, shared], 1)
        else:
            own, other = self.inter_b(flat), self.inter_a(flat)
            count = round(own.shape[1] * morph)
            code = torch.cat([own[:, :count], other[:, count:]], 1)
        code = code.detach() if is_code_fixed else code
        return self._drawn(self.decoder_b if self.has_two_decoders else self.decoder, code)

    def _drawn(self, decoder: nn.Module, code: Tensor) -> Drawn:
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
