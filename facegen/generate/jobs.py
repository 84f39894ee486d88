"""What this room does, declared. Imports no torch."""

from __future__ import annotations

from facegen.generate.request import DatasetRequest, DatasetResult, GenerateRequest, GenerateResult
from facegen.jobs.job import Job

GENERATE = Job(
    name="generate",
    command="generate",
    summary="Draw faces that do not exist.",
    request=GenerateRequest,
    result=GenerateResult,
    pipeline="facegen.generate.pipeline:GeneratePipeline",
    result_name=lambda _request: "faces",
    subject="output",
    example="facegen generate --eyes 0.9 --seed 7 --count 4 --output faces",
)

DATASET = Job(
    name="dataset",
    command="generate dataset",
    summary="Prepare training data: align, resize, change brightness, choose, measure the five values, make variants.",
    request=DatasetRequest,
    result=DatasetResult,
    pipeline="facegen.generate.dataset.preparation:DatasetPipeline",
    result_name=lambda _request: "dataset",
    subject="photographs",
    example="facegen generate dataset --photographs photographs --output dataset",
)

JOBS = (GENERATE, DATASET)
