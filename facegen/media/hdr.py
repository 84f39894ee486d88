"""High dynamic range in display-referred light: PQ and HLG signals as an ordinary picture, and back without loss.

A picture for people, detectors and networks has about 100 levels of diffuse light; a PQ or HLG signal reaches far
beyond. `to_display` maps its light to such a picture: diffuse light as it is, highlights above half of reference white
(203 cd/m2, ITU-R BT.2408) compressed by a logarithm, so that 1,000 cd/m2 becomes white. The map has an inverse
everywhere, above white and outside the gamut, too: what is blended in the picture goes back into the signal.
"""

from functools import lru_cache

import cv2
import numpy as np

from facegen.media.color import BT2020_PRIMARIES, VideoColor

Array = np.ndarray

_WHITE = 203.0
"""Reference white in cd/m2."""
_PEAK = 1000.0 / _WHITE
"""Light that becomes the white of the picture, in reference white; also the peak of the display that HLG is shown on."""
_KNEE, _GAMMA, _SLOPE = 0.5, 2.2, 9.15
"""Where the compression begins; gamma of the picture; of the logarithm, so that the slopes meet at the knee."""
_TO_BT709 = np.array(  # linear light, ITU-R BT.2087
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128  # SMPTE ST 2084
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073  # ITU-R BT.2100, HLG
_SYSTEM_GAMMA = 1.2
_LEVELS = 1 << 16


def to_display(signal: Array, color: VideoColor) -> Array:
    """The display-referred picture of an HDR signal.

    Args:
        signal: (..., 3) R'G'B' in 0..1, float.
        color: with a transfer of PQ or HLG.

    Returns:
        (..., 3) float, 0..255 and beyond.
    """
    return 255.0 * _compress(_matrix(_decode(signal, color), color, is_inverse=False))


def from_display(picture: Array, color: VideoColor) -> Array:
    """The HDR signal, (..., 3) in 0..1, of a display-referred picture (..., 3) in 0..255; the inverse of `to_display`."""
    light = np.maximum(_matrix(_expand(picture / 255.0), color, is_inverse=True), 0.0)
    return np.clip(_encode(light, color), 0.0, 1.0)


def display_picture(deep_rgb: Array, color: VideoColor) -> Array:
    """`to_display` of a whole frame by tables.

    Args:
        deep_rgb: (H, W, 3) uint16 R'G'B' in 0..65535.
        color: with a transfer of PQ or HLG.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    to_light, to_level = _tables(color.transfer)
    light = to_light[deep_rgb]
    if color.hdr == "HLG":
        light *= _system_gain(light)[..., None]
    if color.primaries == BT2020_PRIMARIES:
        light = cv2.transform(light, _TO_BT709.astype(np.float32))
    roots = np.sqrt(np.clip(light * np.float32(1 / _PEAK), 0, 1))
    steps = (roots * (_LEVELS - 1) + 0.5).astype(np.uint16)
    level: Array = to_level[steps]
    return level


@lru_cache(maxsize=4)
def luma_steps(color: VideoColor, bits: int) -> Array:
    """What a step of ordinary luma is to the luma of an HDR signal: the same share of light, on grey.

    Returns:
        (33, 2**bits) uint16: for a step of -16 to 16 levels of 255 and a luma sample of limited or full range, the new
        sample; never more than a step of 8-bit luma for each level.
    """
    codes = np.arange(1 << bits)
    unit = 1 << (bits - 8)
    low, span = (0, (1 << bits) - 1) if color.is_full_range else (16 * unit, 219 * unit)
    fine = np.linspace(0.0, 1.0, 1 << 16)
    grey = 255.0 * _decode(np.repeat(fine[:, None], 3, 1), color)[:, 1] ** (1 / _GAMMA)
    signal = np.clip((codes - low) / span, 0.0, 1.0)
    shown = np.interp(signal, fine, grey)
    rows = []
    for step in range(-16, 17):
        moved = np.interp(shown + step, grey, fine) - signal
        change = np.clip(np.rint(moved * span), -unit * abs(step), unit * abs(step))
        rows.append(np.clip(codes + change, 0, (1 << bits) - 1))
    return np.stack(rows).astype(np.uint16)


@lru_cache(maxsize=2)
def _tables(transfer: int) -> tuple[Array, Array]:
    """Signal to light (before the system gamma of HLG), and the root of light to levels, in 65536 steps each."""
    codes = np.linspace(0.0, 1.0, _LEVELS)
    to_light = _decode_pq(codes) if transfer == 16 else _decode_hlg(codes)
    levels = 255.0 * _compress(np.linspace(0.0, 1.0, _LEVELS) ** 2 * _PEAK)
    return to_light.astype(np.float32), np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _decode(signal: Array, color: VideoColor) -> Array:
    if color.hdr == "PQ":
        return _decode_pq(signal)
    scene = _decode_hlg(signal)
    return scene * _system_gain(scene)[..., None]


def _encode(light: Array, color: VideoColor) -> Array:
    if color.hdr == "PQ":
        power = (light * (_WHITE / 10_000.0)) ** _M1
        encoded: Array = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
        return encoded
    luma = np.maximum(light @ _BT2020_LUMA / _PEAK, 1e-9)
    scene = light / _PEAK * (luma ** ((1 - _SYSTEM_GAMMA) / _SYSTEM_GAMMA))[..., None]
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), _A * np.log(np.maximum(12 * scene - _B, 1e-9)) + _C)


def _decode_pq(signal: Array) -> Array:
    power = np.clip(signal, 0.0, 1.0) ** (1 / _M2)
    light: Array = (np.maximum(power - _C1, 0.0) / (_C2 - _C3 * power)) ** (1 / _M1) * (10_000.0 / _WHITE)
    return light


def _decode_hlg(signal: Array) -> Array:
    """Scene light, 0..1, times the peak, so that only the system gamma is left to be applied."""
    signal = np.clip(signal, 0.0, 1.0)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)
    return scene * _PEAK


def _system_gain(scene: Array) -> Array:
    luma = scene @ _BT2020_LUMA.astype(scene.dtype) / _PEAK
    gain: Array = np.maximum(luma, 1e-9) ** (_SYSTEM_GAMMA - 1)
    return gain


def _matrix(light: Array, color: VideoColor, *, is_inverse: bool) -> Array:
    if color.primaries != BT2020_PRIMARIES:
        return light
    matrix = np.linalg.inv(_TO_BT709) if is_inverse else _TO_BT709
    turned: Array = light @ matrix.T
    return turned


def _compress(light: Array) -> Array:
    size = np.abs(light)
    knee = _KNEE ** (1 / _GAMMA)
    high = knee + (1 - knee) * np.log1p(_SLOPE * np.maximum(size - _KNEE, 0)) / np.log1p(_SLOPE * (_PEAK - _KNEE))
    return np.sign(light) * np.where(size < _KNEE, size ** (1 / _GAMMA), high)


def _expand(level: Array) -> Array:
    size = np.abs(level)
    knee = _KNEE ** (1 / _GAMMA)
    height = np.log1p(_SLOPE * (_PEAK - _KNEE)) / (1 - knee)
    high = _KNEE + np.expm1(np.minimum((size - knee) * height, 50.0)) / _SLOPE
    return np.sign(level) * np.where(size < knee, size**_GAMMA, high)
