"""What this room can train. Imports no torch."""

from __future__ import annotations

from facegen.training.info import Publication, TaskInfo

MOTION = TaskInfo(
    name="motion",
    summary="Learns how mouths move to speech, whoever speaks: what makes a portrait talk.",
    needs="A folder of clips of people who speak, with sound (sub-folders are searched).",
    typical_time="15 minutes on 2 CPU cores, measuring 25 short clips included",
    path="facegen.talk.motion_task:MotionTask",
    publication=Publication(
        usage="""
import torch
import facegen
from facegen.talk.speech import FEATURES

motion = facegen.from_pretrained("{repo}")
shapes = motion(torch.zeros(1, FEATURES, 200))  # features of facegen.talk.speech, to the mouth's coefficients
""",
        intended="To let portraits speak whose owners agreed to it, and for research on speech and motion.",
        limits="It moves the mouth alone, in the shapes of facegen's mouth rig.",
        tags=("talking-head", "audio-to-motion"),
    ),
    presets={
        "default": (
            "steps=300",
            "batch_size=16",
            "optimiser.name=adamw",
            "optimiser.rate=0.001",
            "optimiser.weight_decay=0.3",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=50",
            "optimiser.clip_norm=1",
            "ema_decay=0.98",
            "save_every=50",
        ),
        "tiny": (
            "steps=20",
            "batch_size=4",
            "save_every=10",
            "log_every=1",
            "task.network.width=16",
            "task.network.dilations=[1,2]",
            "task.piece_rows=40",
        ),
    },
    example_data="talking",
    used_in="talk",
)

FINISH = TaskInfo(
    name="finish",
    summary="Learns how light falls on a face that moves and into its mouth: the last touch on a talking portrait.",
    needs="A folder of clips of people who speak (sub-folders are searched).",
    typical_time="20 minutes on a CPU core, drawing the pairs included",
    path="facegen.talk.finish.task:FinishTask",
    presets={
        "default": (
            "steps=2000",
            "batch_size=8",
            "optimiser.name=adam",
            "optimiser.rate=0.001",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=50",
            "optimiser.clip_norm=5",
            "ema_decay=0.99",
            "save_every=200",
        ),
        "tiny": (
            "steps=4",
            "batch_size=2",
            "save_every=4",
            "log_every=1",
            "task.network.widths=[8,8,8]",
        ),
    },
    example_data="talking",
    used_in="talk",
    replaces={"finish.safetensors": "talk-finish"},
)

DFRF = TaskInfo(
    name="dfrf",
    summary="Learns how one person looks while speaking: a radiance field that any sound can drive.",
    needs="A folder with one video of somebody who speaks, from the front, before a still camera; several make a base.",
    typical_time="45 minutes on 2 CPU cores for a minute of video, preparing it included",
    path="facegen.talk.dfrf.task:DfrfTask",
    publication=Publication(
        usage="""
import facegen

field = facegen.from_pretrained("{repo}")
# field.render(batch): batches as facegen.talk.dfrf.dataset.Scene makes them of a prepared video of the person
print(sum(values.numel() for values in field.parameters()))
""",
        intended="To let one person speak, who agreed to it, or to begin the training of another person's field.",
        limits="It draws the person of its data alone, and needs the prepared video, which is not published.",
        tags=("talking-head", "nerf"),
    ),
    presets={
        "fast": (
            "steps=20000",
            "minutes=45",
            "batch_size=1",
            "optimiser.name=adam",
            "optimiser.rate=0.0015",
            "optimiser.beta2=0.99",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=20",
            "optimiser.clip_norm=1",
            "ema_decay=0.98",
            "save_every=250",
            "keep_hourly=1",
            "task.surface=true",
        ),
        "reference": (
            "task.kind=reference",
            "task.references=4",
            "task.measured=0",
            "steps=600000",
            "batch_size=1",
            "optimiser.name=adam",
            "optimiser.rate=0.0005",
            "save_every=5000",
            "keep_hourly=1",
        ),
        "tiny": (
            "steps=10",
            "batch_size=1",
            "optimiser.name=adam",
            "optimiser.rate=0.005",
            "save_every=5",
            "log_every=1",
            "task.surface=true",
            "task.references=2",
            "task.measured=2",
            "task.fast.plane_size=16",
            "task.fast.channels=4",
            "task.fast.width=16",
            "task.fast.features=7",
            "task.fast.samples=4",
        ),
    },
    example_data="talking",
    used_in="talk",
)

TASKS = (MOTION, FINISH, DFRF)
