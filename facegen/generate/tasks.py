"""What this room can train. Imports no torch."""

from __future__ import annotations

from facegen.training.info import Publication, TaskInfo

_DATASET = "A folder made by «facegen generate dataset»."

ATTRIBUTES = TaskInfo(
    name="attributes",
    summary="Learns to read the five sliders' values, and female or male, from a picture.",
    needs=_DATASET,
    typical_time="20 minutes on a CPU core, 2 minutes on a GPU",
    path="facegen.generate.attributes.task:AttributesTask",
    presets={
        "default": (
            "steps=4000",
            "batch_size=32",
            "optimiser.name=adamw",
            "optimiser.rate=0.002",
            "optimiser.weight_decay=0.02",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=50",
            "optimiser.clip_norm=5",
            "ema_decay=0.995",
            "save_every=400",
        ),
        "tiny": (
            "steps=10",
            "batch_size=4",
            "save_every=10",
            "log_every=1",
            "task.network.widths=[8,8,8]",
            "task.network.blocks=[1,1,1]",
        ),
    },
    used_in="generate",
)

GENERATOR = TaskInfo(
    name="generator",
    summary="Learns to draw faces that do not exist, steered by five sliders.",
    needs=_DATASET,
    typical_time="hours on 2 CPU cores, an hour on a GPU",
    path="facegen.generate.model.task:GeneratorTask",
    publication=Publication(
        usage="""
from facegen.generate.model.diffusion import FacePipeline

pipeline = FacePipeline.from_pretrained("{repo}")
for number, picture in enumerate(pipeline(eyes=0.9, mouth=0.5, seed=7, count=4).images):
    picture.save(f"face-{{number}}.png")
""",
        intended="Faces of people who do not exist, for research, art and tests.",
        limits="Pictures of 128 pixels, made without facegen's retouch, watermark and signature.",
        tags=("unconditional-image-generation", "diffusers"),
        library="diffusers",
        loader="facegen.generate.model.diffusion:FacePipeline.from_pretrained",
        writer="facegen.generate.model.diffusion:write_pipeline",
    ),
    presets={
        "default": (
            "steps=12000",
            "batch_size=8",
            "optimiser.name=adam",
            "optimiser.rate=0.001",
            "optimiser.beta1=0.5",
            "optimiser.beta2=0.99",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=100",
            "optimiser.clip_norm=10",
            "ema_decay=0.995",
            "save_every=300",
        ),
        "gpu": (
            "steps=60000",
            "batch_size=64",
            "optimiser.name=adam",
            "optimiser.rate=0.001",
            "optimiser.beta1=0.5",
            "optimiser.beta2=0.99",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=500",
            "optimiser.clip_norm=10",
            "ema_decay=0.999",
            "save_every=1000",
            "task.samples=32",
            "task.network.widths=[64,96,160,224]",
            "task.network.latents=[20,10,5]",
            "task.critic_widths=[48,96,192,256]",
        ),
        "tiny": (
            "steps=10",
            "batch_size=4",
            "save_every=10",
            "log_every=1",
            "ema_decay=0.9",
            "task.samples=2",
            "task.adversarial_from=0.3",
            "task.network.texture_codes=6",
            "task.network.shape_codes=3",
            "task.network.anchors=12",
            "task.network.widths=[8,8,8,8]",
            "task.network.latents=[2,2,2]",
            "task.critic_widths=[8,8,8,8]",
        ),
    },
    used_in="generate",
)

RETOUCHER = TaskInfo(
    name="retoucher",
    summary="Learns what photographs of drawn faces would look like.",
    needs=_DATASET,
    typical_time="hours on 2 CPU cores, half an hour on a GPU",
    path="facegen.generate.retouch.task:RetoucherTask",
    presets={
        "default": (
            "steps=16000",
            "batch_size=16",
            "optimiser.name=adamw",
            "optimiser.rate=0.001",
            "optimiser.weight_decay=0.01",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=200",
            "optimiser.clip_norm=1",
            "ema_decay=0.998",
            "save_every=500",
        ),
        "large": (
            "steps=400000",
            "batch_size=8",
            "optimiser.name=adamw",
            "optimiser.rate=0.0004",
            "optimiser.weight_decay=0.01",
            "optimiser.warmup_steps=200",
            "optimiser.clip_norm=1",
            "ema_decay=0.9995",
            "save_every=500",
            "save_minutes=15",
            "task.network.fine=[48,96,160,160]",
        ),
        "gpu": (
            "steps=100000",
            "batch_size=128",
            "optimiser.name=adamw",
            "optimiser.rate=0.0005",
            "optimiser.weight_decay=0.01",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=1000",
            "optimiser.clip_norm=1",
            "ema_decay=0.9995",
            "save_every=2000",
        ),
        "tiny": (
            "steps=6",
            "batch_size=2",
            "save_every=6",
            "log_every=1",
            "task.network.widths=[8,8,8]",
        ),
    },
    used_in="generate",
)

REALISM = TaskInfo(
    name="realism",
    summary="Learns to tell photographs from generated faces, and where these look wrong.",
    needs="A folder with photographs/ and generated/, aligned faces of both kinds.",
    typical_time="10 minutes on a CPU core, 1 minute on a GPU",
    path="facegen.generate.realism:RealismTask",
    presets={
        "default": (
            "steps=1500",
            "batch_size=32",
            "optimiser.name=adamw",
            "optimiser.rate=0.001",
            "optimiser.weight_decay=0.05",
            "optimiser.schedule=cosine",
            "optimiser.clip_norm=5",
            "ema_decay=0.98",
            "save_every=200",
        ),
        "tiny": (
            "steps=6",
            "batch_size=4",
            "save_every=6",
            "log_every=1",
            "task.network.widths=[8,8,8]",
            "task.network.side=64",
        ),
    },
    used_in="generate",
)

TASKS = (ATTRIBUTES, GENERATOR, RETOUCHER, REALISM)
