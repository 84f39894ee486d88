"""Batches for the training loop, prefetched in a thread; each is a pure function of seed, step and slot."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from facegen.errors import InputError
from facegen.training.task import BatchSpec, TrainingData

_MIX = 0x9E3779B97F4A7C15


def derive_seed(*parts: int) -> int:
    """A 63-bit seed derived from several integers (splitmix64)."""
    value = 0
    for part in parts:
        value = (value + part + _MIX) & (2**64 - 1)
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        value ^= value >> 31
    return value >> 1


def sample_indices(seed: int, first: int, count: int, length: int) -> Tensor:
    """(count,) int64: samples `first` to `first + count - 1` of an endless series of shuffled epochs of `length` samples."""
    indices = []
    while count:
        epoch, offset = divmod(first, length)
        order = torch.randperm(length, generator=torch.Generator().manual_seed(derive_seed(seed, epoch, 1)))
        part = order[offset : offset + count]
        indices.append(part)
        first, count = first + len(part), count - len(part)
    return torch.cat(indices)


class BatchLoader:
    """Makes the batches of one process.

    A step's samples are numbered through all slots (process times accumulation), so two processes and one that
    accumulates two batches see the same.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        seed: int,
        batch_size: int,
        slots: int,
        local_slots: range,
        progress: Callable[[int], float],
    ) -> None:
        if not len(data):
            raise InputError("Expected at least one sample to train on, found none; choose another data folder.")
        self.data, self.seed, self.batch_size = data, seed, batch_size
        self.slots, self.local_slots, self.progress = slots, local_slots, progress
        self.waited_seconds = 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: tuple[int, list[Future[dict[str, Tensor]]]] | None = None

    def batches(self, step: int) -> list[dict[str, Tensor]]:
        """This process's batches of a step; prefetches those of the next one."""
        started = time.perf_counter()
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._start(step))
        made = [future.result() for future in self._ahead[1]]
        self._ahead = (step + 1, self._start(step + 1))
        self.waited_seconds += time.perf_counter() - started
        return made

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, step: int) -> list[Future[dict[str, Tensor]]]:
        return [self._pool.submit(self._make, step, slot) for slot in self.local_slots]

    def _make(self, step: int, slot: int) -> dict[str, Tensor]:
        first = (step * self.slots + slot) * self.batch_size
        spec = BatchSpec(
            indices=sample_indices(self.seed, first, self.batch_size, len(self.data)),
            generator=torch.Generator().manual_seed(derive_seed(self.seed, step, slot, 2)),
            step=step,
            progress=self.progress(step),
        )
        return self.data.batch(spec)
