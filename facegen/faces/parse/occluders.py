"""Synthetic occluders drawn into training pictures (hands, microphones, polygons); they are labelled background.

Hands are a palm, fingers and a forearm in the picture's own skin colour; microphones a dark ball on a stick; cups and
cards polygons, plain or textured with another picture of the batch. Everything is drawn for the whole batch at once
from signed distances (negative inside), in coordinates where the picture spans [-1, 1].
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from facegen.faces.parse import BACKGROUND, NOSE, SKIN
from facegen.training.augment import uniform

HAND, MICROPHONE, POLYGON = 0, 1, 2
SHARES = (0.26, 0.07, 0.17)
"""How often each of these is drawn; the rest of the pictures stays as it is."""
CAPSULES = 7
SIDES = 6


def add_occluders(pictures: Tensor, labels: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """Draws at most one occluder into each picture.

    Args:
        pictures: (B, 3, S, S) RGB in [0, 1].
        labels: (B, T, T) class numbers; T may differ from S.
        random: CPU generator.

    Returns:
        The pictures, and the labels with the pixels of the occluders set to background.
    """
    kinds = _draw_kinds(len(pictures), random)
    chosen = (kinds >= 0).nonzero()[:, 0]
    if not len(chosen):
        return pictures, labels
    kinds = kinds[chosen]
    device = pictures.device
    some, size = pictures[chosen.to(device)], pictures.shape[2]
    starts, ends, radii = _draw_capsules(kinds, random)
    distance, depth = _capsule_distance(starts.to(device), ends.to(device), radii.to(device), size)
    flat = (kinds == POLYGON).to(device)
    if bool(flat.any()):
        distance[flat], depth[flat] = _polygon_distance(int(flat.sum()), random, size, device)
    softness = float(uniform(1, 1.0, 3.0, random)) * 2 / size
    cover = torch.sigmoid(-distance / softness * 3)[:, None]
    paint = _paint(kinds, pictures, labels, chosen.to(device), depth, random)
    out, out_labels = pictures.clone(), labels.clone()
    out[chosen.to(device)] = some * (1 - cover) + paint * cover
    covered = F.interpolate(cover, size=labels.shape[1:], mode="area")[:, 0] > 0.5
    out_labels[chosen.to(device)] = labels[chosen.to(device)].masked_fill(covered, BACKGROUND)
    return out, out_labels


def _draw_kinds(count: int, random: Generator) -> Tensor:
    """(count,) kind of thing, or -1 for none."""
    edges = torch.tensor(SHARES).cumsum(0)
    kinds = torch.bucketize(torch.rand(count, generator=random), edges)
    return torch.where(kinds < len(SHARES), kinds, -1)


def _draw_capsules(kinds: Tensor, random: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(B, K, 2) starts, (B, K, 2) ends and (B, K) radii of the rounded sticks that make a hand or a microphone."""
    count = len(kinds)
    centre = torch.stack([uniform(count, -0.75, 0.75, random), uniform(count, -0.5, 0.95, random)], 1)
    size = uniform(count, 0.17, 0.42, random)
    to_arm = math.pi / 2 + uniform(count, -1.9, 1.9, random)
    pointing = to_arm + math.pi + uniform(count, -0.4, 0.4, random)
    fingers = torch.arange(4.0)
    spread = (fingers[None] - 1.5) * uniform(count, 0.0, 0.26, random)[:, None]
    thumb = pointing + 1.1 * torch.sign(uniform(count, -1, 1, random))
    angles = torch.cat([pointing[:, None] + spread, thumb[:, None]], 1)
    directions = torch.stack([angles.cos(), angles.sin()], 2)
    across = torch.stack([-pointing.sin(), pointing.cos()], 1)
    offsets = torch.cat([(fingers - 1.5) * 0.52, torch.zeros(1)])
    roots = centre[:, None] + across[:, None] * (offsets[None] * size[:, None])[..., None]
    roots = roots + directions * (0.4 * size)[:, None, None]
    lengths = uniform(count * 5, 0.4, 1.7, random).view(count, 5)
    lengths[:, 4] *= 0.6
    tips = roots + directions * (lengths * size[:, None])[..., None]
    arm = torch.stack([to_arm.cos(), to_arm.sin()], 1)
    palm_end = centre + arm * (0.5 * size)[:, None]
    starts = torch.cat([roots, centre[:, None], palm_end[:, None]], 1)
    ends = torch.cat([tips, palm_end[:, None], (centre + 4 * arm)[:, None]], 1)
    finger_radii = uniform(count * 5, 0.23, 0.31, random).view(count, 5)
    radii = torch.cat([finger_radii, torch.full((count, 1), 0.82), torch.full((count, 1), 0.55)], 1) * size[:, None]
    is_fist = (torch.rand(count, generator=random) < 0.2)[:, None, None]
    ends = torch.where(is_fist & (torch.arange(CAPSULES) < 5)[None, :, None], starts, ends)
    stick = (kinds == MICROPHONE)[:, None]
    keep = torch.tensor([False] * 5 + [True, True])[None]
    radii = torch.where(stick, torch.where(keep, radii * torch.tensor([1.0] * 5 + [1.1, 0.5]), -9.0), radii)
    return starts, ends, radii


def _coordinates(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    axis = (torch.arange(size, device=device) + 0.5) * (2 / size) - 1
    return axis.view(1, 1, 1, size), axis.view(1, 1, size, 1)


def _capsule_distance(starts: Tensor, ends: Tensor, radii: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Signed distance to the union of capsules, and the depth inside the nearest one, 0..1."""
    x, y = _coordinates(size, starts.device)
    ax, ay = starts[..., 0, None, None], starts[..., 1, None, None]
    dx, dy = ends[..., 0, None, None] - ax, ends[..., 1, None, None] - ay
    along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-6)).clamp_(0, 1)
    gap = torch.hypot(x - ax - along * dx, y - ay - along * dy) - radii[..., None, None]
    distance, nearest = gap.min(1)
    radius = radii.clamp_min(0.02).gather(1, nearest.flatten(1)).view_as(distance)
    return distance, (-distance / radius).clamp(0, 1)


def _polygon_distance(count: int, random: Generator, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Signed distance to convex polygons of four to six sides."""
    x, y = _coordinates(size, device)
    centre = uniform(count * 2, -0.8, 0.8, random).view(count, 2)
    turn = uniform(count, 0, math.tau, random)[:, None]
    angles = turn + torch.arange(SIDES)[None] * math.tau / SIDES
    angles = angles + uniform(count * SIDES, -0.4, 0.4, random).view(count, SIDES)
    square = (torch.rand(count, generator=random) < 0.5)[:, None]
    angles = torch.where(square, turn + (torch.arange(SIDES) % 4)[None] * math.tau / 4, angles)
    reach = uniform(count * SIDES, 0.12, 0.5, random).view(count, SIDES)
    reach = torch.where(square & (torch.arange(SIDES) >= 4)[None], 9.0, reach)
    angles, reach, centre = angles.to(device)[..., None, None], reach.to(device)[..., None, None], centre.to(device)
    across, down = x - centre[:, 0].view(-1, 1, 1, 1), y - centre[:, 1].view(-1, 1, 1, 1)
    sides = across * angles.cos() + down * angles.sin() - reach
    distance = sides.amax(1)
    return distance, (-distance * 4).clamp(0, 1)


def _paint(kinds: Tensor, pictures: Tensor, labels: Tensor, chosen: Tensor, depth: Tensor, random: Generator) -> Tensor:
    """(B, 3, S, S) surface of the things: colour, soft shading towards the edges, texture."""
    count, size, device = len(kinds), pictures.shape[2], pictures.device
    skin = F.interpolate(((labels[chosen] == SKIN) | (labels[chosen] == NOSE)).float()[:, None], size=(size, size))
    own = (pictures[chosen] * skin).sum((2, 3)) / skin.sum((2, 3)).clamp_min(1.0)
    own = own * uniform(count, 0.7, 1.2, random).to(device)[:, None]
    own = own * uniform(count * 3, 0.92, 1.08, random).view(count, 3).to(device)
    any_colour = torch.rand(count, 3, generator=random).to(device)
    dark = any_colour * 0.25
    kind = kinds.to(device)[:, None]
    is_own = (kind == HAND) & (torch.rand(count, 1, generator=random).to(device) < 0.9)
    colour = torch.where(is_own, own, torch.where(kind == MICROPHONE, dark, any_colour))[..., None, None]
    edge = uniform(count, 0.35, 0.9, random).to(device).view(-1, 1, 1)
    shade = edge + (1 - edge) * depth.clamp(0, 1).sqrt()
    coarse = torch.randn(count, 3, 5, 5, generator=random).to(device)
    fine = torch.randn(count, 1, size // 2, size // 2, generator=random).to(device)
    strength = uniform(count, 0.0, 0.18, random).to(device).view(-1, 1, 1, 1)
    texture = F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False) * strength
    texture = texture + F.interpolate(fine, size=(size, size)) * (strength * 0.25)
    paint = colour * shade[:, None] * (1 + texture)
    borrowed = (kind[:, 0] == POLYGON) & (torch.rand(count, generator=random).to(device) < 0.5)
    if bool(borrowed.any()):
        other = pictures.roll(1, 0)[chosen][borrowed].flip(2)
        paint[borrowed] = other * uniform(1, 0.6, 1.3, random).to(device)
    return paint.clamp(0, 1)
