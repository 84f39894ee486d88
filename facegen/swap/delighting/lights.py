"""Random light on an unwrapped face: lamps, shadows that hats, hair and noses cast, shine, exposure, noise.

Everything is drawn in the atlas, on the normals of the face's own mesh.
"""

from __future__ import annotations

import cv2
import numpy as np

from facegen.faces import light
from facegen.faces.blend import gaussian_blur
from facegen.faces.mesh import Array

Random = np.random.Generator

_LEFT_ALONE = 0.07
"""Share of pictures on which no light is put."""
_DARKER = (0.2, 1.5)
"""By how much log RGB a face's colours are made darker before light falls on them."""


def relight_at_random(picture_rgb: np.ndarray, normals: Array, random: Random) -> tuple[Array, Array]:
    """A face in another light, as a camera would see it.

    Args:
        picture_rgb: (S, S, 3) uint8, unwrapped.
        normals: (S, S, 3) unit normals, image frame.
        random: the light.

    Returns:
        (S, S, 3) log RGB of the picture, and (S, S, 3) log RGB of the light put on it.
    """
    if random.random() < _LEFT_ALONE:
        before = light.to_log(picture_rgb)
        return before, np.zeros_like(before)
    # shine is added to what the skin gives back: on dark skin it is most of what is seen
    darker = random.uniform(*_DARKER) if random.random() < 0.5 else 0.0
    before = light.to_log(picture_rgb.astype(np.float32) * np.float32(np.exp(-darker)))
    fine, bumpy = _bumps(before.mean(2), normals, random)
    picture = light.from_log(before + _diffuse(bumpy, random))
    picture = _expose(picture + _shine(fine, bumpy, random), random)
    after = light.to_log(picture)
    return _photograph(picture, random), after - before


def _bumps(brightness: Array, normals: Array, random: Random) -> tuple[Array, Array]:
    """Fine relief of brightness, and normals that follow it: the mesh is smooth, skin is not."""
    fine = brightness - gaussian_blur(brightness, float(random.uniform(1.5, 5)))
    slope = np.dstack([*(np.gradient(fine, axis=axis) for axis in (1, 0)), np.zeros_like(fine)])
    bumpy = normals + slope * np.float32(random.uniform(0, 2.5))
    return fine, (bumpy / (np.linalg.norm(bumpy, axis=2, keepdims=True) + 1e-6)).astype(np.float32)


def _diffuse(normals: Array, random: Random) -> Array:
    """(S, S, 3) log RGB of diffuse light and its shadows."""
    size = normals.shape[0]
    field = np.zeros((size, size, 3), np.float32)
    if random.random() < 0.75:
        for chance in (1.0, 0.4):
            if random.random() < chance:
                field += _tinted(normals @ lamp_direction(random), random.uniform(0, 0.6), 0.15, random)
    if random.random() < 0.45:
        ambient, reach = random.uniform(0.12, 1), random.uniform(0.05, 0.25)
        lit = _sigmoid((normals @ lamp_direction(random) - random.uniform(-0.2, 0.4)) / reach)
        field += _tinted(np.log(ambient + (1 - ambient) * lit), 1, 0.1, random)
    if random.random() < 0.5:
        for _ in range(1 + (random.random() < 0.3)):
            field -= _tinted(_cast_shadow(size, random), random.uniform(0.15, 1.3), 0.08, random)
    if random.random() < 0.3:
        field += (_noise(size, random.uniform(8, 60), random) * np.float32(random.uniform(0.02, 0.15)))[..., None]
    if random.random() < 0.2:
        tints = np.dstack([_noise(size, random.uniform(20, 80), random) for _ in range(3)])
        field += tints * np.float32(random.uniform(0.01, 0.06))
    return field


def _cast_shadow(size: int, random: Random) -> Array:
    """(S, S) 0..1: a shadow with a soft or a hard edge."""
    steps = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    kind, softness = random.random(), np.exp(random.uniform(np.log(0.015), np.log(0.35)))
    if kind < 0.35:  # of anything large, from any side
        angle = random.uniform(0, 2 * np.pi)
        across, along = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
        inside = across - random.uniform(-0.5, 0.6) + random.uniform(-0.7, 0.7) * along * along
        inside += _noise(size, random.uniform(20, 60), random) * random.uniform(0, 0.12)
    elif kind < 0.55:  # of a hat or a fringe
        inside = -y - random.uniform(0, 0.75) + random.uniform(-0.5, 0.5) * x * x
        inside += _noise(size, random.uniform(6, 40), random) * random.uniform(0, 0.15)
    elif kind < 0.75:  # of the nose, on a cheek and the lips
        side, turn = random.choice([-1, 1]), random.uniform(-0.6, 0.6)
        off_x, off_y = x - side * random.uniform(0.08, 0.35), y - random.uniform(0, 0.35)
        across = (off_x * np.cos(turn) + off_y * np.sin(turn)) / random.uniform(0.08, 0.3)
        along = (-off_x * np.sin(turn) + off_y * np.cos(turn)) / random.uniform(0.12, 0.35)
        inside = 0.25 * (1 - np.hypot(across, along))
    else:  # of leaves, hands, hair
        inside = (_noise(size, random.uniform(15, 70), random) - random.uniform(0.2, 1.3)) * random.uniform(0.1, 0.3)
    return _sigmoid(inside * (2 / softness))


def _shine(fine: Array, normals: Array, random: Random) -> Array:
    """(S, S, 3) 0..255 of reflections."""
    size = fine.shape[0]
    shine = np.zeros((size, size, 3), np.float32)
    if random.random() < 0.25:
        return shine
    for chance in (1.0, 0.4):
        if random.random() > chance:
            continue
        half = np.array([random.normal(0, 0.35), random.normal(-0.25, 0.35), -1], np.float32)
        exponent = np.float32(np.exp(random.uniform(1.5, 4.5)))
        lobe = np.clip(normals @ (half / np.linalg.norm(half)), 0, 1) ** exponent
        lobe *= np.exp(_noise(size, random.uniform(6, 50), random) * np.float32(random.uniform(0, 0.9)))
        lobe *= np.exp(np.clip(fine * np.float32(random.uniform(0, 6)), -1, 1))
        shine += _tinted(lobe, np.exp(random.uniform(np.log(6), np.log(150))), 0.06, random)
    return shine


def _expose(picture: Array, random: Random) -> Array:
    """The picture, 0..255, in another exposure, white balance and contrast; what a camera cannot hold is compressed."""
    middle = max(float(np.median(picture)), 1.0)
    exposure = float(np.clip(random.normal(0, 0.3), np.log(30 / middle), np.log(200 / middle)))
    picture = picture * np.exp(random.normal(0, 0.06, 3) + exposure).astype(np.float32)
    if random.random() < 0.4:
        picture = 255 * (np.clip(picture, 0, None) / 255) ** np.float32(np.exp(random.uniform(-0.35, 0.35)))
    picture = np.where(picture > 215, 215 + 40 * np.tanh((picture - 215) / 70), picture)
    return np.clip(picture, 0, 255)


def _photograph(picture: Array, random: Random) -> Array:
    """Log RGB of the picture with a camera's blur and noise, which are no light."""
    if random.random() < 0.25:
        picture = gaussian_blur(picture, float(random.uniform(0.5, 1.6)))
    if random.random() < 0.4:
        picture = picture + random.standard_normal(picture.shape, np.float32) * np.float32(random.uniform(0.5, 4))
    return light.to_log(np.clip(picture, 0, 255))


def _tinted(values: Array, strength: float, spread: float, random: Random) -> Array:
    """(S, S) of a strength in a colour near to white: (S, S, 3)."""
    colour = (strength * (1 + random.normal(0, spread, 3))).astype(np.float32)
    return values[..., None] * colour


def lamp_direction(random: Random) -> Array:
    """(3,) unit direction of a lamp in the image frame, more often in front than behind."""
    direction = random.normal(0, 1, 3) * [1, 0.7, 0.5] - [0, 0.3, 0.3]
    return (direction / np.linalg.norm(direction)).astype(np.float32)


def _noise(size: int, scale: float, random: Random) -> Array:
    """(S, S) smooth noise of unit deviation, bumps of `scale` pixels."""
    count = max(round(size / scale), 1) + 3
    small = random.standard_normal((count, count), np.float32)
    large = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    noise: Array = (large - large.mean()) / (large.std() + np.float32(1e-6))
    return noise


def _sigmoid(values: Array) -> Array:
    return (1 / (1 + np.exp(-np.clip(values, -30, 30)))).astype(np.float32)
