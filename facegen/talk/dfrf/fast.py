"""The `fast` field: tri-planes round the tracked head, a few samples a ray near its relief, and a light decoder.

It keeps what makes DFRF (Shen et al., arXiv:2207.11770) learn from little: K reference pictures, looked up where the
seen point lies in them, moved by an offset that the sound decides, and fused by attention. What is new is where the work
is done: rays are cast eight pixels apart (EG3D, arXiv:2112.07945), tri-planes take the place of the eight-layer network
(arXiv:2112.07945 again; ER-NeRF, arXiv:2307.09323), samples lie only where the head can be, and offsets, attention and
the field's own colour are decoded from what the rays see, at half the picture's size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.talk.dfrf import volume
from facegen.talk.dfrf.choices import FastConfig
from facegen.talk.dfrf.hearing import CODE

STRIDE = 8
"""Pixels from ray to ray; boxes are multiples of it."""
_CENTRE, _REACH = (0.0, 0.15, 0.05), (1.6, 1.85, 1.3)
_BEFORE, _BEHIND = 0.25, 0.5
"""How far before and behind the relief samples are taken, world units."""
_DENSE = 40.0
_SOFT = 0.05
"""World units over which the relief goes from empty to dense."""
_FARTHEST_PX = 12.0
_REST_ROUNDS = 3
_OWN_SHARE = 0.5
"""How far the field's own colour can take a pixel from the reference pictures', of the way from black to white."""


class FastField(nn.Module):
    """A box of a frame, drawn from sound code, eyes and camera."""

    def __init__(self, config: FastConfig, references: int, eyes: int) -> None:
        super().__init__()
        self.config, self.references = config, references
        told = CODE + eyes
        self.planes = nn.Parameter(torch.randn(3, config.channels, config.plane_size, config.plane_size) * 0.5)
        self.told = nn.Linear(told, config.width)
        self.first = nn.Linear(3 * config.channels, config.width)
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(config.width, config.width), nn.ReLU())
        self.last = nn.Linear(config.width, 1 + config.features)
        self.decoder = _Decoder(config.features + 4, references, told)
        nn.init.zeros_(self.last.weight[:1])
        nn.init.zeros_(self.last.bias[:1])

    def forward(self, told: Tensor, numbers: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Draws the box.

        Args:
            told: (B, CODE + eyes).
            numbers: (B, RIG_SIZE + eyes) the mouth, and the eyes.
            batch: of `SceneData`: `camera`, `lens`, `corner`, `plate`, `references`, `reference_cameras`, `prior`.

        Returns:
            (B, 3, h, w) RGB in [0, 1], and the mean squared offset, pixels.
        """
        size_hw = (batch["plate"].shape[2], batch["plate"].shape[3])
        features, points = self.march(told, batch, size_hw)
        rows, columns = size_hw[0] // STRIDE, size_hw[1] // STRIDE
        # where each seen point lies in each reference picture, as the way from where it lies in the frame
        middles = volume.pixel_grid(batch["corner"], size_hw, STRIDE)
        ways = [
            volume.project(batch["reference_cameras"][:, k], batch["lens"], points).view(-1, rows, columns, 2) - middles
            for k in range(self.references)
        ]
        flow = torch.stack(ways, 1).permute(0, 1, 4, 2, 3).flatten(1, 2)
        half = F.interpolate(flow, (size_hw[0] // 2, size_hw[1] // 2), mode="bilinear")
        places = F.interpolate(features[:, 1:4], half.shape[2:], mode="bilinear")
        return self.decoder(features, half + self.expression(numbers, places, batch), told, batch)

    def expression(self, numbers: Tensor, places: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B, 2 K, h, w) pixels from where a point of the head at rest would lie in each reference to where it does.

        Args:
            numbers: as for `forward`.
            places: (B, 3, h, w) world points that are seen.
            batch: as for `forward`.
        """
        now = volume.expressed(batch["movement"], numbers)
        # the point at rest that the expression brings to each place, by fixed-point steps
        rest = places
        for _ in range(_REST_ROUNDS):
            rest = places - volume.on_relief(now, rest)
        ways = []
        for k in range(self.references):
            there = volume.expressed(batch["movement"], batch["reference_numbers"][:, k])
            moved = rest + volume.on_relief(there, rest) - places
            turn, depth = batch["reference_cameras"][:, k, :2, :3], batch["reference_cameras"][:, k, 2, 3]
            scale = (batch["lens"][:, 0] / depth).view(-1, 1, 1, 1)
            with volume.exact(turn):
                ways.append(torch.einsum("bij,bjhw->bihw", turn, moved) * scale)
        return torch.cat(ways, 1)

    def march(self, told: Tensor, batch: dict[str, Tensor], size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What the rays see.

        Returns:
            (B, 1 + 3 + features, h / STRIDE, w / STRIDE): opacity, place on the head, features; and (B, N, 3) the
            points that are seen.
        """
        config, prior = self.config, batch["prior"]
        pixels = volume.pixel_grid(batch["corner"], size_hw, STRIDE)
        origin, direction = volume.cast(batch["camera"], batch["lens"], pixels.flatten(1, 2))
        surface = volume.meet(prior, origin, direction)
        steps = torch.linspace(-_BEFORE, _BEHIND, config.samples, device=origin.device)
        depth = surface[..., None] + steps
        if self.training:
            width = (_BEFORE + _BEHIND) / (config.samples - 1)
            depth = depth + (torch.rand_like(depth[..., :1]) - 0.5) * width
        points = origin[:, :, None] + depth[..., None] * direction[:, :, None]
        flat = points.flatten(1, 2)
        found = volume.relief(prior, flat)
        logit = torch.minimum((found[..., 0] - flat[..., 2]) / _SOFT, (found[..., 1] - 0.5) * 16).clamp(-8, 8)
        values = self.inside(flat, told)
        density = _DENSE * torch.sigmoid(logit + values[..., 0].float()).view(depth.shape)
        alpha = volume.opacity(density, depth, (_BEFORE + _BEHIND) / config.samples)
        shares = volume.seen_shares(alpha)
        total = shares.sum(-1)
        features = (values[..., 1:].float().view(*depth.shape, -1) * shares[..., None]).sum(2)
        seen = (shares * depth).sum(-1) + (1 - total) * surface
        met = origin + seen[..., None] * direction
        grid = torch.cat([total[..., None], met, features], -1).transpose(1, 2)
        return grid.unflatten(2, (size_hw[0] // STRIDE, size_hw[1] // STRIDE)), met

    def inside(self, points: Tensor, told: Tensor) -> Tensor:
        """(B, N, 1 + features): density before its sigmoid, then features, at world points (B, N, 3)."""
        centre, reach = points.new_tensor(_CENTRE), points.new_tensor(_REACH)
        place = ((points - centre) / reach).flatten(0, 1)
        grid = torch.stack([place[:, [0, 1]], place[:, [0, 2]], place[:, [1, 2]]])[:, :, None]
        sampled = F.grid_sample(self.planes, grid, padding_mode="border", align_corners=True)
        features = sampled.squeeze(3).flatten(0, 1).t().unflatten(0, points.shape[:2])
        hidden = self.first(features) + self.told(told)[:, None]
        return self.last(self.second(hidden))


class _Decoder(nn.Module):
    """From what rays see to the box: a way to each reference, how much of each, a colour to add, the opacity."""

    def __init__(self, features: int, references: int, told: int) -> None:
        super().__init__()
        self.references = references
        colours = 3 * references
        self.far = _Stage(features, 48, told)
        self.middle = _Stage(48 + colours + 3, 32, told)
        self.near = _Stage(32 + colours + 6, 24, told)
        # at first the pictures are mixed as they are: nothing is moved far, and nothing added
        self.out = nn.Conv2d(24, 3 * references + 13, 3, padding=1)
        nn.init.normal_(self.out.weight, std=1e-2)

    def forward(self, features: Tensor, flow: Tensor, told: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See `FastField.forward`; `flow` is (B, 2 K, h / 2, w / 2)."""
        plate, corner, count = batch["plate"], batch["corner"], self.references
        pictures = batch["references"]
        x = _doubled(self.far(features, told))
        # where on the head a pixel lies says what sound and eyes have to do with it
        place = _doubled(features[:, 1:4])
        seen = [2 * taken - 1 for taken in _taken(pictures, flow, corner, plate, STRIDE // 2)]
        x = _doubled(self.middle(torch.cat([x, *seen, place], 1), told))
        seen = [2 * taken - 1 for taken in _taken(pictures, flow, corner, plate, STRIDE // 4)]
        x = self.near(torch.cat([x, *seen, 2 * F.avg_pool2d(plate, 2) - 1, _doubled(place)], 1), told)
        out = self.out(x).float()
        offset, logits, own, clear = out.split([2 * count, count, 12, 1], 1)
        offset = torch.tanh(offset) * _FARTHEST_PX
        half_hw = (offset.shape[2], offset.shape[3])
        moved = flow + offset
        shown = torch.softmax(F.interpolate(logits, scale_factor=2.0, mode="bilinear"), 1)
        opaque = torch.logit(features[:, :1].float().clamp(0.02, 0.98))
        opaque = torch.sigmoid(
            F.interpolate(F.interpolate(opaque, half_hw, mode="bilinear") + clear, plate.shape[2:], mode="bilinear")
        )
        mixed = torch.tanh(F.pixel_shuffle(own, 2)) * _OWN_SHARE
        for k, taken in enumerate(_taken(pictures, moved, corner, plate, 1)):
            mixed = mixed + taken * shown[:, k : k + 1]
        # the background is the last sample of every ray
        return mixed * opaque + plate * (1 - opaque), offset.square().mean()


class _Stage(nn.Module):
    """Two convolutions, told about sound and eyes."""

    def __init__(self, inputs: int, outputs: int, told: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(4, outputs)
        self.told = nn.Linear(told, 2 * outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight, 0.1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        x = F.leaky_relu(self.norm(self.first(x)) * (1 + scale) + shift, 0.1)
        return F.leaky_relu(self.second(x), 0.1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")


def _taken(pictures: Tensor, flow: Tensor, corner: Tensor, plate: Tensor, stride: int) -> list[Tensor]:
    """K times (B, 3, h / stride, w / stride): reference pictures (B, K, 3, H, W) where `flow` leads from each pixel."""
    size_hw = (plate.shape[2], plate.shape[3])
    grid = volume.pixel_grid(corner, size_hw, stride)
    ways = F.interpolate(flow, grid.shape[1:3], mode="bilinear") if flow.shape[2:] != grid.shape[1:3] else flow
    steps = ways.float().unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2)
    return [volume.at_pixels(pictures[:, k], grid + steps[:, k]) for k in range(pictures.shape[1])]
