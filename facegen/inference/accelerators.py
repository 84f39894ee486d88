"""The execution providers of ONNX Runtime, in the order in which they are tried, and why one is not available.

A build of ONNX Runtime holds some of its execution providers; others come as plugins, packages of their own that are
installed beside it. `FACEGEN_ACCELERATORS=cuda,cpu` changes the order.
"""

import ctypes
import functools
import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facegen.config import home
from facegen.device import wanted_device
from facegen.errors import InputError

ORDER_VARIABLE = "FACEGEN_ACCELERATORS"
_OF_DEVICE = {"cpu": "cpu", "cuda": "cuda", "mps": "coreml"}
"""The accelerator of a device of torch."""


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One execution provider of ONNX Runtime."""

    name: str
    """What people call it, in `FACEGEN_ACCELERATORS` and as an extra of the package: «cuda»."""
    title: str
    """For messages: «CUDA (NVIDIA)»."""
    provider: str
    """ONNX Runtime's name of it."""
    package: str
    """The PyPI package that brings it; empty where every build has it."""
    plugin: str = ""
    """The module of a plugin that registers it; empty where it is part of a build."""
    library: str = ""
    """The shared library behind it in a build, whose missing libraries say why it does not start."""
    device_file: str = ""
    """A file that shows on Linux that its hardware is here."""
    memory: str = ""
    """ONNX Runtime's name of the memory in which tensors are kept between calls; empty where each call copies them."""
    is_automatic: bool = True
    """Whether it is tried without being named."""
    options: Callable[[], dict[str, str]] = dict
    """ONNX Runtime's options for it."""

    def is_possible(self) -> bool:
        """Whether this system can have it at all."""
        return sys.platform == {"coreml": "darwin", "directml": "win32"}.get(self.name, sys.platform)


def engine_cache() -> Path:
    """Where accelerators keep networks that they compiled, which takes minutes."""
    return home() / "cache" / "accelerators"


def _cuda_options() -> dict[str, str]:
    return {"device_id": wanted_device().partition(":")[2] or "0"}


def _tensorrt_options() -> dict[str, str]:
    folder = engine_cache() / "tensorrt"
    folder.mkdir(parents=True, exist_ok=True)
    return {
        **_cuda_options(),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        "trt_fp16_enable": "1",
    }


def _coreml_options() -> dict[str, str]:
    folder = engine_cache() / "coreml"
    folder.mkdir(parents=True, exist_ok=True)
    return {"ModelFormat": "MLProgram", "ModelCacheDirectory": str(folder)}


ACCELERATORS = {
    accelerator.name: accelerator
    for accelerator in (
        Accelerator(
            name="tensorrt",
            title="TensorRT (NVIDIA)",
            provider="TensorrtExecutionProvider",
            package="onnxruntime-gpu and tensorrt-cu13",
            library="onnxruntime_providers_tensorrt",
            memory="cuda",
            is_automatic=False,  # it compiles a network for minutes before its first call
            options=_tensorrt_options,
        ),
        Accelerator(
            name="cuda",
            title="CUDA (NVIDIA)",
            provider="CUDAExecutionProvider",
            package="onnxruntime-gpu",
            library="onnxruntime_providers_cuda",
            device_file="/dev/nvidiactl",
            memory="cuda",
            options=_cuda_options,
        ),
        Accelerator(
            name="migraphx",
            title="MIGraphX (AMD)",
            provider="MIGraphXExecutionProvider",
            package="onnxruntime-migraphx",
            library="onnxruntime_providers_migraphx",
            device_file="/dev/kfd",
        ),
        Accelerator(
            name="rocm",
            title="ROCm (AMD)",
            provider="ROCMExecutionProvider",
            package="onnxruntime-rocm",
            library="onnxruntime_providers_rocm",
        ),
        Accelerator(
            name="directml",
            title="DirectML (Windows)",
            provider="DmlExecutionProvider",
            package="onnxruntime-directml",
        ),
        Accelerator(
            name="coreml",
            title="CoreML (Apple)",
            provider="CoreMLExecutionProvider",
            package="onnxruntime",
            options=_coreml_options,
        ),
        Accelerator(
            name="openvino",
            title="OpenVINO (Intel)",
            provider="OpenVINOExecutionProvider",
            package="onnxruntime-ep-openvino",
            plugin="onnxruntime_ep_openvino",
            library="onnxruntime_providers_openvino",
        ),
        Accelerator(
            name="webgpu",
            title="WebGPU (any GPU)",
            provider="WebGpuExecutionProvider",
            package="onnxruntime-ep-webgpu",
            plugin="onnxruntime_ep_webgpu",
            is_automatic=False,
        ),
        Accelerator(name="cpu", title="the CPU", provider="CPUExecutionProvider", package=""),
    )
}
"""By name, the first to be tried first."""


def accelerator_order() -> tuple[str, ...]:
    """Names of the accelerators to be tried, the CPU last: those of `FACEGEN_ACCELERATORS`, else of `--device`, else the automatic ones.

    Raises:
        InputError: the variable names none of `ACCELERATORS`.
    """
    wanted = [name.strip().lower() for name in os.environ.get(ORDER_VARIABLE, "").split(",") if name.strip()]
    for name in wanted:
        if name not in ACCELERATORS:
            raise InputError(
                f"Expected accelerators of {', '.join(ACCELERATORS)} in {ORDER_VARIABLE}, found {name!r}; correct it."
            )
    if not wanted and (device := wanted_device()) != "auto":
        wanted = [_OF_DEVICE[device.partition(":")[0]]]
    if not wanted:
        wanted = [each.name for each in ACCELERATORS.values() if each.is_automatic and each.is_possible()]
    return tuple(dict.fromkeys((*wanted, "cpu")))


def is_named(accelerator: Accelerator) -> bool:
    """Whether the user asks for it by name."""
    return bool(os.environ.get(ORDER_VARIABLE, "").strip()) and accelerator.name in accelerator_order()


def obstacle(accelerator: Accelerator) -> str:
    """Why an accelerator is not here, in a few words with the remedy; empty where ONNX Runtime has it."""
    import onnxruntime

    if accelerator.provider in onnxruntime.get_available_providers():
        return ""
    if accelerator.plugin and find_spec(accelerator.plugin):
        return "" if plugin_devices(accelerator) else "its plugin finds no device that it can use"
    builds = _builds()
    package = accelerator.package.split()[0]
    if package in builds and len(builds) > 1:
        others = " ".join(sorted(builds))
        return f"{' and '.join(sorted(builds))} lie over each other; run: pip uninstall {others}; pip install {package}"
    return f"this ONNX Runtime comes without it; install {accelerator.package}"


def plugin_devices(accelerator: Accelerator) -> list[Any]:
    """What an installed plugin can use, as ONNX Runtime describes it; empty where there is nothing."""
    import onnxruntime

    _register_plugin(accelerator.plugin)
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == accelerator.provider]


@functools.cache
def _register_plugin(module: str) -> None:
    import onnxruntime

    onnxruntime.register_execution_provider_library(module, importlib.import_module(module).get_library_path())


@functools.cache
def _builds() -> frozenset[str]:
    """The installed packages that write a folder onnxruntime; two of them overwrite each other."""
    found = set()
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"] or ""
        if name.startswith("onnxruntime") and (distribution.read_text("top_level.txt") or "").strip() == "onnxruntime":
            found.add(name)
    return frozenset(found)


def missing_library(accelerator: Accelerator) -> str:
    """What the dynamic linker misses for an accelerator that is built in but does not start; empty where nothing."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    for name in ("onnxruntime_providers_shared", accelerator.library):
        paths = [path for path in (folder / f"lib{name}.so", folder / f"{name}.dll") if path.is_file()]
        try:
            for path in paths:
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            return str(error).replace(
                ": cannot open shared object file: No such file or directory", " is not installed"
            )
    return ""


def is_fall_notable(accelerator: Accelerator) -> bool:
    """Whether it deserves a word that an accelerator is not used: it was named, or its hardware is here."""
    has_hardware = accelerator.name == "coreml" or bool(
        accelerator.device_file and os.path.exists(accelerator.device_file)
    )
    return accelerator.is_possible() and (is_named(accelerator) or has_hardware)
