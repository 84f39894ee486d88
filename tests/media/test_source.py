"""Whatever is given as a video, the answer is frames or one sentence: expected, found, remedy."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from facegen.errors import InputError
from facegen.media import frame_times, is_picture, is_video, probe, read_audio, read_frames
from facegen.media.source import MAX_PIXELS
from tests.media.clips import Clip, named

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}
NAMES = (
    "line\nbreak.mp4",
    "-leading.mp4",
    "--output=x.mp4",
    "http:",
    "concat:a|b",
    "file:x.mp4",
    "data:,x",
    "pipe:0",
    "subfile,,start,0,end,9,,:x.mp4",
    "percent%03d.mp4",
    "quote'\".mp4",
    "naïve 😀.mp4",
    "a" * 250 + ".mp4",
)


def empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("This is a letter, not a film.\n" * 50)
    return path


def cut_short(folder: Path) -> Path:
    path = named("plain").write(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def cut_short_behind_its_table(folder: Path) -> Path:
    plain, path = Clip(name="plain", width=320, height=240).write(folder), folder / "fast.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def only_sound(folder: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 48000), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def no_frames(folder: Path) -> Path:
    path = folder / "nothing.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        container.start_encoding()
        container.mux(stream.encode(None))
    return path


def scrambled(folder: Path) -> Path:
    path = Clip(name="plain", suffix=".mkv").write(folder)
    data = path.read_bytes()
    path.write_bytes(data[:600] + np.random.default_rng(0).bytes(len(data) - 600))
    return path


def folder_in_its_place(folder: Path) -> Path:
    path = folder / "folder.mp4"
    path.mkdir()
    return path


def missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def queue(folder: Path) -> Path:
    path = folder / "queue.mp4"
    os.mkfifo(path)
    return path


def device(folder: Path) -> Path:
    path = folder / "zero.mp4"
    path.symlink_to("/dev/zero")
    return path


def too_large(folder: Path) -> Path:
    path = folder / "large.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 12000, 9000, "yuvj420p"
        stream.codec_context.color_range = 2
        frame = av.VideoFrame(12000, 9000, "yuvj420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


BAD: dict[Callable[[Path], Path], str] = {
    empty: "empty file",
    text: "cannot be read",
    cut_short: "cannot be read",
    cut_short_behind_its_table: "cut short",
    only_sound: "only sound",
    no_frames: "cannot be read|none in|no picture",
    scrambled: "cannot be read|none in",
    folder_in_its_place: "folder",
    missing: "nothing at",
    queue: "device or pipe",
    device: "device or pipe",
    too_large: f"at most {MAX_PIXELS // 1_000_000} megapixels, found 12,000 x 9,000",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_input_is_one_sentence(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    for read in (probe, lambda file: list(read_frames(file))):
        with pytest.raises(InputError, match=BAD[make]) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith("Expected ")
        assert message.endswith(".")
        assert "\n" not in message
        assert len(message) < 300
        assert path.name in message
    assert not is_video(path)
    assert not is_picture(path)


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_never_opens_what_it_names(kind: str, tmp_path: Path) -> None:
    target = named("plain").write(tmp_path)
    path = tmp_path / "list.mp4"
    path.write_text(PLAYLISTS[kind].format(target=target))
    with pytest.raises(InputError, match="cannot be read"):
        probe(path)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_plain_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(named("plain").write(tmp_path), tmp_path / name)
    for path in (tmp_path / name, Path(name), name):
        assert probe(path).frame_count == 12
    assert len(list(read_frames(name))) == len(frame_times(name)[0]) == 12
    assert read_audio(name).size > 0


@pytest.mark.parametrize("name", ["http://localhost/x.mp4", "concat:x.mp4|y.mp4", "zero\0byte.mp4", "a" * 5000])
def test_names_of_nothing_stay_nothing(name: str) -> None:
    with pytest.raises(InputError, match="Expected"):
        probe(name)
    assert not is_video(name)


def test_a_message_shows_no_control_characters(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        probe(tmp_path / "bell\a\x1b[31m\nred.mp4")
    assert str(caught.value).isprintable()


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    clip = named("plain").write(tmp_path)
    disguised = clip.rename(tmp_path / "picture.jpg")
    assert is_video(disguised)
    assert not is_picture(disguised)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    clip = named("plain").write(tmp_path)
    clip.chmod(0)
    with pytest.raises(InputError, match="permission"):
        probe(clip)
