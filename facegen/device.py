"""Choice of device, number format, threads and seed; and a report of the device in use.

torch is imported inside the functions: the command line imports this module to print its help.
"""

import gc
import os
import platform
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from facegen.errors import InputError, ResourceError

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from onnxruntime import InferenceSession


T = TypeVar("T")
DEVICE_VARIABLE = "FACEGEN_DEVICE"
OUT_OF_MEMORY = (
    "The memory of the device does not suffice for this; end what else uses it, or use --device cpu: the same command goes on "
    "where it was."
)


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """What a one-operation run on the device showed."""

    device: str
    """torch's name of the device the result lay on: «cpu», «cuda:0», «mps»."""
    name: str
    """The processor's or the card's own name."""
    cores: int
    """CPU cores this process may use."""
    threads: int
    """Threads torch uses for one operation."""
    gflops: float
    """Rate of one 1024x1024 float32 matrix product, 1e9 operations a second."""
    memory_bytes: int
    """Memory of the device: the card's own, or what this process may use of the machine's."""
    memory_free_bytes: int
    """How much of it is free now."""


def wanted_device() -> str:
    """What `--device`, or FACEGEN_DEVICE, names for everything that was not given a device of its own; «auto» by default.

    Raises:
        InputError: it names none.
    """
    name = os.environ.get(DEVICE_VARIABLE, "").strip().lower() or "auto"
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise InputError(f"Expected a device such as auto, cpu, cuda, cuda:1 or mps, found {name!r}; choose one.")
    return name


def choose_device(name: str = "auto") -> "torch.device":
    """The device called `name`: «auto» (`wanted_device`, else CUDA, then Apple's MPS, then CPU), «cpu», «cuda», «cuda:1», «mps».

    Raises:
        InputError: the name is no device.
        ResourceError: this machine has no such device.
    """
    import torch

    if name == "auto":
        name = wanted_device()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"Expected a device such as auto, cpu, cuda or mps, found {name!r}; choose one.") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ResourceError(f"Expected the device {name}, found {torch.cuda.device_count()} CUDA devices; use cpu.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ResourceError("Expected the device mps, found no Apple GPU; use cpu.")
    return device


def may_have_gpu() -> bool:
    """Whether there may be a GPU that torch can use and may; does not import torch, which takes seconds."""
    if wanted_device() == "cpu":
        return False
    return sys.platform != "linux" or any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or ONNX Runtime says that a device's memory does not suffice."""
    words = f"{type(error).__name__} {error}".lower()
    return isinstance(error, RuntimeError | MemoryError) and any(
        sign in words for sign in ("outofmemory", "out of memory", "failed to allocate memory", "memoryerror")
    )


def in_batches(work: Callable[[range], T], count: int, size: int) -> list[T]:
    """The results of `work` on the indices below `count`, in batches; one that a device's memory cannot hold is halved.

    Args:
        work: gets consecutive indices; called again for the first half of them where memory did not suffice.
        count: how many indices there are.
        size: of a batch, as long as memory suffices.

    Raises:
        ResourceError: memory does not suffice for one.
    """
    results: list[T] = []
    start = 0
    while start < count:
        indices = range(start, min(start + size, count))
        try:
            results.append(work(indices))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(indices) == 1:
                raise ResourceError(OUT_OF_MEMORY) from error
            size = len(indices) // 2
            _empty_gpu_cache()
            continue
        start = indices.stop
    return results


def _empty_gpu_cache() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_bfloat16_fast(device: "torch.device") -> bool:
    """Whether convolutions are faster in bfloat16 than in float32: recent GPUs, and CPUs with avx512_bf16 or AMX."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # The public way to ask a CPU is /proc/cpuinfo, which only Linux has.
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def limit_malloc_arenas() -> None:
    """Let all threads share two heaps, called before there are several; where the C library is not glibc, nothing.

    Frames pass from thread to thread; with a heap for each thread glibc keeps what others could use, and 3 minutes of
    720p take a third more memory than 15 seconds.
    """
    most_arenas = -8
    _set_malloc_option(most_arenas, 2)


def return_memory() -> None:
    """Hand what was freed back to the system; where the C library is not glibc, it is only collected."""
    import ctypes

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def keep_malloc_memory() -> None:
    """Let the process keep what it frees, called before a training; where the C library is not glibc, nothing.

    Each step asks for the same blocks again. glibc hands those above 128 kB back to the system every time and gets them
    anew page by page: without that a step of `small-128` takes 6 to 7 % less processor time.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    _set_malloc_option(trim_threshold, 2**31 - 1)
    _set_malloc_option(top_pad, 2**28)
    _set_malloc_option(mmap_threshold, 2**25)  # the largest that glibc takes


def _set_malloc_option(name: int, value: int) -> None:
    """Set what glibc's malloc.h calls M_...; elsewhere nothing."""
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(name, value)


def use_one_thread() -> None:
    """Keep numpy and torch to one core in the calling thread; for workers that are several themselves.

    Matrix products too small to be shared would otherwise wake a team of threads each time, which waits in a busy loop.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Draw small pictures on one core, which for a batch of a few is two to four times as quick as a team of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def onnx_session(model: "Path | bytes", threads: int) -> "InferenceSession":
    """A network on ONNX Runtime, on the CPU; it may be run by several threads at once.

    Args:
        model: a file or a serialised model.
        threads: cores that one run may use.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # waiting threads would spin, which doubles the processor time and starves other work
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed Python, NumPy and torch; with `deterministic`, refuse operations that have no repeatable form.

    Args:
        seed: 0 to 2**32 - 1 (what NumPy takes).
        deterministic: slower; the same seed then gives the same numbers on the same machine.
    """
    import numpy as np
    import torch

    if not 0 <= seed < 2**32:
        raise InputError(f"Expected a seed between 0 and {2**32 - 1}, found {seed}; choose another.")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        # cuBLAS reads this when its handle is made; without it, deterministic mode raises on the first product.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(deterministic)


def usable_cores() -> int:
    """CPU cores this process may run on, which in a container is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def inspect_device(name: str = "auto") -> DeviceReport:
    """Run one matrix product on the device and report where the result really lay and how fast it was.

    Raises:
        InputError: the name is no device.
        ResourceError: there is no such device, or it cannot run the operation.
    """
    import psutil
    import torch

    device = choose_device(name)
    size = 1024
    try:
        factor = torch.ones(size, size, device=device)
        (factor @ factor)[0, 0].item()
        started = time.perf_counter()
        product = factor @ factor
        product[0, 0].item()
        seconds = time.perf_counter() - started
    except RuntimeError as error:
        first_line = str(error).splitlines()[0]
        raise ResourceError(f"The device {device} cannot run a matrix product ({first_line}); use cpu.") from error
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        label = torch.cuda.get_device_name(device)
    else:
        memory = psutil.virtual_memory()
        free, total = memory.available, memory.total
        label = platform.processor() or platform.machine()
    return DeviceReport(
        device=str(product.device),
        name=label,
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        gflops=2 * size**3 / max(seconds, 1e-9) / 1e9,
        memory_bytes=total,
        memory_free_bytes=free,
    )
