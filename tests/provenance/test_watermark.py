"""The mark: how faint it is, what it survives, and that it is not seen where it is not."""

import hashlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from facegen.media import Frame, read_picture
from facegen.provenance import (
    THRESHOLD,
    MarkKey,
    MarkScore,
    Watermark,
    detect_mark,
    get_installation_key,
    mark_picture,
    to_luma,
)
from facegen.provenance.watermark import SMALLEST, decode_payload, encode_payload, lattice, published_phases, words
from tests.factories import noise_rgb, portrait_rgb

PAYLOAD = 0xC0FFEE
KEY = MarkKey(installation_id=PAYLOAD, secret=b"ours")
OTHER = MarkKey(installation_id=0xFACE01, secret=b"theirs")


def detect(image: np.ndarray, key: MarkKey | None = KEY, *, thorough: bool = False) -> MarkScore:
    return detect_mark(to_luma(np.ascontiguousarray(image)), key, thorough=thorough)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    ok, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR))


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=interpolation)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return portrait_rgb()


@pytest.fixture(scope="module")
def marked(portrait: np.ndarray) -> np.ndarray:
    return mark_picture(portrait, KEY)


@pytest.mark.parametrize("size_hw", [(96, 96), (240, 426), (512, 512), (720, 1280), (1081, 607), (200, 2000)])
def test_the_mark_is_faint(size_hw: tuple[int, int]) -> None:
    mark = Watermark(size_hw, KEY)
    flat = np.full((*size_hw, 3), 128, np.uint8)
    noise = noise_rgb(*size_hw)
    decibels = [cv2.PSNR(image, mark.mark_rgb(image)) for image in (flat, noise)]
    assert 46 < decibels[0] < 56
    assert decibels[1] > 42
    assert np.abs(mark.mark_rgb(flat).astype(int) - flat).max() <= 7


def test_the_mark_hides_in_texture() -> None:
    half_flat = noise_rgb(512, 512)
    half_flat[:, :256] = 128
    added = Watermark((512, 512), KEY).mark_rgb(half_flat).astype(int) - half_flat
    assert added[:, :240].std() < 0.6 * added[:, 272:].std()


def test_a_marked_picture_stays_above_42_decibels(portrait: np.ndarray, marked: np.ndarray) -> None:
    assert cv2.PSNR(portrait, marked) > 42
    noise = noise_rgb(256, 256)
    assert cv2.PSNR(noise, mark_picture(noise, KEY)) > 42


def test_what_is_too_small_stays_as_it_is() -> None:
    tiny = np.full((SMALLEST - 1, 300, 3), 128, np.uint8)
    assert np.array_equal(mark_picture(tiny, KEY), tiny)
    assert np.array_equal(Watermark(tiny.shape[:2], KEY).mark_rgb(tiny), tiny)


def test_the_pattern_is_the_published_one() -> None:
    # Files that are out in the world carry this pattern; another one would no longer find their marks.
    points, digest = lattice(), hashlib.sha256()
    for array in (points.down, points.across, points.byte_of, points.published, points.coarse, points.fine):
        digest.update(array.astype(np.int16).tobytes())
    for phases in (published_phases(), words()):
        digest.update(np.rint(np.angle(phases) * 1000).astype(np.int16).tobytes())
    assert digest.hexdigest() == "bcdd9dc7b676008e83a094fa1ef644ead181f7a735da71c085164d4c40b8c2f1"


@pytest.mark.parametrize("value", [0, 1, PAYLOAD, (1 << 24) - 1])
def test_the_payload_comes_back(value: int) -> None:
    content = encode_payload(value)
    assert len(content) == 4
    assert decode_payload(content) == value
    for wrong in range(24):
        assert decode_payload((int.from_bytes(content, "big") ^ (256 << wrong)).to_bytes(4, "big")) != value


@pytest.mark.parametrize("value", [-1, 1 << 24])
def test_a_payload_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="Expected a payload"):
        Watermark((512, 512), MarkKey(installation_id=value, secret=b""))


def test_the_installation_is_marked_where_nothing_else_is_said(portrait: np.ndarray) -> None:
    found = detect(mark_picture(portrait), get_installation_key().mark_key)
    assert (found.is_secret, found.payload) == (True, get_installation_key().installation_id)


def test_a_marked_picture_is_found(portrait: np.ndarray, marked: np.ndarray) -> None:
    assert not detect(portrait).is_found
    assert detect(marked).score > 15
    assert detect(marked, None).payload == PAYLOAD


@pytest.mark.parametrize("quality", [90, 75, 60, 50])
def test_it_survives_jpeg(marked: np.ndarray, quality: int) -> None:
    assert detect(jpeg(marked, quality), None).is_found
    assert detect(jpeg(marked, quality)).payload == PAYLOAD


@pytest.mark.parametrize(("factor", "quality"), [(0.5, 50), (0.63, 85), (1.3, 85), (2.0, 85)])
def test_it_survives_rescaling_and_jpeg(marked: np.ndarray, factor: float, quality: int) -> None:
    assert detect(jpeg(scaled(marked, factor), quality)).is_secret


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_it_is_found_however_the_picture_is_turned(marked: np.ndarray, mirrored: bool, turns: int) -> None:
    turned = np.rot90(marked[:, ::-1] if mirrored else marked, turns)
    assert detect(turned, None).payload == PAYLOAD
    assert ("mirrored" in detect(turned).orientation) == mirrored


def test_it_survives_a_crop(marked: np.ndarray) -> None:
    height, width = marked.shape[:2]
    found = detect(
        marked[height // 5 : height // 5 + height * 7 // 10, width // 4 : width // 4 + width * 7 // 10], thorough=True
    )
    assert found.is_secret
    assert found.scale == pytest.approx(1 / 0.7, rel=0.01)


@pytest.mark.parametrize("turn", [-5, 2])
def test_it_survives_a_turn(marked: np.ndarray, turn: int) -> None:
    height, width = marked.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1)
    found = detect(cv2.warpAffine(marked, matrix, (width, height)), thorough=True)
    assert found.is_secret
    assert abs(found.turn) == pytest.approx(abs(turn), abs=0.5)


def test_it_survives_a_window_around_it(marked: np.ndarray) -> None:
    screen = np.full((marked.shape[0] * 3 // 2, marked.shape[1] * 5 // 2, 3), 240, np.uint8)
    screen[40 : 40 + marked.shape[0], 90 : 90 + marked.shape[1]] = marked
    found = detect(jpeg(screen, 85), thorough=True)
    assert found.is_secret
    assert found.scale == pytest.approx(2 / 3, rel=0.01)


def test_the_pattern_of_one_file_does_not_erase_that_of_another(portrait: np.ndarray, marked: np.ndarray) -> None:
    other = portrait[:, ::-1].copy()
    pattern = mark_picture(other, KEY).astype(np.int16) - other
    assert detect(np.clip(marked - pattern, 0, 255).astype(np.uint8)).is_secret


def test_nobody_else_writes_the_secret(portrait: np.ndarray, marked: np.ndarray) -> None:
    forged = mark_picture(portrait, MarkKey(installation_id=PAYLOAD, secret=b"a guess"))
    found = detect(forged)
    assert found.is_found
    assert (found.payload, found.is_secret) == (PAYLOAD, False)
    assert not detect(marked, OTHER).is_secret
    assert detect(marked, OTHER).payload == PAYLOAD


def test_an_installation_sees_its_own_mark_better(marked: np.ndarray) -> None:
    assert detect(marked).score > detect(marked, None).score


def test_it_survives_brightness_and_contrast(marked: np.ndarray) -> None:
    changed = np.clip(marked.astype(np.float32) * 0.8 + 30, 0, 255).astype(np.uint8)
    assert detect(changed, None).payload == PAYLOAD


def test_it_is_found_on_plain_black_and_white() -> None:
    for level in (0, 128, 255):
        assert detect(mark_picture(np.full((256, 256, 3), level, np.uint8), KEY), None).is_found


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "rocket", "chelsea", "retina", "immunohistochemistry"])
def test_unmarked_pictures_are_not_marked(name: str) -> None:
    if not hasattr(data, name):
        pytest.skip(f"this scikit-image has no {name}")
    try:
        image = getattr(data, name)()
    except (OSError, ModuleNotFoundError):
        pytest.skip(f"{name} is not in the installed scikit-image")
    assert not detect(image[..., :3]).is_found


def test_flat_and_random_pictures_are_not_marked() -> None:
    noise = noise_rgb(300, 400)
    ramp = np.ascontiguousarray(np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3)))
    for image in (noise, ramp, np.full((256, 256, 3), 77, np.uint8)):
        assert not detect(image, thorough=image is noise).is_found


@pytest.mark.data
def test_unmarked_photographs_are_not_marked(shared_data: Path) -> None:
    photographs = sorted((shared_data / "faces" / "celebamask" / "images").glob("*.jpg"))[:60]
    photographs += sorted((shared_data / "portraits").rglob("*.jpg"))
    assert max(detect(read_picture(path)).score for path in photographs) < THRESHOLD


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_it_is_added_to_the_luma_of_any_frame(marked: np.ndarray, portrait: np.ndarray, pix_fmt: str) -> None:
    native = Frame.from_picture(portrait, index=0, pts=0, time_base=Fraction(1, 25)).native.reformat(format=pix_fmt)
    frame = Frame(native, index=0, pts=0, time_base=Fraction(1, 25))
    after = Watermark(frame.size_hw, KEY).mark_frame(frame)
    step = 4 if frame.bit_depth == 10 else 1
    added = (after.planes[0].astype(np.int32) - frame.planes[0]) / step
    assert 0.7 < added.std() < 2.1
    assert all(np.array_equal(one, other) for one, other in zip(frame.planes[1:], after.planes[1:], strict=True))
    assert detect(after.image_rgb).payload == PAYLOAD
