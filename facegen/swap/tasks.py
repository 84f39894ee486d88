"""What this room can train. Imports no torch."""

from __future__ import annotations

from facegen.training.info import TaskInfo

_COMMON = ("optimiser.name=adabelief", "optimiser.rate=5e-5", "optimiser.epsilon_exponent=-12", "save_every=500")

SAEHD = TaskInfo(
    name="saehd",
    summary="Learns two people (df, liae or amp), to put B's face on A in videos: DeepFaceLab's SAEHD family.",
    needs="A folder with the facesets a (the person in the video) and b (whose face it gets), or their tar shards.",
    typical_time="days on 2 CPU cores at 128 pixels, a night on a GPU; a first likeness at 64 pixels in an hour",
    path="facegen.swap.autoencoder.task:SaehdTask",
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

TASKS = (SAEHD,)
