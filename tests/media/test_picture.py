"""Pictures come in as they are meant to be seen, and go out whole."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from facegen.errors import InputError
from facegen.media import is_picture, is_video, read_picture, read_still, write_picture
from tests.factories import gradient_rgb, noise_rgb

KINDS = ((".png", 0.0), (".jpg", 2.0), (".jpeg", 2.0), (".webp", 4.0))


@pytest.mark.parametrize(("suffix", "tolerance"), KINDS)
@pytest.mark.parametrize("size", [(47, 63), (1, 1), (64, 2)])
def test_what_is_written_is_read(suffix: str, tolerance: float, size: tuple[int, int], tmp_path: Path) -> None:
    path, image = tmp_path / f"a{suffix}", gradient_rgb(*size)
    write_picture(path, image)
    read = read_picture(path)
    assert read.dtype == np.uint8
    assert read.shape == image.shape
    assert np.abs(read.astype(float) - image).mean() <= tolerance
    assert is_picture(path)
    assert not is_video(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_exif_orientation_is_applied(orientation: int, kind: str, tmp_path: Path) -> None:
    image = gradient_rgb(48, 64)
    stored = {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.transpose(1, 0, 2),
        6: np.rot90(image),
        7: image[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(image, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind}"
    options = {"quality": 95} if kind == "jpeg" else {"lossless": True} if kind == "webp" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif.tobytes(), **options)
    read = read_picture(path)
    assert read.shape == image.shape
    assert np.abs(read.astype(float) - image).mean() < 3


def test_a_colour_profile_is_converted(tmp_path: Path) -> None:
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    image = Image.fromarray(gradient_rgb(48, 64))
    converted = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert converted is not None
    path = tmp_path / "lab.tiff"
    converted.save(path, icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert np.abs(read_picture(path).astype(float) - np.asarray(image)).mean() < 3


def test_a_broken_profile_is_taken_as_srgb(tmp_path: Path) -> None:
    path, image = tmp_path / "a.png", gradient_rgb(48, 64)
    Image.fromarray(image).save(path, icc_profile=b"not a profile")
    assert np.array_equal(read_picture(path), image)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16", "F"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    image = gradient_rgb(48, 64)
    path = tmp_path / ("a.tiff" if mode in ("CMYK", "F") else "a.png")
    if mode == "I;16":
        Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(path)
    elif mode == "F":
        Image.fromarray(image[..., 0].astype(np.float32)).save(path)
    else:
        Image.fromarray(image).convert(mode).save(path)
    read = read_picture(path)
    assert read.shape == image.shape
    if mode == "I;16":
        assert np.abs(read[..., 0].astype(int) - image[..., 0]).max() <= 1


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tiff"])
def test_transparency_is_laid_on_white(name: str, tmp_path: Path) -> None:
    image, alpha = gradient_rgb(48, 64), np.zeros((48, 64), np.uint8)
    alpha[:, 16:32], alpha[:, 32:] = 100, 255
    options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    Image.fromarray(np.dstack([image, alpha])).save(tmp_path / name, **options)
    still = read_still(tmp_path / name)
    assert np.array_equal(still.alpha, alpha)
    assert (still.image_rgb[:, :16] == 255).all()
    assert np.abs(still.image_rgb[:, 16:32] - (255 - (255.0 - image[:, 16:32]) * 100 / 255)).max() <= 1
    assert np.array_equal(still.image_rgb[:, 32:], image[:, 32:])


def test_transparency_is_kept_where_the_kind_can(tmp_path: Path) -> None:
    image, alpha = gradient_rgb(48, 64), np.zeros((48, 64), np.uint8)
    alpha[:, 16:32], alpha[:, 32:] = 100, 255
    Image.fromarray(np.dstack([image, alpha])).save(tmp_path / "a.png")
    still = read_still(tmp_path / "a.png")
    assert write_picture(tmp_path / "b.png", still.image_rgb, like=still) == ()
    again = read_still(tmp_path / "b.png")
    assert np.array_equal(again.alpha, alpha)
    assert np.array_equal(again.image_rgb, still.image_rgb)
    with Image.open(tmp_path / "b.png") as written:
        hidden, half = np.asarray(written)[:, :16, :3], np.asarray(written)[:, 16:32, :3]
    assert (hidden == 255).all()
    assert np.abs(half.astype(int) - image[:, 16:32]).max() <= 2
    assert "white" in write_picture(tmp_path / "b.jpg", still.image_rgb, like=still)[0]


@pytest.mark.parametrize("kept", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.heic"])
def test_date_and_camera_are_kept_and_the_place_on_demand(name: str, kept: str, tmp_path: Path) -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Artist] = "Maker", 6, "Anna"
    exif.get_ifd(ExifTags.IFD.Exif).update({36867: "2020:01:02 03:04:05", 37500: b"secret", 42033: "serial"})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 30.0, 10.5)})
    Image.fromarray(gradient_rgb(48, 64)).save(tmp_path / name, exif=exif.tobytes())
    still = read_still(tmp_path / name)
    assert still.image_rgb.shape == (64, 48, 3)
    for keep_position in (False, True):
        output = tmp_path / f"b{kept}"
        notices = write_picture(output, still.image_rgb, like=still, keep_position=keep_position)
        with Image.open(output) as image:
            found, size = image.getexif(), image.size
        assert size == (48, 64)
        assert (found[ExifTags.Base.Make], found[ExifTags.Base.Orientation]) == ("Maker", 1)
        assert dict(found.get_ifd(ExifTags.IFD.Exif)) == {36867: "2020:01:02 03:04:05"}
        assert ExifTags.Base.Artist not in found
        assert bool(found.get_ifd(ExifTags.IFD.GPSInfo)) == keep_position
        assert bool(notices) != keep_position


def test_broken_exif_is_no_hindrance(tmp_path: Path) -> None:
    image = gradient_rgb(48, 64)
    Image.fromarray(image).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff nothing of the kind")
    still = read_still(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", still.image_rgb, like=still)
    assert np.array_equal(read_picture(tmp_path / "b.png"), image)


@pytest.mark.parametrize("peak", [1.0, 1.5, 255.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_of_floats_is_scaled(channels: int, peak: float, tmp_path: Path) -> None:
    image = gradient_rgb(48, 64)[..., :channels]
    floats = image.astype(np.float32) / np.float32(255 if peak < 255 else 1)
    floats[0, 0] = peak
    cv2.imwrite(str(tmp_path / "a.tiff"), floats[..., ::-1])
    expected = np.broadcast_to(image, (48, 64, 3)).copy()
    expected[0, 0] = 255
    assert np.abs(read_picture(tmp_path / "a.tiff").astype(int) - expected).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_metadata_goes_along(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_picture(path, gradient_rgb(48, 64), metadata={"seed": "7", "note": "naïve"})
    with Image.open(path) as image:
        kept = image.text if suffix == ".png" else json.loads(image.getexif()[0x010E])
    assert (kept["seed"], kept["note"]) == ("7", "naïve")


def huge(folder: Path) -> Path:
    path = folder / "huge.png"
    Image.new("1", (12000, 9000)).save(path)
    return path


def bomb(folder: Path) -> Path:
    path = folder / "bomb.png"
    data = io.BytesIO()
    Image.new("1", (8, 8)).save(data, "PNG")
    raw = bytearray(data.getvalue())
    raw[16:24] = (60000).to_bytes(4, "big") * 2
    import zlib

    raw[29:33] = zlib.crc32(bytes(raw[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(raw))
    return path


def half(folder: Path) -> Path:
    path = folder / "half.png"
    write_picture(path, noise_rgb(100, 100))
    path.write_bytes(path.read_bytes()[:9000])
    return path


def text(folder: Path) -> Path:
    path = folder / "text.jpg"
    path.write_text("no picture")
    return path


def script(folder: Path) -> Path:
    path = folder / "script.png"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.png"
    path.touch()
    return path


@pytest.mark.parametrize("make", [huge, bomb, half, text, script, empty], ids=lambda make: make.__name__)
def test_bad_pictures_are_one_sentence(make: object, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError) as caught:
        read_picture(path)
    message = str(caught.value)
    assert message.startswith("Expected ")
    assert path.name in message
    assert "\n" not in message
    if make is huge:
        assert "12,000 x 9,000" in message
    if make in (huge, bomb):  # else it would be called a damaged film
        assert is_picture(path)


def test_a_name_with_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png"):
        write_picture(tmp_path / "a.gif", gradient_rgb(8, 8))


def test_moving_pictures_are_no_picture(tmp_path: Path) -> None:
    frames = [Image.fromarray(gradient_rgb(48, 64, phase / 8)) for phase in range(4)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    assert not is_picture(path)
    assert is_video(path)
