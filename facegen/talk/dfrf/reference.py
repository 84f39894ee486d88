"""The `reference` field: DFRF as published (Shen et al., arXiv:2207.11770), part by part.

K reference pictures become feature maps; a point of the world is looked up in each of them, at its projection moved by an
offset that a small network decides from the point, the sound and the feature there; the K features are fused by slot
attention (Locatello et al., arXiv:2006.15055), and tell an eight-layer NeRF, coarse and fine, its density and colour. The
last sample of every ray is the background's pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.talk.dfrf import volume
from facegen.talk.dfrf.choices import ReferenceConfig
from facegen.talk.dfrf.hearing import CODE

_POINT_OCTAVES, _DIRECTION_OCTAVES = 10, 4
_FEATURE, _FUSED = 128, 256
_FARTHEST_PX = 10.0
_SLOTS, _ROUNDS = 2, 2
_NEAR, _FAR = 1.2, 1.6
"""World units before and behind the head's middle between which rays are sampled."""
_OFFSET_WEIGHT = 5e-8
_FIRST_DENSITY = 0.5
_RAYS_AT_ONCE, _SAMPLES_AT_ONCE = 32, 4096
_DRAWN_AT_ONCE = 1024


def waves(values: Tensor, octaves: int) -> Tensor:
    """(..., n) to (..., n (1 + 2 octaves)): the values, their sines and cosines at doubling frequencies (NeRF, eq. 4)."""
    scaled = values[..., None] * (2.0 ** torch.arange(octaves, device=values.device) * math.pi)
    return torch.cat([values, scaled.sin().flatten(-2), scaled.cos().flatten(-2)], -1)


class ReferenceField(nn.Module):
    """A box of a frame, ray by ray; the same interface as `FastField`."""

    def __init__(self, config: ReferenceConfig, references: int, eyes: int) -> None:
        super().__init__()
        self.config, self.references = config, references
        told = CODE + eyes
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

    def draw(self, told: Tensor, view: dict[str, Tensor], rows: slice, columns: slice) -> Tensor:
        """(B, 3, h, w) RGB of some of the box's rows and columns."""
        size_hw = (view["plate"].shape[2], view["plate"].shape[3])
        pixels = volume.pixel_grid(view["corner"], size_hw, 1)[:, rows, columns]
        flat, maps = pixels.flatten(1, 2), self._maps(view)
        colours = [
            self.trace(told, view, maps, flat[:, start : start + _DRAWN_AT_ONCE])[1]
            for start in range(0, flat.shape[1], _DRAWN_AT_ONCE)
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
        rays = (origin, direction)
        known, offset = self._looked_up(told, batch, maps, rays, depth)
        seen, shares = self._composed(self.coarse, told, direction, known, depth, behind)
        if not config.fine:
            return seen, seen, offset
        more = volume.importance_samples(depth, shares, config.fine, is_random=self.training)
        # what is known of the coarse samples is not looked up again
        found, far = self._looked_up(told, batch, maps, rays, more)
        both = (torch.cat([known[0], found[0]], 2), torch.cat([known[1], found[1]], 2))
        fine, _ = self._composed(self.fine, told, direction, both, torch.cat([depth, more], -1), behind)
        share = config.coarse / (config.coarse + config.fine)
        return seen, fine, share * offset + (1 - share) * far

    def _looked_up(
        self, told: Tensor, batch: dict[str, Tensor], maps: Tensor, rays: tuple[Tensor, Tensor], depth: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """What the networks are told of samples at (B, R, N) depths, and the mean squared offset, pixels.

        Returns:
            (B, R, N, 63) encoded points and (B, R, N, _FUSED) features from all references; the offset.
        """
        count, size = self.references, depth.shape[1:]
        origin, direction = rays
        points = (origin[:, :, None] + depth[..., None] * direction[:, :, None]).flatten(1, 2)
        encoded = waves(points / 1.8, _POINT_OCTAVES)
        lens, spread = (value.repeat_interleave(count, 0) for value in (batch["lens"], points))
        pixels = volume.project(batch["reference_cameras"].flatten(0, 1), lens, spread)
        seen = _picked(maps, pixels).unflatten(0, (-1, count)).transpose(1, 2)
        offset = in_pieces(lambda point, some: self._offset(told, point, some), encoded, seen, size=_SAMPLES_AT_ONCE)
        moved = _picked(maps, pixels + offset.transpose(1, 2).flatten(0, 1))
        fused = in_pieces(
            lambda some, far: self.fusion(torch.cat([self.feature(some), far / _FARTHEST_PX], -1)),
            *(moved.unflatten(0, (-1, count)).transpose(1, 2), offset),
            size=_SAMPLES_AT_ONCE,
        )
        return (encoded.unflatten(1, size), fused.unflatten(1, size)), offset.square().mean()

    def _offset(self, told: Tensor, encoded: Tensor, seen: Tensor) -> Tensor:
        """(B, N, K, 2) pixels that points (B, N, 63) are moved in references that show (B, N, K, 64) there."""
        first = beside(self.warp[0], encoded[:, :, None], told[:, None, None], self.feature(seen))
        return self.warp[1:](first).float().clamp(-_FARTHEST_PX, _FARTHEST_PX)

    def _composed(
        self,
        network: NerfNet,
        told: Tensor,
        direction: Tensor,
        known: tuple[Tensor, Tensor],
        depth: Tensor,
        behind: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """(B, R, 3) colours of rays over what is behind them, and (B, R, N) how much of each sample is seen.

        Depths, and what `known` tells of them, come in any order; shares go by rising depth.
        """
        heading = waves(F.normalize(direction, dim=-1), _DIRECTION_OCTAVES)[:, :, None]
        words = told[:, None, None]
        out = in_pieces(lambda point, some, way: network(point, words, some, way), *known, heading, size=_RAYS_AT_ONCE)
        depth, order = depth.sort(-1)
        out = out.gather(2, order[..., None].expand_as(out))
        alpha = volume.opacity(F.relu(out[..., 3]), depth, 1.0)
        # the background takes all light that is left
        alpha = torch.cat([alpha[..., :-1], torch.ones_like(alpha[..., :1])], -1)
        shares = volume.seen_shares(alpha)
        colours = torch.cat([torch.sigmoid(out[:, :, :-1, :3]), behind[:, :, None]], 2)
        return (colours * shares[..., None]).sum(2), shares

    def _maps(self, batch: dict[str, Tensor]) -> Tensor:
        """(B K, 64, H, W) features of the reference pictures, those of a pixel side by side in memory."""
        pictures = batch["references"].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.maps(pictures).float()

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
        # the slots begin alike everywhere
        slots = self.slots.expand(1, 1, -1, -1)
        for _ in range(_ROUNDS):
            scores = self.query(self.norm(slots)) @ keys.transpose(-1, -2) / keys.shape[-1] ** 0.5
            share = torch.softmax(scores, -2) + 1e-6
            slots = self._updated((share / share.sum(-1, keepdim=True)) @ values, slots)
        return slots.flatten(-2)

    def _updated(self, taken: Tensor, slots: Tensor) -> Tensor:
        """The slots after the gated recurrent unit; one set of slots does for any number of points."""
        cell = self.update
        entering = F.linear(taken, cell.weight_ih, cell.bias_ih).chunk(3, -1)
        held = F.linear(slots, cell.weight_hh, cell.bias_hh).chunk(3, -1)
        reset, keep = torch.sigmoid(entering[0] + held[0]), torch.sigmoid(entering[1] + held[1])
        fresh = torch.tanh(entering[2] + reset * held[2])
        return fresh + keep * (slots - fresh)


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
        # where all densities began below zero, no gradient would ever reach them
        nn.init.constant_(self.density.bias, _FIRST_DENSITY)
        self.colour = nn.Sequential(
            *(nn.Linear(config.width + heading, config.width // 2), nn.ReLU(), nn.Linear(config.width // 2, 3))
        )

    def forward(self, points: Tensor, words: Tensor, features: Tensor, heading: Tensor) -> Tensor:
        """(B, R, N, 4): colours before their sigmoid, and densities.

        Args:
            points: (B, R, N, 63) encoded.
            words: (B, 1, 1, CODE + eyes).
            features: (B, R, N, _FUSED).
            heading: (B, R, 1, 27) encoded direction.
        """
        told = (points, words, features)
        x = F.relu(beside(self.layers[0], *told))
        for number, layer in enumerate(self.layers[1:], 1):
            x = F.relu(beside(layer, x, *told) if number == self.skip else layer(x))
        colour = self.colour[1:](beside(self.colour[0], x, heading))
        return torch.cat([colour, self.density(x)], -1).float()


def in_pieces(work: Callable[..., Tensor], *tensors: Tensor, size: int) -> Tensor:
    """What `work` makes of tensors (B, N, ...), `size` of the N at a time: so much stays in a processor's cache."""
    return torch.cat([work(*some) for some in zip(*(value.split(size, 1) for value in tensors), strict=True)], 1)


def beside(layer: nn.Module, *parts: Tensor) -> Tensor:
    """A linear layer on parts that lie side by side in its input; a part that many places share is worked on once."""
    assert isinstance(layer, nn.Linear)
    weights = layer.weight.split([part.shape[-1] for part in parts], 1)
    total: Tensor = layer.bias
    # small parts first: sums grow to full size late
    for part, weight in sorted(zip(parts, weights, strict=True), key=lambda pair: pair[0].numel()):
        total = F.linear(part, weight) + total
    return total


def _picked(maps: Tensor, pixels: Tensor) -> Tensor:
    """(B, N, C) values of (B, C, H, W) at (B, N, 2) pixels."""
    return volume.at_pixels(maps, pixels[:, None])[:, :, 0].transpose(1, 2)
