"""What programs call: `facegen.swap`, `generate`, `talk` and `extract`, made from the declarations of their jobs.

The keyword arguments are the fields of the job's request, by their names (`facegen/jobs/fields.py`). `api.pyi`, which
`docs/make_api.py` writes, states their types for editors and type checkers. Importing this module loads no torch.
"""

import inspect
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from facegen.errors import InputError
from facegen.facesets.jobs import EXTRACT
from facegen.facesets.options import ExtractResult
from facegen.generate.jobs import GENERATE
from facegen.generate.sliders import NAMES
from facegen.jobs.fields import fields_of, make_request
from facegen.jobs.job import Job, Result
from facegen.jobs.pipeline import Models
from facegen.jobs.progress import OnProgress
from facegen.swap.jobs import SWAP
from facegen.swap.request import SwapResult
from facegen.talk.jobs import TALK
from facegen.talk.request import TalkResult

R = TypeVar("R", bound=Result)
F = TypeVar("F", bound=Callable[..., Any])
AnyPath = str | os.PathLike[str]
REPEATED = "; may be repeated"
"""Words of an option's help that mean nothing in a program."""
_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_logger = logging.getLogger("facegen")
_models = Models()
"""What this process keeps loaded, so that a second call need not load it again."""


def _declared(job: Job[Any, Any], *without: str) -> Callable[[F], F]:
    """Gives a function with `**fields` the signature and the documentation of the job's fields, but for some."""

    def decorate(function: F) -> F:
        fields = [item for item in fields_of(job.request) if item.name not in without]
        own = [item for item in inspect.signature(function).parameters.values() if item.name != "fields"]
        more = [inspect.Parameter(i.name, _KEYWORD, default=i.default, annotation=i.hint) for i in fields]
        function.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
        about = "\n".join(f"    {item.name}: {item.help.replace(REPEATED, '')}" for item in fields)
        function.__doc__ = str(inspect.getdoc(function)).replace("    fields: of the request.", about)
        return function

    return decorate


@_declared(SWAP, "sources", "target", "output")
def swap(
    source: AnyPath | Sequence[AnyPath] | None,
    target: AnyPath,
    output: AnyPath,
    *,
    consent: bool = False,
    on_progress: OnProgress | None = None,
    **fields: Any,
) -> SwapResult:
    """Put a face into a video or a picture; the same call goes on where it was cut off.

    Args:
        source: a picture of the face, a folder of pictures or a video, or several; None for an engine that takes none,
            or with `people`.
        target: the video or picture that gets the face.
        output: the file for the result, signed and marked.
        consent: whether everyone whose face is used agreed to it; a warning reminds of it otherwise.
        on_progress: called with the fraction done, 0 to 1, and a text; raising `Cancelled` in it stops the work.
        fields: of the request.

    Raises:
        FacegenError: it cannot be done; the sentence says why, and what to do.
    """
    values = {"sources": () if source is None else source, "target": target, "output": output, **fields}
    return _run(SWAP, values, consent, on_progress)


@_declared(GENERATE, "output", "given")
def generate(
    output: AnyPath | None = None, *, on_progress: OnProgress | None = None, **fields: Any
) -> list[Image.Image]:
    """Draw faces that do not exist, and return them as RGB pictures of Pillow, watermarked.

    Args:
        output: a folder that also gets them as signed files (the signature does not travel with a picture in memory).
        on_progress: called with the fraction done, 0 to 1, and a text; raising `Cancelled` in it stops the work.
        fields: of the request.

    Raises:
        FacegenError: it cannot be done; the sentence says why, and what to do.
    """
    if output is None:
        if fields.get("film"):
            raise InputError("Expected a folder for the film, found none given; add output=FOLDER.")
        with tempfile.TemporaryDirectory(prefix="facegen-") as folder:
            return generate(folder, on_progress=on_progress, **fields)
    # in a photograph the sliders that were not given stay as they are
    given = tuple(name for name in NAMES if name in fields) if fields.get("edit") else NAMES
    result = _run(GENERATE, {"output": output, "given": given, **fields}, True, on_progress)
    return [_read(path) for path in result.files if Path(path).suffix == ".png"]


@_declared(TALK, "portrait", "audio", "output")
def talk(
    portrait: AnyPath | None,
    audio: AnyPath,
    output: AnyPath,
    *,
    consent: bool = False,
    on_progress: OnProgress | None = None,
    **fields: Any,
) -> TalkResult:
    """Make a portrait speak, or give a person in a video other words; the same call goes on where it was cut off.

    Args:
        portrait: a picture of the speaker, or a video of them, in which then only the mouth changes; None for a person's
            field.
        audio: what is said: a sound file, or a video with sound.
        output: the file for the video, signed and marked.
        consent: whether everyone whose face or voice is used agreed to it; a warning reminds of it otherwise.
        on_progress: called with the fraction done, 0 to 1, and a text; raising `Cancelled` in it stops the work.
        fields: of the request.

    Raises:
        FacegenError: it cannot be done; the sentence says why, and what to do.
    """
    values = {"portrait": "" if portrait is None else portrait, "audio": audio, "output": output, **fields}
    return _run(TALK, values, consent, on_progress)


@_declared(EXTRACT, "inputs", "output")
def extract(
    inputs: AnyPath | Sequence[AnyPath], output: AnyPath, *, on_progress: OnProgress | None = None, **fields: Any
) -> ExtractResult:
    """Cut faces out of videos and pictures into a faceset; the same call goes on where it was cut off.

    Args:
        inputs: a video, a picture or a folder of both, or several.
        output: the faceset's folder; it may hold faces already.
        on_progress: called with the fraction done, 0 to 1, and a text; raising `Cancelled` in it stops the work.
        fields: of the request.

    Raises:
        FacegenError: it cannot be done; the sentence says why, and what to do.
    """
    return _run(EXTRACT, {"inputs": inputs, "output": output, **fields}, True, on_progress)


def _run(job: Job[Any, R], values: dict[str, Any], consent: bool, on_progress: OnProgress | None) -> R:
    request = make_request(job, values)
    if job.consent and not consent:
        warnings.warn(f"{job.consent} (say consent=True).", stacklevel=4)
    # not `Models.pipeline`: a program's standard output is its own
    pipeline = _models.get(lambda: job.load_pipeline()(models=_models, on_line=_logger.info), job.name)
    result: R = pipeline(request, on_progress=on_progress)
    for notice in result.notices:
        _logger.info(notice)
    return result


def _read(path: str) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")
