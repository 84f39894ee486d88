"""The source person, made ready once: each picture's skin unwrapped into a texture without its own light."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from facegen.faces import Face, expression, light, mesh
from facegen.faces.blend import blurred
from facegen.faces.mesh import Array
from facegen.swap.engines.eyes import iris_colours

TEXTURE_SIZE = 768
BRIGHTER, DARKER, TINT = 0.5, 0.5, 0.1
"""How far broad structures of a source's skin may differ from its mean, log RGB."""
OPEN_MOUTH, LIP_EDGE_PX = 0.02, 2
"""Lip gap by face width from which on a mouth counts as open, and how far its edge may be from where it is."""
PLAIN_SKIN = 120.0
"""Skin darker than this, 0..255, has more contrast in the logarithm than lighter light would show."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Texture:
    """One picture of the source person, unwrapped and de-lit.

    Attributes:
        albedo_log: pyramid of (S, S, 3) float32 log albedo, each level half the size of the one before.
        vertex_albedo: (468, 3) smoothed log albedo at the vertices.
        tone: (3,) log RGB of the person's skin in even light.
        view: (5,) see `view_of`; tells which picture suits a moment of the target.
        irises: colours of the eyes, see `iris_colours`.
    """

    albedo_log: tuple[Array, ...]
    vertex_albedo: Array
    tone: Array
    view: Array
    irises: tuple[Array | None, Array | None]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Identity:
    """A person to put into a clip.

    Attributes:
        textures: one a picture.
        rest: (468, 3) the person's shape without expression, canonical cm.
    """

    textures: tuple[Texture, ...]
    rest: Array


def view_of(face: Face) -> Array:
    """(5,) yaw and pitch in units of 20 degrees, jawOpen, mean smile, mean blink: what textures are chosen by."""
    smile = (face.blendshape("mouthSmileLeft") + face.blendshape("mouthSmileRight")) / 2
    blink = (face.blendshape("eyeBlinkLeft") + face.blendshape("eyeBlinkRight")) / 2
    return np.array([face.yaw_deg / 20, face.pitch_deg / 20, face.blendshape("jawOpen"), smile, blink], np.float32)


def make_texture(image_rgb: np.ndarray, points: Array, visible: Array | None, view: Array) -> Texture:
    """Unwrap one picture.

    Args:
        image_rgb: (h, w, 3) uint8, the face's surroundings, no larger than the texture.
        points: (478, 3) in its pixels.
        visible: (h, w) how far each pixel is uncovered face, 0..1, or nothing if it is not known.
        view: from `view_of`.
    """
    irises = iris_colours(image_rgb, points)
    points = points[: mesh.VERTEX_COUNT]
    normals = mesh.normals(points)
    trust = light.facing(normals)
    visible = _without_teeth(visible, points, image_rgb.shape[:2])
    if visible is not None:
        trust = trust * mesh.sample(visible[..., None], points)[:, 0]
    colours = light.vertex_colours(image_rgb, points, visible)
    shading = light.fit(colours, normals, trust * light.skin_vertices())

    atlas = np.concatenate([mesh.topology().uv * TEXTURE_SIZE, np.zeros((mesh.VERTEX_COUNT, 1), np.float32)], 1)
    size = (TEXTURE_SIZE, TEXTURE_SIZE)
    where, inside = mesh.rasterise(atlas, np.column_stack([points[:, :2], trust]), size)
    map_x, map_y = np.ascontiguousarray(where[..., 0] - 0.5), np.ascontiguousarray(where[..., 1] - 0.5)
    picture = cv2.remap(image_rgb, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    own_light, _ = mesh.rasterise(atlas, shading.at(normals), size)
    weight = where[..., 2] * inside
    if visible is not None:
        weight = weight * cv2.remap(visible, map_x, map_y, cv2.INTER_LINEAR)
    albedo = _completed(_evened(light.to_log(picture) - own_light, weight, shading.harmonics[0]), weight, inside)
    pyramid = [albedo]
    while pyramid[-1].shape[0] > TEXTURE_SIZE // 8:
        pyramid.append(cv2.pyrDown(pyramid[-1]))
    reach = TEXTURE_SIZE * 0.02
    vertex_albedo = mesh.sample(cv2.GaussianBlur(albedo, (0, 0), reach), atlas)
    return Texture(
        albedo_log=tuple(pyramid),
        vertex_albedo=vertex_albedo,
        tone=shading.harmonics[0].copy(),
        view=view,
        irises=irises,
    )


def _without_teeth(visible: Array | None, points: Array, size_hw: tuple[int, int]) -> Array | None:
    """`visible` less an open mouth and a little around it: teeth on the edge of a lip would be drawn on closed lips."""
    lips = points[list(mesh.LIPS_INNER), :2]
    gap, width = float(np.linalg.norm(lips[5] - lips[15])), float(np.ptp(points[:, 0]))
    if gap < OPEN_MOUTH * width:
        return visible
    edge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * LIP_EDGE_PX + 1, 2 * LIP_EDGE_PX + 1))
    mouth = cv2.dilate(mesh.polygon_mask(lips, size_hw), edge)
    kept = 1 - mouth.astype(np.float32) / 255
    return kept if visible is None else visible * kept


def make_identity(textures: list[Texture], faces: list[Face]) -> Identity:
    """Gather a person from their pictures."""
    shapes = [expression.at_rest(face.points478, face.blendshapes) for face in faces]
    return Identity(textures=tuple(textures), rest=np.mean(shapes, 0).astype(np.float32))


def _evened(albedo: Array, weight: Array, tone: Array) -> Array:
    """Hold back what is left of the source's light: broad changes of brightness and tint over plain skin.

    Shine, coloured light and cast shadows differ from the skin's mean by far more than skin does; on dark skin, whose
    mirrored light is a large part of it, they would be blown up by lighter light. So broad structures are bent towards
    a limit, above it less than below, where wrinkles and folds are; brows, eyes and lips are left alone.

    Args:
        albedo: (S, S, 3) log albedo, not yet complete.
        weight: (S, S) how far each texel was seen.
        tone: (3,) log RGB of the skin.
    """
    side = TEXTURE_SIZE // 4
    small, seen, plain = (
        cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in (albedo, weight, _plain_skin())
    )
    known = seen * plain + 1e-4
    reach = side / 48
    broad = (
        cv2.GaussianBlur(small * known[..., None], (0, 0), reach) / cv2.GaussianBlur(known, (0, 0), reach)[..., None]
    )
    mean = np.average(broad.reshape(-1, 3), axis=0, weights=known.ravel()).astype(np.float32)
    offset = broad - mean
    brightness = offset.mean(-1, keepdims=True)
    tint = offset - brightness
    contrast = float(np.clip((light.from_log(tone).mean() / PLAIN_SKIN) ** 0.5, 0.65, 1))
    brighter = _bent(np.maximum(brightness, 0), BRIGHTER * contrast**3)
    bent = brighter + _bent(np.minimum(brightness, 0), DARKER) + _bent(tint, TINT)
    change = (bent - offset) * np.clip(cv2.GaussianBlur(plain, (0, 0), reach), 0, 1)[..., None]
    evened = albedo + cv2.resize(change, albedo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    deviation = evened - mean
    tint = deviation - deviation.mean(-1, keepdims=True)
    return mean + (deviation + tint * (contrast**2 - 1)) * contrast


@functools.cache
def _plain_skin() -> Array:
    """(S, S) 1 where the atlas shows plain skin, 0 at brows, eyes and lips."""
    vertices = np.column_stack([mesh.topology().uv * TEXTURE_SIZE, np.zeros(mesh.VERTEX_COUNT, np.float32)])
    values = np.repeat(light.skin_vertices()[:, None], 3, 1)
    return mesh.rasterise(vertices, values, (TEXTURE_SIZE, TEXTURE_SIZE))[0][..., 0]


def _bent(values: Array, limit: float) -> Array:
    return limit * np.tanh(values / limit)


def _completed(albedo: Array, weight: Array, inside: np.ndarray) -> Array:
    """Fill what the picture did not show: first from the other half of the face, then from its surroundings."""
    solid = np.clip(cv2.GaussianBlur(weight, (0, 0), TEXTURE_SIZE / 150) * 3, 0, 1)[..., None]
    solid = solid * (inside & inside[:, ::-1])[..., None]
    mirrored, mirrored_solid = albedo[:, ::-1], solid[:, ::-1]
    # what both halves show tells how far they differ in colour, so that the patch fits where it is put
    both = np.minimum(solid, mirrored_solid) + 1e-4
    reach = TEXTURE_SIZE / 12
    offset = blurred((albedo - mirrored) * both, reach) / blurred(both, reach)[..., None]
    share = solid / (solid + mirrored_solid * (1 - solid) * 0.5 + 1e-5)
    filled = albedo * share + (mirrored + offset) * (1 - share)
    known = np.clip(np.maximum(solid, mirrored_solid) * 2, 0, 1)
    level, spread = filled * known, known
    mean = (level.sum((0, 1)) / (spread.sum() + 1e-6)).astype(np.float32)
    for sigma in (TEXTURE_SIZE / 96, TEXTURE_SIZE / 24, TEXTURE_SIZE / 6):
        around_weight = blurred(spread, sigma)[..., None]
        around = (blurred(level, sigma) + mean * 1e-3) / (around_weight + 1e-3)
        level = level + around * (1 - spread) * np.minimum(around_weight * 4, 1)
        spread = spread + (1 - spread) * np.minimum(around_weight * 4, 1)
    return (level + mean * (1 - spread)).astype(np.float32)
