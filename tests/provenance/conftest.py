"""A second of moving picture with sound, marked and re-encoded as outputs are."""

from collections.abc import Callable, Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from facegen.media import probe, read_frames, write_video
from facegen.provenance import Watermark
from tests.factories import portrait_rgb, write_clip

FRAMES, SIZE = 26, 448


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    """Frames of a slow pan over a public-domain portrait, (448, 448, 3) uint8 RGB."""
    portrait = portrait_rgb()
    return [np.ascontiguousarray(portrait[i : i + SIZE, i : i + SIZE]) for i in range(FRAMES)]


@pytest.fixture
def clip(tmp_path: Path, frames: list[np.ndarray]) -> Callable[[str], Path]:
    """Makes an unmarked clip of that name in the test's own folder."""
    return lambda name="clip.mp4": write_clip(tmp_path / name, frames, has_sound=True)


@pytest.fixture
def marked_clip(clip: Callable[[str], Path]) -> Path:
    """A clip with the mark and its sound, written as a swap is."""
    source = clip("source.mp4")
    info = probe(source)
    mark = Watermark(info.size_hw)
    path = source.with_name("marked.mp4")
    write_video(path, map(mark.mark_frame, read_frames(source)), info, sound_from=source)
    return path


def encode(path: Path, images: Iterable[np.ndarray], *, crf: int = 23) -> Path:
    """Write pictures as messengers do, without anything that the source had besides its frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        for index, image in enumerate(images):
            if index == 0:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def reencode(path: Path, to: Path, *, crf: int, scale: float = 1.0) -> Path:
    """Decode, shrink, encode again."""
    side = round(SIZE * scale / 2) * 2
    images = (frame.image_rgb for frame in read_frames(path))
    return encode(to, (cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images), crf=crf)
