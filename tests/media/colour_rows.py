"""Rows of docs/media.md, «Colour and geometry»."""

from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from facegen import media
from facegen.media.info import StaticLight
from tests.factories import moving_portrait, portrait_rgb
from tests.media.clips import Clip
from tests.media.reading import shown_times
from tests.media.table import Row


def write_faces(
    path: Path,
    *,
    size_wh: tuple[int, int] = (256, 256),
    aspect: Fraction = Fraction(1),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fields: str = "",
    tags: tuple[int, int] = (1, 1),
    transfer: int = 1,
    options: dict[str, str] | None = None,
    is_grey: bool = False,
) -> Path:
    """A clip of a face that moves; pixels of `aspect` show it 256 x 256, `fields` are `tff`, `bff` or none."""
    frames = moving_portrait(96)[::4] if fields else moving_portrait(12)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size_wh, pix_fmt
        stream.codec_context.sample_aspect_ratio = aspect
        context = stream.codec_context
        context.colorspace, context.color_range = tags
        context.color_primaries, context.color_trc = tags[0], transfer
        if fields:
            frames = [weave(*frames[at : at + 2], is_top_first=fields == "tff") for at in range(0, len(frames), 2)]
        for image in frames:
            stored = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
            if is_grey:
                stored = cv2.cvtColor(cv2.cvtColor(stored, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            rgb = av.VideoFrame.from_ndarray(stored, format="rgb24")
            container.mux(stream.encode(rgb.reformat(format=pix_fmt, dst_colorspace=tags[0], dst_color_range=tags[1])))
        container.mux(stream.encode(None))
    return path


def weave(first: np.ndarray, second: np.ndarray, *, is_top_first: bool) -> np.ndarray:
    """A frame whose lines come from two moments in turn."""
    woven = first.copy()
    woven[is_top_first::2] = second[is_top_first::2]
    return woven


def _interlaced(folder: Path, fields: str) -> Path:
    flags = {"tff": "tff=1", "bff": "bff=1"}[fields]
    return write_faces(folder / "interlaced.mp4", fields=fields, options={"x264-params": f"{flags}:crf=10"})


def _is_deinterlaced(source: Path, output: Path) -> None:
    assert shown_times(output) == shown_times(source)
    with av.open(str(output)) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))
    with av.open(str(source)) as container:
        raw = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    combed, smooth = _combing(raw[5]), _combing(media.read_frame_at(output, index=5).image_rgb[..., 1])
    assert smooth < 0.5 * combed


def _combing(grey: np.ndarray) -> float:
    lines = grey.astype(np.float32)
    return float(np.abs(lines[2:] - 2 * lines[1:-1] + lines[:-2]).mean())


def _keeps_aspect(source: Path, output: Path) -> None:
    before, after = media.probe(source), media.probe(output)
    assert (after.width, after.height, after.pixel_aspect) == (before.width, before.height, before.pixel_aspect)
    assert after.size_hw != (after.height, after.width)
    assert np.abs(_picture(source, 3) - _picture(output, 3)).mean() < 12


def _shows_the_same(source: Path, output: Path) -> None:
    assert media.probe(output).size_hw == media.probe(source).size_hw
    assert np.abs(_picture(source, 3) - _picture(output, 3)).mean() < 12


def _picture(path: Path, index: int) -> np.ndarray:
    return media.read_frame_at(path, index=index).image_rgb.astype(np.float32)


def _says_its_matrix(source: Path, output: Path) -> None:
    """A player that goes by the tags shows the colours of the source."""
    with av.open(str(source)) as container:
        before = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.float32)
    with av.open(str(output)) as container:
        frame = next(container.decode(video=0))
        assert (frame.format.name, int(frame.colorspace), int(frame.color_range)) == ("yuv420p", 1, 1)
        after = frame.reformat(format="rgb24", src_colorspace=1, src_color_range=1, dst_color_range=2).to_ndarray()
    assert np.abs(before - after).mean() < 3


def _grey_film(folder: Path) -> Path:
    return write_faces(folder / "film.mp4", options={"x264-params": "crf=23"}, is_grey=True)


def _grey_photograph(folder: Path) -> Path:
    path = folder / "photograph.jpg"
    media.write_picture(path, cv2.cvtColor(cv2.cvtColor(portrait_rgb(), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    return path


def _is_grey(_source: Path, output: Path) -> None:
    images = (
        [media.read_picture(output)]
        if media.is_picture(output)
        else [frame.image_rgb for frame in media.read_frames(output, every=4)]
    )
    for image in images:
        assert np.ptp(image.astype(int), axis=2).max() <= 6


LIGHT = StaticLight(
    mastering="G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)", content="1000,400"
)


def _mastered(folder: Path) -> Path:
    params = f"log-level=error:hdr10=1:master-display={LIGHT.mastering}:max-cll={LIGHT.content}"
    return write_faces(
        folder / "hdr.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        tags=(9, 1),
        transfer=16,
        options={"x265-params": params, "preset": "ultrafast"},
    )


def _keeps_light(source: Path, output: Path) -> None:
    before, after = media.probe(source), media.probe(output)
    assert (after.color, after.bit_depth, before.light, after.light) == (before.color, 10, LIGHT, LIGHT)
    assert np.abs(_picture(source, 3) - _picture(output, 3)).mean() < 12


def _with_extras(folder: Path) -> Path:
    """A clip whose picture has a language, a title and a time code, with an attached font."""
    plain, path = Clip(name="plain").write(folder), folder / "extras.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        streams[0].codec_context.framerate = 25
        streams[0].metadata.update({"language": "deu", "title": "Camera 2", "timecode": "10:20:30:05"})
        target.add_attachment("font.ttf", "font/ttf", b"letters")
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path


def _keeps_names(source: Path, output: Path) -> None:
    with av.open(str(output)) as container:
        tags = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
        assert tags["language"] == "deu"
        assert tags["timecode"] == "10:20:30:05"
        if output.suffix == ".mkv":
            assert tags["title"] == "Camera 2"
            assert [stream.data for stream in container.streams.attachments] == [b"letters"]


ROWS: tuple[Row, ...] = (
    Row(
        input="black-and-white film",
        result="no colour in what is drawn",
        make=_grey_film,
        check=_is_grey,
        jobs=("swap",),
    ),
    Row(
        input="black-and-white photograph",
        result="no colour in what is drawn, nor in a sepia one any but its own",
        make=_grey_photograph,
        check=_is_grey,
        jobs=("swap",),
        suffix=".png",
    ),
    Row(
        input="black-and-white portrait that talks",
        result="lips, teeth and eyes grey",
        make=_grey_photograph,
        check=_is_grey,
        jobs=("talk",),
    ),
    Row(
        input="pixels that are not square (720x576 with SAR 64:45)",
        result="analysed and drawn as displayed, in square pixels; written in the stored ones",
        make=lambda folder: write_faces(folder / "wide.mp4", size_wh=(180, 256), aspect=Fraction(64, 45)),
        check=_keeps_aspect,
        jobs=("rewrite", "denoise", "swap"),
    ),
    Row(
        input="HDR10 (PQ, BT.2020, 10 bit) with mastering display and light level",
        result="faces matched, blended and marked in display-referred light; depth, tags and both kept",
        said="High dynamic range (PQ)",
        make=_mastered,
        check=_keeps_light,
        jobs=("rewrite", "swap"),
    ),
    Row(
        input="a piece of such a clip, by `video cut`",
        result="depth, tags, mastering display and light level kept",
        make=_mastered,
        check=_keeps_light,
        jobs=("cut",),
    ),
    Row(
        input="a piece of a clip with other pixels, by `video cut`",
        result="stored pixels and their shape kept",
        make=lambda folder: write_faces(folder / "wide.mp4", size_wh=(180, 256), aspect=Fraction(64, 45)),
        check=_keeps_aspect,
        jobs=("cut",),
    ),
    Row(
        input="language, title and time code of the picture, attached fonts",
        result="all kept in .mkv",
        make=_with_extras,
        check=_keeps_names,
        suffix=".mkv",
    ),
    Row(
        input="such names and fonts into .mp4",
        result="language and time code kept",
        said="Left out, as the output has no place for it: attached files (font.ttf",
        make=_with_extras,
        check=_keeps_names,
    ),
    Row(
        input="half the columns (360x576 with SAR 2)",
        result="the same",
        make=lambda folder: write_faces(folder / "half.mp4", size_wh=(128, 256), aspect=Fraction(2)),
        check=_keeps_aspect,
        jobs=("swap",),
    ),
    Row(
        input="the same into .webm",
        result="square pixels, as WebM is written without others",
        said="Written in square pixels, 256 x 256",
        make=lambda folder: write_faces(folder / "wide.mp4", size_wh=(180, 256), aspect=Fraction(64, 45)),
        check=_shows_the_same,
        suffix=".webm",
    ),
    *(
        Row(
            input=f"RGB samples ({name})",
            result="YUV 4:2:0; matrix BT.709 and limited range, as used, are tagged",
            make=lambda folder, suffix=suffix, codec=codec, pix_fmt=pix_fmt: Clip(
                name="rgb", suffix=suffix, codec=codec, pix_fmt=pix_fmt, tags=(0, 1, 1), sound=()
            ).write(folder),
            check=_says_its_matrix,
        )
        for name, suffix, codec, pix_fmt in (
            ("H.264", ".mp4", "libx264rgb", "rgb24"),
            ("PNG in MOV", ".mov", "png", "rgb24"),
            ("RLE in MOV", ".mov", "qtrle", "rgb24"),
            ("FFV1, bgr0", ".mkv", "ffv1", "bgr0"),
        )
    ),
    *(
        Row(
            input=f"interlaced, {name} field first",
            result="each frame deinterlaced by bwdif, tagged progressive, its time kept",
            said="interlaced",
            make=partial(_interlaced, fields=fields),
            check=_is_deinterlaced,
        )
        for name, fields in (("upper", "tff"), ("lower", "bff"))
    ),
)
