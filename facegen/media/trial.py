"""Opens a file of a stranger once, for a process with limits (`facegen.guarded`)."""

from itertools import islice

from facegen.media.info import probe
from facegen.media.picture import is_picture, read_picture
from facegen.media.read import read_frame_at, read_frames
from facegen.media.sound import read_audio_windows

_RATE = 16000


def try_media(path: str, kind: str, frame: str = "0") -> dict[str, float]:
    """Open a picture, video or sound and decode it; of a video, its beginning and what is looked at.

    Args:
        path: the file.
        kind: «picture or video», or «sound».
        frame: of a video, the index of a frame, a second (with a point), or «all».

    Returns:
        Width, height and seconds, those that it has.

    Raises:
        InputError: it cannot be read.
    """
    if kind == "sound":
        return {"seconds": sum(len(window) for window in read_audio_windows(path, _RATE)) / _RATE}
    if is_picture(path):
        height, width = read_picture(path).shape[:2]
        return {"width": width, "height": height}
    info = probe(path)
    for _ in islice(read_frames(path), None if frame == "all" else 2):
        pass
    if "." in frame:
        read_frame_at(path, seconds=float(frame))
    elif frame not in ("", "0", "1", "all"):
        read_frame_at(path, index=int(frame))
    return {"width": info.width, "height": info.height, "seconds": info.duration_seconds}
