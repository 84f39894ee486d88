"""The `fast` field: tri-planes around the tracked head, few samples a ray near its relief, and a convolutional decoder.

It keeps what lets DFRF (Shen et al., arXiv:2207.11770) learn from little data: K reference pictures, looked up where the
visible point lies in them, at an offset that depends on the audio, and fused by attention. Other than there, rays are
eight pixels apart (EG3D, arXiv:2112.07945), tri-planes replace the eight-layer network (EG3D; ER-NeRF,
arXiv:2307.09323), samples lie near the head's relief only, and offsets, attention and a residual colour are decoded from
the rendered features at half the picture's resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import check
from facegen.talk.dfrf import rays
from facegen.talk.dfrf.audio import CODE_SIZE

STRIDE = 8
"""Pixels from ray to ray; boxes are multiples of it."""

_CENTRE, _HALF_SIZE = (0.0, 0.15, 0.05), (1.6, 1.85, 1.3)
"""The planes' box, world units."""
_BEFORE, _BEHIND = 0.25, 0.5
"""World units before and behind the relief between which samples are taken."""
_MAX_DENSITY = 40.0
_SOFT_SURFACE = 0.05
"""World units over which the relief's density rises."""
_MAX_OFFSET_PX = 12.0
_REST_STEPS = 3
_MAX_RESIDUAL = 0.5
"""Largest residual colour, of the range from black to white."""


@dataclass(frozen=True, kw_only=True)
class FastConfig:
    """Sizes of the `fast` field."""

    plane_size: int = field(default=96, metadata={"min": 8, "max": 1024})
    """Side of each of the three planes."""
    channels: int = field(default=16, metadata={"min": 2, "max": 64})
    """Channels of a plane."""
    width: int = field(default=64, metadata={"min": 8, "max": 512})
    """Width of the two layers behind the planes."""
    features: int = field(default=31, metadata={"min": 3, "max": 255})
    """Rendered features of a ray, beside its opacity."""
    samples: int = field(default=10, metadata={"min": 2, "max": 128})
    """Samples along a ray, all near the head's surface."""

    def __post_init__(self) -> None:
        check(self)


class FastField(nn.Module):
    """Renders the head's box from audio code, expression and camera.

    Args:
        config: sizes.
        references: number of reference pictures, K.
        upper_face: numbers that describe the upper face, U.
    """

    def __init__(self, config: FastConfig, references: int, upper_face: int) -> None:
        super().__init__()
        self.config, self.references = config, references
        condition = CODE_SIZE + upper_face
        self.planes = nn.Parameter(torch.randn(3, config.channels, config.plane_size, config.plane_size) * 0.5)
        # weights files hold the names of these layers
        self.told = nn.Linear(condition, config.width)
        self.first = nn.Linear(3 * config.channels, config.width)
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(config.width, config.width), nn.ReLU())
        self.last = nn.Linear(config.width, 1 + config.features)
        self.decoder = _Decoder(config.features + 4, references, condition)
        nn.init.zeros_(self.last.weight[:1])
        nn.init.zeros_(self.last.bias[:1])

    def forward(self, condition: Tensor, expression: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Renders the box.

        Args:
            condition: (B, CODE_SIZE + U) audio code and upper face.
            expression: (B, RIG_SIZE + U) mouth and upper face.
            batch: as from `Scene.build_batch`.

        Returns:
            (B, 3, h, w) RGB in [0, 1], and the mean squared offset, pixels.
        """
        size_hw = (batch["background"].shape[2], batch["background"].shape[3])
        features, points = self.march_rays(condition, batch, size_hw)
        rows, columns = size_hw[0] // STRIDE, size_hw[1] // STRIDE
        # from the pixel of each visible point to its pixel in each reference picture
        pixels = rays.pixel_grid(batch["corner"], size_hw, STRIDE)
        rigid = []
        for k in range(self.references):
            projected = rays.project(batch["reference_extrinsics"][:, k], batch["intrinsics"], points)
            rigid.append(projected.view(-1, rows, columns, 2) - pixels)
        flow = torch.stack(rigid, 1).permute(0, 1, 4, 2, 3).flatten(1, 2)
        half = F.interpolate(flow, (size_hw[0] // 2, size_hw[1] // 2), mode="bilinear")
        positions = F.interpolate(features[:, 1:4], half.shape[2:], mode="bilinear")
        return self.decoder(features, half + self.expression_flow(expression, positions, batch), condition, batch)

    def expression_flow(self, expression: Tensor, positions: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B, 2 K, h, w) pixels by which each reference's own expression moves the visible points in it.

        Args:
            expression: as for `forward`.
            positions: (B, 3, h, w) visible world points.
            batch: as for `forward`.
        """
        basis = batch["expression_basis"]
        current = rays.blend_basis(basis, expression)
        # the point of the resting face that the expression moves to each position, by fixed-point steps
        rest = positions
        for _ in range(_REST_STEPS):
            rest = positions - rays.sample_grid(current, rest)
        flows = []
        for k in range(self.references):
            reference = rays.blend_basis(basis, batch["reference_expressions"][:, k])
            displacement = rest + rays.sample_grid(reference, rest) - positions
            extrinsics = batch["reference_extrinsics"][:, k]
            rotation, depth = extrinsics[:, :2, :3], extrinsics[:, 2, 3]
            scale = (batch["intrinsics"][:, 0] / depth).view(-1, 1, 1, 1)
            with rays.full_precision(rotation):
                flows.append(torch.einsum("bij,bjhw->bihw", rotation, displacement) * scale)
        return torch.cat(flows, 1)

    def march_rays(
        self, condition: Tensor, batch: dict[str, Tensor], size_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Volume rendering of the features.

        Returns:
            (B, 1 + 3 + features, h / STRIDE, w / STRIDE): opacity, visible world point, features; and (B, N, 3) the
            visible points once more.
        """
        config, relief = self.config, batch["relief"]
        pixels = rays.pixel_grid(batch["corner"], size_hw, STRIDE)
        origin, direction = rays.generate_rays(batch["extrinsics"], batch["intrinsics"], pixels.flatten(1, 2))
        surface = rays.intersect_relief(relief, origin, direction)
        depth = surface[..., None] + torch.linspace(-_BEFORE, _BEHIND, config.samples, device=origin.device)
        if self.training:
            step = (_BEFORE + _BEHIND) / (config.samples - 1)
            depth = depth + (torch.rand_like(depth[..., :1]) - 0.5) * step
        points = (origin[:, :, None] + depth[..., None] * direction[:, :, None]).flatten(1, 2)
        sampled = rays.sample_relief(relief, points)
        logit = torch.minimum((sampled[..., 0] - points[..., 2]) / _SOFT_SURFACE, (sampled[..., 1] - 0.5) * 16)
        values = self.query_planes(points, condition)
        density = _MAX_DENSITY * torch.sigmoid(logit.clamp(-8, 8) + values[..., 0].float()).view(depth.shape)
        alpha = rays.density_to_alpha(density, depth, (_BEFORE + _BEHIND) / config.samples)
        weights = rays.render_weights(alpha)
        opacity = weights.sum(-1)
        features = (values[..., 1:].float().view(*depth.shape, -1) * weights[..., None]).sum(2)
        expected = (weights * depth).sum(-1) + (1 - opacity) * surface
        visible = origin + expected[..., None] * direction
        grid = torch.cat([opacity[..., None], visible, features], -1).transpose(1, 2)
        return grid.unflatten(2, (size_hw[0] // STRIDE, size_hw[1] // STRIDE)), visible

    def query_planes(self, points: Tensor, condition: Tensor) -> Tensor:
        """(B, N, 1 + features): density before its sigmoid, then features, at world points (B, N, 3)."""
        centre, half_size = points.new_tensor(_CENTRE), points.new_tensor(_HALF_SIZE)
        xyz = ((points - centre) / half_size).flatten(0, 1)
        grid = torch.stack([xyz[:, [0, 1]], xyz[:, [0, 2]], xyz[:, [1, 2]]])[:, :, None]
        sampled = F.grid_sample(self.planes, grid, padding_mode="border", align_corners=True)
        features = sampled.squeeze(3).flatten(0, 1).t().unflatten(0, points.shape[:2])
        hidden = self.first(features) + self.told(condition)[:, None]
        return self.last(self.second(hidden))


class _Decoder(nn.Module):
    """From rendered features to the box: offsets into the references, attention over them, residual colour, opacity."""

    def __init__(self, features: int, references: int, condition: int) -> None:
        super().__init__()
        self.references = references
        colours = 3 * references
        self.far = _Stage(features, 48, condition)
        self.middle = _Stage(48 + colours + 3, 32, condition)
        self.near = _Stage(32 + colours + 6, 24, condition)
        # small outputs at first: references are mixed as they are, with hardly an offset or a residual
        self.out = nn.Conv2d(24, 3 * references + 13, 3, padding=1)
        nn.init.normal_(self.out.weight, std=1e-2)

    def forward(
        self, features: Tensor, flow: Tensor, condition: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """See `FastField.forward`; `flow` is (B, 2 K, h / 2, w / 2)."""
        background, count = batch["background"], self.references
        x = _upsample(self.far(features, condition))
        # the position on the head decides how audio and expression act on a pixel
        positions = _upsample(features[:, 1:4])
        warped = [2 * picture - 1 for picture in _warp_references(batch, flow, STRIDE // 2)]
        x = _upsample(self.middle(torch.cat([x, *warped, positions], 1), condition))
        warped = [2 * picture - 1 for picture in _warp_references(batch, flow, STRIDE // 4)]
        half = 2 * F.avg_pool2d(background, 2) - 1
        x = self.near(torch.cat([x, *warped, half, _upsample(positions)], 1), condition)
        out = self.out(x).float()
        offset, logits, residual, clear = out.split([2 * count, count, 12, 1], 1)
        offset = torch.tanh(offset) * _MAX_OFFSET_PX
        half_hw = (offset.shape[2], offset.shape[3])
        attention = torch.softmax(F.interpolate(logits, scale_factor=2.0, mode="bilinear"), 1)
        opacity = torch.logit(features[:, :1].float().clamp(0.02, 0.98))
        opacity = F.interpolate(opacity, half_hw, mode="bilinear") + clear
        opacity = torch.sigmoid(F.interpolate(opacity, background.shape[2:], mode="bilinear"))
        colour = torch.tanh(F.pixel_shuffle(residual, 2)) * _MAX_RESIDUAL
        for k, picture in enumerate(_warp_references(batch, flow + offset, 1)):
            colour = colour + picture * attention[:, k : k + 1]
        # the background is the last sample of every ray
        return colour * opacity + background * (1 - opacity), offset.square().mean()


class _Stage(nn.Module):
    """Two convolutions, modulated by the condition (FiLM)."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(4, outputs)
        self.told = nn.Linear(condition, 2 * outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight, 0.1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.told(condition)[:, :, None, None].chunk(2, 1)
        x = F.leaky_relu(self.norm(self.first(x)) * (1 + scale) + shift, 0.1)
        return F.leaky_relu(self.second(x), 0.1)


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")


def _warp_references(batch: dict[str, Tensor], flow: Tensor, stride: int) -> list[Tensor]:
    """K pictures (B, 3, h / stride, w / stride): each reference (B, K, 3, H, W), looked up at pixel + flow."""
    references, background = batch["references"], batch["background"]
    grid = rays.pixel_grid(batch["corner"], (background.shape[2], background.shape[3]), stride)
    if flow.shape[2:] != grid.shape[1:3]:
        flow = F.interpolate(flow, grid.shape[1:3], mode="bilinear")
    steps = flow.float().unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2)
    return [rays.sample_pictures(references[:, k], grid + steps[:, k]) for k in range(references.shape[1])]
