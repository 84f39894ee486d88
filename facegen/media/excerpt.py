"""Copies the sound of some time spans of a file, packet for packet."""

import bisect
import itertools
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import av
import av.error

from facegen.media.info import read_origin
from facegen.media.packets import read_packets
from facegen.media.source import local_url, open_input, translate_read_errors, translate_write_errors


def cut_sound(path: str | os.PathLike[str], output: Path, spans: Sequence[tuple[float, float]]) -> None:
    """Writes all sound streams of `path` without what lies outside `spans`.

    Nothing is encoded again, so a cut falls between two packets, about a fiftieth of a second from the requested time. The
    first span keeps its start time, and each later one follows the one before it.

    Args:
        path: a file with sound.
        output: where to; NUT, which takes every codec and keeps exact times.
        spans: (begin, end) in seconds of the clip, in order, not touching.

    Raises:
        InputError: `path` cannot be read.
        ResourceError: the disk is full or closed to writing.
    """
    begins = [begin for begin, _ in spans]
    earlier = [0.0]
    for (_, end), (begin, _) in itertools.pairwise(spans):
        earlier.append(earlier[-1] + begin - end)
    with open_input(path, "a file with sound") as source, translate_read_errors(path), translate_write_errors(output):
        streams = [stream for stream in source.streams.audio if stream.codec_context is not None]
        with av.open(local_url(output), "w", format="nut") as target:
            target.metadata.update(source.metadata)
            copies = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in streams}
            for stream in streams:
                copies[stream.index].metadata.update(stream.metadata)
            origin = float(read_origin(source))
            for packet in read_packets(source, streams, path):
                if packet.dts is None or packet.pts is None:
                    continue
                seconds = float(packet.pts * packet.time_base) - origin
                span = bisect.bisect_right(begins, seconds) - 1
                if span < 0 or seconds >= spans[span][1]:
                    continue
                offset = round((earlier[span] + origin) / packet.time_base)
                packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                packet.stream = copies[packet.stream.index]
                with suppress(av.error.InvalidDataError, av.error.ArgumentError):  # a damaged packet is left out
                    target.mux_one(packet)
