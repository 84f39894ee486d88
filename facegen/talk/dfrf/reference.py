"""The `reference` field: DFRF as published (Shen et al., arXiv:2207.11770), part by part.

K reference pictures become feature maps; a point of the world is looked up in each of them, at its projection moved by an
offset that a small network decides from the point, the sound and the feature there; the K features are fused by slot
attention (Locatello et al., arXiv:2006.15055), and tell an eight-layer NeRF, coarse and fine, its density and colour. The
last sample of every ray is the background's pixel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.talk.dfrf import volume
from facegen.talk.dfrf.choices import ReferenceConfig
from facegen.talk.dfrf.hearing import CODE, EYES

_POINT_OCTAVES, _DIRECTION_OCTAVES = 10, 4
_FEATURE, _FUSED = 128, 256
_FARTHEST_PX = 10.0
_SLOTS, _ROUNDS = 2, 2
_NEAR, _FAR = 1.2, 1.6
"""World units before and behind the head's middle between which rays are sampled."""
_OFFSET_WEIGHT = 5e-8
_CHUNK_RAYS = 1024


def waves(values: Tensor, octaves: int) -> Tensor:
    """(..., n) to (..., n (1 + 2 octaves)): the values, their sines and cosines at doubling frequencies (NeRF, eq. 4)."""
    scaled = values[..., None] * (2.0 ** torch.arange(octaves, device=values.device) * math.pi)
    return torch.cat([values, scaled.sin().flatten(-2), scaled.cos().flatten(-2)], -1)


class ReferenceField(nn.Module):
    """A box of a frame, ray by ray; the same interface as `FastField`."""

    def __init__(self, config: ReferenceConfig, references: int) -> None:
        super().__init__()
        self.config, self.references = config, references
        told = CODE + EYES
        point = 3 * (1 + 2 * _POINT_OCTAVES)
        self.maps = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU())
        self.feature = nn.Linear(64, _FEATURE)
        last = nn.Linear(32, 2)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)
        self.warp = nn.Sequential(
            *(nn.Linear(point + told + _FEATURE, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU(), last)
        )
        self.fusion = SlotFusion(_FEATURE + 2, _FUSED)
        self.coarse = NerfNet(config, point + told + _FUSED)
        self.fine = NerfNet(config, point + told + _FUSED)

    def losses(self, told: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Squared errors of both networks on random rays, most of them in the face, and the offsets' size."""
        pixels = self._drawn_pixels(batch)
        wanted = volume.at_pixels(batch["target"], (pixels - batch["corner"][:, None])[:, None])[:, :, 0].transpose(
            1, 2
        )
        coarse, fine, offset = self.trace(told, batch, self._maps(batch), pixels)
        return {
            "coarse": F.mse_loss(coarse, wanted),
            "fine": F.mse_loss(fine, wanted),
            "offset": _OFFSET_WEIGHT * offset,
        }

    def draw(self, told: Tensor, view: dict[str, Tensor], rows: slice = slice(None)) -> Tensor:
        """(B, 3, h, w) RGB of the box, or of some of its rows."""
        size_hw = (view["plate"].shape[2], view["plate"].shape[3])
        pixels = volume.pixel_grid(view["corner"], size_hw, 1)[:, rows]
        flat, maps = pixels.flatten(1, 2), self._maps(view)
        colours = [
            self.trace(told, view, maps, flat[:, start : start + _CHUNK_RAYS])[1]
            for start in range(0, flat.shape[1], _CHUNK_RAYS)
        ]
        picture = torch.cat(colours, 1).unflatten(1, pixels.shape[1:3])
        return picture.permute(0, 3, 1, 2).clamp(0, 1)

    def trace(
        self, told: Tensor, batch: dict[str, Tensor], maps: Tensor, pixels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Colours of rays through (B, R, 2) pixels by the coarse and the fine network, (B, R, 3), and mean offset."""
        config = self.config
        origin, direction = volume.cast(batch["camera"], batch["lens"], pixels)
        place = (pixels - batch["corner"][:, None])[:, None]
        behind = volume.at_pixels(batch["plate"], place)[:, :, 0].transpose(1, 2)
        middle = batch["camera"][:, 2, 3].view(-1, 1, 1)
        steps = torch.linspace(-_NEAR, _FAR, config.coarse, device=pixels.device)
        depth = (middle + steps).expand(*pixels.shape[:2], -1)
        if self.training:
            depth = depth + torch.rand_like(depth) * ((_NEAR + _FAR) / config.coarse)
        colour, shares, offset = self._seen(self.coarse, told, batch, maps, (origin, direction), depth, behind)
        if not config.fine:
            return colour, colour, offset
        more = volume.importance_samples(depth, shares, config.fine, is_random=self.training)
        both = torch.cat([depth, more], -1).sort(-1).values
        fine, _, far = self._seen(self.fine, told, batch, maps, (origin, direction), both, behind)
        return colour, fine, (offset + far) / 2

    def _seen(
        self,
        network: NerfNet,
        told: Tensor,
        batch: dict[str, Tensor],
        maps: Tensor,
        rays: tuple[Tensor, Tensor],
        depth: Tensor,
        behind: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        origin, direction = rays
        points = (origin[:, :, None] + depth[..., None] * direction[:, :, None]).flatten(1, 2)
        encoded = waves(points / 1.8, _POINT_OCTAVES)
        words = told[:, None].expand(-1, points.shape[1], -1)
        fused, offset = self._looked_up(batch, maps, points, encoded, words)
        heading = waves(F.normalize(direction, dim=-1), _DIRECTION_OCTAVES)
        heading = heading[:, :, None].expand(-1, -1, depth.shape[-1], -1).flatten(1, 2)
        density, colour = network(torch.cat([encoded, words, fused], -1), heading)
        alpha = volume.opacity(F.relu(density).view(depth.shape), depth, 1.0)
        # the background takes all light that is left
        alpha = torch.cat([alpha[..., :-1], torch.ones_like(alpha[..., :1])], -1)
        shares = volume.seen_shares(alpha)
        colours = torch.cat([colour.view(*depth.shape, 3)[:, :, :-1], behind[:, :, None]], 2)
        return (colours * shares[..., None]).sum(2), shares, offset

    def _looked_up(
        self, batch: dict[str, Tensor], maps: Tensor, points: Tensor, encoded: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, N, _FUSED) features of points from all references, and the mean squared offset, pixels."""
        found, offsets = [], []
        for k in range(self.references):
            pixels = volume.project(batch["reference_cameras"][:, k], batch["lens"], points)
            seen = self.feature(_picked(maps[:, k], pixels))
            offset = self.warp(torch.cat([encoded, words, seen], -1)).clamp(-_FARTHEST_PX, _FARTHEST_PX)
            moved = self.feature(_picked(maps[:, k], pixels + offset))
            found.append(torch.cat([moved, offset / _FARTHEST_PX], -1))
            offsets.append(offset.square().mean())
        return self.fusion(torch.stack(found, 2)), torch.stack(offsets).mean()

    def _maps(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, K, 64, H, W) features of the reference pictures."""
        pictures = batch["references"]
        return self.maps(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])

    def _drawn_pixels(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, rays, 2) random pixels, in frames."""
        device, count = batch["plate"].device, self.config.rays
        height, width = batch["plate"].shape[2:]
        places = torch.rand(len(batch["plate"]), count, 2, device=device)
        inside = round(count * self.config.face_share)
        size = torch.tensor([width, height], dtype=torch.float32, device=device)
        face = batch["face"]
        low, high = face[:, :2].clamp_min(0), torch.minimum(face[:, :2] + face[:, 2:], size)
        chosen = low[:, None] + places[:, :inside] * (high - low)[:, None]
        pixels = torch.cat([chosen, places[:, inside:] * size], 1)
        return pixels.floor().clamp_min(0) + 0.5 + batch["corner"][:, None]


class SlotFusion(nn.Module):
    """(B, N, K, inputs) features of K references to (B, N, outputs): slots that compete for them, twice round."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        size = outputs // _SLOTS
        self.slots = nn.Parameter(torch.randn(_SLOTS, size) * size**-0.5)
        self.enter = nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, size))
        self.query, self.key, self.value = (nn.Linear(size, size, bias=False) for _ in range(3))
        self.update = nn.GRUCell(size, size)
        self.norm = nn.LayerNorm(size)

    def forward(self, features: Tensor) -> Tensor:
        """Fused features."""
        x = self.enter(features)
        keys, values = self.key(x), self.value(x)
        slots = self.slots.expand(*x.shape[:2], -1, -1)
        for _ in range(_ROUNDS):
            scores = self.query(self.norm(slots)) @ keys.transpose(-1, -2) / keys.shape[-1] ** 0.5
            share = torch.softmax(scores, -2) + 1e-6
            taken = (share / share.sum(-1, keepdim=True)) @ values
            flat = self.update(taken.flatten(0, 2), slots.reshape(-1, slots.shape[-1]))
            slots = flat.view(*taken.shape)
        return slots.flatten(-2)


class NerfNet(nn.Module):
    """Density and colour of points (Mildenhall et al., arXiv:2003.08934, fig. 7)."""

    def __init__(self, config: ReferenceConfig, inputs: int) -> None:
        super().__init__()
        self.skip = config.depth // 2
        heading = 3 * (1 + 2 * _DIRECTION_OCTAVES)
        self.layers = nn.ModuleList(
            nn.Linear(inputs if layer == 0 else config.width + (inputs if layer == self.skip else 0), config.width)
            for layer in range(config.depth)
        )
        self.density = nn.Linear(config.width, 1)
        self.colour = nn.Sequential(
            *(nn.Linear(config.width + heading, config.width // 2), nn.ReLU(), nn.Linear(config.width // 2, 3))
        )

    def forward(self, points: Tensor, heading: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) densities and (B, N, 3) colours of (B, N, inputs) points seen along (B, N, ...) directions."""
        x = points
        for number, layer in enumerate(self.layers):
            x = F.relu(layer(torch.cat([x, points], -1) if number == self.skip else x))
        return self.density(x)[..., 0].float(), torch.sigmoid(self.colour(torch.cat([x, heading], -1)).float())


def _picked(maps: Tensor, pixels: Tensor) -> Tensor:
    """(B, N, C) values of (B, C, H, W) at (B, N, 2) pixels."""
    return volume.at_pixels(maps, pixels[:, None])[:, :, 0].transpose(1, 2)
