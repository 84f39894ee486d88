"""The mark: how faint it is, what it survives, and that it is not seen where it is not."""

import hashlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from facegen.media import Frame, read_picture
from facegen.provenance import THRESHOLD, Watermark, detect_mark, get_installation_key, mark_picture
from facegen.provenance.detection import average_on_canonical_grid, to_canonical_grid
from facegen.provenance.watermark import CELLS, cell_grid, cell_plan, decode_payload, encode_payload
from tests.factories import noise_rgb, portrait_rgb

PAYLOAD = 0xC0FFEE


def score(*images: np.ndarray) -> float:
    return detect_mark(average_on_canonical_grid(images)).score


def payload(*images: np.ndarray) -> int | None:
    return detect_mark(average_on_canonical_grid(images)).payload


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    ok, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return cv2.imdecode(content, cv2.IMREAD_COLOR)


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=interpolation)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return portrait_rgb()


@pytest.fixture(scope="module")
def marked(portrait: np.ndarray) -> np.ndarray:
    return mark_picture(portrait, PAYLOAD)


@pytest.mark.parametrize("size_hw", [(96, 96), (240, 426), (512, 512), (720, 1280), (1081, 607), (200, 2000)])
def test_the_mark_is_faint(size_hw: tuple[int, int]) -> None:
    delta = Watermark(size_hw, PAYLOAD).luma_delta
    assert delta.shape == size_hw
    assert delta.dtype == np.int8
    assert not delta.flags.writeable
    psnr = 10 * np.log10(255**2 / (delta.astype(np.float64) ** 2).mean())
    assert 44 < psnr < 50
    assert np.abs(delta).max() <= 8


def test_what_is_too_small_stays_as_it_is() -> None:
    tiny = np.full((2 * CELLS - 1, 300, 3), 128, np.uint8)
    assert np.array_equal(mark_picture(tiny, PAYLOAD), tiny)


def test_the_plan_is_the_published_one() -> None:
    # Files that are out in the world carry this plan; another one would no longer find their marks.
    signs, waves = cell_plan()
    digest = hashlib.sha256(signs.astype(np.int8).tobytes() + waves.astype(np.int8).tobytes()).hexdigest()
    assert digest == "73b609226ccf4870f765c2bf4ea996b698a83ae10ac9c76077b2af9811f3c45e"


@pytest.mark.parametrize("value", [0, 1, PAYLOAD, (1 << 24) - 1])
def test_the_payload_comes_back(value: int) -> None:
    bits = encode_payload(value)
    assert bits.shape == (32,)
    assert decode_payload(bits) == value
    for wrong in range(24):
        assert decode_payload(bits ^ (np.arange(32) == wrong)) != value


@pytest.mark.parametrize("value", [-1, 1 << 24])
def test_a_payload_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="Expected a payload"):
        Watermark((512, 512), value)


def test_the_installation_is_marked_where_nothing_else_is_said() -> None:
    assert Watermark((512, 512)).payload == get_installation_key().installation_id


def test_a_marked_picture_is_found(portrait: np.ndarray, marked: np.ndarray) -> None:
    assert score(portrait) < THRESHOLD
    assert score(marked) > 15
    assert payload(marked) == PAYLOAD


@pytest.mark.parametrize("quality", [90, 75, 60])
def test_it_survives_jpeg(marked: np.ndarray, quality: int) -> None:
    luma = to_canonical_grid(jpeg(marked, quality))
    assert detect_mark(luma).is_found
    assert detect_mark(luma, PAYLOAD).payload == PAYLOAD


@pytest.mark.parametrize("factor", [0.5, 0.63, 0.8, 1.3, 2.0])
def test_it_survives_rescaling_and_jpeg(marked: np.ndarray, factor: float) -> None:
    luma = to_canonical_grid(jpeg(scaled(marked, factor), 85))
    assert detect_mark(luma, PAYLOAD).is_found


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_it_is_found_however_the_picture_is_turned(marked: np.ndarray, mirrored: bool, turns: int) -> None:
    turned = np.ascontiguousarray(np.rot90(marked[:, ::-1] if mirrored else marked, turns))
    assert payload(turned) == PAYLOAD


def test_an_installation_knows_its_own_mark_and_no_other(marked: np.ndarray) -> None:
    luma = to_canonical_grid(marked)
    assert detect_mark(luma, PAYLOAD).score > detect_mark(luma).score
    assert detect_mark(luma, PAYLOAD ^ 0xFFFFFF).payload == PAYLOAD


def test_a_strong_mark_of_another_installation_is_never_taken_for_the_own(marked: np.ndarray) -> None:
    luma = to_canonical_grid(marked)
    numbers = (int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:3], "big") for number in range(40))
    assert {detect_mark(luma, own).payload for own in numbers} == {PAYLOAD}


def test_it_survives_brightness_and_contrast(marked: np.ndarray) -> None:
    changed = np.clip(marked.astype(np.float32) * 0.8 + 30, 0, 255).astype(np.uint8)
    assert payload(changed) == PAYLOAD


def test_it_is_found_on_plain_black_and_white() -> None:
    for level in (0, 128, 255):
        assert score(mark_picture(np.full((256, 256, 3), level, np.uint8), PAYLOAD)) > THRESHOLD


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "rocket", "chelsea", "retina", "immunohistochemistry"])
def test_unmarked_pictures_are_not_marked(name: str) -> None:
    if not hasattr(data, name):
        pytest.skip(f"this scikit-image has no {name}")
    try:
        image = getattr(data, name)()
    except (OSError, ModuleNotFoundError):
        pytest.skip(f"{name} is not in the installed scikit-image")
    assert score(image[..., :3]) < THRESHOLD


def test_flat_and_random_pictures_are_not_marked() -> None:
    noise = noise_rgb(300, 400)
    ramp = np.ascontiguousarray(np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3)))
    for image in (noise, ramp, np.full((256, 256, 3), 77, np.uint8)):
        assert score(image) < THRESHOLD


@pytest.mark.data
def test_unmarked_photographs_are_not_marked(shared_data: Path) -> None:
    photographs = sorted((shared_data / "faces" / "celebamask" / "images").glob("*.jpg"))[:200]
    photographs += sorted((shared_data / "portraits").rglob("*.jpg"))
    assert max(score(read_picture(path)) for path in photographs) < THRESHOLD


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_it_is_added_to_the_luma_of_any_frame(marked: np.ndarray, portrait: np.ndarray, pix_fmt: str) -> None:
    native = Frame.from_picture(portrait, index=0, pts=0, time_base=Fraction(1, 25)).native.reformat(format=pix_fmt)
    frame = Frame(native, index=0, pts=0, time_base=Fraction(1, 25))
    after = frame.add_luma(Watermark(frame.size_hw, PAYLOAD).luma_delta)
    step = 4 if frame.bit_depth == 10 else 1
    peak = (1 << frame.bit_depth) - 1
    wanted = frame.planes[0].astype(np.int32) + Watermark(frame.size_hw, PAYLOAD).luma_delta.astype(np.int32) * step
    assert np.array_equal(after.planes[0], np.clip(wanted, 0, peak))
    assert all(np.array_equal(one, other) for one, other in zip(frame.planes[1:], after.planes[1:], strict=True))
    assert payload(after.image_rgb) == PAYLOAD


@pytest.mark.parametrize(("size_hw", "cells"), [((512, 512), (48, 48)), ((360, 640), (48, 85)), ((640, 360), (85, 48))])
def test_the_grid_follows_the_shape(size_hw: tuple[int, int], cells: tuple[int, int]) -> None:
    assert cell_grid(size_hw) == cells
