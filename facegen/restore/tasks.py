"""What this room can train. Imports no torch."""

from __future__ import annotations

from facegen.training.info import TaskInfo

RESTORER = TaskInfo(
    name="restorer",
    summary="Learns to give a small, blurred or generated face its details back, at 256 and 512 pixels.",
    needs="A folder of aligned faces of 512 pixels; or drawn/ and originals/ of the same names, and samples/ if there are.",
    typical_time="two hours on a CPU core, 10 minutes on a GPU",
    path="facegen.restore.task:RestorerTask",
    presets={
        "default": (
            "steps=12000",
            "batch_size=12",
            "optimiser.name=adam",
            "optimiser.rate=0.0006",
            "optimiser.beta1=0.5",
            "optimiser.beta2=0.99",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=50",
            "optimiser.clip_norm=5",
            "ema_decay=0.99",
            "save_every=300",
        ),
        "gpu": (
            "steps=60000",
            "batch_size=48",
            "optimiser.name=adam",
            "optimiser.rate=0.0006",
            "optimiser.beta1=0.5",
            "optimiser.beta2=0.99",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=300",
            "optimiser.clip_norm=5",
            "ema_decay=0.999",
            "save_every=2000",
            "task.crop=192",
        ),
        "tiny": (
            "steps=6",
            "batch_size=2",
            "save_every=6",
            "log_every=1",
            "task.network.widths=[8,8,8]",
            "task.critic_width=8",
            "task.crop=64",
        ),
    },
    facesets=1,
    example_data="faces/generated512",
    used_in="generate",
)

TASKS = (RESTORER,)
