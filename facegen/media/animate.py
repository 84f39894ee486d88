"""GIF and animated WebP from frames, for short clips: as displayed, without sound."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.filter
import numpy as np
from av.video.stream import VideoStream

from facegen.media.color import VideoColor, convert
from facegen.media.deinterlace import build_graph, pull_frames
from facegen.media.frame import Frame
from facegen.media.source import local_url

_SHORTEST = {"gif": Fraction(1, 50), "webp": Fraction(1, 1000)}
"""Seconds that a frame is shown at least; browsers slow down a GIF that is quicker."""
_UNIT = {"gif": Fraction(1, 100), "webp": Fraction(1, 1000)}
_NOTICES = {
    "gif": "GIF has 256 colours, times in hundredths of a second and no sound; .webp and .mp4 look better and are smaller.",
    "webp": "An animated WebP has no sound.",
}


def write_animation(
    path: Path, kind: str, frames: Callable[[], Iterable[Frame]], *, crf: int, comment: str
) -> tuple[str, ...]:
    """Writes an animation whose first frame is shown at 0; memory does not grow with its length.

    Args:
        path: where to.
        kind: `gif` or `webp`.
        frames: gives the frames, from the beginning each time it is called.
        crf: quality on the scale of x264.
        comment: put into the file.

    Returns:
        What the format does not keep.
    """
    if kind == "gif":
        palette = _make_palette(frames())
        pictures, options = _with_palette(_pictures(frames(), kind), palette), {}
        codec, pix_fmt = "gif", "pal8"
    else:
        pictures = _pictures(frames(), kind)
        codec, pix_fmt = "libwebp_anim", "yuva420p" if next(iter(frames())).alpha is not None else "yuv420p"
        options = {"quality": str(max(0, 100 - round(crf * 0.8))), "lossless": str(int(crf == 0))}
    with av.open(local_url(path), "w", format=kind, container_options={"loop": "0"}) as container:
        stream: VideoStream | None = None
        for tick, picture in pictures:
            if stream is None:
                added = container.add_stream(codec, rate=1 / _UNIT[kind], options=options)
                assert isinstance(added, VideoStream)
                stream = added
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, pix_fmt
                stream.codec_context.time_base = stream.time_base = _UNIT[kind]
            if picture.format.name != pix_fmt:
                picture = convert(picture, pix_fmt, _WEBP, from_rgb=True)
            picture.pts, picture.time_base = tick, _UNIT[kind]
            container.mux(stream.encode(picture))
        assert stream is not None
        container.mux(stream.encode(None))
    _add_comment(path, kind, comment.encode(), is_clear=pix_fmt == "yuva420p")
    return (_NOTICES[kind],)


_WEBP = VideoColor(matrix=6, is_range_tagged=True)
"""WebP is BT.601 in limited range."""


def _pictures(frames: Iterable[Frame], kind: str) -> Iterator[tuple[int, av.VideoFrame]]:
    """Ticks and RGBA pictures as displayed, but for those that come too soon after the one before."""
    first, shown = None, None
    for frame in frames:
        seconds = frame.pts * frame.time_base
        first = seconds if first is None else first
        tick = round((seconds - first) / _UNIT[kind])
        if shown is not None and (tick - shown) * _UNIT[kind] < _SHORTEST[kind]:
            continue
        shown = tick
        image = frame.image_rgb
        opacity = np.full(image.shape[:2], 255, np.uint8) if frame.alpha is None else frame.displayed_alpha
        yield tick, av.VideoFrame.from_ndarray(np.dstack([image, opacity]), format="rgba")


def _make_palette(frames: Iterable[Frame]) -> av.VideoFrame:
    """The 256 colours, one of them clear, that suit all frames."""
    graph: av.filter.Graph | None = None
    for _, picture in _pictures(frames, "gif"):
        if graph is None:
            graph = build_graph(picture, [("palettegen", "stats_mode=full")], _UNIT["gif"])
        graph.vpush(picture)
    assert graph is not None
    graph.vpush(None)
    return next(pull_frames(graph))


def _with_palette(
    pictures: Iterable[tuple[int, av.VideoFrame]], palette: av.VideoFrame
) -> Iterator[tuple[int, av.VideoFrame]]:
    graph: av.filter.Graph | None = None
    for tick, picture in pictures:
        if graph is None:
            graph = av.filter.Graph()
            source, colours = (
                graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=_UNIT["gif"])
                for like in (picture, palette)
            )
            mapping = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
            source.link_to(mapping, 0, 0)
            colours.link_to(mapping, 0, 1)
            mapping.link_to(graph.add("buffersink"))
            graph.configure()
            colours.push(palette)
            colours.push(None)
        picture.pts, picture.time_base = tick, _UNIT["gif"]
        source.push(picture)
        yield from _mapped(graph)
    if graph is not None:
        source.push(None)
        yield from _mapped(graph)


def _mapped(graph: av.filter.Graph) -> Iterator[tuple[int, av.VideoFrame]]:
    for picture in pull_frames(graph):
        assert picture.pts is not None
        yield picture.pts, picture


def _add_comment(path: Path, kind: str, comment: bytes, *, is_clear: bool) -> None:
    """Puts the comment where the format has a place for it: a GIF's comment block, a WebP's XMP."""
    data = path.read_bytes()
    if kind == "gif" and not comment:
        return
    if kind == "gif":
        size = 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0
        block = b"\x21\xfe" + bytes([len(comment[:255])]) + comment[:255] + b"\0"
        path.write_bytes(data[: 13 + size] + block + data[13 + size :])
        return
    xmp = _XMP % comment
    chunk = b"XMP " + len(xmp).to_bytes(4, "little") + xmp + b"\0" * (len(xmp) % 2)
    start = data.index(b"VP8X") + 8
    # libwebp leaves the flag of transparency out where it can crop frames to what is opaque
    flags = bytes([data[start] | 0x04 | (0x10 if is_clear else 0)])
    whole = data[:start] + flags + data[start + 1 :] + chunk
    path.write_bytes(whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:])


_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>'
    b'<rdf:li xml:lang="x-default">%s</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>'
)
