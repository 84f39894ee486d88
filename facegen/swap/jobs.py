"""What this room does, declared. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from facegen.jobs.cache import Cache
from facegen.jobs.job import Job
from facegen.swap.request import SwapRequest, SwapResult, SwapTrainRequest, SwapTrainResult, request_key

CONSENT = "Only use faces of people who agreed to it, and do not deceive anyone with the result"
PATCHES = "patches"
"""Folder of a run's results that holds the new faces alone."""
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def result_name(request: SwapRequest) -> str:
    """Name of a swap's output: a picture keeps its type where it can be written, a video becomes an MP4."""
    from facegen import media

    if request.patches:
        return PATCHES
    path = Path(request.target)
    if not media.is_picture(path):
        return f"{path.stem[:80]}-swapped.{request.options.file_type}"
    return f"{path.stem[:80]}-swapped{path.suffix.lower() if path.suffix.lower() in _PICTURE_SUFFIXES else '.png'}"


SWAP = Job(
    name="swap",
    command="swap",
    summary="Put a face into a video or a picture.",
    request=SwapRequest,
    result=SwapResult,
    pipeline="facegen.swap.pipeline:SwapPipeline",
    result_name=result_name,
    subject="target",
    key=request_key,
    consent=CONSENT,
    example="facegen swap --source face.jpg --target clip.mp4 --output result.mp4 --consent",
)

SWAP_TRAIN = Job(
    name="swap-train",
    command="swap train",
    summary="Put B's face on A: extract, clean, mask, train to a time budget, export and merge.",
    request=SwapTrainRequest,
    result=SwapTrainResult,
    pipeline="facegen.swap.autoencoder.training:SwapTrainPipeline",
    result_name=lambda request: f"merged.{request.encode.file_type}",
    subject="target",
    is_run_kept=True,
    consent=CONSENT,
    example="facegen swap train --person-a A.mp4 --person-b B.mp4 --merge C.mp4 --run runs/ab --consent",
)

JOBS = (SWAP, SWAP_TRAIN)

ANALYSES = Cache(name="analyses", summary="Faces found in the clips of swaps.", most_entries=20)
HARMONIZATION_PAIRS = Cache(
    name="harmonization-pairs",
    summary="Drawn faces and real ones that «train harmonization» learns from.",
    most_entries=1000,
    most_bytes=20_000_000_000,
)
FACE_ATLASES = Cache(
    name="face-atlases",
    summary="Unwrapped faces that «train delighting» learns from.",
    most_entries=1000,
    most_bytes=2_000_000_000,
)
CACHES = (ANALYSES, HARMONIZATION_PAIRS, FACE_ATLASES)
