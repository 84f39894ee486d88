"""Writes frames as a ZIP of numbered PNG pictures with timestamps and sound, as compositing programs read them."""

import io
import os
import wave
import zipfile
import zlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from PIL import Image, PngImagePlugin

from facegen.errors import InputError
from facegen.media.frame import Frame
from facegen.media.source import NullFile, check_readable, display_name, open_input
from facegen.media.timeline import Excerpt
from facegen.media.tracks import open_tracks, track_packets

SOUND_KIND = "wav"
"""Format of the sound in the archive: bare samples of 16 bit."""
_LARGEST_PICTURE = 512 << 20


def write_sequence(
    path: Path,
    frames: Iterable[Frame],
    *,
    length: Fraction,
    sound_from: str | os.PathLike[str] | None = None,
    excerpt: Excerpt | None = None,
    comment: str = "",
) -> tuple[str, ...]:
    """Writes `000000.png` and so on as displayed, `times.csv` and `sound.wav`; memory does not grow with the length.

    The first frame is shown at 0, where the sound begins, too.

    Args:
        path: where to.
        frames: in order of display.
        length: seconds from the first frame to the end of the last one.
        sound_from: the file whose first sound track is kept.
        excerpt: what is heard of it; it begins at 0.
        comment: put into the archive and each picture.

    Returns:
        What could not be kept, one sentence each.
    """
    chunks = PngImagePlugin.PngInfo()
    if comment:
        chunks.add_itxt("comment", comment)
    times, first = ["index,seconds"], None
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = comment.encode()
        for index, frame in enumerate(frames):
            seconds = frame.pts * frame.time_base
            first = seconds if first is None else first
            times.append(f"{index},{float(seconds - first):.6f}")
            pixels = frame.image_rgb if frame.alpha is None else np.dstack([frame.image_rgb, frame.displayed_alpha])
            buffer = io.BytesIO()
            # the quickest level: pictures are a sixth larger than at the slowest
            Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", pnginfo=chunks, compress_level=1)
            archive.writestr(zipfile.ZipInfo(f"{index:06d}.png"), buffer.getbuffer())
        archive.writestr(zipfile.ZipInfo("times.csv"), "\n".join([*times, ""]))
        return () if sound_from is None else _write_sound(archive, sound_from, excerpt, length)


def read_first_picture(path: str | os.PathLike[str]) -> bytes:
    """The file `000000.png` of a sequence.

    Raises:
        InputError: it is no sequence of pictures.
    """
    try:
        with zipfile.ZipFile(check_readable(path)) as archive:
            item = archive.getinfo("000000.png")
            if item.file_size <= _LARGEST_PICTURE:
                return archive.read(item)
    except (OSError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"Expected a sequence of pictures as facegen writes it, found {display_name(path)}, which holds no whole "
            "000000.png: unpack it and give a picture."
        ) from error
    raise InputError(f"Expected pictures of at most 512 MB, found a larger one in {display_name(path)}: scale it.")


def _write_sound(
    archive: zipfile.ZipFile, sound_from: str | os.PathLike[str], excerpt: Excerpt | None, length: Fraction
) -> tuple[str, ...]:
    """Writes the first sound track, as long as the picture; nothing where there is none."""
    with open_input(sound_from, "a file with sound") as source, av.open(NullFile(), "w", format=SOUND_KIND) as samples:
        tracks, notices = open_tracks(source, samples, sound_from, SOUND_KIND, "first sound")
        more = len(source.streams.audio) - 1
        if more > 0:
            notices += (f"Only the first of {more + 1} sound tracks was kept: sound.wav holds one.",)
        if source.streams.subtitles:
            notices += ("Subtitles were left out: a sequence of pictures holds none.",)
        if not tracks:
            return notices
        stream = tracks[0].target
        assert isinstance(stream, AudioStream)
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.layout.nb_channels
        count, position = round(length * rate), 0
        with archive.open(zipfile.ZipInfo("sound.wav"), "w") as entry, wave.open(entry, "wb") as sound:
            sound.setparams((channels, 2, rate, count, "NONE", ""))
            for time, packet in track_packets(source, tracks, sound_from, excerpt):
                heard = np.frombuffer(bytes(packet), "<i2").reshape(-1, channels)
                start = round(time * rate)
                position += _write_silence(sound, min(start, count) - position)
                heard = heard[max(0, position - start) : max(0, count - start)]
                sound.writeframesraw(heard.tobytes())
                position += len(heard)
            _write_silence(sound, count - position)
    return notices


def _write_silence(sound: wave.Wave_write, count: int) -> int:
    """Writes samples of silence a second at a time; returns how many."""
    rate = sound.getframerate()
    for begin in range(0, count, rate):
        sound.writeframesraw(bytes(min(rate, count - begin) * sound.getnchannels() * sound.getsampwidth()))
    return max(0, count)
