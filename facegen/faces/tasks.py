"""What this room can train. Imports no torch."""

from __future__ import annotations

from facegen.training.info import TaskInfo

_PARSER_COMMON = (
    "optimiser.name=adamw",
    "optimiser.weight_decay=0.01",
    "optimiser.schedule=cosine",
    "optimiser.clip_norm=5",
)

PARSER = TaskInfo(
    name="parser",
    summary="Learns which pixel of a face crop is skin, hair, eye, lip or something held before the face.",
    needs="A folder with images/ and, under the same names, masks/ (PNG, class numbers 0-18 in CelebAMask order).",
    typical_time="90 minutes on 2 CPU cores, a few minutes on a GPU",
    path="facegen.faces.parse.task:ParserTask",
    presets={
        "default": (
            *_PARSER_COMMON,
            "steps=12000",
            "batch_size=16",
            "optimiser.rate=0.002",
            "optimiser.warmup_steps=150",
            "ema_decay=0.998",
            "save_every=400",
        ),
        "tiny": (
            "steps=20",
            "batch_size=4",
            "save_every=10",
            "log_every=1",
            "ema_decay=0.9",
            "task.early_size=32",
            "task.final_size=64",
            "task.network.widths=[4,6,8,8,8]",
            "task.network.blocks=[0,1,1,1,1]",
        ),
    },
    example_data="faces/celebamask",
    used_in="swap",
    replaces={"parser.safetensors": "parser"},
)

AUTOENCODER = TaskInfo(
    name="autoencoder",
    summary="Learns to squeeze any face through 256 numbers and to draw it again: a quick check that training works.",
    needs="A folder of aligned face pictures (sub-folders are searched).",
    typical_time="10 minutes on 2 CPU cores",
    path="facegen.faces.autoencoder:AutoencoderTask",
    presets={
        "default": (
            "steps=4000",
            "batch_size=32",
            "optimiser.name=adamw",
            "optimiser.rate=0.001",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=50",
            "save_every=500",
            "ema_decay=0.99",
        ),
        "tiny": (
            "steps=20",
            "batch_size=4",
            "save_every=10",
            "log_every=1",
            "task.size=32",
            "task.width=8",
            "task.code=16",
        ),
    },
    facesets=1,
    example_data="faces/generated",
)

TASKS = (PARSER, AUTOENCODER)
