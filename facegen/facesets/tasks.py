"""What this room can train. Imports no torch."""

from __future__ import annotations

from facegen.training.info import TaskInfo

MASK = TaskInfo(
    name="mask",
    summary="Learns from masks drawn by hand on a few dozen faces what belongs to a face; begins with the parser.",
    needs="A faceset in which a dozen faces or more have masks drawn by hand (Faceset tab, «Draw masks»).",
    typical_time="5 minutes on 2 CPU cores",
    path="facegen.facesets.mask_task:MaskTask",
    presets={
        "default": (
            "steps=300",
            "batch_size=8",
            "optimiser.name=adamw",
            "optimiser.rate=0.0005",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=20",
            "ema_decay=0.98",
            "save_every=100",
        ),
        "tiny": ("steps=4", "batch_size=2", "save_every=2", "log_every=1", "task.size=64"),
    },
    used_in="faceset",
)

TASKS = (MASK,)
