"""One step of training: forward, backward, and the optimisers' step; with everything that a checkpoint must hold."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from facegen.device import choose_device, is_bfloat16_fast, seed_everything
from facegen.errors import ResourceError
from facegen.training.checkpoint import Checkpoint, load_weights, pack_optimiser, read_tensors, unpack_optimiser
from facegen.training.loader import derive_seed
from facegen.training.optimisers import LrDropout, build_optimiser, rate_at, set_rate
from facegen.training.settings import TrainSettings
from facegen.training.task import Task

_ACCELERATE_NAMES = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


class Ema:
    """Keeps a copy of the model whose weights are an exponential moving average (Polyak averaging).

    The decay grows from 0.1 to its final value over the first steps, so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after `step` steps; buffers such as batch statistics are averaged too if float."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        own = self.model.state_dict()
        floats = [(own[name], value) for name, value in model.state_dict().items() if value.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], weight)
        for name, value in model.state_dict().items():
            if not value.is_floating_point():
                own[name].copy_(value)


class Stepper:
    """A task's model with its optimisers and running average, on its device.

    Args:
        task: what is trained.
        settings: how.
        on_line: called with each line meant for the user.
    """

    def __init__(self, task: Task, settings: TrainSettings, on_line: Callable[[str], None]) -> None:
        self.task, self.settings, self.on_line = task, settings, on_line
        self.accelerator = _accelerator(settings, is_adversarial=task.group_count > 1)
        self.device = self.accelerator.device
        seed_everything(settings.seed, deterministic=settings.deterministic)
        self.model: nn.Module = task.build_model().to(self.device)
        if settings.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.ema = Ema(self.model, settings.ema_decay) if settings.ema_decay else None
        self.groups = task.parameter_groups(self.model)
        optimisers = [build_optimiser(group, settings.optimiser) for group in self.groups]
        self.wrapped, *self.optimisers = self.accelerator.prepare(self.model, *optimisers)
        self.callable: nn.Module = self.wrapped
        self._must_try_compile = settings.compile
        keep = settings.optimiser.lr_dropout
        self.lr_dropout = [LrDropout(group, keep) for group in self.groups] if keep < 1 else []

    @property
    def averaged_model(self) -> nn.Module:
        """The model that is measured, shown and exported, ready for that: the running average where there is one."""
        return (self.ema.model if self.ema else self.model).eval()

    @property
    def rate(self) -> float:
        """Learning rate of the last step."""
        return float(self.optimisers[0].param_groups[0]["lr"])

    def step(self, batches: list[dict[str, Tensor]], step: int, progress: float, rate_scale: float) -> dict[str, float]:
        """Does one step on one batch for each accumulation.

        Args:
            batches: as many as `settings.accumulate`.
            step: steps done before; everything random follows from it.
            progress: share of the training that is done, 0..1.
            rate_scale: factor on the learning rate.

        Returns:
            The losses by name, mean over batches and processes.

        Raises:
            ResourceError: the device's memory is too small.
        """
        if self._must_try_compile:
            self._compile(batches[0], progress)
        rate = rate_at(self.settings.optimiser, step, progress) * rate_scale
        for optimiser in self.optimisers:
            set_rate(optimiser, rate)
        self.wrapped.train()
        sums: dict[str, Tensor] = {}
        try:
            for number, batch in enumerate(batches):
                process = self.accelerator.process_index
                torch.manual_seed(derive_seed(self.settings.seed, step, process * len(batches) + number, 3))
                with self.accelerator.accumulate(self.wrapped):
                    for group in range(len(self.optimisers)):
                        self._step_group(group, batch, step, progress, sums)
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"The device's memory is too small for batches of {self.settings.batch_size}; "
                "lower batch_size and raise accumulate."
            ) from error
        if self.ema:
            self.ema.update(self.model, step)
        means = self.accelerator.reduce(torch.stack(list(sums.values())) / len(batches), "mean")
        return dict(zip(sums, means.tolist(), strict=True))

    def _step_group(
        self, group: int, batch: dict[str, Tensor], step: int, progress: float, sums: dict[str, Tensor]
    ) -> None:
        """Forward and backward pass of one parameter group and, at the last batch of a step, its optimiser's step."""
        if len(self.groups) > 1:
            for index, parameters in enumerate(self.groups):
                for parameter in parameters:
                    parameter.requires_grad_(index == group)
        with self.accelerator.autocast():
            losses = self.task.losses(self.callable, batch, progress=progress, group=group)
        self.accelerator.backward(torch.stack(list(losses.values())).sum())
        for name, value in losses.items():
            sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach().float()
        clip = self.settings.optimiser.clip_norm
        if self.accelerator.sync_gradients and clip:
            self.accelerator.clip_grad_norm_(self.groups[group], clip)
        optimiser = self.optimisers[group]
        if self.lr_dropout and self.accelerator.sync_gradients:
            self.lr_dropout[group].step(optimiser, derive_seed(self.settings.seed, step, group, 4))
        else:
            optimiser.step()
        optimiser.zero_grad()

    def _compile(self, batch: dict[str, Tensor], progress: float) -> None:
        """Tries the compiled model on one batch; where that fails, goes on without and says so."""
        self._must_try_compile = False
        compiled: nn.Module = torch.compile(self.wrapped)  # type: ignore[assignment]
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        try:
            with self.accelerator.autocast():
                losses = self.task.losses(compiled, batch, progress=progress, group=0)
            self.accelerator.backward(torch.stack(list(losses.values())).sum())
            self.callable = compiled
        except Exception as error:  # whatever the compiler trips over, training goes on without it
            self.on_line(f"torch.compile does not work here ({type(error).__name__}); going on without it.")
        self.model.load_state_dict(before)
        self.model.zero_grad()

    def is_finite(self) -> bool:
        """Whether every weight is a finite number."""
        return all(bool(torch.isfinite(parameter).all()) for parameter in self.model.parameters())

    def snapshot(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Everything needed to go on: tensors by file, and JSON values."""
        tensors: dict[str, dict[str, Tensor]] = {"model": self.model.state_dict()}
        plain: dict[str, Any] = {}
        for group, optimiser in enumerate(self.optimisers):
            tensors[f"optimiser{group}"], plain[f"optimiser{group}"] = pack_optimiser(optimiser.state_dict())
        if self.ema:
            tensors["ema"] = self.ema.model.state_dict()
        if self.accelerator.scaler is not None:
            plain["scaler"] = self.accelerator.scaler.state_dict()
        return tensors, plain

    def restore(self, checkpoint: Checkpoint) -> None:
        """Takes everything from a checkpoint.

        Raises:
            InputError: it belongs to another model.
            TrainingError: its files cannot be read.
        """
        weights = read_tensors(checkpoint, "model")
        load_weights(self.model, weights, checkpoint.folder)
        if self.ema:
            load_weights(self.ema.model, read_tensors(checkpoint, "ema") or weights, checkpoint.folder)
        for group, optimiser in enumerate(self.optimisers):
            name = f"optimiser{group}"
            optimiser.load_state_dict(unpack_optimiser(read_tensors(checkpoint, name), checkpoint.state[name]))
            _match_memory_layout(optimiser)
        if self.accelerator.scaler is not None and "scaler" in checkpoint.state:
            self.accelerator.scaler.load_state_dict(checkpoint.state["scaler"])


def _match_memory_layout(optimiser: torch.optim.Optimizer) -> None:
    """Brings what an optimiser remembers of each weight into that weight's memory layout.

    Fused optimisers walk through the memory of weight and state side by side, whatever their strides.
    """
    for group in optimiser.param_groups:
        for weight in group["params"]:
            state = optimiser.state[weight]
            for key, value in state.items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    state[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def _accelerator(settings: TrainSettings, *, is_adversarial: bool) -> Accelerator:
    device = choose_device(settings.device)
    precision: str = settings.precision
    if precision == "auto":
        precision = "bfloat16" if is_bfloat16_fast(device) else "float32"
    # the step of one group leaves the parameters of the other without gradients, which DDP must be told to expect
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=True)] if is_adversarial else []
    # one process may train twice, at different precisions: Accelerate keeps the first one's otherwise
    AcceleratorState._reset_state()
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=_ACCELERATE_NAMES[precision],
        gradient_accumulation_steps=settings.accumulate,
        kwargs_handlers=handlers,
    )
