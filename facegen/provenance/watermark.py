"""The invisible watermark: a faint periodic pattern added to the luma of everything that facegen writes.

The pattern repeats twice along the shorter side of a picture, so all of its energy lies on a lattice of frequencies
(`lattice`), and each point of the lattice says something by its phase. 40 % of the points carry published phases, «made by
facegen». 40 % carry the id of the installation: each of four bytes (three of the id, one of check bits) chooses one of
256 published, nearly orthogonal words. 20 % carry phases that follow from the secret of the installation, which nobody can
write or subtract who has only the source or other installations' files. Where the pattern begins is different in each
file, so the pattern of one file does not fit another.

Phases survive crops, scaling and turns: these move, stretch and turn the lattice, and `detection` searches for it.
"""

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facegen.encoding import LabelLanguage
from facegen.media import Frame
from facegen.provenance.keys import MarkKey, get_installation_key
from facegen.provenance.label import draw_label, draw_label_on_frame

TILES = 2
"""Repetitions of the pattern along the shorter side of a picture."""
POINTS = 64
"""Samples along a side of one repetition."""
_INNER, _OUTER = 5.0, 31.0
"""Radii of the lattice, in cycles in one repetition."""
_COARSE, _FINE = 21.0, 8.0
"""Pictures smaller than `SMALL` carry the points up to the first radius, larger ones those from the second on."""
SMALL = 320
"""Shorter side below which only low frequencies are used: at half size and as JPEG the others are gone."""
_COARSER = 2
"""In a video texture is measured on luma this many times coarser."""
SMALLEST = 96
"""Shorter side below which nothing is added."""
_PUBLISHED, _BYTE = 0.4, 0.1
_WORDS = 256
_PAYLOAD_IDS = 1 << 24
_DEVIATION = 1.9
"""Standard deviation of the pattern in steps of 255 at 256 lines; it falls with the square root of the size: about 46 dB at 512."""
_LEAST_DEVIATION = 0.9
_MOST_DEVIATION = 1.97
"""No picture is changed by more than this standard deviation: 42.1 dB, rounding included."""


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """The frequencies of the pattern and who says what with them."""

    down: NDArray[np.intp]
    """(K,) vertical frequency in cycles in one repetition."""
    across: NDArray[np.intp]
    """(K,) horizontal frequency, not negative: the other half of the plane follows from it."""
    coarse: NDArray[np.bool_]
    """(K,) points of small pictures."""
    fine: NDArray[np.bool_]
    """(K,) points of large pictures."""
    published: NDArray[np.bool_]
    """(K,) points with published phases."""
    byte_of: NDArray[np.intp]
    """(K,) which byte of the payload a point carries, 0 to 3; -1 for none."""
    secret: NDArray[np.bool_]
    """(K,) points whose phases follow from an installation's secret."""


class Watermark:
    """The pattern for pictures of one size, built once a clip.

    Pictures smaller than 96 pixels have no room for the mark and stay as they are.

    Attributes:
        size_hw: height and width of the displayed picture.
    """

    def __init__(
        self,
        size_hw: tuple[int, int],
        key: MarkKey | None = None,
        *,
        salt: bytes = b"",
        label: LabelLanguage = "none",
    ) -> None:
        """Builds the pattern for a size.

        Args:
            size_hw: height and width in pixels.
            key: what it carries; this installation's own where None.
            salt: something of the content of the file; with it the pattern begins elsewhere in each file.
            label: language of the visible label.

        Raises:
            ResourceError: the installation's key, whose id is wanted, cannot be written.
            ValueError: the id does not fit into 24 bits.
        """
        self.size_hw = size_hw
        self._pattern = _build_pattern(size_hw, key or get_installation_key().mark_key, salt)
        self._deviation = float(self._pattern.std())
        self._label: LabelLanguage = label

    def mark_frame(self, frame: Frame) -> Frame:
        """The frame with the pattern in its luma, fainter in flat areas and stronger in texture, which hides it.

        Args:
            frame: of this size as displayed.
        """
        frame = draw_label_on_frame(frame, self._label)
        return frame.add_luma(self._fit(frame.planes[0], frame.bit_depth))

    def mark_rgb(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of a camera's picture, (H, W, 3) of this size, with the pattern as `mark_frame` adds it."""
        delta = self._fit(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY), 8)
        return np.asarray(cv2.add(image_rgb, cv2.merge([delta] * 3), dtype=cv2.CV_8U), np.uint8)

    def _fit(self, luma: cv2.typing.MatLike, bit_depth: int) -> NDArray[np.int8]:
        """(H, W) the pattern, weighted by the texture of a frame's luma (H, W), in steps of 255."""
        coarse = cv2.resize(luma, None, fx=1 / _COARSER, fy=1 / _COARSER, interpolation=cv2.INTER_AREA)
        gain = _gain_in_motion(coarse.astype(np.float32) / np.float32(1 << (bit_depth - 8)))
        gain *= min(1.0, _MOST_DEVIATION / (self._deviation * float(np.sqrt(np.mean(gain * gain))) + 1e-6))
        fine = cv2.resize(gain, self.size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.multiply(self._pattern, fine, dtype=cv2.CV_8S), np.int8)


def mark_picture(
    image_rgb: NDArray[np.uint8], key: MarkKey | None = None, *, label: LabelLanguage = "none"
) -> NDArray[np.uint8]:
    """A copy of a picture that carries the mark, fainter in flat areas and stronger in texture, which hides it.

    Args:
        image_rgb: (H, W, 3) uint8 RGB; one smaller than 96 pixels has no room for the mark and comes back as it is.
        key: as in `Watermark`.
        label: as in `Watermark`.
    """
    image_rgb = draw_label(image_rgb, label)
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    if not has_room(size_hw):
        return image_rgb.copy()
    salt = hashlib.sha256(image_rgb.tobytes()).digest()
    delta = _build_delta(size_hw, key or get_installation_key().mark_key, salt)
    delta = delta * _texture_gain(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY).astype(np.float32))
    delta *= min(1.0, _MOST_DEVIATION / float(delta.std()))
    return np.clip(image_rgb.astype(np.int16) + np.rint(delta)[..., None].astype(np.int16), 0, 255).astype(np.uint8)


def has_room(size_hw: tuple[int, int]) -> bool:
    """Whether a picture is large enough for the mark."""
    return min(size_hw) >= SMALLEST


@lru_cache(maxsize=1)
def lattice() -> Lattice:
    """The published lattice; who says what is drawn by SHAKE-256, which is the same in every version of every library."""
    down, across = np.mgrid[1 - POINTS // 2 : POINTS // 2, : POINTS // 2]
    radius = np.hypot(down, across)
    is_kept = (radius >= _INNER) & (radius <= _OUTER) & ((across > 0) | (down > 0))
    down, across, radius = down[is_kept], across[is_kept], radius[is_kept]
    count = len(down)
    order = np.argsort(_draw(b"facegen watermark 2: roles", count), kind="stable")
    role = np.empty(count, np.intp)
    published, byte = round(_PUBLISHED * count), round(_BYTE * count)
    role[order] = np.clip((np.arange(count) - published) // byte, -1, 4)
    return Lattice(
        down=down,
        across=across,
        coarse=radius <= _COARSE,
        fine=radius >= _FINE,
        published=role == -1,
        byte_of=np.where((role >= 0) & (role < 4), role, -1),
        secret=role == 4,
    )


@lru_cache(maxsize=1)
def published_phases() -> NDArray[np.complex64]:
    """(K,) unit phasors, those that say «made by facegen»."""
    return _phasors(_draw(b"facegen watermark 2: phases", len(lattice().down)))


@lru_cache(maxsize=1)
def words() -> NDArray[np.complex64]:
    """(256, K) unit phasors: the words of which each byte of the payload chooses one."""
    count = len(lattice().down)
    return _phasors(_draw(b"facegen watermark 2: words", _WORDS * count)).reshape(_WORDS, count)


@lru_cache(maxsize=8)
def key_phases(key: MarkKey) -> NDArray[np.complex64]:
    """(K,) unit phasors: all that a mark of this key says."""
    points = lattice()
    phases = published_phases().copy()
    for index, byte in enumerate(encode_payload(key.installation_id)):
        phases[points.byte_of == index] = words()[byte, points.byte_of == index]
    secret = _phasors(_draw(b"facegen watermark 2: secret" + key.secret, len(phases)))
    phases[points.secret] = secret[points.secret]
    return phases


def encode_payload(payload: int) -> bytes:
    """The four embedded bytes: the 24-bit id, most significant first, and its check byte.

    Raises:
        ValueError: the id does not fit.
    """
    if not 0 <= payload < _PAYLOAD_IDS:
        raise ValueError(f"Expected a payload from 0 to {_PAYLOAD_IDS - 1}, found {payload}.")
    content = payload.to_bytes(3, "big")
    return content + _check_byte(content)


def decode_payload(content: bytes) -> int | None:
    """The id in four received bytes, or None where the check byte does not agree."""
    return int.from_bytes(content[:3], "big") if _check_byte(content[:3]) == content[3:] else None


def _check_byte(content: bytes) -> bytes:
    return hashlib.sha256(b"facegen" + content).digest()[:1]


def _draw(seed: bytes, count: int) -> NDArray[np.uint16]:
    return np.frombuffer(hashlib.shake_256(seed).digest(2 * count), "<u2")


def _phasors(numbers: NDArray[np.uint16]) -> NDArray[np.complex64]:
    return np.exp(2j * np.pi * numbers / 65536).astype(np.complex64)


def _texture_gain(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) factor of the pattern of a picture.

    Small pictures have it more evenly: what a JPEG of half their size leaves lies in all of the picture.
    """
    bounds = (0.9, 0.03, 1.3) if min(luma.shape) < SMALL else (0.75, 0.085, 2.2)
    return _gain(luma, *bounds)


def _gain_in_motion(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) factor of the pattern of a frame, whose flat areas show a pattern that stands still."""
    return _gain(luma, 0.6, 0.15, 2.0)


def _gain(luma: NDArray[np.float32], least: float, rise: float, most: float) -> NDArray[np.float32]:
    """(H, W) from `least` in flat areas to `most` in strong texture, which hides the pattern."""
    side = max(3, min(luma.shape) // 60) | 1
    detail = luma - cv2.blur(luma, (side, side))
    # running sums leave tiny negative numbers in flat areas
    activity = np.sqrt(np.maximum(cv2.blur(detail * detail, (2 * side + 1, 2 * side + 1)), 0))
    return np.clip(least + rise * activity, least, most).astype(np.float32)


@lru_cache(maxsize=8)
def _build_pattern(size_hw: tuple[int, int], key: MarkKey, salt: bytes) -> NDArray[np.float32]:
    pattern = _build_delta(size_hw, key, salt) if has_room(size_hw) else np.zeros(size_hw, np.float32)
    pattern.flags.writeable = False
    return pattern


def _build_delta(size_hw: tuple[int, int], key: MarkKey, salt: bytes) -> NDArray[np.float32]:
    """(H, W) the sum of the lattice's waves, as two matrix products: down the rows, then across the columns."""
    shorter, points = min(size_hw), lattice()
    half = POINTS // 2
    spectrum = np.zeros((POINTS - 1, half), np.complex64)
    carries = points.coarse if shorter < SMALL else points.fine
    spectrum[points.down + half - 1, points.across] = key_phases(key) * carries
    begin = np.frombuffer(hmac.digest(key.secret, b"facegen watermark 2: begin" + salt, "sha256")[:4], "<u2") / 65536
    rows, columns = (
        (np.arange(side) + 0.5) * (TILES / shorter) + first for side, first in zip(size_hw, begin, strict=True)
    )
    down = np.exp(2j * np.pi * np.outer(rows, np.arange(1 - half, half))).astype(np.complex64)
    across = np.exp(2j * np.pi * np.outer(np.arange(half), columns)).astype(np.complex64)
    folded = down @ spectrum
    delta = folded.real @ across.real - folded.imag @ across.imag
    deviation = np.clip(_DEVIATION * np.sqrt(256 / shorter), _LEAST_DEVIATION, _DEVIATION)
    return np.asarray(delta * (deviation / delta.std()), np.float32)
