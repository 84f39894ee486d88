"""What this room can train. Imports no torch."""

from __future__ import annotations

from facegen.training.info import TaskInfo

MOTION = TaskInfo(
    name="motion",
    summary="Learns how mouths move to speech, whoever speaks: what makes a portrait talk.",
    needs="A folder of clips of people who speak, with sound (sub-folders are searched).",
    typical_time="15 minutes on 2 CPU cores, measuring 25 short clips included",
    path="facegen.talk.task:MotionTask",
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

TASKS = (MOTION,)
