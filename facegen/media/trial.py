"""Opens a file of a stranger once."""

from itertools import islice

from facegen.media.apart import apart
from facegen.media.info import probe
from facegen.media.picture import is_picture, read_picture
from facegen.media.read import read_frames
from facegen.media.sound import read_audio_windows

_RATE = 16000


@apart
def try_media(path: str, kind: str) -> dict[str, float]:
    """Open a picture, video or sound and decode it; of a video, its beginning.

    Args:
        path: the file.
        kind: «picture or video», or «sound».

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
    for _ in islice(read_frames(path), 2):
        pass
    return {"width": info.width, "height": info.height, "seconds": info.duration_seconds}
