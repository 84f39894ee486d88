"""Settings of a training, the same for every task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from facegen.config import check
from facegen.errors import InputError

Optimiser = Literal["adam", "adamw", "nadam", "rmsprop", "adabelief", "lion", "adamax"]


@dataclass(frozen=True, kw_only=True)
class OptimiserSettings:
    """How weights follow their gradients."""

    name: Optimiser = "adamw"
    """Which optimiser."""
    rate: float = field(default=1e-3, metadata={"min": 1e-8, "max": 1.0})
    """Learning rate after the warm-up."""
    epsilon_exponent: int = field(default=-8, metadata={"min": -20, "max": -1})
    """The small number that keeps divisions finite is 10 to this power (Lion has none)."""
    beta1: float = field(default=0.9, metadata={"min": 0.0, "max": 0.999})
    """Memory of the gradient's mean (RMSprop: momentum is not used)."""
    beta2: float = field(default=0.999, metadata={"min": 0.5, "max": 0.99999})
    """Memory of the gradient's square (RMSprop: its smoothing)."""
    weight_decay: float = field(default=0.0, metadata={"min": 0.0, "max": 1.0})
    """Pull of the weights towards zero."""
    warmup_steps: int = field(default=0, metadata={"min": 0, "max": 100_000})
    """Steps over which the rate rises from near zero."""
    schedule: Literal["constant", "cosine"] = "constant"
    """How the rate goes on after the warm-up: as it is, or down along a half cosine to 1 % at the planned end."""
    lr_dropout: float = field(default=1.0, metadata={"min": 0.05, "max": 1.0, "step": 0.05})
    """Chance of each weight to take part in a step; 1 is off, DeepFaceLab uses 0.3 to settle a trained model."""
    clip_norm: float = field(default=0.0, metadata={"min": 0.0, "max": 1000.0})
    """Longest gradient allowed, over all weights; 0 is off."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Duration, batch size, precision, checkpoints and log of a training."""

    FORMAT: ClassVar[int] = 1

    steps: int = field(default=10_000, metadata={"min": 1, "max": 100_000_000})
    """Steps to be done in all; a resumed run counts on from where it was."""
    minutes: float = field(default=0.0, metadata={"min": 0.0, "max": 100_000.0})
    """Time to train in all, after which the run ends even if steps remain; the schedule follows it. 0: no limit."""
    batch_size: int = field(default=16, metadata={"min": 1, "max": 4096, "step": 1})
    """Samples a process works on at once."""
    accumulate: int = field(default=1, metadata={"min": 1, "max": 1024, "step": 1})
    """Batches whose gradients are averaged into one step."""
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    """How weights follow their gradients."""
    seed: int = field(default=0, metadata={"min": 0, "max": 2**32 - 1})
    """Everything random follows from it."""
    ema_decay: float = field(default=0.0, metadata={"min": 0.0, "max": 0.99999})
    """Decay of the running average of the weights, which is what is measured, shown and exported; 0 is off."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the heavy operations; auto is bfloat16 where the device is quicker with it."""
    channels_last: bool = True
    """Memory layout that is quicker for convolutions."""
    compile: bool = False
    """Let torch.compile build quicker code first; where it cannot, the training says so and goes on without."""
    deterministic: bool = False
    """Only operations that repeat bit for bit; slower on a GPU, no difference on a CPU."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    save_every: int = field(default=500, metadata={"min": 1, "max": 10_000_000})
    """Steps between checkpoints; each comes with a measurement and a preview."""
    save_minutes: float = field(default=10.0, metadata={"min": 0.1, "max": 1000.0})
    """A checkpoint is made at the latest after this time."""
    keep: int = field(default=3, metadata={"min": 1, "max": 1000, "step": 1})
    """Newest checkpoints that are kept; the best one and hourly backups are kept besides."""
    keep_hourly: int = field(default=3, metadata={"min": 0, "max": 1000, "step": 1})
    """Hourly backups that are kept."""
    export_every: int = field(default=0, metadata={"min": 0, "max": 10_000_000})
    """Steps between exports of a usable model while training; 0: only at the end."""
    log_every: int = field(default=10, metadata={"min": 1, "max": 10_000})
    """Steps between lines of the log; there is one at least every ten seconds."""

    def __post_init__(self) -> None:
        check(self)
        if self.precision == "float16" and self.device == "cpu":
            raise InputError("Expected precision bfloat16 or float32 on a CPU, found float16; choose one of these.")
