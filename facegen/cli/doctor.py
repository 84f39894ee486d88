"""`facegen doctor`: what this machine has, found by trying it."""

import json
import platform
import shutil
from importlib import metadata
from typing import Annotated, Any

import typer

from facegen import __version__, config, hub
from facegen.jobs.cache import Cache

_PACKAGES = (
    "torch",
    "torchvision",
    "gradio",
    "av",
    "opencv-python",
    "mediapipe",
    "onnxruntime",
    "accelerate",
    "diffusers",
)
_ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "aac", "libopus")


def doctor(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    empty_caches: Annotated[
        bool, typer.Option("--empty-caches", help="Delete what was kept of files measured before, and say how much.")
    ] = False,
    security: Annotated[
        bool, typer.Option("--security", help="List what the operator of a public studio should know instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Report versions, the device after a trial run, memory, disk, caches, encoders and model files."""
    if empty_caches:
        from facegen.catalog import CACHES
        from facegen.jobs.cache import clear_old_folders

        freed = sum(cache.clear() for cache in CACHES) + clear_old_folders()
        typer.echo(json.dumps({"freed_bytes": freed}) if as_json else f"Freed {freed / 1e6:.1f} MB.")
        return
    if security:
        from facegen.cli.security import examine_security

        report: dict[str, dict[str, Any]] = {"security": dict(examine_security())}
    else:
        report = _examine(device)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    for title, values in report.items():
        typer.echo(typer.style(title, bold=True))
        for key, value in values.items():
            typer.echo(f"  {key:22} {value}")


def _contents(cache: Cache) -> str:
    entries = cache.entries()
    return f"{len(entries)} entries, {sum(size for _, size in entries) / 1e6:.1f} MB. {cache.summary}"


def _examine(device: str) -> dict[str, dict[str, Any]]:
    from facegen.catalog import CACHES, WEIGHTS
    from facegen.device import inspect_device
    from facegen.inference import try_accelerators

    found = inspect_device(device)
    home = config.home()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    return {
        "versions": {"facegen": __version__, "python": platform.python_version(), **_versions()},
        "device": {
            "in use": f"{found.device} ({found.name})",
            "matrix product": f"{found.gflops:.0f} GFLOP/s",
            "cores": f"{found.cores}, torch uses {found.threads}",
            "memory free": f"{found.memory_free_bytes / 1e9:.1f} of {found.memory_bytes / 1e9:.1f} GB",
        },
        "accelerators of ONNX networks, in the order in which they are tried": try_accelerators(),
        "storage": {"home": str(home), "disk free": f"{shutil.disk_usage(existing).free / 1e9:.1f} GB"},
        "caches (--empty-caches deletes them)": {cache.name: _contents(cache) for cache in CACHES},
        "encoders": _encoders(),
        "model files": {weight.name: _state(weight) for weight in WEIGHTS},
    }


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _PACKAGES}


def _encoders() -> dict[str, str]:
    import av

    from facegen.media.encoders import try_gpu_encoders

    found = {name: "yes" if name in av.codecs_available else "no" for name in _ENCODERS}
    return found | try_gpu_encoders()


def _state(weight: hub.WeightFile) -> str:
    size = f", {weight.size / 1e6:.1f} MB" if weight.size else ""
    return hub.state_of(weight) + (size if hub.is_present(weight) else "")
