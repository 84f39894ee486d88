"""Rows of docs/media.md, «Containers and names»."""

import io
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from facegen import media
from tests.factories import gradient_rgb
from tests.media.clips import named
from tests.media.colour_rows import write_faces
from tests.media.reading import shown_times, sound_packets, sound_samples
from tests.media.table import Row

_FRAMES = 25


def _copied(suffix: str, *, shift_seconds: Fraction = Fraction(0), **options: str) -> Callable[[Path], Path]:
    """Makes a copy of a clip of a second in another container, with times shifted and options of its muxer."""

    def make(folder: Path) -> Path:
        clip = replace(named("plain"), pts=tuple(range(0, _FRAMES * 512, 512)))
        path = folder / f"copied{suffix}"
        with av.open(str(clip.write(folder))) as source, av.open(str(path), "w", container_options=options) as target:
            copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    offset = round(shift_seconds / packet.time_base)
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = copies[packet.stream.index]
                    target.mux(packet)
        return path

    return make


def _plays_evenly(_source: Path, output: Path) -> None:
    """All frames, 40 ms apart, and the tone beside them."""
    times = shown_times(output)
    assert np.allclose(np.diff(np.array(times, float)), 0.04, atol=1e-3)
    assert len(times) == _FRAMES
    heard = media.read_audio(output)
    assert abs(len(heard) / 16000 - 1) < 0.1
    assert np.abs(heard[1600:14000]).max() > 0.1


def _hides_what_the_list_hides(source: Path, output: Path) -> None:
    """The first 0.2 s of the file are there to be decoded, not to be seen."""
    with av.open(str(source)) as container:
        assert sum(packet.is_discard for packet in container.demux(video=0)) == 5
    assert shown_times(output) == shown_times(source)
    assert len(shown_times(output)) == _FRAMES - 5
    assert np.abs(_first(output) - gradient_rgb(48, 64, 5 / 24)).mean() < 6


def _first(path: Path) -> np.ndarray:
    return media.read_frame_at(path, index=0).image_rgb.astype(np.float32)


def _null_frames(folder: Path) -> Path:
    """An AVI whose missing frames are empty packets."""
    clip = replace(
        named("plain"),
        suffix=".avi",
        codec="mpeg4",
        time_base=Fraction(1, 25),
        pts=(0, 1, 2, 6, 7, 10, 11),
        sound=("mp3",),
    )
    return clip.write(folder)


def _keeps_gaps(source: Path, output: Path) -> None:
    times = shown_times(output)
    assert times == shown_times(source)
    assert max(np.diff(np.array(times, float))) > 0.15
    assert [data for _, data in sound_packets(output)[0]] == [data for _, data in sound_packets(source)[0]]


def _skipping_theora(folder: Path) -> Path:
    """Theora at a rate so low that its encoder skips frames; libav has none, so that moviepy's ffmpeg makes it."""
    from imageio_ffmpeg import get_ffmpeg_exe

    path = folder / "skips.ogv"
    picture = ["-f", "lavfi", "-i", "testsrc=size=192x192:rate=25", "-f", "lavfi", "-i", "sine=frequency=300"]
    coding = ["-t", "2", "-c:v", "libtheora", "-b:v", "20k", "-c:a", "libvorbis"]
    subprocess.run([get_ffmpeg_exe(), "-v", "error", *picture, *coding, str(path)], check=True)
    return path


def _skips_nothing_else(source: Path, output: Path) -> None:
    with av.open(str(source)) as container:
        packets = [packet.size for packet in container.demux(video=0) if packet.dts is not None]
    assert 0 < sum(size > 0 for size in packets) < len(packets)
    assert shown_times(output) == shown_times(source)
    assert media.probe(output).duration_seconds == media.probe(source).duration_seconds == 2
    assert abs(sound_samples(output).shape[1] - sound_samples(source).shape[1]) < 3000


def _with_cover(folder: Path) -> Path:
    """A clip with a picture attached as its cover."""
    path, cover = folder / "cover.mkv", io.BytesIO()
    Image.fromarray(gradient_rgb(300, 300)).save(cover, "JPEG")
    with av.open(str(named("plain").write(folder))) as source, av.open(str(path), "w") as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        target.add_attachment("cover.jpg", "image/jpeg", cover.getvalue())
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    return path


def _shows_the_film(source: Path, output: Path) -> None:
    with av.open(str(source)) as container:
        assert len(container.streams.video) == 2
    assert len(shown_times(output)) == 12
    assert media.probe(output).size_hw == (48, 64)


def _named(name: str) -> Callable[[Path], Path]:
    """Makes a clip of a face under a name."""
    return lambda folder: write_faces(folder / "a.mp4").rename(folder / name)


def _has_its_frames(source: Path, output: Path) -> None:
    assert shown_times(output) == shown_times(source)


ROWS: tuple[Row, ...] = (
    Row(
        input="MPEG-TS whose time stamps run over (every 26.5 hours)",
        result="one clip from 0; picture and sound go on",
        make=_copied(".ts", output_ts_offset=str((1 << 33) / 90000 - 0.5)),
        check=_plays_evenly,
    ),
    Row(
        input="MP4 in fragments",
        result="read as any other",
        make=_copied(".mp4", movflags="frag_keyframe+empty_moov"),
        check=_plays_evenly,
    ),
    Row(
        input="MP4 whose edit list hides its beginning",
        result="begins where the list says",
        make=_copied(".mp4", shift_seconds=Fraction(-1, 5), avoid_negative_ts="disabled"),
        check=_hides_what_the_list_hides,
    ),
    Row(
        input="AVI with empty frames",
        result="the frame before each is shown longer; sound in step",
        said="does not say which colour matrix it uses",
        make=_null_frames,
        check=_keeps_gaps,
    ),
    Row(
        input="Theora with skipped frames",
        result="the frame before each is shown longer; sound whole",
        said="does not say which colour matrix it uses",
        make=_skipping_theora,
        check=_skips_nothing_else,
    ),
    Row(
        input="film with a cover picture",
        result="the film alone",
        said="cover pictures and the rest are left out",
        make=_with_cover,
        check=_shows_the_film,
    ),
    Row(
        input="name in several scripts, of 255 bytes",
        result="a name like any other",
        make=_named("лицо 顔 😀 " + "ü" * 114 + ".mp4"),
        check=_has_its_frames,
        jobs=("rewrite", "swap"),
    ),
    Row(
        input="the same clip in two jobs at once",
        result="neither disturbs the other",
        make=_named("a face.mp4"),
        check=_has_its_frames,
        jobs=("at-once",),
    ),
)
