"""A camera for Chromium: a film of 640x480 of somebody who does not exist."""

from pathlib import Path

import cv2
import numpy as np

from facegen import media
from facegen.ui.examples import FILES

SIZE_WH = (640, 480)


def camera_frames() -> list[np.ndarray]:
    """The clip of Bea as a camera of 480 lines sees it, each (480, 640, 3) uint8 RGB."""
    wide = (
        cv2.copyMakeBorder(frame.image_rgb, 0, 0, 43, 42, cv2.BORDER_REPLICATE)
        for frame in media.read_frames(FILES / "bea.mp4")
    )
    return [cv2.resize(frame, SIZE_WH) for frame in wide]


def camera_flags(folder: Path) -> list[str]:
    """Write the film into a folder, JPEG after JPEG, as Chromium takes it; returns the flags with which it plays it."""
    path = folder / "camera.mjpeg"
    with path.open("wb") as film:
        for frame in camera_frames():
            film.write(cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes())
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={path}",
    ]
