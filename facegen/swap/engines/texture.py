"""The identity of the mesh engine: each source picture's skin unwrapped into a texture, its shading removed.

Folds of a source's expression are left out as far as the target does not share the expression: a smile folds the cheeks,
raised or lowered brows fold the forehead; painted on a face at rest these folds give the swap away.
"""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from facegen.faces import Face, expression, light, mesh
from facegen.faces.blend import gaussian_blur
from facegen.faces.mesh import Array
from facegen.swap.delighting.atlas import atlas_points, plain_skin, unwrap
from facegen.swap.delighting.delighter import Delighter
from facegen.swap.engines.covered import detect_covered, detect_strands
from facegen.swap.engines.eyes import iris_colours

FOLD_SIZE = 192
"""Side of the map of folds."""
BROADEST = 0.055
"""Relief broader than this standard deviation, as a share of the map's side, is the face's own shape or light."""
EXPRESSIONS = (
    ("mouthSmileLeft", "mouthSmileRight"),
    ("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight"),
)
"""What folds the cheeks and the corners of the eyes, and what folds the forehead."""
IDLE, FULL = 0.15, 0.65
"""How much more of an expression the source may have before its folds go, and with how much more they are gone."""
REMOVED = 0.65
"""How much of a fold goes at most."""


def expression_strengths(face: Face) -> Array:
    """(2,) strength of the expressions that fold cheeks and forehead, 0..1."""
    smile = np.mean([face.blendshape(name) for name in EXPRESSIONS[0]])
    brows = max(face.blendshape(name) for name in EXPRESSIONS[1])
    return np.array([smile, brows], np.float32)


def measure_folds(albedo: Array) -> Array:
    """(FOLD_SIZE, FOLD_SIZE, 3) the relief of plain skin: log RGB less its broad mean, 0 at brows, eyes and lips.

    Args:
        albedo: (S, S, 3) log albedo, complete.
    """
    size = (FOLD_SIZE, FOLD_SIZE)
    small = cv2.resize(albedo, size, interpolation=cv2.INTER_AREA)
    plain = _fold_skin()[..., None]
    reach = FOLD_SIZE * BROADEST
    counted = plain + np.float32(1e-3)
    broad = cv2.GaussianBlur(small * counted, (0, 0), reach) / cv2.GaussianBlur(counted, (0, 0), reach)[..., None]
    relief: Array = ((small - broad) * plain).astype(np.float32)
    return relief


def unshared_folds(source: Array, target: Array) -> Array:
    """(468,) 0..1 how much of the source's folds to leave out at each vertex.

    Args:
        source: (2,) from `expression_strengths`.
        target: (2,) the same.
    """
    more = np.clip((source - target - IDLE) / (FULL - IDLE), 0, 1).astype(np.float32)
    return (_regions() * more).max(1) * np.float32(REMOVED)


@functools.cache
def _regions() -> Array:
    """(468, 2) 0..1 how far the cheeks' and the forehead's expression folds each vertex."""
    topology = mesh.topology()
    mouth = topology.distances[:, list(mesh.LIPS_OUTER)].min(1)
    eyes = topology.distances[:, [33, 263]].min(1)
    cheeks = np.maximum(np.clip((4.5 - mouth) / 2, 0, 1), np.clip((2.8 - eyes) / 1.5, 0, 1))
    brows = topology.distances[:, [*mesh.BROW_LEFT, *mesh.BROW_RIGHT]].min(1)
    above = np.clip((topology.xyz[:, 1] - topology.xyz[168, 1]) / 0.5, 0, 1)
    forehead = np.maximum(above, np.clip((2 - topology.distances[:, [168, 9]].min(1)) / 1, 0, 1)) * (brows < 7)
    return np.column_stack([cheeks, forehead]).astype(np.float32)


@functools.cache
def _fold_skin() -> Array:
    """(FOLD_SIZE, FOLD_SIZE) 1 where the texture shows plain skin, softly 0 at features."""
    vertices = np.column_stack([mesh.topology().uv * FOLD_SIZE, np.zeros(mesh.VERTEX_COUNT, np.float32)])
    values = np.repeat(light.skin_vertices()[:, None], 3, 1)
    skin = mesh.rasterise(vertices.astype(np.float32), values, (FOLD_SIZE, FOLD_SIZE))[0][..., 0]
    return np.clip(cv2.GaussianBlur(cv2.erode(skin, np.ones((3, 3), np.uint8)), (0, 0), 1.0), 0, 1)


TEXTURE_SIZE = 768
BRIGHTER, DARKER, TINT = 0.5, 0.5, 0.1
"""How far low frequencies of a source's skin may differ from its mean, log RGB."""
OPEN_MOUTH, LIP_EDGE_PX = 0.02, 2
"""Lip gap by face width from which on a mouth counts as open, and how far its edge may be from where it is."""
LIP_SHINE = 0.25
"""How far anything on the lips may be brighter than they are, log."""
BROW_SHINE = 0.05
"""The same of brows and the skin around them."""
PLAIN_SKIN = 120.0
"""Skin darker than this, 0..255, has more contrast in the logarithm than lighter light would show."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class FaceTexture:
    """One picture of the source person, unwrapped, without shading.

    Attributes:
        albedo_log: pyramid of (S, S, 3) float32 log albedo, each level half the size of the one before.
        vertex_albedo: (468, 3) smoothed log albedo at the vertices.
        tone: (3,) log RGB of the person's skin in ambient light.
        pose_features: (5,) see `pose_features`; the textures nearest to the target's are rendered.
        folds: (F, F, 3) relief of the skin, see `measure_folds`.
        expressions: (2,) what folds it, see `expression_strengths`.
        irises: colours of the eyes, see `iris_colours`.
    """

    albedo_log: tuple[Array, ...]
    vertex_albedo: Array
    tone: Array
    pose_features: Array
    folds: Array
    expressions: Array
    irises: tuple[Array | None, Array | None]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Identity:
    """The source person, from all pictures.

    Attributes:
        textures: one a picture.
        rest_shape: (468, 3) the person's shape without expression, canonical cm.
    """

    textures: tuple[FaceTexture, ...]
    rest_shape: Array


def pose_features(face: Face) -> Array:
    """(5,) yaw and pitch in units of 20 degrees, jawOpen, mean smile, mean blink: what textures are selected by."""
    smile = (face.blendshape("mouthSmileLeft") + face.blendshape("mouthSmileRight")) / 2
    blink = (face.blendshape("eyeBlinkLeft") + face.blendshape("eyeBlinkRight")) / 2
    return np.array([face.yaw_deg / 20, face.pitch_deg / 20, face.blendshape("jawOpen"), smile, blink], np.float32)


def unwrap_texture(
    image_rgb: np.ndarray, points: Array, visible: Array | None, face: Face, delighter: Delighter
) -> FaceTexture:
    """Unwrap one picture and remove its light.

    Args:
        image_rgb: (h, w, 3) uint8, the face's surroundings, no larger than the texture.
        points: (478, 3) in its pixels.
        visible: (h, w) visibility of each pixel, 0..1, or nothing if it is not known.
        face: the face in the whole picture.
        delighter: tells light from skin.
    """
    irises = iris_colours(image_rgb, points)
    points = points[: mesh.VERTEX_COUNT]
    normals = mesh.normals(points)
    trust = light.facing(normals)
    visible = _exclude_teeth(visible, points, image_rgb.shape[:2])
    if visible is not None:
        trust = trust * mesh.sample(visible[..., None], points)[:, 0]
    atlas = unwrap(image_rgb, points, visible, TEXTURE_SIZE)
    uneven = delighter.predict(atlas)
    vertices = atlas_points(TEXTURE_SIZE)
    colours = light.vertex_colours(image_rgb, points, visible) - mesh.sample(uneven, vertices)
    shading = light.fit(colours, normals, trust * light.skin_vertices())
    shading_log, _ = mesh.rasterise(vertices, shading.at(normals), (TEXTURE_SIZE, TEXTURE_SIZE))
    albedo = light.to_log(atlas.picture_rgb) - uneven - shading_log
    weight, inside = atlas.weight, atlas.inside
    weight = weight * (1 - detect_covered(albedo, weight))
    weight = weight * (1 - detect_strands(albedo, weight, inside))
    albedo = _flatten_shading(albedo, weight, shading.harmonics[0])
    albedo = _flatten_lips(albedo, weight)
    albedo = _flatten_brows(albedo, weight)
    albedo = _inpaint(albedo, weight, inside)
    pyramid = [albedo]
    while pyramid[-1].shape[0] > TEXTURE_SIZE // 8:
        pyramid.append(cv2.pyrDown(pyramid[-1]))
    reach = TEXTURE_SIZE * 0.02
    vertex_albedo = mesh.sample(cv2.GaussianBlur(albedo, (0, 0), reach), vertices)
    return FaceTexture(
        albedo_log=tuple(pyramid),
        vertex_albedo=vertex_albedo,
        tone=shading.harmonics[0].copy(),
        pose_features=pose_features(face),
        folds=measure_folds(albedo),
        expressions=expression_strengths(face),
        irises=irises,
    )


def _exclude_teeth(visible: Array | None, points: Array, size_hw: tuple[int, int]) -> Array | None:
    """`visible` less an open mouth and its edge: teeth on the edge of a lip would be rendered on closed lips."""
    lips = points[list(mesh.LIPS_INNER), :2]
    gap, width = float(np.linalg.norm(lips[5] - lips[15])), float(np.ptp(points[:, 0]))
    if gap < OPEN_MOUTH * width:
        return visible
    edge = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * LIP_EDGE_PX + 1, 2 * LIP_EDGE_PX + 1))
    mouth = cv2.dilate(mesh.polygon_mask(lips, size_hw), edge)
    kept = 1 - mouth.astype(np.float32) / 255
    return kept if visible is None else visible * kept


def build_identity(textures: list[FaceTexture], faces: list[Face]) -> Identity:
    """The person of several pictures; the rest shape is their mean."""
    shapes = [expression.neutral_shape(face.points478, face.blendshapes) for face in faces]
    return Identity(textures=tuple(textures), rest_shape=np.mean(shapes, 0).astype(np.float32))


def _flatten_shading(albedo: Array, weight: Array, tone: Array) -> Array:
    """Compress what is left of the source's shading: low frequencies of brightness and tint over plain skin.

    Specular highlights, coloured light and cast shadows differ from the skin's mean by far more than skin does; on dark
    skin, of whose light they are a large part, a lighter target would amplify them. So low frequencies are compressed
    to a limit, above the mean more than below, where wrinkles and folds are; brows, eyes and lips are left alone.

    Args:
        albedo: (S, S, 3) log albedo, not yet complete.
        weight: (S, S) how reliably each texel was seen.
        tone: (3,) log RGB of the skin.
    """
    side = TEXTURE_SIZE // 4
    small, seen, plain = (
        cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
        for part in (albedo, weight, plain_skin(TEXTURE_SIZE))
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
    brighter = _soft_limit(np.maximum(brightness, 0), BRIGHTER * contrast**3)
    limited = brighter + _soft_limit(np.minimum(brightness, 0), DARKER) + _soft_limit(tint, TINT)
    change = (limited - offset) * np.clip(cv2.GaussianBlur(plain, (0, 0), reach), 0, 1)[..., None]
    flattened = albedo + cv2.resize(change, albedo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    deviation = flattened - mean
    tint = deviation - deviation.mean(-1, keepdims=True)
    return mean + (deviation + tint * (contrast**2 - 1)) * contrast


def _flatten_lips(albedo: Array, weight: Array) -> Array:
    """Bring what is far brighter than the lips themselves, their shine and the edge of teeth, nearer to their colour."""
    lips = _lips()
    known = (lips > 0.5) & (weight > 0.3)
    if np.count_nonzero(known) < TEXTURE_SIZE:
        return albedo
    offset = albedo - np.median(albedo[known], 0).astype(np.float32)
    brighter = np.maximum(offset.mean(-1), 1e-3)
    share = 1 - _soft_limit(brighter, LIP_SHINE) / brighter
    return albedo - offset * (share * lips)[..., None]


@functools.cache
def _lips() -> Array:
    """(S, S) 1 where the atlas shows lips, soft at their outer edge."""
    size = (TEXTURE_SIZE, TEXTURE_SIZE)
    outer, inner = (
        mesh.polygon_mask(mesh.topology().uv[list(ring)] * TEXTURE_SIZE, size)
        for ring in (mesh.LIPS_OUTER, mesh.LIPS_INNER)
    )
    return cv2.GaussianBlur((outer & ~inner).astype(np.float32) / 255, (0, 0), TEXTURE_SIZE / 200)


def _flatten_brows(albedo: Array, weight: Array) -> Array:
    """Bring brows that are brighter than the skin around them nearer to it; darker ones, as most are, stay as they are.

    Grey hair on dark skin is; relit for a light target like the skin, it would be brighter than anything on that face.
    """
    brows = _brows()
    plain = plain_skin(TEXTURE_SIZE) * weight + np.float32(1e-3)
    reach = TEXTURE_SIZE / 24
    skin = gaussian_blur(albedo * plain[..., None], reach) / gaussian_blur(plain, reach)[..., None]
    offset = albedo - skin
    luma = offset.mean(-1)
    if np.average(luma, weights=brows**2 * weight + np.float32(1e-6)) < 0:
        return albedo
    brighter = np.maximum(luma, 1e-3)
    share = 1 - _soft_limit(brighter, BROW_SHINE) / brighter
    return albedo - offset * (share * brows)[..., None]


@functools.cache
def _brows() -> Array:
    """(S, S) 1 where the atlas shows brows, soft at their edge."""
    topology = mesh.topology()
    room = topology.distances[:, [*mesh.BROW_LEFT, *mesh.BROW_RIGHT]].min(1)
    vertices = np.column_stack([topology.uv * TEXTURE_SIZE, np.zeros(mesh.VERTEX_COUNT, np.float32)])
    values = np.repeat(np.clip((1.2 - room) / 0.5, 0, 1)[:, None], 3, 1).astype(np.float32)
    return mesh.rasterise(vertices, values, (TEXTURE_SIZE, TEXTURE_SIZE))[0][..., 0]


def _soft_limit(values: Array, limit: float) -> Array:
    return limit * np.tanh(values / limit)


def _inpaint(albedo: Array, weight: Array, inside: np.ndarray) -> Array:
    """Fill what the picture did not show: first from the mirrored half of the face, then by diffusion."""
    solid = np.clip(cv2.GaussianBlur(weight, (0, 0), TEXTURE_SIZE / 150) * 3, 0, 1)[..., None]
    solid = solid * (inside & inside[:, ::-1])[..., None]
    mirrored, mirrored_solid = albedo[:, ::-1], solid[:, ::-1]
    # what both halves show tells how far they differ in colour, so that the patch fits where it is put
    both = np.minimum(solid, mirrored_solid) + 1e-4
    reach = TEXTURE_SIZE / 12
    offset = gaussian_blur((albedo - mirrored) * both, reach) / gaussian_blur(both, reach)[..., None]
    share = solid / (solid + mirrored_solid * (1 - solid) * 0.5 + 1e-5)
    filled = albedo * share + (mirrored + offset) * (1 - share)
    known = np.clip(np.maximum(solid, mirrored_solid) * 2, 0, 1)
    level, spread = filled * known, known
    mean = (level.sum((0, 1)) / (spread.sum() + 1e-6)).astype(np.float32)
    for sigma in (TEXTURE_SIZE / 96, TEXTURE_SIZE / 24, TEXTURE_SIZE / 6):
        around_weight = gaussian_blur(spread, sigma)[..., None]
        around = (gaussian_blur(level, sigma) + mean * 1e-3) / (around_weight + 1e-3)
        level = level + around * (1 - spread) * np.minimum(around_weight * 4, 1)
        spread = spread + (1 - spread) * np.minimum(around_weight * 4, 1)
    return (level + mean * (1 - spread)).astype(np.float32)
