"""The generator: a hierarchical conditional VAE that draws a canonical face and moves it into place.

```
texture codes, shape codes --linear--> canonical base (RGB, hair, background) and the person's shape
base --cells, 3 groups of latents (8x8, 16x16, 32x32)--> canonical features
features, base --flow of the posed shape--> picture frame --cells with FiLM--> 128x128 RGB
```
Lids, lips and turn act through the flow, hair and background through the base's maps, and all five through FiLM, so a
slider's effect does not have to be found among the latents, and the person stays when one moves.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.generate.frame.repaint import HAIR_COLOURS, HAIR_LUMINANCES, LUMINANCE
from facegen.generate.frame.variants import CANONICAL_BACKGROUND, CANONICAL_HAIR
from facegen.generate.model.cells import DepthwiseCell, Down, LatentGroup, ResidualCell, Up
from facegen.generate.model.prior import MAPS, TEXTURE, Basis
from facegen.generate.sliders import DRAWN, NAMES

SIDE = 128
FRAME = 256
"""Flows are in pixels of a picture of this side."""
CONDITION = 64
LEADING, NEIGHBOURS = 28, 200
"""Texture codes by which faces are neighbours, and how many of these a new face is mixed from."""


class ConditionalVae(ModelMixin, ConfigMixin):
    """See the module's docstring.

    Args:
        texture_codes: linear codes of the canonical picture.
        shape_codes: linear codes of the shape.
        anchors: faces of the data whose codes make up the prior.
        widths: channels at 64, 32, 16 and 8 pixels.
        latents: channels of the groups at 8, 16 and 32 pixels.
    """

    config_name = "config.json"  # type: ignore[assignment]

    @register_to_config
    def __init__(
        self,
        texture_codes: int = 160,
        shape_codes: int = 32,
        anchors: int = 3200,
        widths: tuple[int, int, int, int] = (40, 72, 112, 128),
        latents: tuple[int, int, int] = (12, 6, 2),
    ) -> None:
        super().__init__()
        fine, w32, w16, w8 = widths
        size = TEXTURE * TEXTURE * 3 + MAPS * MAPS * 2
        self._keep("texture_mean", size)
        self._keep("texture_axes", texture_codes, size)
        self._keep("shape_mean", 1404)
        self._keep("shape_axes", shape_codes, 1404)
        self._keep("anchor_codes", anchors, texture_codes)
        self._keep("anchor_shapes", anchors, shape_codes)
        self._keep("blend", texture_codes, texture_codes)
        self._keep("anchor_count")
        self.register_buffer("is_warm", torch.zeros(()))
        self.condition = nn.Sequential(nn.Linear(5, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION), nn.SiLU())
        self.unset = nn.Parameter(torch.zeros(CONDITION))
        self.stem = nn.Conv2d(20, w32, 3, 1, 1)
        self.base_cells = nn.ModuleList([ResidualCell(w32), ResidualCell(w16), ResidualCell(w8)])
        self.base_downs = nn.ModuleList([Down(w32, w16), Down(w16, w8)])
        self.seen_stem = nn.Conv2d(80, w32, 3, 1, 1)
        self.seen_cells = nn.ModuleList([ResidualCell(w32), ResidualCell(w16), ResidualCell(w8)])
        self.seen_downs = nn.ModuleList([Down(w32, w16), Down(w16, w8)])
        self.before = nn.ModuleList([DepthwiseCell(w8, CONDITION), DepthwiseCell(w16, CONDITION), nn.Identity()])
        self.groups = nn.ModuleList(LatentGroup(w, w, z) for w, z in zip((w8, w16, w32), latents, strict=True))
        self.after = nn.ModuleList(
            [DepthwiseCell(w8, CONDITION), DepthwiseCell(w16, CONDITION), ResidualCell(w32, CONDITION)]
        )
        self.ups = nn.ModuleList([Up(w8, w16), Up(w16, w32), Up(w32, fine)])
        self.place = nn.Conv2d(fine + 5 + 12, fine, 3, 1, 1)
        self.finish = ResidualCell(fine, CONDITION)
        self.paint = nn.Conv2d(fine, 12, 3, 1, 1)
        for parameter in self.paint.parameters():
            nn.init.zeros_(parameter)

    def _keep(self, name: str, *shape: int) -> None:
        self.register_buffer(name, torch.zeros(shape))

    def warm_start(self, basis: Basis) -> None:
        """Takes the linear model and the prior."""
        for name, value in vars(basis).items():
            own = getattr(self, name)
            found = torch.from_numpy(value).to(own)
            # a small dataset has fewer components than there is room for; the rest stays at nothing
            own.zero_()
            places = tuple(slice(0, min(n, m)) for n, m in zip(found.shape, own.shape, strict=True))
            own[places] = found[places]
        self.anchor_count.fill_(min(len(basis.anchor_codes), len(self.anchor_codes)))
        self.is_warm.fill_(1)

    # the linear top ------------------------------------------------------------------------------------------------

    def texture_codes_of(self, vectors: Tensor) -> Tensor:
        """(B, D) canonical vectors to (B, K) codes."""
        lengths = self.texture_axes.square().sum(1).clamp_min(1e-8)
        return (vectors - self.texture_mean) @ self.texture_axes.T / lengths

    def shape_codes_of(self, shapes: Tensor) -> Tensor:
        """(B, 468, 3) shapes to (B, L) codes."""
        lengths = self.shape_axes.square().sum(1).clamp_min(1e-8)
        return (shapes.flatten(1) - self.shape_mean) @ self.shape_axes.T / lengths

    def shapes(self, codes: Tensor) -> Tensor:
        """(B, L) codes to (B, 468, 3) shapes, pixels of the 256-pixel frame."""
        return (self.shape_mean + codes @ self.shape_axes).unflatten(1, (468, 3))

    def base(self, codes: Tensor) -> Tensor:
        """(B, K) codes to (B, 5, 64, 64): RGB, hair, background, all about 0..1."""
        vectors = self.texture_mean + codes @ self.texture_axes
        split = TEXTURE * TEXTURE * 3
        rgb = vectors[:, :split].unflatten(1, (TEXTURE, TEXTURE, 3)).permute(0, 3, 1, 2)
        maps = vectors[:, split:].unflatten(1, (MAPS, MAPS, 2)).permute(0, 3, 1, 2)
        return torch.cat([rgb, F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)], 1)

    def sample_codes(self, count: int, generator: torch.Generator, temperature: float) -> tuple[Tensor, Tensor]:
        """(B, K) and (B, L) codes from the prior; drawn on the CPU so that every device draws the same.

        Hair and surroundings are those of one face of the data (two would lie over each other like ghosts), the face is
        mixed of two of the `NEIGHBOURS` faces nearest to it (in the leading codes, which say how hair lies and how light
        the skin is), the shape of all three.

        Args:
            count: how many.
            generator: on the CPU.
            temperature: 0 draws the mean of each neighbourhood, 1 faces as different from it as the data's.
        """
        anchors, shapes = (t[: int(self.anchor_count)].float().cpu() for t in (self.anchor_codes, self.anchor_shapes))
        blend, size = self.blend.float().cpu(), len(anchors)
        textures, forms = [], []
        for _ in range(count):
            numbers = torch.rand(2, generator=generator)
            first = int(numbers[0] * size)
            gaps = (anchors[:, :LEADING] - anchors[first, :LEADING]).square().sum(1)
            near = gaps.argsort()[1 : 1 + min(NEIGHBOURS, max(1, size - 1))]
            one, two = near[(torch.rand(2, generator=generator) * len(near)).long()].tolist()
            part = 0.4 + 0.2 * float(numbers[1])
            face = torch.lerp(anchors[one], anchors[two], part)
            form = 0.25 * shapes[first] + 0.75 * torch.lerp(shapes[one], shapes[two], part)
            code = anchors[first] + blend @ (face - anchors[first])
            # mixing takes variance away; 1 gives most of it back
            strength = temperature * 1.25
            textures.append(torch.lerp(anchors[near].mean(0), code, strength))
            forms.append(torch.lerp(shapes[near].mean(0), form, strength))
        # no number of a mixture lies further out than nineteen of twenty of the data's
        found = torch.stack(textures).clamp(-2, 2)
        return found.to(self.texture_mean), torch.stack(forms).to(self.shape_mean)

    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """Shape of the noise of each deep group."""
        return [(channels, side, side) for channels, side in zip(self.config["latents"], (8, 16, 32), strict=True)]

    # the deep groups -----------------------------------------------------------------------------------------------

    def condition_of(self, sliders: Tensor, is_set: Tensor | None = None) -> Tensor:
        """(B, 5) drawn sliders to (B, CONDITION); where `is_set` is False, the learned «nothing said»."""
        found = self.condition(sliders * 2 - 1)
        return found if is_set is None else torch.where(is_set[:, None], found, self.unset.to(found.dtype))

    def encode(self, canonical: Tensor) -> list[Tensor]:
        """Maps for the posteriors, coarse to fine, of (B, 5, 128, 128) canonical pictures in [0, 1]."""
        h = self.seen_cells[0](self.seen_stem(F.pixel_unshuffle(canonical * 2 - 1, 4)))
        maps = [h]
        for down, cell in zip(self.seen_downs, self.seen_cells[1:], strict=True):
            maps.append(cell(down(maps[-1])))
        return maps[::-1]

    def draw_canonical(
        self,
        base: Tensor,
        condition: Tensor,
        seen: list[Tensor] | None,
        noises: tuple[Tensor, ...] | None = None,
        temperature: float | Tensor = 1.0,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Canonical features (B, C, 64, 64) with (B, groups) divergences and the noises that repeat them."""
        h = self.base_cells[0](self.stem(F.pixel_unshuffle(base * 2 - 1, 2)))
        below = [h]
        for down, cell in zip(self.base_downs, self.base_cells[1:], strict=True):
            below.append(cell(down(below[-1])))
        h = below.pop()
        divergences, standards = [], []
        for place in range(3):
            h = self.before[place](h) if place == 2 else self.before[place](h, condition)
            noise = None if noises is None else noises[place]
            h, divergence, standard = self.groups[place](h, seen[place] if seen else None, noise, temperature)
            h = self.after[place](h, condition)
            h = self.ups[place](h)
            if below:
                h = h + below.pop() if place < 2 else h
            divergences.append(divergence)
            standards.append(standard)
        return h, torch.stack(divergences, 1), tuple(standards)

    def draw_placed(self, features: Tensor, base: Tensor, flow: Tensor, sliders: Tensor, condition: Tensor) -> Tensor:
        """(B, 3, 128, 128) RGB, not clipped: canonical features and base in the picture's frame, painted.

        Args:
            features: (B, C, 64, 64).
            base: (B, 5, 64, 64).
            flow: (B, 2, 64, 64) offsets to the canonical frame, pixels of the 256-pixel frame.
            sliders: (B, 5).
            condition: (B, CONDITION).
        """
        flow = flow.to(base)
        grids = [flow_grid(flow), flow_grid(F.interpolate(flow, size=SIDE, mode="bilinear", align_corners=False))]
        large = F.interpolate(torch.cat([base, strands_of(base)], 1), size=SIDE, mode="bicubic", align_corners=False)
        large = F.grid_sample(large, grids[1], padding_mode="border", align_corners=False)
        repainted = repaint_base(large[:, :5], large[:, 5:], sliders)
        placed = F.grid_sample(
            torch.cat([features.to(base), base], 1), grids[0], padding_mode="border", align_corners=False
        )
        h = self.place(torch.cat([placed, F.pixel_unshuffle(repainted, 2)], 1))
        h = self.finish(h, condition)
        return repainted + F.pixel_shuffle(self.paint(F.silu(h)), 2).to(repainted)

    def forward(
        self,
        texture: Tensor,
        flow: Tensor,
        sliders: Tensor,
        *,
        canonical: Tensor | None = None,
        noises: tuple[Tensor, ...] | None = None,
        temperature: float | Tensor = 1.0,
        is_set: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Draws faces.

        Args:
            texture: (B, K) codes.
            flow: (B, 2, 64, 64).
            sliders: (B, 5) drawn values.
            canonical: (N, 5, 128, 128) in [0, 1], to draw the deep groups of the first N <= B from their posteriors; the
                others come from the priors.
            noises: of the deep groups; None draws them.
            temperature: of the deep groups.
            is_set: (B,) bool; False drops the condition.

        Returns:
            (B, 3, 128, 128) RGB about 0..1, (B, groups) divergences in nats, noises.
        """
        base = self.base(texture)
        condition = self.condition_of(sliders, is_set)
        seen = None if canonical is None else self.encode(canonical)
        features, divergences, standards = self.draw_canonical(base, condition, seen, noises, temperature)
        return self.draw_placed(features, base, flow, sliders, condition), divergences, standards


def flow_grid(flow: Tensor) -> Tensor:
    """(B, h, w, 2) sampling grid of a (B, 2, h, w) flow in pixels of the 256-pixel frame."""
    height, width = flow.shape[2:]
    x = (torch.arange(width, device=flow.device, dtype=flow.dtype) + 0.5) / width * 2 - 1
    y = (torch.arange(height, device=flow.device, dtype=flow.dtype) + 0.5) / height * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    return grid + flow.permute(0, 2, 3, 1) * (2 / FRAME)


def strands_of(base: Tensor) -> Tensor:
    """(B, 1, H, W) brightness of the base's hair in units of its mean, carried on past the rim (`repaint.carried_on`)."""
    light = torch.from_numpy(LUMINANCE).to(base).view(1, 3, 1, 1)
    values = (base[:, :3].clamp(0, 1) * light).sum(1, keepdim=True)
    solid = ((base[:, 3:4] - 0.85) / 0.15).clamp(0, 1)
    both = torch.cat([values * solid, solid], 1)
    for _ in range(2):
        both = F.avg_pool2d(both, 7, 1, 3, count_include_pad=False)
    near = (both[:, :1] + 1e-3 * CANONICAL_HAIR) / (both[:, 1:] + 1e-3)
    return ((near + solid * (values - near)) / CANONICAL_HAIR).clamp(0.5, 1.25)


def repaint_base(placed: Tensor, strands: Tensor, sliders: Tensor) -> Tensor:
    """The base's RGB with hair and background as the sliders ask, through its own maps.

    Args:
        placed: (B, 5, H, W) RGB, hair, background.
        strands: (B, 1, H, W) `strands_of` the base, placed too.
        sliders: (B, 5).
    """
    rgb, hair, background = (placed[:, part].clamp(0, 1) for part in (slice(0, 3), slice(3, 4), slice(4, 5)))
    wanted = DRAWN["hair"].quantity(1.0) + (DRAWN["hair"].at0 - DRAWN["hair"].at1) * (
        1 - sliders[:, NAMES.index("hair")]
    )
    rgb = rgb + hair * (hair_colour(wanted)[:, :, None, None] * strands - rgb)
    bright = DRAWN["background"].at0 + (DRAWN["background"].at1 - DRAWN["background"].at0) * sliders[:, 3]
    bright = bright[:, None, None, None]
    darker, lighter = rgb * bright / CANONICAL_BACKGROUND, 1 - (1 - rgb) * (1 - bright) / (1 - CANONICAL_BACKGROUND)
    return rgb + background * (torch.where(bright < CANONICAL_BACKGROUND, darker, lighter) - rgb)


def hair_colour(wanted: Tensor) -> Tensor:
    """(B,) luminances to (B, 3) RGB, between the entries of the table."""
    levels = torch.from_numpy(HAIR_LUMINANCES).to(wanted)
    colours = torch.from_numpy(HAIR_COLOURS).to(wanted)
    place = torch.searchsorted(levels, wanted.contiguous()).clamp(1, len(levels) - 1)
    part = ((wanted - levels[place - 1]) / (levels[place] - levels[place - 1])).clamp(0, 1)[:, None]
    return colours[place - 1] + part * (colours[place] - colours[place - 1])
