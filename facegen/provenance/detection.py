"""Finds the watermark in pictures and videos, however they were cropped, scaled, turned or put into a window.

First the picture is read as it lies, in its eight orientations; then the lattice is searched at all sizes from a third to one
and a half times the expected one and at turns up to 5.5 degrees, mirrored or not: each candidate is compared at all
positions at once, and the best are refined. `THRESHOLD` follows from the number of comparisons, see `LOOKS`.
"""

import math
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from facegen.media import Frame, frame_times, key_frames, probe, read_frames, read_picture
from facegen.provenance.first_mark import FIRST_LOOKS, FIRST_THRESHOLD, find_first_mark
from facegen.provenance.keys import MarkKey
from facegen.provenance.spectrum import Fits, Spectrum, choose_points, examine, fit, move, read_lattice, score_at_origin
from facegen.provenance.watermark import (
    POINTS,
    decode_payload,
    has_room,
    key_phases,
    lattice,
    published_phases,
    words,
)

THRESHOLD = 8.5
"""A score above this is the mark."""

POSITIONS = 6
"""Positions in a video at which the mark is searched."""
LOOKS = 1e9
"""More comparisons than are ever made in one file: 2 patterns, 2 mirrorings, 50,000 candidates, 64 x 64 positions, and 10 %.
"""
FALSE_POSITIVE_RATE = LOOKS * math.exp(-(THRESHOLD**2) / 2) + FIRST_LOOKS * 1e-9
"""The most unmarked files taken for marked ones, whatever they show: 5 in 10^7 (the second part is the first form's)."""
_SECRET_THRESHOLD = 3.7
"""Score of the secret's points alone, at a position that is known: of marks of others, one in 10,000 reaches it (normal distribution)."""

_SCALES = (0.33, 1.5)
_SCALE_STEP, _TURN_STEP = 0.007, 0.35
_MOST_TURN = 5.5
_BATCH = 1000
_LOW, _LOW_GRID, _WIDER = 25.0, 54, 1.25
"""The first pass compares frequencies below this radius, at so many positions along a side, and in steps wider by this factor."""
_KEPT = 0.04
"""Share of the candidates that are compared at all frequencies."""
_REFINED = 16
_FRAMES, _EVERY = 16, 2
_LARGEST_SIDE = 768
_MIRROR = np.diag([-1.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class MarkScore:
    """The result of a detection in one picture or in the mean of several frames."""

    score: float
    """Standard deviations above chance, the highest of all geometries."""
    payload: int | None
    """The installation's 24-bit id, where the mark was found and can be read."""
    is_secret: bool
    """Whether it carries the secret of the key that was searched: nobody else can write that."""
    orientation: str
    """How the picture is turned against the marked one: «upright», «mirrored», «turned 90» and so on."""
    scale: float
    """Shorter side of the marked picture against that of this one: 1.4 where 70 % were left by a crop."""
    turn: float
    """Degrees by which it is turned beyond its orientation."""
    form: Literal[1, 2] = 2
    """2; or 1 for the mark that facegen wrote before."""

    @property
    def threshold(self) -> float:
        """The threshold of its form."""
        return THRESHOLD if self.form == 2 else FIRST_THRESHOLD

    @property
    def is_found(self) -> bool:
        """Whether the score is above the threshold."""
        return self.score > self.threshold


@dataclass(frozen=True)
class _Hit:
    """One comparison."""

    score: float
    geometry: NDArray[np.float64]
    position: int
    grid: int
    carries: NDArray[np.bool_]
    orientation: str = "upright"
    scale: float = 1.0
    turn: float = 0.0


def to_luma(image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) float32 luma of an (H, W, 3) uint8 RGB picture, its shorter side at most 768 pixels."""
    luma = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    scale = _LARGEST_SIDE / min(luma.shape)
    if scale >= 1:
        return luma
    size_wh = round(luma.shape[1] * scale), round(luma.shape[0] * scale)
    return np.asarray(cv2.resize(luma, size_wh, interpolation=cv2.INTER_AREA), np.float32)


def detect_mark(luma: NDArray[np.float32], key: MarkKey | None = None, *, thorough: bool = True) -> MarkScore:
    """Detects the mark in one picture.

    Args:
        luma: (H, W) from `to_luma`, or a mean of such.
        key: an installation's key; its own marks are detected at lower scores, because all their phases are known.
        thorough: whether crops, turns and windows are searched, too, where the picture as it lies shows no mark.
    """
    spectrum = examine(luma)
    best = _compare_as_it_lies(spectrum, key)
    if thorough and best.score <= THRESHOLD:
        best = max(best, _search_geometries(spectrum, key), key=lambda hit: hit.score)
    return _read_mark(spectrum, best, key)


def _patterns(key: MarkKey | None) -> list[tuple[NDArray[np.complex64], NDArray[np.bool_]]]:
    """Phases that are known, and the points where they are."""
    known = [(published_phases(), lattice().published)]
    return known if key is None else [*known, (key_phases(key), np.ones_like(lattice().published))]


def _compare_as_it_lies(spectrum: Spectrum, key: MarkKey | None) -> _Hit:
    """The best of eight orientations, as a small and as a large picture."""
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    hits = []
    for is_mirrored in (False, True):
        for turns in range(4):
            geometry = (_MIRROR if is_mirrored else np.eye(2)) @ np.linalg.matrix_power(quarter, turns)
            values = read_lattice(spectrum, geometry[None])
            said = [word for word, applies in (("mirrored", is_mirrored), (f"turned {turns * 90}", turns)) if applies]
            for phases, points in _patterns(key):
                for carries in (lattice().coarse, lattice().fine):
                    found = fit(values, phases, points & carries, 2 * POINTS)
                    hits.append(
                        _Hit(
                            float(found.scores[0]),
                            geometry,
                            int(found.positions[0]),
                            2 * POINTS,
                            carries,
                            ", ".join(said) or "upright",
                        )
                    )
    return max(hits, key=lambda hit: hit.score)


def _search_geometries(spectrum: Spectrum, key: MarkKey | None) -> _Hit:
    """The best of all sizes and turns: low frequencies first, then all of them around what stood out, then finer steps."""
    height, width = spectrum.size_hw
    # the longer the picture, the sooner the waves of a slightly wrong size or turn fall out of step
    length = max(height, width) / min(height, width)
    grown, turned = _SCALE_STEP / length, _TURN_STEP / length
    scales = np.exp(np.arange(math.log(_SCALES[0]), math.log(_SCALES[1]), _WIDER * grown) + grown / 2)
    turns = np.arange(-_MOST_TURN, _MOST_TURN, _WIDER * turned) + turned / 2
    tried = [_Candidate(m, float(s), float(t)) for m in (False, True) for s in scales for t in turns]
    patterns = list(reversed(_patterns(key)))
    low = np.hypot(lattice().down, lattice().across) < _LOW
    first = _compare(spectrum, tried, [(phases, points & low) for phases, points in patterns], _LOW_GRID)
    hits = []
    for pattern, (scores, _) in zip(patterns, first, strict=True):
        cells = np.array((-0.25, 0.25)) * _WIDER
        around = _around(tried, scores, round(_KEPT * len(tried)), cells * grown, cells * turned)
        ((scores, _),) = _compare(spectrum, around, [pattern], POINTS)
        finer = np.linspace(-0.005, 0.005, 7) / length, np.linspace(-0.25, 0.25, 7) / length
        around = _around(around, scores, _REFINED, *finer)
        ((scores, positions),) = _compare(spectrum, around, [pattern], 2 * POINTS)
        index = int(scores.argmax())
        best = around[index]
        hits.append(
            _Hit(
                float(scores[index]),
                best.geometry(),
                int(positions[index]),
                2 * POINTS,
                choose_points(best.scale * spectrum.shorter),
                "mirrored" if best.is_mirrored else "upright",
                best.scale,
                best.turn,
            )
        )
        if hits[-1].score > THRESHOLD:
            break
    return max(hits, key=lambda hit: hit.score)


def _around(
    tried: "Sequence[_Candidate]",
    scores: NDArray[np.float32],
    count: int,
    grown: Sequence[float] | NDArray[np.float64],
    turned: Sequence[float] | NDArray[np.float64],
) -> "list[_Candidate]":
    """The candidates of the highest scores, each made larger and turned by these steps."""
    return [
        _Candidate(one.is_mirrored, one.scale * math.exp(step), one.turn + turn)
        for one in (tried[index] for index in np.argsort(scores)[-count:])
        for step in grown
        for turn in turned
    ]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One way in which the marked picture may lie in this one."""

    is_mirrored: bool
    scale: float
    turn: float

    def geometry(self) -> NDArray[np.float64]:
        """(2, 2) for `read_lattice`."""
        cosine, sine = np.cos(np.deg2rad(self.turn)), np.sin(np.deg2rad(self.turn))
        turned = np.array([[cosine, -sine], [sine, cosine]]) / self.scale
        return _MIRROR @ turned if self.is_mirrored else turned


def _compare(
    spectrum: Spectrum,
    tried: Sequence[_Candidate],
    patterns: Sequence[tuple[NDArray[np.complex64], NDArray[np.bool_]]],
    grid: int,
) -> list[tuple[NDArray[np.float32], NDArray[np.intp]]]:
    """Scores and positions of the candidates, for each pattern."""
    found: list[list[Fits]] = [[] for _ in patterns]
    wanted = np.logical_or.reduce([points for _, points in patterns])
    batch = _BATCH * (POINTS * POINTS) // (grid * grid)
    for begin in range(0, len(tried), batch):
        some = tried[begin : begin + batch]
        values = read_lattice(spectrum, np.array([one.geometry() for one in some]), wanted)
        carries = np.array([choose_points(one.scale * spectrum.shorter) for one in some])
        for fits, (phases, points) in zip(found, patterns, strict=True):
            fits.append(fit(values, phases, points & carries, grid))
    return [
        (np.concatenate([one.scores for one in fits]), np.concatenate([one.positions for one in fits]))
        for fits in found
    ]


def _read_mark(spectrum: Spectrum, hit: _Hit, key: MarkKey | None) -> MarkScore:
    """What a hit says: its id, and whether it carries the key's secret."""
    payload, is_secret = None, False
    if hit.score > THRESHOLD:
        values = move(read_lattice(spectrum, hit.geometry[None])[0], hit.position, hit.grid)
        if key is not None:
            is_secret = score_at_origin(values, key_phases(key), hit.carries & lattice().secret) > _SECRET_THRESHOLD
        payload = key.installation_id if is_secret and key is not None else _read_payload(values, hit.carries)
    return MarkScore(
        score=hit.score,
        payload=payload,
        is_secret=is_secret,
        orientation=hit.orientation,
        scale=hit.scale,
        turn=hit.turn,
    )


def _read_payload(values: NDArray[np.complex64], carries: NDArray[np.bool_]) -> int | None:
    """The id: for each byte the word that fits best; None where the check byte does not agree."""
    content = []
    for index in range(4):
        points = (lattice().byte_of == index) & carries
        content.append(int((words()[:, points].conj() @ values[points]).real.argmax()))
    return decode_payload(bytes(content))


@dataclass(frozen=True, kw_only=True)
class MarkSearch:
    """The result of a search for the watermark in a file."""

    best: MarkScore | None
    """The highest score; None where the picture is too small for a mark."""
    positions: int
    """Positions searched: 1 in a picture, up to `POSITIONS` in a video."""
    marked_positions: int
    """Those of them with the mark."""


def search_picture(path: str | os.PathLike[str], key: MarkKey | None) -> MarkSearch:
    """Searches a picture.

    Raises:
        InputError: it cannot be read as a picture.
    """
    image = read_picture(path)
    if not has_room((image.shape[0], image.shape[1])):
        return MarkSearch(best=None, positions=0, marked_positions=0)
    luma = to_luma(image)
    best = detect_mark(luma, key, thorough=False)
    if not best.is_found:
        best = _try_first_form([luma], key) or detect_mark(luma, key)
    return MarkSearch(best=best, positions=1, marked_positions=int(best.is_found))


def search_video(path: str | os.PathLike[str], key: MarkKey | None) -> MarkSearch:
    """Searches a video at several positions spread over it.

    At each position there are two comparisons: a key frame alone, which encoders keep best and whose mark motion
    compensation has not moved, and the mean of the frames that follow, in which a still mark stands out of moving content.
    A marked scene among others is found at its own position, a faint mark by the means over all positions. Crops, turns and
    windows are searched in the mean of everything.

    Raises:
        InputError: it cannot be read as a video.
    """
    if not has_room(probe(path).size_hw):
        return MarkSearch(best=None, positions=0, marked_positions=0)
    pairs = list(_sample_video(path))
    scores = [max((detect_mark(luma, key, thorough=False) for luma in pair), key=_score) for pair in pairs]
    means = [np.mean(lumas, axis=0) for lumas in zip(*pairs, strict=True)]
    whole = [detect_mark(luma, key, thorough=False) for luma in means] if len(pairs) > 1 else []
    best = max(scores + whole, key=_score)
    if not best.is_found:
        former = _try_first_form([luma for pair in [*pairs, means] for luma in pair], key)
        best = former or max(best, detect_mark(np.mean(means, axis=0), key), key=_score)
    marked = sum(score.is_found for score in scores)
    return MarkSearch(best=best, positions=len(scores), marked_positions=max(marked, int(best.is_found)))


def _try_first_form(lumas: Sequence[NDArray[np.float32]], key: MarkKey | None) -> MarkScore | None:
    """The best score of the mark that facegen wrote before; None where it is not there."""
    own_id = None if key is None else key.installation_id
    score, payload, orientation = max((find_first_mark(luma, own_id) for luma in lumas), key=lambda found: found[0])
    if score <= FIRST_THRESHOLD:
        return None
    return MarkScore(
        score=score, payload=payload, is_secret=False, orientation=orientation, scale=1.0, turn=0.0, form=1
    )


def _score(mark: MarkScore) -> float:
    return mark.score


def _sample_video(path: str | os.PathLike[str]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The luma of the first frame and of the mean frame at each position."""
    for start in _choose_positions(path):
        frames = cast(Generator[Frame], read_frames(path, start_index=start, every=_EVERY))
        with closing(frames):
            lumas = [to_luma(frame.image_rgb) for frame in islice(frames, _FRAMES)]
        yield lumas[0], np.mean(lumas, axis=0)


def _choose_positions(path: str | os.PathLike[str]) -> list[int]:
    """Indices of frames to start at: key frames spread over the video, and others between them where they are few."""
    keys, count = key_frames(path) or (0,), len(frame_times(path)[0])
    positions = {keys[index * len(keys) // POSITIONS] for index in range(POSITIONS)}
    spread = (index * count // POSITIONS for index in range(POSITIONS))
    distant = (start for start in spread if all(abs(start - other) >= _FRAMES * _EVERY for other in set(positions)))
    return sorted(positions | set(islice(distant, POSITIONS - len(positions))))
