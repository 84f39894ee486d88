"""What this room can train. Imports no torch."""

from __future__ import annotations

from facegen.training.info import Publication, TaskInfo

_COMMON = ("optimiser.name=adabelief", "optimiser.rate=5e-5", "optimiser.epsilon_exponent=-12", "save_every=500")

_SMALL = (
    "task.resolution=128",
    "task.architecture=liae-ud",
    "task.ae_dims=64",
    "task.e_dims=32",
    "task.d_dims=32",
    "task.d_mask_dims=16",
    "task.eyes_mouth_prio=true",
)
_QUICK = ("optimiser.name=adamw", "optimiser.rate=3e-4", "optimiser.schedule=cosine", "optimiser.warmup_steps=50")


def _faceswap(architecture: str, resolution: int, seen: int, code: int, e: int, d: int, *more: str) -> tuple[str, ...]:
    """A preset of faceswap's family with the sizes of its model there."""
    return (
        "optimiser.name=adam",
        "optimiser.rate=5e-5",
        "steps=100000",
        "batch_size=8",
        "save_every=500",
        f"task.architecture={architecture}",
        f"task.resolution={resolution}",
        f"task.input_resolution={seen}",
        f"task.ae_dims={code}",
        f"task.e_dims={e}",
        f"task.d_dims={d}",
        *more,
    )


_FACESWAP = {
    "lightweight": _faceswap("lightweight", 64, 64, 512, 128, 64),
    "original": _faceswap("original", 64, 64, 1024, 128, 64),
    "iae": _faceswap("iae", 64, 64, 1024, 128, 64),
    "dfaker": _faceswap("dfaker", 128, 64, 1024, 128, 64),
    "dfl-h128": _faceswap("dfl-h128", 128, 128, 512, 128, 64),
    "realface": _faceswap("realface", 128, 64, 1536, 64, 64),
    "unbalanced": _faceswap("unbalanced", 128, 128, 1024, 64, 64),
    "villain": _faceswap("villain", 128, 128, 1024, 128, 64),
    "dlight": _faceswap("dlight", 256, 128, 1024, 64, 64),
    "phaze-a-mobile": _faceswap("phaze-a", 128, 128, 512, 64, 64, "task.timm_encoder=mobilenetv3_small_100"),
    "phaze-a-split": _faceswap(
        "phaze-a",
        128,
        128,
        512,
        64,
        64,
        "task.timm_encoder=efficientnet_lite0",
        "task.is_middle_split=true",
        "task.is_decoder_shared=true",
    ),
    "phaze-a-convnext": _faceswap(
        "phaze-a", 128, 128, 512, 64, 64, "task.timm_encoder=convnext_atto", "task.is_middle_split=true"
    ),
}
"""Presets with faceswap's models: resolution drawn, resolution seen, bottleneck, widths of encoder and decoder."""

SAEHD = TaskInfo(
    name="saehd",
    summary="Learns two people, to put B's face on A in videos: DeepFaceLab's SAEHD family, and faceswap's models.",
    needs="A folder with the facesets a (the person in the video) and b (whose face it gets), or their tar shards.",
    facesets=2,
    typical_time="days on 2 CPU cores at 128 pixels, a night on a GPU; a first likeness at 64 pixels in an hour",
    path="facegen.swap.autoencoder.task:SaehdTask",
    publication=Publication(
        usage="""
import torch
import facegen

model, options = facegen.from_pretrained("{repo}")
crops = torch.rand(1, 3, options.resolution, options.resolution)  # A's face, RGB in 0..1, cut as options.face_type says
faces, masks = model.swap(crops).picture, model.swap(crops).mask
""",
        intended="To put the face of one person on another in videos, where both agreed to it. Results say that they are synthetic.",
        limits="It knows the two people it was trained on, and nobody else.",
        tags=("face-swap", "image-to-image"),
        loader="facegen.swap.autoencoder.export:load_model",
    ),
    presets={
        "default": (*_COMMON, "steps=100000", "batch_size=4"),
        "neuface-224": (
            *_COMMON,
            "steps=500000",
            "batch_size=12",
            "keep_hourly=0",
            "optimiser.lr_dropout=0.3",
            "optimiser.clip_norm=0",
            "task.resolution=224",
            "task.face_type=whole_face",
            "task.architecture=liae-udt",
            "task.ae_dims=512",
            "task.e_dims=64",
            "task.d_dims=64",
            "task.d_mask_dims=32",
            "task.masked_training=true",
            "task.eyes_mouth_prio=true",
            "task.uniform_yaw=true",
            "task.blur_out_mask=true",
            "task.random_warp=true",
            "task.random_hsv_power=0.0",
            "task.true_face_power=0.0",
            "task.face_style_power=0.0",
            "task.bg_style_power=0.0",
            "task.ct_mode=none",
            "task.pretrain=false",
            "task.random_src_flip=false",
            "task.random_dst_flip=true",
            "task.gan_power=0.0",
            "task.gan_patch_size=28",
            "task.gan_dims=16",
        ),
        "quick-64": (
            "optimiser.name=adamw",
            "optimiser.rate=3e-4",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=50",
            "steps=6000",
            "batch_size=8",
            "save_every=250",
            "ema_decay=0.99",
            "task.resolution=64",
            "task.architecture=liae-ud",
            "task.ae_dims=128",
            "task.e_dims=32",
            "task.d_dims=32",
            "task.d_mask_dims=16",
            "task.ct_mode=rct",
        ),
        "small-128": (
            *_QUICK,
            "steps=100000",
            "batch_size=8",
            "save_every=500",
            "ema_decay=0.995",
            "task.start_from=pretrained",
            "task.ct_mode=rct",
            "task.warp_share=0.75",
            *_SMALL,
        ),
        "small-128-pretrain": (
            *_QUICK,
            "steps=200000",
            "batch_size=4",
            "save_every=500",
            "ema_decay=0.998",
            "task.pretrain=true",
            "task.export_shards=true",
            "task.export_dfm=false",
            *_SMALL,
        ),
        "from-scratch": (
            "optimiser.name=adam",
            "optimiser.rate=2e-4",
            "optimiser.warmup_steps=50",
            "steps=20000",
            "batch_size=16",
            "save_every=500",
            "task.resolution=64",
            "task.architecture=scratch",
            "task.ae_dims=256",
            "task.e_dims=32",
            "task.d_dims=32",
            "task.gan_power=0.1",
            "task.gan_start=0.75",
        ),
        "amp-128": (
            *_COMMON,
            "steps=100000",
            "batch_size=4",
            "task.architecture=amp-ud",
            "task.morph_factor=0.5",
        ),
        **_FACESWAP,
        "tiny": (
            "steps=20",
            "batch_size=2",
            "save_every=10",
            "log_every=1",
            "task.resolution=64",
            "task.ae_dims=32",
            "task.e_dims=16",
            "task.d_dims=16",
            "task.d_mask_dims=16",
        ),
    },
    used_in="swap",
)

HARMONIZATION = TaskInfo(
    name="harmonization",
    summary="Learns what a swapped face must become to stand in its frame's light: the finish of swaps.",
    needs="A folder of pictures of people (sub-folders are searched).",
    typical_time="an hour on 2 CPU cores for 3,000 pictures, half of it to draw the pairs",
    path="facegen.swap.harmonization.task:HarmonizationTask",
    presets={
        "default": (
            "steps=6000",
            "batch_size=16",
            "optimiser.name=adam",
            "optimiser.rate=0.002",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=50",
            "optimiser.clip_norm=5",
            "ema_decay=0.99",
            "save_every=200",
        ),
        "tiny": ("steps=4", "batch_size=2", "save_every=4", "log_every=1", "task.per_picture=1"),
    },
    example_data="portraits/synthetic",
    used_in="swap",
    replaces={"harmonization.safetensors": "harmonization"},
)

DELIGHTING = TaskInfo(
    name="delighting",
    summary="Learns to take shadows and shine out of the source's picture, before its skin goes onto another face.",
    needs="A folder of pictures of people in even light (sub-folders are searched).",
    typical_time="an hour on 2 CPU cores for 3,000 pictures, ten minutes of it to unwrap the faces",
    path="facegen.swap.delighting.task:DelightingTask",
    presets={
        "default": (
            "steps=5000",
            "batch_size=16",
            "optimiser.name=adam",
            "optimiser.rate=0.002",
            "optimiser.schedule=cosine",
            "optimiser.warmup_steps=50",
            "optimiser.clip_norm=5",
            "ema_decay=0.99",
            "save_every=200",
        ),
        "tiny": ("steps=4", "batch_size=2", "save_every=4", "log_every=1"),
    },
    example_data="portraits/synthetic",
    used_in="swap",
    replaces={"delighting.safetensors": "delighting"},
)

TASKS = (SAEHD, HARMONIZATION, DELIGHTING)
