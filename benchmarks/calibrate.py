"""A fixed workload whose rate is the unit of other rates, so that figures of different machines and days compare."""

import functools
import statistics
import time

import torch
from torch import nn


def _network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128), (128, 128)):
        layers += [nn.Conv2d(before, after, 5, 2, 2), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, nn.Conv2d(128, 512, 3, 1, 1), nn.PixelShuffle(2), nn.Conv2d(128, 3, 3, 1, 1))


@functools.cache
def yardstick() -> dict[str, float]:
    """Training steps a second of a small convolutional network on the CPU, and GFLOP/s of a matrix product."""
    torch.manual_seed(0)
    network = _network()
    batch = torch.randn(8, 3, 128, 128)
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)

    def step() -> float:
        started = time.perf_counter()
        network(batch).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        return time.perf_counter() - started

    for _ in range(3):
        step()
    seconds = statistics.median(step() for _ in range(20))
    return {"conv_steps_per_s": round(1 / seconds, 2), "gemm_gflops": round(_gemm_gflops(), 1)}


def _gemm_gflops(size: int = 1536, rounds: int = 20) -> float:
    factor = torch.randn(size, size)
    for _ in range(3):
        factor @ factor
    started = time.perf_counter()
    for _ in range(rounds):
        factor @ factor
    return rounds * 2 * size**3 / (time.perf_counter() - started) / 1e9
