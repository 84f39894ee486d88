"""From a video of somebody to their radiance field: prepared, trained to a time budget, ready to be drawn; resumable."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from facegen import config
from facegen.config import check
from facegen.errors import Cancelled, InputError
from facegen.talk.clips import list_clips
from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.prepare import prepare
from facegen.talk.tasks import DFRF
from facegen.training.launch import train_in
from facegen.training.request import change_request, make_request, read_request

_PREPARED_SHARE = 0.15


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
    """Share of the video, its beginning, that is trained on; the rest is held back for the figures."""
    changes: tuple[str, ...] = ()
    """Further settings of the training, key=value."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class PersonResult:
    """What came out."""

    run: str
    """The folder; «facegen talk --engine dfrf:RUN» draws with it."""
    frames: int
    """Frames prepared."""
    steps: int
    """Steps trained in all."""
    measures: dict[str, float]
    """Figures on held-back frames."""


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
        video: the video, or a folder that was prepared before.
        run: folder of the work; the same call with the same folder goes on where it was cut off.
        options: how.
        say: takes each line meant for the user.
        on_progress: told (0..1, text); may raise Cancelled.

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
            on_progress=lambda share, text: on_progress(share * _PREPARED_SHARE, text),
        )
    place = run / "training"
    is_known = (place / "train.json").exists()
    request = read_request(place) if is_known else make_request(DFRF, preset=options.preset, data=str(folder.path))
    changes = [*([f"minutes={options.minutes}"] if options.minutes else []), *options.changes]
    request = replace(change_request(DFRF, request, changes), data=str(folder.path.absolute()))
    result = train_in(
        place,
        DFRF,
        request,
        resume=is_known,
        say=say,
        on_progress=lambda share, text: on_progress(_PREPARED_SHARE + share * (1 - _PREPARED_SHARE), text),
    )
    if not result.is_complete:
        raise Cancelled(f"Stopped after step {result.step}; the same command goes on.")
    (run / "field").mkdir(exist_ok=True)
    for path in result.files.values():
        shutil.copyfile(path, run / "field" / path.name)
    config.write_json(run / "field" / "person.json", {"prepared": str(folder.path.absolute())})
    steps = folder.steps
    return PersonResult(run=str(run), frames=steps.frame_count, steps=result.step, measures=result.measures)


def prepared_people(folder: Path) -> list[PreparedFolder]:
    """A prepared folder; or those in a folder, and the videos there, which are prepared in facegen's home the first time.

    Raises:
        InputError: there is neither.
    """
    if PreparedFolder(folder).steps_path.exists():
        return [PreparedFolder(folder)]
    people = [PreparedFolder(path.parent) for path in sorted(folder.glob("*/steps.json"))]
    for video in list_clips(folder):
        if video.parent == folder:
            place = config.home() / "prepared" / f"{video.stem[:60]}-{video.stat().st_size}"
            people.append(prepare(video, place))
    if not people:
        raise InputError(
            f"Expected a folder with a video of somebody who speaks, or one made by «facegen talk train», found neither "
            f"in {folder}; put one there, or several for a base."
        )
    return people


def trained_places(run: Path) -> tuple[Path, Path]:
    """The folder with a field's weights, and the prepared one, of a run of «talk train» or of «train dfrf».

    Raises:
        InputError: it is neither, or not finished.
    """
    if (run / "field" / "person.json").exists():
        return run / "field", Path(config.read_json(run / "field" / "person.json")["prepared"])
    final = run / "exports" / "final"
    if (final / "field.json").exists():
        people = prepared_people(Path(read_request(run).data))
        if len(people) > 1:
            raise InputError(
                f"Expected the field of one person in {run}, found a base over {len(people)}; train a person from it with "
                "--set task.start=RUN."
            )
        return final, people[0].path
    raise InputError(
        f"Expected the run of a finished «facegen talk train» in {run}, found none; give its folder or its name."
    )
