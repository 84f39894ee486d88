"""Requests of trainings from the browser: tasks, command, disk space, status."""

import secrets
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import facegen
from facegen.archive import unpack_zip
from facegen.catalog import TASKS, find_task
from facegen.cli.train import command_arguments
from facegen.config import field_help, home, override, to_dict
from facegen.errors import FacegenError, InputError, ResourceError
from facegen.jobs import Run, start_queued
from facegen.jobs.files import link_into
from facegen.system import link_path
from facegen.training.info import TaskInfo
from facegen.training.jobs import TRAIN
from facegen.training.request import TASK_PREFIX
from facegen.training.settings import OptimiserSettings, TrainSettings
from facegen.ui.options import parse
from facegen.ui.services import PICTURE_SUFFIXES, Services, Visitor
from facegen.ui.tabs.faceset import facesets

if TYPE_CHECKING:
    from facegen.training.compare import Comparison
    from facegen.training.request import TrainRequest

EXAMPLE_DATA = Path(facegen.__file__).resolve().parents[2] / "shared" / "data"
"""Local example data beside a checkout; an installed facegen has none."""
SHARED_MINUTES = 30.0
"""The longest training in a studio that several people share and that has no GPU."""
SHARED_FIRST_MINUTES = 10.0
"""What is proposed there."""
_VERBS = {"save": "save", "pause": "stop", "export": "export", "stop": "finish"}
"""What people ask for -> the word for the training."""
_PROCESS_BYTES = 700_000_000
"""What Python with torch takes before a model is made."""


@dataclass(frozen=True, kw_only=True)
class TrainForm:
    """A training to be started."""

    task: str
    preset: str
    data: str
    """Data folder."""
    changes: tuple[str, ...] = ()
    """key=value, what differs from the preset."""


def has_gpu() -> bool:
    """Whether an NVIDIA driver is at hand; found without loading torch."""
    return shutil.which("nvidia-smi") is not None


def is_limited(services: Services) -> bool:
    """Whether several people share this studio and it has no GPU: trainings are then short, one for each visitor."""
    return services.settings.shared and not has_gpu()


def example_folder(info: TaskInfo) -> Path | None:
    """The local material that fits a task, where it is there."""
    folder = EXAMPLE_DATA / info.example_data if info.example_data else None
    return folder if folder and folder.is_dir() else None


def preset_settings(task: str, preset: str) -> TrainSettings:
    """What a preset sets of the settings that all tasks share; read without loading torch.

    Raises:
        InputError: there is no such preset.
    """
    presets = find_task(task).presets
    if preset not in presets:
        raise InputError(
            f"Expected a preset of {', '.join(presets)} for {task}, found {preset!r}; choose one of these."
        )
    shared = [change for change in presets[preset] if not change.startswith(TASK_PREFIX)]
    return override(TrainSettings(), shared)


def first_settings(services: Services, task: str, preset: str) -> TrainSettings:
    """What the widgets propose: the preset, with a short time where the studio is limited."""
    settings = preset_settings(task, preset)
    if is_limited(services) and not 0 < settings.minutes <= SHARED_MINUTES:
        return replace(settings, minutes=SHARED_FIRST_MINUTES)
    return settings


def own_settings(task: str) -> dict[str, str]:
    """The settings of a task alone: «task.NAME» and what it means, with its default."""
    cls: type = find_task(task).load()
    about, defaults = field_help(cls), to_dict(cls())
    return {f"task.{name}": f"{about.get(name, '')} ({value})".strip() for name, value in defaults.items()}


def changes(task: str, preset: str, settings: Mapping[str, Any], more: str) -> tuple[str, ...]:
    """What the widgets say that the preset does not, as key=value.

    Args:
        task: name of the task.
        preset: name of the preset.
        settings: `TrainSettings` by name; those of the optimiser begin with «optimiser.».
        more: further settings as typed, one key=value a line; they win.

    Raises:
        InputError: a value does not fit.
    """
    preset_values = preset_settings(task, preset)
    own = {key: value for key, value in settings.items() if not key.startswith("optimiser.")}
    nested = {key.removeprefix("optimiser."): value for key, value in settings.items() if key.startswith("optimiser.")}
    wanted = parse(TrainSettings, {**to_dict(preset_values), **own})
    optimiser = parse(OptimiserSettings, {**to_dict(preset_values.optimiser), **nested})
    different = [
        f"{prefix}{item.name}={getattr(new, item.name)}"
        for prefix, old, new in (("", preset_values, wanted), ("optimiser.", preset_values.optimiser, optimiser))
        for item in fields(new)
        if item.name != "optimiser" and getattr(new, item.name) != getattr(old, item.name)
    ]
    typed = [line.strip() for line in more.splitlines() if line.strip()]
    return (*different, *typed)


def format_command(form: TrainForm) -> str:
    """The command that does a training, as one would type it."""
    return shlex.join(["facegen", "train", *command_arguments(form.task, form.preset, form.data, form.changes)])


def check(services: Services, form: TrainForm, visitor: Visitor | None = None) -> str:
    """Hold a training against memory and disk before it starts, and against what is the visitor's own.

    Returns:
        What it needs and what there is, in a sentence.

    Raises:
        InputError: a setting does not fit, or the data folder is missing.
        ResourceError: memory or disk do not suffice.
    """
    import torch

    from facegen.config import from_dict

    if not form.data or not Path(form.data).is_dir():
        raise InputError(f"Expected a data folder, found {form.data or 'none'}; choose or upload the data first.")
    info = find_task(form.task)
    request = _request(form)
    request = request if visitor is None else services.admit(visitor, request)
    settings = request.settings
    if is_limited(services) and not 0 < settings.minutes <= SHARED_MINUTES:
        raise InputError(
            f"Expected 1 to {SHARED_MINUTES:g} minutes on this shared machine without a GPU, found "
            f"{settings.minutes:g}; set a limit."
        )
    with torch.device("meta"):
        weights = 4 * sum(
            value.numel() for value in from_dict(info.load(), request.task_settings).build_model().parameters()
        )
    memory = _PROCESS_BYTES + weights * (5 if settings.ema_decay else 4)
    disk = 4 * weights * (settings.keep + settings.keep_hourly + 2)
    free_memory, free_disk = psutil.virtual_memory().available, shutil.disk_usage(_existing(home())).free
    for name, needed, free in (("memory", memory, free_memory), ("disk", disk, free_disk)):
        if needed > free:
            raise ResourceError(
                f"Expected {needed / 1e9:.1f} GB of free {name}, found {free / 1e9:.1f} GB; close other programs, or "
                "make the model smaller."
            )
    return (
        f"{weights / 4e6:.1f} million parameters: at least {memory / 1e9:.1f} of {free_memory / 1e9:.1f} GB of memory "
        f"and {disk / 1e9:.2f} of {free_disk / 1e9:.0f} GB of disk."
    )


def _request(form: TrainForm) -> "TrainRequest":
    from facegen.training.request import make_request

    return make_request(find_task(form.task), preset=form.preset, data=form.data, changes=form.changes)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return folder if folder.exists() else _existing(folder.parent)


def start(services: Services, visitor: Visitor, form: TrainForm) -> Run:
    """Put a training into the queue as a run of its own.

    Raises:
        InputError: a setting does not fit, the data folder is missing, or the visitor of a limited studio has a
            training already.
        ResourceError: memory or disk do not suffice. An upload that was unpacked for it is removed.
    """
    try:
        return _start(services, visitor, form)
    except FacegenError:
        services.remove_unused_data(visitor)
        raise


def _start(services: Services, visitor: Visitor, form: TrainForm) -> Run:
    check(services, form, visitor)
    request = _request(form)
    busy = [run for run in trainings(services, visitor) if run.status().is_active]
    if is_limited(services) and busy:
        raise InputError(
            f"Expected your last training to have ended on this shared machine, found {busy[0].name} "
            f"{busy[0].status().state}; stop it first or wait."
        )
    return services.start(visitor, TRAIN, request)


def unpack(folder: Path, paths: Sequence[str]) -> Path:
    """Put uploaded pictures, or the pictures in an uploaded .zip with their folders, into `folder`.

    Raises:
        InputError: no picture is among them, or the archive is damaged or leads outside. The folder is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for path in map(Path, paths):
            if path.suffix.lower() == ".zip":
                unpack_zip(path, folder, (*PICTURE_SUFFIXES, ".tsv", ".json"))
            else:
                link_into(path, folder)
        if not any(path.suffix.lower() in PICTURE_SUFFIXES for path in folder.rglob("*")):
            raise InputError("Expected pictures, or a .zip of a folder with pictures, found none in the upload.")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def data_folder(services: Services, visitor: Visitor, folder: str | None, upload: Sequence[str] | None) -> str:
    """Where the data lies: an upload, or a folder of this machine where the studio is not shared.

    Raises:
        InputError: neither is given, the folder is missing or empty, or the upload holds no picture.
    """
    if upload:
        place = services.data_folder(visitor, upload)
        if not place.is_dir():
            _move_into_place(unpack(_partial(place), upload), place)
        return str(place)
    if services.settings.shared:
        raise InputError("Expected an upload on this shared studio, found none; upload pictures or a .zip of them.")
    if not folder or not Path(folder).expanduser().is_dir():
        raise InputError(f"Expected a data folder, found {folder or 'nothing'!r}; write the path of a folder.")
    found = Path(folder).expanduser()
    if not any(path.is_file() for path in found.rglob("*")):
        raise InputError(f"Expected a data folder with files in it, found an empty one at {found}; choose another.")
    return str(found)


def faceset_folder(services: Services, visitor: Visitor, task: str, names: Sequence[str | None]) -> str:
    """Where the data of a task lies that learns from facesets; for two of them a folder in which they are a and b.

    Raises:
        InputError: the task takes none, or they are not chosen or not there.
    """
    count = find_task(task).facesets
    wanted = [name for name in names[:count] if name]
    if not count or len(wanted) < count:
        what = ("no faceset", "a faceset", "two facesets")[count]
        raise InputError(f"Expected {what} for {task}, found {len(wanted)} chosen; choose other data or cut one out.")
    folders = [facesets.open_faceset(services, visitor, name).folder.resolve() for name in wanted]
    if count == 1:
        return str(folders[0])
    pair = services.data_folder(visitor, [str(folder) for folder in folders])
    if not pair.is_dir():
        partial = _partial(pair)
        partial.mkdir(parents=True)
        for letter, folder in zip("ab", folders, strict=True):
            link_path(folder, partial / letter)
        _move_into_place(partial, pair)
    return str(pair)


def _partial(folder: Path) -> Path:
    """A place of its own to make a folder in: of two clicks in a row each has one."""
    return folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")


def _move_into_place(partial: Path, folder: Path) -> None:
    """Let a folder be there at once and whole; where another click has made it meanwhile, that one stays."""
    try:
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not folder.is_dir():
            raise


def act(run: Run, verb: str) -> None:
    """Ask a training for something: save, pause (with a checkpoint), resume, export, or stop (measure, export, end).

    Raises:
        InputError: no such verb, or the training does not run.
    """
    from facegen.training.logger import send_command

    if verb == "resume":
        run.enqueue()
        start_queued()
        return
    if verb not in _VERBS:
        raise InputError(f"Expected one of {', '.join([*_VERBS, 'resume'])}, found {verb!r}; choose one of these.")
    if run.status().state != "running":
        raise InputError(f"Expected a training that runs, found {run.name} {run.status().state}; resume it first.")
    send_command(run.path, _VERBS[verb])


def compare(services: Services, visitor: Visitor, names: Sequence[str]) -> "Comparison":
    """Lay trainings side by side; the pictures go to the visitor's folder.

    Raises:
        InputError: fewer than two, or somebody else's.
    """
    from facegen.training.compare import compare as lay_beside

    folders = [services.run(visitor, name).path for name in names]
    return lay_beside(folders, services.visitor_folder(visitor) / "comparisons" / secrets.token_hex(4))


def trainings(services: Services, visitor: Visitor) -> list[Run]:
    """The trainings that the visitor may see, newest first."""
    return [run for run in services.runs(visitor) if run.kind == "train"]


def list_tasks() -> tuple[TaskInfo, ...]:
    """What can be trained."""
    return TASKS
