"""Interlaced frames made progressive, and chains of libav filters."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import av.error
import av.filter

from facegen.media.color import read_color
from facegen.media.frame import to_planar


def build_graph(
    native: av.VideoFrame, filters: Sequence[tuple[str, str]], time_base: Fraction | None
) -> av.filter.Graph:
    """A chain of libav filters, each a name and its arguments, for frames like `native`."""
    graph = av.filter.Graph()
    last = graph.add_buffer(
        width=native.width, height=native.height, format=native.format, time_base=time_base or Fraction(1, 1000)
    )
    for name, arguments in filters:
        step = graph.add(name, arguments)
        last.link_to(step)
        last = step
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def pull_frames(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    """What a chain has ready."""
    while True:
        try:
            native = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(native, av.VideoFrame)
        yield native


def deinterlace(natives: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The same frames, with the second field of those that are marked as interlaced drawn anew by bwdif.

    Their number, times and tags stay, and progressive frames pass as they are. A frame depends on itself and the one
    before and after it alone.
    """
    filtering: _Filtering | None = None
    before: av.VideoFrame | None = None
    for native in natives:
        if filtering is not None and not filtering.fits(native):
            yield from filtering.finish()
            filtering = None
        if filtering is None and native.interlaced_frame:
            filtering = _Filtering(native, before)
        if filtering is None:
            yield native
        else:
            yield from filtering.push(native)
        before = native
    if filtering is not None:
        yield from filtering.finish()


class _Filtering:
    """A run of frames of one size, from the first interlaced one on."""

    def __init__(self, first: av.VideoFrame, before: av.VideoFrame | None) -> None:
        self._like = (first.width, first.height, first.format.name)
        planar = to_planar(first, read_color(first))
        self._graph = build_graph(planar, [("bwdif", "mode=send_frame:parity=auto:deint=all")], first.time_base)
        self._waiting: deque[av.VideoFrame | None] = deque()
        if before is not None and self.fits(before):
            self._graph.vpush(to_planar(before, read_color(before)))
            self._waiting.append(None)  # yielded already

    def fits(self, native: av.VideoFrame) -> bool:
        return (native.width, native.height, native.format.name) == self._like

    def push(self, native: av.VideoFrame) -> Iterator[av.VideoFrame]:
        self._waiting.append(native)
        self._graph.vpush(to_planar(native, read_color(native)))
        return self._pull()

    def finish(self) -> Iterator[av.VideoFrame]:
        self._graph.vpush(None)
        return self._pull()

    def _pull(self) -> Iterator[av.VideoFrame]:
        for filtered in pull_frames(self._graph):
            source = self._waiting.popleft()
            if source is None:
                continue
            if not source.interlaced_frame:
                yield source
                continue
            filtered.pts, filtered.time_base, filtered.duration = source.pts, source.time_base, source.duration
            filtered.colorspace, filtered.color_range = source.colorspace, source.color_range
            filtered.color_trc, filtered.color_primaries = source.color_trc, source.color_primaries
            yield filtered
