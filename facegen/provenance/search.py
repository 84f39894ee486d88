"""Where in a file the watermark is looked for, and what was found there."""

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import cast

import numpy as np

from facegen.media import Frame, frame_times, key_frames, probe, read_frames, read_picture
from facegen.provenance.detection import MarkScore, canonical, find_mark, mean_canonical
from facegen.provenance.watermark import has_room

PLACES = 6
_FRAMES = 16
_EVERY = 2

LOOKS = 16 * (2 * PLACES + 2)
"""The most comparisons made in one file: 16 in each frame or mean of frames."""


@dataclass(frozen=True, kw_only=True)
class MarkSearch:
    """What a search for the watermark found."""

    best: MarkScore | None
    """The best look; None where the picture is too small to carry a mark."""
    places: int
    """Places looked at: 1 in a picture, up to `PLACES` in a video."""
    marked_places: int
    """Those of them with the mark."""


def search_picture(path: str | os.PathLike[str], own_id: int | None) -> MarkSearch:
    """Look for the mark in a picture.

    Raises:
        InputError: it cannot be read as a picture.
    """
    image = read_picture(path)
    if not has_room((image.shape[0], image.shape[1])):
        return MarkSearch(best=None, places=0, marked_places=0)
    best = find_mark(canonical(image), own_id)
    return MarkSearch(best=best, places=1, marked_places=int(best.is_found))


def search_video(path: str | os.PathLike[str], own_id: int | None) -> MarkSearch:
    """Look for the mark at some places spread over a video.

    At each place two things are looked at: a key frame alone, which encoders keep best and whose mark has not moved
    with the content, and the mean of the frames that follow, in which a still mark stands out of moving content. A
    marked scene among others is found by its own place, a faint mark by the means over all places.

    Raises:
        InputError: it cannot be read as a video.
    """
    if not has_room(probe(path).size_hw):
        return MarkSearch(best=None, places=0, marked_places=0)
    pairs = list(_looks(path))
    found = [max((find_mark(look, own_id) for look in pair), key=_score) for pair in pairs]
    whole = [find_mark(np.mean(looks, axis=0), own_id) for looks in zip(*pairs, strict=True)] if len(pairs) > 1 else []
    return MarkSearch(
        best=max(found + whole, key=_score),
        places=len(found),
        marked_places=sum(score.is_found for score in found),
    )


def _score(mark: MarkScore) -> float:
    return mark.score


def _looks(path: str | os.PathLike[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The first frame and the mean frame of each place, on the canonical grid."""
    for start in _places(path):
        reading = cast(Generator[Frame], read_frames(path, start_index=start, every=_EVERY))
        with closing(reading):
            images = [frame.image_rgb for frame in islice(reading, _FRAMES)]
        yield canonical(images[0]), mean_canonical(images)


def _places(path: str | os.PathLike[str]) -> list[int]:
    """Indices of frames to begin at: key frames spread over the video, others between them where they are few."""
    keys, count = key_frames(path) or (0,), len(frame_times(path)[0])
    places = {keys[index * len(keys) // PLACES] for index in range(PLACES)}
    spread = (index * count // PLACES for index in range(PLACES))
    distant = (start for start in spread if all(abs(start - place) >= _FRAMES * _EVERY for place in set(places)))
    return sorted(places | set(islice(distant, PLACES - len(places))))
