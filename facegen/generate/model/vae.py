"""The generator: a hierarchical conditional VAE that draws a canonical face and warps it into the picture.

```
texture codes, shape codes --PCA--> canonical base (RGB, hair, background) and the neutral shape
base --cells, 3 latent groups (8x8, 16x16, 32x32)--> canonical features
features, base --flow of the posed mesh--> picture frame --cells with FiLM--> 128x128 RGB
```
Lids, lips and yaw act through the flow, hair and background through the base's alpha maps, and all five through FiLM, so
that the latents need not learn a slider's effect, and identity is preserved when one moves.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.errors import FacegenError, WeightsError
from facegen.generate.frame.repaint import HAIR_COLOURS, HAIR_LUMINANCES, LUMINANCE
from facegen.generate.frame.variants import CANONICAL_BACKGROUND, CANONICAL_HAIR
from facegen.generate.model.cells import DepthwiseCell, Down, LatentGroup, ResidualCell, Up
from facegen.generate.model.prior import MAPS, TEXTURE, LinearPrior
from facegen.generate.sliders import DRAWN, NAMES
from facegen.json_file import read_object

SIDE = 128
FLOW_UNIT = 256
"""Side of the picture in whose pixels flows are given."""
CONDITION = 64
"""Channels of the embedded condition."""
LEADING, NEIGHBOURS = 28, 200
"""Leading texture codes that measure the distance of two faces, and number of neighbours that a new face is mixed from."""


class VaeNetwork(nn.Module):
    """The network (see the module's docstring); `diffusion.ConditionalVae` is the same as a model of diffusers.

    Buffers hold the linear prior (`prior.LinearPrior`); `is_warm` is 1 once they are filled.

    Args:
        texture_codes: principal components of the canonical picture.
        shape_codes: principal components of the shape.
        anchors: training faces whose codes make up the prior.
        widths: channels at 64, 32, 16 and 8 pixels.
        latents: channels of the latent groups at 8, 16 and 32 pixels.
    """

    texture_mean: Tensor
    texture_axes: Tensor
    shape_mean: Tensor
    shape_axes: Tensor
    anchor_codes: Tensor
    anchor_shapes: Tensor
    anchor_count: Tensor
    blend: Tensor
    is_warm: Tensor

    def __init__(
        self,
        texture_codes: int = 160,
        shape_codes: int = 32,
        anchors: int = 3200,
        widths: tuple[int, int, int, int] = (40, 72, 112, 128),
        latents: tuple[int, int, int] = (12, 6, 2),
    ) -> None:
        super().__init__()
        self.latent_channels = tuple(latents)
        fine, w32, w16, w8 = widths
        size = TEXTURE * TEXTURE * 3 + MAPS * MAPS * 2
        self._add_buffer("texture_mean", size)
        self._add_buffer("texture_axes", texture_codes, size)
        self._add_buffer("shape_mean", 1404)
        self._add_buffer("shape_axes", shape_codes, 1404)
        self._add_buffer("anchor_codes", anchors, texture_codes)
        self._add_buffer("anchor_shapes", anchors, shape_codes)
        self._add_buffer("blend", texture_codes, texture_codes)
        self._add_buffer("anchor_count")
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

    def _add_buffer(self, name: str, *shape: int) -> None:
        self.register_buffer(name, torch.zeros(shape))

    def set_prior(self, prior: LinearPrior) -> None:
        """Copies the linear prior into the buffers."""
        for name, value in vars(prior).items():
            buffer = getattr(self, name)
            source = torch.from_numpy(value).to(buffer)
            # a small dataset has fewer components than the buffer; the rest stays 0
            buffer.zero_()
            common = tuple(slice(0, min(n, m)) for n, m in zip(source.shape, buffer.shape, strict=True))
            buffer[common] = source[common]
        self.anchor_count.fill_(min(len(prior.anchor_codes), len(self.anchor_codes)))
        self.is_warm.fill_(1)

    # linear prior --------------------------------------------------------------------------------------------------

    def encode_texture(self, vectors: Tensor) -> Tensor:
        """(B, D) canonical vectors to (B, K) codes."""
        lengths = self.texture_axes.square().sum(1).clamp_min(1e-8)
        return (vectors - self.texture_mean) @ self.texture_axes.T / lengths

    def encode_shapes(self, shapes: Tensor) -> Tensor:
        """(B, 468, 3) shapes to (B, L) codes."""
        lengths = self.shape_axes.square().sum(1).clamp_min(1e-8)
        return (shapes.flatten(1) - self.shape_mean) @ self.shape_axes.T / lengths

    def decode_shapes(self, codes: Tensor) -> Tensor:
        """(B, L) codes to (B, 468, 3) shapes, pixels of the 256-pixel frame."""
        return (self.shape_mean + codes @ self.shape_axes).unflatten(1, (468, 3))

    def decode_texture(self, codes: Tensor) -> Tensor:
        """(B, K) codes to the (B, 5, 64, 64) base: RGB, hair alpha, background alpha, all about 0..1."""
        vectors = self.texture_mean + codes @ self.texture_axes
        split = TEXTURE * TEXTURE * 3
        rgb = vectors[:, :split].unflatten(1, (TEXTURE, TEXTURE, 3)).permute(0, 3, 1, 2)
        maps = vectors[:, split:].unflatten(1, (MAPS, MAPS, 2)).permute(0, 3, 1, 2)
        return torch.cat([rgb, F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)], 1)

    def sample_prior(self, count: int, generator: torch.Generator, temperature: float) -> tuple[Tensor, Tensor]:
        """Samples (B, K) texture and (B, L) shape codes; on the CPU, so that the result does not depend on the device.

        Hair and surroundings come from one training face (averaging two gives ghosting), the face is an interpolation of
        two of its `NEIGHBOURS` nearest faces (in the leading codes: hair style and skin tone), the shape of all three.

        Args:
            count: number of faces.
            generator: on the CPU.
            temperature: 0 gives the mean of each neighbourhood, 1 the variance of the data.
        """
        anchors, shapes = (t[: int(self.anchor_count)].float().cpu() for t in (self.anchor_codes, self.anchor_shapes))
        blend, size = self.blend.float().cpu(), len(anchors)
        textures, sampled_shapes = [], []
        for _ in range(count):
            uniform = torch.rand(2, generator=generator)
            first = int(uniform[0] * size)
            distances = (anchors[:, :LEADING] - anchors[first, :LEADING]).square().sum(1)
            near = distances.argsort()[1 : 1 + min(NEIGHBOURS, max(1, size - 1))]
            one, two = near[(torch.rand(2, generator=generator) * len(near)).long()].tolist()
            weight = 0.4 + 0.2 * float(uniform[1])
            face = torch.lerp(anchors[one], anchors[two], weight)
            shape = 0.25 * shapes[first] + 0.75 * torch.lerp(shapes[one], shapes[two], weight)
            code = anchors[first] + blend @ (face - anchors[first])
            # interpolation reduces the variance; this factor restores most of it
            strength = temperature * 1.25
            textures.append(torch.lerp(anchors[near].mean(0), code, strength))
            sampled_shapes.append(torch.lerp(shapes[near].mean(0), shape, strength))
        # truncation to the central 95 % of each code
        codes = torch.stack(textures).clamp(-2, 2)
        return codes.to(self.texture_mean), torch.stack(sampled_shapes).to(self.shape_mean)

    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """Shape (channels, height, width) of the noise of each latent group."""
        return [(channels, side, side) for channels, side in zip(self.latent_channels, (8, 16, 32), strict=True)]

    # latent groups -------------------------------------------------------------------------------------------------

    def embed_condition(self, sliders: Tensor, is_set: Tensor | None = None) -> Tensor:
        """(B, 5) sliders to (B, CONDITION); the learned null embedding where `is_set` is False (classifier-free guidance)."""
        embedded = self.condition(sliders * 2 - 1)
        return embedded if is_set is None else torch.where(is_set[:, None], embedded, self.unset.to(embedded.dtype))

    def encode(self, canonical: Tensor) -> list[Tensor]:
        """Feature maps for the posteriors, coarse to fine, of (B, 5, 128, 128) canonical pictures in [0, 1]."""
        h = self.seen_cells[0](self.seen_stem(F.pixel_unshuffle(canonical * 2 - 1, 4)))
        maps = [h]
        for down, cell in zip(self.seen_downs, self.seen_cells[1:], strict=True):
            maps.append(cell(down(maps[-1])))
        return maps[::-1]

    def decode_canonical(
        self,
        base: Tensor,
        condition: Tensor,
        features: list[Tensor] | None,
        noises: tuple[Tensor, ...] | None = None,
        temperature: float | Tensor = 1.0,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """(B, C, 64, 64) canonical features, (B, groups) KL divergences in nats, and the noises that reproduce them.

        Args:
            base: (B, 5, 64, 64).
            condition: (B, CONDITION).
            features: of `encode`, for the posteriors of the first faces; None samples all from the priors.
            noises: standard normal, one per group; None draws them.
            temperature: factor on the priors' deviation.
        """
        h = self.base_cells[0](self.stem(F.pixel_unshuffle(base * 2 - 1, 2)))
        skips = [h]
        for down, cell in zip(self.base_downs, self.base_cells[1:], strict=True):
            skips.append(cell(down(skips[-1])))
        h = skips.pop()
        divergences, standards = [], []
        for group in range(3):
            h = self.before[group](h) if group == 2 else self.before[group](h, condition)
            noise = None if noises is None else noises[group]
            h, divergence, standard = self.groups[group](h, features[group] if features else None, noise, temperature)
            h = self.after[group](h, condition)
            h = self.ups[group](h)
            if skips:
                h = h + skips.pop() if group < 2 else h
            divergences.append(divergence)
            standards.append(standard)
        return h, torch.stack(divergences, 1), tuple(standards)

    def decode_posed(self, features: Tensor, base: Tensor, flow: Tensor, sliders: Tensor, condition: Tensor) -> Tensor:
        """(B, 3, 128, 128) RGB, not clipped: canonical features and base warped into the picture frame and decoded.

        Args:
            features: (B, C, 64, 64).
            base: (B, 5, 64, 64).
            flow: (B, 2, 64, 64) offsets to the canonical frame, pixels of the 256-pixel frame.
            sliders: (B, 5).
            condition: (B, CONDITION).
        """
        flow = flow.to(base)
        grids = [
            sampling_grid(flow),
            sampling_grid(F.interpolate(flow, size=SIDE, mode="bilinear", align_corners=False)),
        ]
        large = F.interpolate(torch.cat([base, hair_shading(base)], 1), size=SIDE, mode="bicubic", align_corners=False)
        large = F.grid_sample(large, grids[1], padding_mode="border", align_corners=False)
        recoloured = recolour_base(large[:, :5], large[:, 5:], sliders)
        warped = F.grid_sample(
            torch.cat([features.to(base), base], 1), grids[0], padding_mode="border", align_corners=False
        )
        h = self.place(torch.cat([warped, F.pixel_unshuffle(recoloured, 2)], 1))
        h = self.finish(h, condition)
        return recoloured + F.pixel_shuffle(self.paint(F.silu(h)), 2).to(recoloured)

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
        """Draws faces; see `decode_canonical` and `decode_posed`.

        Args:
            texture: (B, K) codes.
            flow: (B, 2, 64, 64).
            sliders: (B, 5).
            canonical: (N, 5, 128, 128) in [0, 1]: the first N <= B faces are drawn from their posteriors, the others from the
                priors.
            noises: of the latent groups; None draws them.
            temperature: of the latent groups.
            is_set: (B,) bool; False drops the condition.

        Returns:
            (B, 3, 128, 128) RGB about 0..1, (B, groups) KL divergences in nats, noises.
        """
        base = self.decode_texture(texture)
        condition = self.embed_condition(sliders, is_set)
        encoded = None if canonical is None else self.encode(canonical)
        features, divergences, standards = self.decode_canonical(base, condition, encoded, noises, temperature)
        return self.decode_posed(features, base, flow, sliders, condition), divergences, standards


def load_vae(folder: Path) -> VaeNetwork:
    """The network from a folder that diffusers saved, in full precision, without importing diffusers.

    Raises:
        WeightsError: the folder holds no such network.
    """
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    try:
        config = read_object(folder / "config.json")
        files = (
            set(read_object(index)["weight_map"].values())
            if index.is_file()
            else {f"{index.name.split('.')[0]}.safetensors"}
        )
        state = {name: value for file in sorted(files) for name, value in load_file(folder / file).items()}
        network = VaeNetwork(**{name: value for name, value in config.items() if not name.startswith("_")})
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except (FacegenError, OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"Expected a generator in {folder}, found none that can be loaded ({error}).") from error
    return network


def sampling_grid(flow: Tensor) -> Tensor:
    """(B, h, w, 2) sampling grid of a (B, 2, h, w) flow in pixels of the 256-pixel frame."""
    height, width = flow.shape[2:]
    x = (torch.arange(width, device=flow.device, dtype=flow.dtype) + 0.5) / width * 2 - 1
    y = (torch.arange(height, device=flow.device, dtype=flow.dtype) + 0.5) / height * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    return grid + flow.permute(0, 2, 3, 1) * (2 / FLOW_UNIT)


def hair_shading(base: Tensor) -> Tensor:
    """(B, 1, H, W) luminance of the base's hair relative to its mean, inpainted beyond its rim (`repaint.inpaint_outside`)."""
    light = torch.from_numpy(LUMINANCE).to(base).view(1, 3, 1, 1)
    values = (base[:, :3].clamp(0, 1) * light).sum(1, keepdim=True)
    solid = ((base[:, 3:4] - 0.85) / 0.15).clamp(0, 1)
    both = torch.cat([values * solid, solid], 1)
    for _ in range(2):
        both = F.avg_pool2d(both, 7, 1, 3, count_include_pad=False)
    near = (both[:, :1] + 1e-3 * CANONICAL_HAIR) / (both[:, 1:] + 1e-3)
    return ((near + solid * (values - near)) / CANONICAL_HAIR).clamp(0.5, 1.25)


def recolour_base(base: Tensor, shading: Tensor, sliders: Tensor) -> Tensor:
    """The base's RGB with hair and background recoloured through its alpha maps as the sliders ask.

    Args:
        base: (B, 5, H, W) RGB, hair, background.
        shading: (B, 1, H, W) `hair_shading` of the base.
        sliders: (B, 5).
    """
    rgb, hair, background = (base[:, part].clamp(0, 1) for part in (slice(0, 3), slice(3, 4), slice(4, 5)))
    target = DRAWN["hair"].quantity(1.0) + (DRAWN["hair"].at0 - DRAWN["hair"].at1) * (
        1 - sliders[:, NAMES.index("hair")]
    )
    rgb = rgb + hair * (hair_colour(target)[:, :, None, None] * shading - rgb)
    target = DRAWN["background"].at0 + (DRAWN["background"].at1 - DRAWN["background"].at0) * sliders[:, 3]
    target = target[:, None, None, None]
    darker, lighter = rgb * target / CANONICAL_BACKGROUND, 1 - (1 - rgb) * (1 - target) / (1 - CANONICAL_BACKGROUND)
    return rgb + background * (torch.where(target < CANONICAL_BACKGROUND, darker, lighter) - rgb)


def hair_colour(luminance: Tensor) -> Tensor:
    """(B,) luminances to (B, 3) RGB, interpolated in the table `HAIR_COLOURS`."""
    levels = torch.from_numpy(HAIR_LUMINANCES).to(luminance)
    colours = torch.from_numpy(HAIR_COLOURS).to(luminance)
    upper = torch.searchsorted(levels, luminance.contiguous()).clamp(1, len(levels) - 1)
    weight = ((luminance - levels[upper - 1]) / (levels[upper] - levels[upper - 1])).clamp(0, 1)[:, None]
    return colours[upper - 1] + weight * (colours[upper] - colours[upper - 1])
