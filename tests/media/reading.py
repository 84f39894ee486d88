"""What a file holds, read with PyAV alone."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def shown_times(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds, in order."""
    with av.open(str(path)) as container:
        return sorted(p.pts * p.time_base for p in container.demux(video=0) if p.size and not p.is_discard)


def end_of_picture(path: Path) -> Fraction:
    """When the last frame ends, in seconds, as the container states it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return (stream.start_time + stream.duration) * stream.time_base


def sound_packets(path: Path) -> list[list[tuple[Fraction, bytes]]]:
    """Time and content of every packet of every sound track."""
    with av.open(str(path)) as container:
        tracks: dict[int, list[tuple[Fraction, bytes]]] = {s.index: [] for s in container.streams.audio}
        for packet in container.demux(container.streams.audio) if tracks else ():
            if packet.size:
                tracks[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet)))
        return list(tracks.values())


def sound_samples(path: Path) -> np.ndarray:
    """The first sound track decoded, (channels, n) float32."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def subtitle_lines(path: Path) -> list[tuple[float, str]]:
    """When each line of the first subtitle track is shown, in seconds, and its raw packet as text."""
    with av.open(str(path)) as container:
        return [
            (float(p.pts * p.time_base), bytes(p).decode("utf-8", "replace"))
            for p in container.demux(subtitles=0)
            if p.size > 2
        ]
