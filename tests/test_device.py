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


def test_one_setting_reaches_torch_and_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    from facegen.inference.accelerators import ACCELERATORS, accelerator_order

    monkeypatch.setenv(device.DEVICE_VARIABLE, "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose_device() == torch.device("cpu")
    assert not device.may_have_gpu()
    assert accelerator_order() == ("cpu",)
    monkeypatch.setenv(device.DEVICE_VARIABLE, "cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose_device() == torch.device("cuda:1")
    assert accelerator_order() == ("cuda", "cpu")
    assert ACCELERATORS["cuda"].options() == {"device_id": "1"}
    assert device.choose_device("cpu") == torch.device("cpu")
    monkeypatch.setenv(device.DEVICE_VARIABLE, "toaster")
    with pytest.raises(InputError, match="found 'toaster'"):
        device.choose_device()


def test_a_batch_that_memory_cannot_hold_is_halved() -> None:
    tried: list[range] = []

    def work(indices: range) -> list[int]:
        tried.append(indices)
        if len(indices) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return [index * index for index in indices]

    squares = [square for batch in device.in_batches(work, 9, 8) for square in batch]
    assert squares == [index * index for index in range(9)]
    assert [len(indices) for indices in tried] == [8, 4, 2, 2, 2, 2, 1]


def test_memory_that_cannot_hold_one_is_a_sentence() -> None:
    def never(_indices: range) -> None:
        raise RuntimeError("MPS backend out of memory")

    def bug(_indices: range) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(ResourceError, match="use --device cpu"):
        device.in_batches(never, 4, 4)
    with pytest.raises(RuntimeError, match="shapes"):
        device.in_batches(bug, 4, 4)
