"""Videos of somebody with a voice, made on the spot."""

from pathlib import Path

import av

from tests.factories import moving_portrait, write_clip
from tests.talk.sounds import babble, write_wave


def speaking_clip(folder: Path, frames: int = 52) -> Path:
    """A head that drifts, with a voice beside it, as one video."""
    silent = write_clip(folder / "silent.mp4", moving_portrait(frames, 192))
    sound = write_wave(folder / "said.wav", babble(frames / 25))
    path = folder / "speaks.mp4"
    with av.open(str(path), "w") as made, av.open(str(silent)) as pictures, av.open(str(sound)) as voice:
        video = made.add_stream_from_template(pictures.streams.video[0])
        audio = made.add_stream("aac", rate=16000, layout="mono")
        for packet in pictures.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                made.mux(packet)
        for frame in voice.decode(audio=0):
            frame.pts = None
            made.mux(audio.encode(frame))
        made.mux(audio.encode(None))
    return path
