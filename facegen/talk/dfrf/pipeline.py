"""From a video to the field of the person in it: prepare, train to a time budget, keep the result; resumable."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from facegen import config
from facegen.config import check
from facegen.errors import Cancelled
from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.preparation import prepare
from facegen.talk.tasks import DFRF
from facegen.training.launch import train_in
from facegen.training.request import change_request, make_request, read_request

_PREPARATION_SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class PersonOptions:
    """How a person's field is made."""

    preset: str = "fast"
    """Preset of the training: `fast`, `reference`, `tiny`."""
    minutes: float = field(default=45.0, metadata={"min": 0.0, "max": 100_000.0})
    """Time budget of the training; 0 leaves it to the preset's steps."""
    seconds: float | None = field(default=None, metadata={"min": 2.0, "max": 100_000.0})
    """Only the first so many seconds of the video."""
    train_share: float = field(default=0.6, metadata={"min": 0.1, "max": 1.0})
    """Share of the video, its beginning, that is trained on; the rest is held out for the figures."""
    changes: tuple[str, ...] = ()
    """Further settings of the training, key=value."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class PersonResult:
    """The outcome of `train_person`."""

    run: str
    """The run folder; «facegen talk --engine dfrf:RUN» renders with it."""
    frames: int
    """Frames prepared."""
    steps: int
    """Steps trained in all."""
    measures: dict[str, float]
    """Figures on held-out frames."""


def train_person(
    video: Path,
    run: Path,
    options: PersonOptions,
    *,
    say: Callable[[str], None] = print,
    on_progress: Callable[[float, str], None] = lambda _share, _text: None,
) -> PersonResult:
    """Prepares a video and trains the field of the person in it.

    Args:
        video: the video, or a prepared folder.
        run: folder of the work; the same call with the same folder resumes it.
        options: how.
        say: called with each line meant for the user.
        on_progress: called with (0..1, text); may raise Cancelled.

    Raises:
        InputError: the video cannot be used.
        Cancelled: somebody stopped the work; what was finished is kept.
    """
    if video.is_dir():
        folder = PreparedFolder(video)
    else:
        folder = prepare(
            video,
            run / "prepared",
            train_share=options.train_share,
            seconds=options.seconds,
            on_progress=lambda share, text: on_progress(share * _PREPARATION_SHARE, text),
        )
    training = run / "training"
    is_known = (training / "train.json").exists()
    request = read_request(training) if is_known else make_request(DFRF, preset=options.preset, data=str(folder.path))
    changes = [*([f"minutes={options.minutes}"] if options.minutes else []), *options.changes]
    request = replace(change_request(DFRF, request, changes), data=str(folder.path.absolute()))
    result = train_in(
        training,
        DFRF,
        request,
        resume=is_known,
        say=say,
        on_progress=lambda share, text: on_progress(_PREPARATION_SHARE + share * (1 - _PREPARATION_SHARE), text),
    )
    if not result.is_complete:
        raise Cancelled(f"Stopped after step {result.step}; the same command goes on.")
    (run / "field").mkdir(exist_ok=True)
    for path in result.files.values():
        shutil.copyfile(path, run / "field" / path.name)
    config.write_json(run / "field" / "person.json", {"prepared": str(folder.path.absolute())})
    state = folder.state
    return PersonResult(run=str(run), frames=state.frame_count, steps=result.step, measures=result.measures)
