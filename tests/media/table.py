"""A row of the table in docs/media.md: an input, what a job makes of it, and what is said; and the jobs that try it."""

import functools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegen import media
from facegen.faces import FaceAnalyser
from facegen.facesets import ExtractOptions, extract
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest
from facegen.talk import TalkPipeline, TalkRequest
from tests.factories import write_portrait
from tests.swap.oval import OvalEngine
from tests.talk.sounds import babble, write_wave

Check = Callable[[Path, Path], None]
"""Looks at the input and the output; raises AssertionError."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One input that people really have."""

    input: str
    """First column: the input in words."""
    result: str
    """Second column: what becomes of it."""
    said: str = "—"
    """Third column: a piece of a notice, or of the error where `is_refused`; «…» stands for anything, «—» for nothing."""
    make: Callable[[Path], Path]
    """Makes the input in a folder."""
    check: Check = lambda _source, _output: None
    """Looks at the result of each job."""
    jobs: tuple[str, ...] = ("rewrite",)
    """Names in `JOBS`."""
    suffix: str = ".mp4"
    """Ending of the output."""
    is_refused: bool = False
    """The job ends with an InputError before any work, and leaves no file."""

    def is_said_by(self, texts: tuple[str, ...]) -> bool:
        """Whether one of `texts` says what the third column states; where it states nothing, that there is no text."""
        if self.said == "—":
            return not texts
        pattern = ".*".join(re.escape(piece) for piece in self.said.split("…"))
        return any(re.search(pattern, text) for text in texts)


def rewrite(source: Path, output: Path) -> tuple[str, ...]:
    """Reads and writes every frame with all sound: what each job on a video does around its engine."""
    info = media.probe(source)
    return (*info.notices, *media.write_video(output, media.read_frames(source), info, sound_from=source))


def denoise(source: Path, output: Path) -> tuple[str, ...]:
    """`facegen video denoise`."""
    return media.denoise(source, output)


def cut(source: Path, output: Path) -> tuple[str, ...]:
    """`facegen video cut` from the beginning to the end."""
    return media.trim(source, output, start_seconds=0.0, end_seconds=media.probe(source).duration_seconds)


def replace_sound(source: Path, output: Path) -> tuple[str, ...]:
    """`facegen video replace-sound` with the input as sound, under a clip that is known to be good."""
    from tests.media.clips import named

    return media.replace_sound(named("silent").write(output.parent), source, output)


def other_words(source: Path, output: Path) -> tuple[str, ...]:
    """`facegen video replace-sound` with the input as picture."""
    return _of_the_input(media.replace_sound(source, write_wave(output.parent / "words.wav", babble(1.2)), output))


def _of_the_input(notices: tuple[str, ...]) -> tuple[str, ...]:
    # of the words themselves, which are bare samples, it is said that they are encoded
    return tuple(text for text in notices if "pcm_s16le" not in text)


def hear(source: Path, output: Path) -> tuple[str, ...]:
    """Reads sound as each job that listens does, into a .npy."""
    np.save(output, media.read_audio(source))
    return ()


def picture(source: Path, output: Path) -> tuple[str, ...]:
    """Reads and writes a still: what each job on a picture does around its engine."""
    still = media.read_still(source)
    return media.write_picture(output, still.image_rgb, like=still)


@functools.cache
def _analyser() -> FaceAnalyser:
    return FaceAnalyser()


def swap(source: Path, output: Path) -> tuple[str, ...]:
    """A swap with an engine that paints ovals, the input as target (a face must be in it)."""
    face = write_portrait(output.parent / "face.png")
    pipeline = SwapPipeline(analyser=_analyser(), engine=OvalEngine())
    request = SwapRequest(sources=(str(face),), target=str(source), output=str(output), options=SwapOptions())
    return pipeline(request).notices


def swap_at_once(source: Path, output: Path) -> tuple[str, ...]:
    """Two swaps of the input at once, of one pipeline; their results are equal."""
    outputs = (output, output.with_name(f"second{output.suffix}"))
    with ThreadPoolExecutor(2) as pool:
        notices, others = pool.map(swap, (source, source), outputs)
    assert notices == others
    for one, other in zip(*map(media.read_frames, outputs), strict=True):
        assert np.array_equal(one.image_rgb, other.image_rgb)
    return notices


def source(source: Path, output: Path) -> tuple[str, ...]:
    """A swap with the input as source."""
    target = write_portrait(output.parent / "target.png")
    pipeline = SwapPipeline(analyser=_analyser(), engine=OvalEngine())
    return pipeline(SwapRequest(sources=(str(source),), target=str(target), output=str(output))).notices


def talk(source: Path, output: Path) -> tuple[str, ...]:
    """Other words for the person in the input."""
    sound = write_wave(output.parent / "words.wav", babble(1.2))
    request = TalkRequest(portrait=str(source), audio=str(sound), output=str(output))
    return _of_the_input(TalkPipeline(analyser=_analyser())(request).notices)


def speak(source: Path, output: Path) -> tuple[str, ...]:
    """A portrait that says what is heard in the input."""
    face = write_portrait(output.parent / "face.png")
    return TalkPipeline(analyser=_analyser())(
        TalkRequest(portrait=str(face), audio=str(source), output=str(output))
    ).notices


def extract_faces(source: Path, output: Path) -> tuple[str, ...]:
    """Faces out of the input; the output is a folder."""
    return extract([source], output, ExtractOptions(size=96), analyser=_analyser()).skipped


JOBS: dict[str, Callable[[Path, Path], tuple[str, ...]]] = {
    "rewrite": rewrite,
    "denoise": denoise,
    "cut": cut,
    "replace-sound": replace_sound,
    "other-words": other_words,
    "hear": hear,
    "picture": picture,
    "swap": swap,
    "at-once": swap_at_once,
    "source": source,
    "talk": talk,
    "speak": speak,
    "extract": extract_faces,
}
"""What can be tried with an input, by name; returns the notices."""
