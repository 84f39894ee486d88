"""Device, seed, and what is really in use."""

import random

import numpy as np
import pytest
import torch

from facegen import device
from facegen.errors import InputError, ResourceError


def test_auto_is_what_torch_can_use() -> None:
    assert device.choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device.choose_device("cpu") == torch.device("cpu")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="found 'toaster'"):
        device.choose_device("toaster")
    with pytest.raises(ResourceError, match="CUDA devices"):
        device.choose_device("cuda:77")
    with pytest.raises(InputError, match="seed"):
        device.seed_everything(-1)


def test_same_seed_gives_the_same_numbers() -> None:
    def draw() -> tuple[float, float, float]:
        device.seed_everything(7)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw() == draw()


def test_report_comes_from_a_run() -> None:
    report = device.inspect_device("cpu")
    assert report.device == "cpu"
    assert report.gflops > 0
    assert report.cores >= 1
    assert 0 < report.memory_free_bytes <= report.memory_bytes


@pytest.mark.gpu
def test_report_of_a_card() -> None:
    assert device.inspect_device("cuda").device == "cuda:0"
