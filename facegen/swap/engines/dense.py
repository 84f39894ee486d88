"""The dense steps of the mesh engine's composite by torch, for a GPU: relighting, finish, warp, blend over whole crops.

What is done for vertices, outlines and single eyes stays with OpenCV. `tests/swap/test_dense.py` states how closely both agree:
OpenCV samples at 32nds of a pixel and does wide blurs on smaller pictures.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facegen.device import is_out_of_memory
from facegen.faces import blend, mesh
from facegen.faces.light import FLOOR
from facegen.faces.mesh import Array
from facegen.swap.engines.eyes import recolour_irises
from facegen.swap.engines.warp import eye_mouth_mask, interpolate_vertices
from facegen.swap.harmonization.inputs import FINE, Square
from facegen.swap.options import SwapOptions

if TYPE_CHECKING:
    from facegen.swap.engines.mesh import MeshPrediction, MeshStatistics

SMALLEST = 192
"""Side in pixels from which on a crop is worth the way to a GPU and back."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Layers:
    """What a face is composited of, all over its crop.

    Attributes:
        albedo: (h, w, 3) float32 log albedo of the source.
        saturation: factor on its saturation.
        soften_px: standard deviation of the blur that gives it the target's focus; 0 for none.
        gain: (h, w, 3) float32 log RGB that relights it.
        change: (h, w, 4) float32 of the finish: change of log RGB, and the log of the factor on fine detail; None where off.
        fine_px: standard deviation of the blur above which detail is not fine.
        grain: (h, w, 3) float32 noise.
        image_rgb: (h, w, 3) uint8 the target.
        field: x and y, (h, w) float32 each, where the target is sampled.
        eyes_mouth: (h, w) float32 0..1 where its own eyes and mouth are seen.
        wide: (h, w) float32 opacity of what varies slowly.
        narrow: (h, w) float32 opacity of the details.
        radius_px: size above which a structure counts as slowly varying.
    """

    albedo: Array
    saturation: float
    soften_px: float
    gain: Array
    change: Array | None
    fine_px: float
    grain: Array
    image_rgb: np.ndarray
    field: tuple[Array, Array]
    eyes_mouth: Array
    wide: Array
    narrow: Array
    radius_px: float


def composite_face(
    prediction: MeshPrediction,
    statistics: MeshStatistics,
    options: SwapOptions,
    field: tuple[Array, Array],
    opacity: tuple[Array, Array],
    grain: Array,
    device: torch.device,
) -> Array | None:
    """(h, w, 3) float32 RGB in 0..255: `MeshEngine.composite` of one crop; None where it or the device's memory is too small.

    Args:
        prediction: the face.
        statistics: smoothed over time.
        options: the strengths.
        field: from `warp_field`.
        opacity: (h, w) of what varies slowly, and of the details.
        grain: (h, w, 3) noise.
        device: a GPU.
    """
    shape, size = prediction.shape[: mesh.VERTEX_COUNT], prediction.crop.image_rgb.shape[:2]
    if min(size) < SMALLEST:
        return None
    width, fields = float(np.ptp(shape[:, 0])), statistics.fields
    layers = Layers(
        albedo=prediction.albedo,
        saturation=statistics.saturation,
        soften_px=blend.softening_px(1 + (statistics.excess - 1) * options.sharpness_match),
        gain=interpolate_vertices(statistics.gain, shape, size),
        change=None if fields is None else Square.of(size).enlarge(fields, size),
        fine_px=max(FINE * width, 0.5),
        grain=grain,
        image_rgb=prediction.crop.image_rgb,
        field=field,
        eyes_mouth=eye_mouth_mask(shape, size),
        wide=opacity[0],
        narrow=opacity[1],
        radius_px=width * 0.03,
    )
    try:
        return composite(layers, lambda warped: recolour_irises(warped, prediction.shape, prediction.irises), device)
    except RuntimeError as error:
        if is_out_of_memory(error):
            return None
        raise


def composite(layers: Layers, recolour: Callable[[Array], Array], device: torch.device) -> Array:
    """(h, w, 3) float32 RGB in 0..255: the face in its crop.

    Args:
        layers: what it is made of.
        recolour: gives the warped target's eyes the source's colours, (h, w, 3) float32 to the same.
        device: where the work is done.
    """

    def planes(values: np.ndarray) -> Tensor:
        whole = torch.from_numpy(np.ascontiguousarray(values)).to(device, torch.float32)
        return whole.permute(2, 0, 1)[None] if whole.ndim == 3 else whole[None, None]

    with torch.inference_mode():
        albedo = planes(layers.albedo)
        albedo = albedo * layers.saturation + albedo.mean(1, keepdim=True) * (1 - layers.saturation)
        if layers.soften_px:
            albedo = gaussian_blur(albedo, layers.soften_px)
        drawn = albedo + planes(layers.gain)
        if layers.change is not None:
            change = planes(layers.change)
            detail = drawn - gaussian_blur(drawn, layers.fine_px)
            drawn = drawn + change[:, :3] + detail * (change[:, 3:].exp() - 1)
        relit = (drawn.exp() - FLOOR).clamp(0, 255)
        relit = relit + planes(layers.grain)
        warped = sample(planes(layers.image_rgb), planes(layers.field[0]), planes(layers.field[1])).round()
        own = planes(recolour(warped[0].permute(1, 2, 0).cpu().numpy()))
        face = relit + (own - relit) * planes(layers.eyes_mouth)
        wide, narrow = planes(layers.wide), planes(layers.narrow)
        detail = (face - warped) * narrow
        slow = gaussian_blur(detail, layers.radius_px) / (gaussian_blur(narrow, layers.radius_px) + 1e-3)
        result: Array = (warped + detail + slow * (wide - narrow))[0].permute(1, 2, 0).cpu().numpy()
        return result


def gaussian_blur(images: Tensor, sigma_px: float) -> Tensor:
    """(1, C, H, W) blurred by a Gaussian of a standard deviation in pixels, mirrored at the border pixel."""
    radius = min(math.ceil(4 * sigma_px), *(side - 1 for side in images.shape[2:]))
    places = torch.arange(-radius, radius + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-(places**2) / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    padded = functional.pad(images, (radius, radius, radius, radius), mode="reflect")
    across = functional.conv2d(padded, kernel[:, :, None], groups=images.shape[1])
    return functional.conv2d(across, kernel[..., None], groups=images.shape[1])


def sample(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(1, C, H, W) sampled bilinearly at (1, 1, H, W) pixels x and y, the border repeated outside."""
    height, width = images.shape[2:]
    grid = torch.stack([(2 * x[:, 0] + 1) / width - 1, (2 * y[:, 0] + 1) / height - 1], dim=-1)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
