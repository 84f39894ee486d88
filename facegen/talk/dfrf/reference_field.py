"""The `reference` field: DFRF as published (Shen et al., arXiv:2207.11770), part by part.

K reference pictures become feature maps. A world point is looked up in each of them, at its projection plus an offset
that a small network predicts from the point, the audio and the feature there; the K features are fused by slot attention
(Locatello et al., arXiv:2006.15055) and condition an eight-layer NeRF, coarse and fine. The last sample of every ray is
the background's pixel.

All K references are looked up at once, the fine network reuses the features of the coarse samples, and work is done in
chunks that fit a processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import check
from facegen.talk.dfrf import rays
from facegen.talk.dfrf.audio import CODE_SIZE

_POINT_OCTAVES, _DIRECTION_OCTAVES = 10, 4
_POINT_SCALE = 1.8
_FEATURES, _FUSED_FEATURES = 128, 256
_MAX_OFFSET_PX = 10.0
_SLOTS, _SLOT_ITERATIONS = 2, 2
_BEFORE, _BEHIND = 1.2, 1.6
"""World units before and behind the head's middle between which rays are sampled."""
_OFFSET_WEIGHT = 5e-8
_INITIAL_DENSITY = 0.5
_CHUNK_RAYS, _CHUNK_SAMPLES = 32, 4096
_CHUNK_PIXELS = 1024


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """Sizes of the `reference` field; the defaults are DFRF's."""

    depth: int = field(default=8, metadata={"min": 2, "max": 16})
    """Layers of the coarse and of the fine network."""
    width: int = field(default=256, metadata={"min": 8, "max": 1024})
    """Width of these layers."""
    coarse: int = field(default=64, metadata={"min": 4, "max": 512})
    """Samples along a ray for the coarse network."""
    fine: int = field(default=128, metadata={"min": 0, "max": 1024})
    """Further samples for the fine network, where the coarse one has high weights."""
    rays: int = field(default=850, metadata={"min": 8, "max": 65536})
    """Rays of one training step."""
    face_share: float = field(default=0.95, metadata={"min": 0.0, "max": 1.0})
    """Share of them inside the face."""

    def __post_init__(self) -> None:
        check(self)


def positional_encoding(values: Tensor, octaves: int) -> Tensor:
    """(..., n) to (..., n (1 + 2 octaves)): the values, their sines and cosines at doubling frequencies (NeRF, eq. 4)."""
    scaled = values[..., None] * (2.0 ** torch.arange(octaves, device=values.device) * math.pi)
    return torch.cat([values, scaled.sin().flatten(-2), scaled.cos().flatten(-2)], -1)


class ReferenceField(nn.Module):
    """Renders the head's box ray by ray; takes the same arguments as `FastField`."""

    def __init__(self, config: ReferenceConfig, references: int, upper_face: int) -> None:
        super().__init__()
        self.config, self.references = config, references
        condition = CODE_SIZE + upper_face
        point = 3 * (1 + 2 * _POINT_OCTAVES)
        self.maps = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU())
        self.feature = nn.Linear(64, _FEATURES)
        last = nn.Linear(32, 2)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)
        self.warp = nn.Sequential(
            *(nn.Linear(point + condition + _FEATURES, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU(), last)
        )
        self.fusion = SlotAttention(_FEATURES + 2, _FUSED_FEATURES)
        self.coarse = NerfNet(config, point + condition + _FUSED_FEATURES)
        self.fine = NerfNet(config, point + condition + _FUSED_FEATURES)

    def losses(self, condition: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Squared errors of both networks on random rays, and the mean squared offset.

        Args:
            condition: (B, CODE_SIZE + U) audio code and upper face.
            batch: as from `SceneDataset.batch`.
        """
        pixels = self._choose_pixels(batch)
        target = _sample(batch["target"], pixels - batch["corner"][:, None])
        coarse, fine, offset = self.render_rays(condition, batch, self._feature_maps(batch), pixels)
        return {
            "coarse": F.mse_loss(coarse, target),
            "fine": F.mse_loss(fine, target),
            "offset": _OFFSET_WEIGHT * offset,
        }

    def render(self, condition: Tensor, batch: dict[str, Tensor], rows: slice, columns: slice) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1] of some of the box's rows and columns."""
        size_hw = (batch["background"].shape[2], batch["background"].shape[3])
        pixels = rays.pixel_grid(batch["corner"], size_hw, 1)[:, rows, columns]
        flat, maps = pixels.flatten(1, 2), self._feature_maps(batch)
        colours = [
            self.render_rays(condition, batch, maps, flat[:, start : start + _CHUNK_PIXELS])[1]
            for start in range(0, flat.shape[1], _CHUNK_PIXELS)
        ]
        picture = torch.cat(colours, 1).unflatten(1, pixels.shape[1:3])
        return picture.permute(0, 3, 1, 2).clamp(0, 1)

    def render_rays(
        self, condition: Tensor, batch: dict[str, Tensor], maps: Tensor, pixels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, R, 3) colours of rays through (B, R, 2) pixels, by the coarse and the fine network; mean squared offset."""
        config = self.config
        origin, direction = rays.generate_rays(batch["extrinsics"], batch["intrinsics"], pixels)
        background = _sample(batch["background"], pixels - batch["corner"][:, None])
        middle = batch["extrinsics"][:, 2, 3].view(-1, 1, 1)
        steps = torch.linspace(-_BEFORE, _BEHIND, config.coarse, device=pixels.device)
        depth = (middle + steps).expand(*pixels.shape[:2], -1)
        if self.training:
            depth = depth + torch.rand_like(depth) * ((_BEFORE + _BEHIND) / config.coarse)
        samples, offset = self._query_references(condition, batch, maps, origin, direction, depth)
        coarse, weights = self._composite(self.coarse, condition, direction, samples, depth, background)
        if not config.fine:
            return coarse, coarse, offset
        fine_depth = rays.sample_pdf(depth, weights, config.fine, is_random=self.training)
        # features of the coarse samples are not computed again
        more, fine_offset = self._query_references(condition, batch, maps, origin, direction, fine_depth)
        both = (torch.cat([samples[0], more[0]], 2), torch.cat([samples[1], more[1]], 2))
        depths = torch.cat([depth, fine_depth], -1)
        fine, _ = self._composite(self.fine, condition, direction, both, depths, background)
        share = config.coarse / (config.coarse + config.fine)
        return coarse, fine, share * offset + (1 - share) * fine_offset

    def _query_references(
        self,
        condition: Tensor,
        batch: dict[str, Tensor],
        maps: Tensor,
        origin: Tensor,
        direction: Tensor,
        depth: Tensor,
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Inputs of the networks at samples of (B, R, N) depths.

        Returns:
            (B, R, N, 63) encoded points and (B, R, N, _FUSED_FEATURES) fused features; the mean squared offset, pixels.
        """
        count, size = self.references, depth.shape[1:]
        points = (origin[:, :, None] + depth[..., None] * direction[:, :, None]).flatten(1, 2)
        encoded = positional_encoding(points / _POINT_SCALE, _POINT_OCTAVES)
        intrinsics, spread = (value.repeat_interleave(count, 0) for value in (batch["intrinsics"], points))
        pixels = rays.project(batch["reference_extrinsics"].flatten(0, 1), intrinsics, spread)
        first = _sample(maps, pixels).unflatten(0, (-1, count)).transpose(1, 2)
        offset = apply_in_chunks(
            lambda point, feature: self._predict_offset(condition, point, feature), encoded, first, size=_CHUNK_SAMPLES
        )
        offset_features = _sample(maps, pixels + offset.transpose(1, 2).flatten(0, 1))
        fused = apply_in_chunks(
            lambda feature, shift: self.fusion(torch.cat([self.feature(feature), shift / _MAX_OFFSET_PX], -1)),
            *(offset_features.unflatten(0, (-1, count)).transpose(1, 2), offset),
            size=_CHUNK_SAMPLES,
        )
        return (encoded.unflatten(1, size), fused.unflatten(1, size)), offset.square().mean()

    def _predict_offset(self, condition: Tensor, encoded: Tensor, features: Tensor) -> Tensor:
        """(B, N, K, 2) pixels, from encoded points (B, N, 63) and the features (B, N, K, 64) at their projections."""
        first = linear_of_parts(self.warp[0], encoded[:, :, None], condition[:, None, None], self.feature(features))
        return self.warp[1:](first).float().clamp(-_MAX_OFFSET_PX, _MAX_OFFSET_PX)

    def _composite(
        self,
        network: NerfNet,
        condition: Tensor,
        direction: Tensor,
        samples: tuple[Tensor, Tensor],
        depth: Tensor,
        background: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """(B, R, 3) colours of rays over their background, and (B, R, N) render weights by rising depth.

        Depths and `samples`, as from `_query_references`, come in any order.
        """
        encoded = positional_encoding(F.normalize(direction, dim=-1), _DIRECTION_OCTAVES)[:, :, None]
        shared = condition[:, None, None]
        out = apply_in_chunks(
            lambda points, features, directions: network(points, shared, features, directions),
            *(*samples, encoded),
            size=_CHUNK_RAYS,
        )
        depth, order = depth.sort(-1)
        out = out.gather(2, order[..., None].expand_as(out))
        alpha = rays.density_to_alpha(F.relu(out[..., 3]), depth, 1.0)
        # the background absorbs all light that is left
        alpha = torch.cat([alpha[..., :-1], torch.ones_like(alpha[..., :1])], -1)
        weights = rays.render_weights(alpha)
        colours = torch.cat([torch.sigmoid(out[:, :, :-1, :3]), background[:, :, None]], 2)
        return (colours * weights[..., None]).sum(2), weights

    def _feature_maps(self, batch: dict[str, Tensor]) -> Tensor:
        """(B K, 64, H, W) feature maps of the reference pictures, channels last in memory."""
        pictures = batch["references"].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.maps(pictures).float()

    def _choose_pixels(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, rays, 2) random pixels of the frame, `face_share` of them in the face."""
        device, count = batch["background"].device, self.config.rays
        height, width = batch["background"].shape[2:]
        random = torch.rand(len(batch["background"]), count, 2, device=device)
        inside = round(count * self.config.face_share)
        size = torch.tensor([width, height], dtype=torch.float32, device=device)
        face = batch["face_box"]
        low, high = face[:, :2].clamp_min(0), torch.minimum(face[:, :2] + face[:, 2:], size)
        in_face = low[:, None] + random[:, :inside] * (high - low)[:, None]
        pixels = torch.cat([in_face, random[:, inside:] * size], 1)
        return pixels.floor().clamp_min(0) + 0.5 + batch["corner"][:, None]


class SlotAttention(nn.Module):
    """(B, N, K, inputs) features of K references to (B, N, outputs): two slots, two iterations."""

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
        # all points share the initial slots
        slots = self.slots.expand(1, 1, -1, -1)
        for _ in range(_SLOT_ITERATIONS):
            scores = self.query(self.norm(slots)) @ keys.transpose(-1, -2) / keys.shape[-1] ** 0.5
            attention = torch.softmax(scores, -2) + 1e-6
            slots = self._update_slots((attention / attention.sum(-1, keepdim=True)) @ values, slots)
        return slots.flatten(-2)

    def _update_slots(self, inputs: Tensor, slots: Tensor) -> Tensor:
        """`self.update`, a GRU cell, with slots that may be shared by all points."""
        cell = self.update
        from_inputs = F.linear(inputs, cell.weight_ih, cell.bias_ih).chunk(3, -1)
        from_slots = F.linear(slots, cell.weight_hh, cell.bias_hh).chunk(3, -1)
        reset, keep = torch.sigmoid(from_inputs[0] + from_slots[0]), torch.sigmoid(from_inputs[1] + from_slots[1])
        new = torch.tanh(from_inputs[2] + reset * from_slots[2])
        return new + keep * (slots - new)


class NerfNet(nn.Module):
    """Density and colour of points (Mildenhall et al., arXiv:2003.08934, fig. 7)."""

    def __init__(self, config: ReferenceConfig, inputs: int) -> None:
        super().__init__()
        self.skip = config.depth // 2
        directions = 3 * (1 + 2 * _DIRECTION_OCTAVES)
        self.layers = nn.ModuleList(
            nn.Linear(inputs if layer == 0 else config.width + (inputs if layer == self.skip else 0), config.width)
            for layer in range(config.depth)
        )
        self.density = nn.Linear(config.width, 1)
        # where all densities began below zero, no gradient would ever reach them
        nn.init.constant_(self.density.bias, _INITIAL_DENSITY)
        self.colour = nn.Sequential(
            *(nn.Linear(config.width + directions, config.width // 2), nn.ReLU(), nn.Linear(config.width // 2, 3))
        )

    def forward(self, points: Tensor, condition: Tensor, features: Tensor, directions: Tensor) -> Tensor:
        """(B, R, N, 4): colours before their sigmoid, and densities before their ReLU.

        Args:
            points: (B, R, N, 63) encoded.
            condition: (B, 1, 1, CODE_SIZE + U).
            features: (B, R, N, _FUSED_FEATURES).
            directions: (B, R, 1, 27) encoded.
        """
        inputs = (points, condition, features)
        x = F.relu(linear_of_parts(self.layers[0], *inputs))
        for number, layer in enumerate(self.layers[1:], 1):
            x = F.relu(linear_of_parts(layer, x, *inputs) if number == self.skip else layer(x))
        colour = self.colour[1:](linear_of_parts(self.colour[0], x, directions))
        return torch.cat([colour, self.density(x)], -1).float()


def apply_in_chunks(function: Callable[..., Tensor], *tensors: Tensor, size: int) -> Tensor:
    """`function` of tensors (B, N, ...), applied to `size` of the N at a time."""
    chunks = zip(*(tensor.split(size, 1) for tensor in tensors), strict=True)
    return torch.cat([function(*chunk) for chunk in chunks], 1)


def linear_of_parts(layer: nn.Module, *parts: Tensor) -> Tensor:
    """`layer` of the concatenated parts, without concatenating them: parts that are broadcast are multiplied once."""
    assert isinstance(layer, nn.Linear)
    weights = layer.weight.split([part.shape[-1] for part in parts], 1)
    total: Tensor = layer.bias
    # small parts first, so that the sum is broadcast to full size late
    for part, weight in sorted(zip(parts, weights, strict=True), key=lambda pair: pair[0].numel()):
        total = F.linear(part, weight) + total
    return total


def _sample(pictures: Tensor, pixels: Tensor) -> Tensor:
    """(B, N, C) values of (B, C, H, W) at (B, N, 2) pixels."""
    return rays.sample_pictures(pictures, pixels[:, None])[:, :, 0].transpose(1, 2)
