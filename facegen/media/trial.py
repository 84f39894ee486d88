"""Opens a file of a stranger once, for a process with limits (`facegen.guarded`)."""

from itertools import islice

from facegen.media.info import probe
from facegen.media.picture import is_picture, read_picture
from facegen.media.read import read_frames
from facegen.media.sound import stated_seconds


def try_media(path: str, kind: str) -> dict[str, float]:
    """Open a picture, video or sound and decode its beginning.

    Args:
        path: the file.
        kind: «picture or video», or «sound».

    Returns:
        Width, height and seconds, those that it has.

    Raises:
        InputError: it cannot be read.
    """
    if kind == "sound":
        return {"seconds": stated_seconds(path)}
    if is_picture(path):
        height, width = read_picture(path).shape[:2]
        return {"width": width, "height": height}
    info = probe(path)
    for _ in islice(read_frames(path), 2):
        pass
    return {"width": info.width, "height": info.height, "seconds": info.duration_seconds}
