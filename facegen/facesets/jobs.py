"""What this room does, declared. Imports no torch."""

from __future__ import annotations

from facegen.facesets.options import ExtractRequest, ExtractResult
from facegen.jobs.job import Job

EXTRACT = Job(
    name="faceset-extract",
    command="faceset extract",
    summary="Cut faces out of videos and pictures; the same command goes on where it was cut off.",
    request=ExtractRequest,
    result=ExtractResult,
    pipeline="facegen.facesets.pipeline:ExtractPipeline",
    result_name=lambda _request: "faces",
    subject="output",
    example="facegen faceset extract clip.mp4 --output people/a",
    old_names=("faceset",),
)

JOBS = (EXTRACT,)
