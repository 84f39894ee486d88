"""What this room does, declared. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from facegen.jobs.cache import Cache
from facegen.jobs.job import Job
from facegen.talk.request import TalkRequest, TalkResult, TalkTrainRequest, TalkTrainResult, request_key

CONSENT = "Only use faces and voices of people who agreed to it, and do not deceive anyone"


def result_name(request: TalkRequest) -> str:
    """Name of a talk's video."""
    return f"{Path(request.portrait).stem[:80] or 'person'}-talks.{request.options.file_type}"


TALK = Job(
    name="talk",
    command="talk",
    summary="Make a portrait speak, or give a person in a video other words.",
    request=TalkRequest,
    result=TalkResult,
    pipeline="facegen.talk.pipeline:TalkPipeline",
    result_name=result_name,
    subject="portrait",
    key=request_key,
    consent=CONSENT,
    example="facegen talk --portrait face.jpg --audio said.wav --output talks.mp4 --consent",
)

TALK_TRAIN = Job(
    name="talk-train",
    command="talk train",
    summary="Prepare a video and train the field of the person in it, to a time budget.",
    request=TalkTrainRequest,
    result=TalkTrainResult,
    pipeline="facegen.talk.dfrf.pipeline:TalkTrainPipeline",
    subject="video",
    is_run_kept=True,
    consent=CONSENT,
    example="facegen talk train --video clip.mp4 --run runs/person --consent",
)

JOBS = (TALK, TALK_TRAIN)

CLIP_ANALYSES = Cache(name="clip-analyses", summary="Faces measured in clips of people who speak.", most_entries=2000)
FINISH_PAIRS = Cache(name="finish-pairs", summary="Drawn and real frames that «train finish» learns from.")
SPOKEN_TEXTS = Cache(name="spoken-texts", summary="Texts read aloud.")
PREPARED_PEOPLE = Cache(
    name="prepared-people", summary="Videos prepared for «train dfrf».", most_entries=20, most_bytes=20_000_000_000
)
CACHES = (CLIP_ANALYSES, FINISH_PAIRS, SPOKEN_TEXTS, PREPARED_PEOPLE)
