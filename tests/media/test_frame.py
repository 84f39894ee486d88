"""Pasting changes what it should and nothing else, in every format that a frame can have."""

from fractions import Fraction

import av
import numpy as np
import pytest

from facegen.media import Frame, Patch, VideoColor, hdr, paste_picture
from facegen.media.color import yuv_matrix
from facegen.media.frame import PLANAR
from facegen.media.planes import plane_view
from tests.factories import gradient_rgb, noise_rgb

SIZES = ((48, 64), (47, 63), (48, 63), (47, 64))


def frame_of(pix_fmt: str, height: int, width: int, *, is_full_range: bool = False) -> Frame:
    """A frame of noise in its own planes."""
    native = av.VideoFrame(width, height, pix_fmt)
    peak = 1023 if pix_fmt.endswith("10le") else 255
    random = np.random.default_rng(1)
    for index in range(3):
        view = plane_view(native, index)
        view[:] = random.integers(0, peak + 1, view.shape)
    color = VideoColor(matrix=1, is_full_range=is_full_range, is_range_tagged=True)
    return Frame(native, index=0, pts=0, time_base=Fraction(1, 25), color=color)


def steps_of(frame: Frame) -> tuple[int, int]:
    """Rows and columns that a chroma sample covers."""
    return {"420": (2, 2), "422": (1, 2), "444": (1, 1)}[frame.native.format.name[3:6]]


@pytest.mark.parametrize("is_full_range", [False, True])
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("pix_fmt", PLANAR)
def test_paste_leaves_samples_without_alpha_exactly_as_they_were(
    pix_fmt: str, height: int, width: int, is_full_range: bool
) -> None:
    frame = frame_of(pix_fmt, height, width, is_full_range=is_full_range)
    alpha = np.zeros((21, 23), np.float32)
    alpha[4:-3, 5:-6] = np.random.default_rng(2).uniform(0.2, 1, alpha[4:-3, 5:-6].shape)
    for x, y in ((11, 13), (-9, -8), (width - 13, height - 15)):
        pasted = frame.paste([Patch(x=x, y=y, image_rgb=noise_rgb(21, 23), alpha=alpha)])
        covered = np.zeros((height + 200, width + 200), bool)
        covered[y + 100 : y + 121, x + 100 : x + 123] = alpha > 0
        covered = covered[100 : height + 100, 100 : width + 100]
        assert covered.any()
        assert not np.array_equal(pasted.planes[0][covered], frame.planes[0][covered])
        assert np.array_equal(pasted.planes[0][~covered], frame.planes[0][~covered])
        step_y, step_x = steps_of(frame)
        padded = np.pad(covered, ((0, -height % step_y), (0, -width % step_x)))
        chroma = padded.reshape(padded.shape[0] // step_y, step_y, -1, step_x).any(axis=(1, 3))
        for index in (1, 2):
            assert np.array_equal(pasted.planes[index][~chroma], frame.planes[index][~chroma])


@pytest.mark.parametrize("is_full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("pix_fmt", PLANAR)
def test_a_picture_pasted_whole_is_the_picture_read_back(pix_fmt: str, matrix: int, is_full_range: bool) -> None:
    image = gradient_rgb(48, 64)
    color = VideoColor(matrix=matrix, is_full_range=is_full_range, is_range_tagged=True)
    frame = Frame(av.VideoFrame(64, 48, pix_fmt), index=0, pts=0, time_base=Fraction(1), color=color)
    pasted = frame.paste([Patch(x=0, y=0, image_rgb=image, alpha=np.ones((48, 64), np.float32))])
    error = pasted.image_rgb.astype(float) - image
    assert np.abs(error).mean() < 0.8
    # swscale takes 1020, not 1023, for the white of full-range 10 bit.
    assert abs(error.mean()) < (0.5 if is_full_range and frame.bit_depth == 10 else 0.1)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_a_frame_pasted_into_itself_stays_itself(pix_fmt: str) -> None:
    picture = Frame.from_picture(gradient_rgb(64, 64), index=0, pts=0, time_base=Fraction(1))
    native = picture.native if pix_fmt == "yuv420p" else picture.native.reformat(format=pix_fmt)
    frame = Frame(native, index=0, pts=0, time_base=Fraction(1), color=picture.color)
    whole = Patch(x=0, y=0, image_rgb=frame.image_rgb, alpha=np.ones((64, 64), np.float32))
    pasted = frame.paste([whole])
    assert abs(float(pasted.planes[0].astype(float).mean() - frame.planes[0].mean())) < 0.1
    assert np.abs(pasted.image_rgb.astype(int) - frame.image_rgb).mean() < 1.5


def test_half_alpha_is_half_way() -> None:
    frame = Frame.from_picture(np.zeros((32, 32, 3), np.uint8), index=0, pts=0, time_base=Fraction(1))
    white = Patch(x=8, y=8, image_rgb=np.full((16, 16, 3), 255.0, np.float32), alpha=np.full((16, 16), 0.5, np.float32))
    pasted = frame.paste([white])
    assert np.all(np.abs(pasted.image_rgb[8:24, 8:24].astype(int) - 128) <= 2)
    assert np.all(pasted.image_rgb[:7, :7] <= 1)


def test_paste_keeps_index_and_time_and_the_frame_it_was_called_on() -> None:
    frame = frame_of("yuv420p", 48, 64)
    before = [plane.copy() for plane in frame.planes]
    pasted = frame.paste([Patch(x=0, y=0, image_rgb=noise_rgb(9, 9), alpha=np.ones((9, 9), np.float32))])
    assert (pasted.index, pasted.pts, pasted.time_base) == (frame.index, frame.pts, frame.time_base)
    assert all(np.array_equal(a, b) for a, b in zip(before, frame.planes, strict=True))


def test_a_patch_outside_changes_nothing() -> None:
    frame = frame_of("yuv420p", 48, 64)
    pasted = frame.paste([Patch(x=64, y=0, image_rgb=noise_rgb(9, 9), alpha=np.ones((9, 9), np.float32))])
    assert all(np.array_equal(a, b) for a, b in zip(pasted.planes, frame.planes, strict=True))


def test_a_patch_says_what_shape_it_needs() -> None:
    with pytest.raises(ValueError, match=r"\(h, w, 3\)"):
        Patch(x=0, y=0, image_rgb=noise_rgb(4, 5), alpha=np.ones((5, 4), np.float32))


def test_paste_picture_leaves_the_outside_untouched() -> None:
    image = noise_rgb(30, 40)
    alpha = np.zeros((20, 20), np.float32)
    alpha[5:15, 5:15] = 1
    pasted = paste_picture(image, [Patch(x=-5, y=-5, image_rgb=noise_rgb(20, 20, seed=3), alpha=alpha)])
    assert np.array_equal(pasted[10:], image[10:])
    assert np.array_equal(pasted[:, 10:], image[:, 10:])
    assert np.array_equal(pasted[:10, :10], noise_rgb(20, 20, seed=3)[5:15, 5:15])


@pytest.mark.parametrize(
    ("pix_fmt", "expected"),
    [
        ("rgb24", "yuv444p"),
        ("bgra", "yuv444p"),
        ("gbrp", "yuv444p"),
        ("gray", "yuv420p"),
        ("nv12", "yuv420p"),
        ("yuyv422", "yuv422p"),
        ("yuva420p", "yuv420p"),
        ("yuva444p10le", "yuv444p10le"),
        ("yuv420p12le", "yuv420p10le"),
        ("p010le", "yuv420p10le"),
        ("yuv411p", "yuv422p"),
        ("yuv440p", "yuv444p"),
        ("yuvj422p", "yuv422p"),
    ],
)
def test_other_formats_become_planar_ones_with_the_same_picture(pix_fmt: str, expected: str) -> None:
    image = gradient_rgb(48, 64)
    source = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format=pix_fmt, dst_colorspace=1, dst_color_range=2 if "j" in pix_fmt else 1, src_color_range=2
    )
    color = VideoColor(matrix=1, is_full_range="j" in pix_fmt, is_range_tagged=True)
    frame = Frame(source, index=0, pts=0, time_base=Fraction(1), color=color)
    assert frame.native.format.name == expected
    picture = frame.image_rgb.astype(float)
    if pix_fmt == "gray":
        assert np.ptp(picture, axis=2).max() <= 2
        return
    assert np.abs(picture - image).mean() < 5


def test_image_rgb_cannot_be_written_to() -> None:
    frame = frame_of("yuv420p", 48, 64)
    with pytest.raises(ValueError, match="read-only"):
        frame.image_rgb[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        frame.planes[0][0, 0] = 0


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p10le", "yuv420p"])
def test_hdr_is_pasted_into_in_the_light_of_its_display(transfer: int, pix_fmt: str) -> None:
    color = VideoColor(matrix=9, primaries=9, transfer=transfer, is_range_tagged=True)
    picture = Frame.from_picture(gradient_rgb(96, 128), index=0, pts=0, time_base=Fraction(1, 25))
    native = picture.native.reformat(format=pix_fmt)
    frame = Frame(native, index=0, pts=0, time_base=Fraction(1, 25), color=color)
    shown = frame.image_rgb.astype(np.float64)
    if "444" in pix_fmt:
        matrix = yuv_matrix(color, 96, frame.bit_depth).astype(np.float64)
        signal = (np.dstack(frame.planes) - matrix[:, 3]) @ np.linalg.inv(matrix[:, :3]).T / 255
        exact = np.clip(hdr.to_display(np.clip(signal, 0, 1), color), 0, 255)
        assert np.abs(shown - exact).mean() < 2
    alpha = np.zeros((96, 128), np.float32)
    alpha[20:70, 30:90] = 1
    same = frame.paste([Patch(x=0, y=0, image_rgb=frame.image_rgb, alpha=alpha)])
    assert np.abs(shown - same.image_rgb).mean() < 2
    face = np.full((96, 128, 3), (180, 140, 120), np.uint8)
    pasted = frame.paste([Patch(x=0, y=0, image_rgb=face, alpha=alpha)])
    assert np.abs(pasted.image_rgb[30:60, 40:80].astype(int) - face[30:60, 40:80]).mean() < 2.5
    for before, after in zip(frame.planes, pasted.planes, strict=True):
        step = 96 // before.shape[0]
        assert np.array_equal(before[: 20 // step], after[: 20 // step])


@pytest.mark.parametrize("transfer", [16, 18])
def test_the_mark_in_hdr_is_as_faint_as_on_an_ordinary_screen(transfer: int) -> None:
    color = VideoColor(matrix=9, primaries=9, transfer=transfer, is_range_tagged=True)
    native = av.VideoFrame(64, 64, "yuv420p10le")
    for index, value in enumerate((500, 512, 512)):
        plane_view(native, index)[:] = value
    frame = Frame(native, index=0, pts=0, time_base=Fraction(1, 25), color=color)
    marked = frame.add_luma(np.full((64, 64), 1, np.int8))
    change = int(marked.planes[0][0, 0]) - 500
    assert 1 <= change <= 3


def test_patches_of_displayed_pixels_are_laid_into_stored_ones() -> None:
    square = frame_of("yuv444p", 64, 60)
    frame = square.replace(pixel_aspect=Fraction(3, 2))
    assert frame.size_hw == (64, 90)
    alpha = np.zeros((64, 90), np.float32)
    alpha[10:40, 31:61] = 1
    face = np.full((64, 90, 3), (180, 140, 120), np.uint8)
    pasted = frame.paste([Patch(x=0, y=0, image_rgb=face, alpha=alpha)])
    changed = pasted.planes[0] != frame.planes[0]
    assert changed[:, :20].sum() == 0
    assert changed[:, 41:].sum() == 0
    assert np.abs(pasted.image_rgb[14:36, 36:56].astype(int) - (180, 140, 120)).max() < 6
