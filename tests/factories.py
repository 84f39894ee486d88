"""Small real things for tests: pictures, clips, sound. Nobody's private face, nothing downloaded."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


def portrait_rgb() -> np.ndarray:
    """The public-domain portrait of Eileen Collins that scikit-image carries, (512, 512, 3) uint8 RGB."""
    from skimage import data

    return data.astronaut()


def write_portrait(path: Path) -> Path:
    """The face of the portrait and a little around it, 301 pixels square, as a picture file."""
    Image.fromarray(portrait_rgb()[:301, 70:371]).save(path)
    return path


def noise_rgb(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise without a face, (height, width, 3) uint8 RGB."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def gradient_rgb(height: int, width: int, phase: float = 0.0) -> np.ndarray:
    """A smooth picture that encoders keep nearly as it is, (height, width, 3) uint8 RGB; `phase` 0 to 1 shifts it."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [np.sin(2 * np.pi * (phase + offset) + x / 40 + y / 60) for offset in (0.0, 0.33, 0.66)]
    return (127.5 + 100 * np.stack(planes, axis=-1)).astype(np.uint8)


def moving_portrait(frame_count: int, size: int = 256) -> list[np.ndarray]:
    """The portrait's head drifting by a pixel a frame: a clip with one face, each (size, size, 3) uint8 RGB."""
    import cv2

    crop = portrait_rgb()[0:300, 80:380]
    frames = []
    for index in range(frame_count):
        shift = np.array([[1, 0, 8 * np.sin(index / 8)], [0, 1, 4 * np.sin(index / 5)]], dtype=np.float32)
        moved = cv2.warpAffine(crop, shift, (300, 300), borderMode=cv2.BORDER_REPLICATE)
        frames.append(cv2.resize(moved, (size, size), interpolation=cv2.INTER_AREA))
    return frames


def write_clip(path: Path, frames: list[np.ndarray], *, rate: int = 25, has_sound: bool = False) -> Path:
    """Write frames, (H, W, 3) uint8 RGB, as H.264 with PyAV alone; sound is a quiet 440 Hz tone in AAC."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "12", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=48000, layout="mono") if has_sound else None
        for image in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            for start in range(0, int(48000 * len(frames) / rate), 1024):
                tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / 48000)
                chunk = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
                chunk.sample_rate, chunk.pts, chunk.time_base = 48000, start, Fraction(1, 48000)
                container.mux(audio.encode(chunk))
            container.mux(audio.encode(None))
    return path
