"""`facegen doctor`: versions, devices, memory, caches and model files of this machine, and its security."""

import json
import os
import platform
import shutil
import stat
from importlib import metadata
from pathlib import Path
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
        report: dict[str, dict[str, Any]] = {"security": dict(_examine_security())}
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

    device_info = inspect_device(device)
    home = config.home()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    return {
        "versions": {"facegen": __version__, "python": platform.python_version(), **_versions()},
        "device": {
            "in use": f"{device_info.device} ({device_info.name})",
            "matrix product": f"{device_info.gflops:.0f} GFLOP/s",
            "cores": f"{device_info.cores}, torch uses {device_info.threads}",
            "memory free": f"{device_info.memory_free_bytes / 1e9:.1f} of {device_info.memory_bytes / 1e9:.1f} GB",
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

    encoders = {name: "yes" if name in av.codecs_available else "no" for name in _ENCODERS}
    return encoders | try_gpu_encoders()


def _state(weight: hub.WeightFile) -> str:
    size = f", {weight.size / 1e6:.1f} MB" if weight.size else ""
    return hub.state_of(weight) + (size if hub.is_present(weight) else "")


def _examine_security() -> dict[str, str]:
    """Findings by subject, each beginning with «good», «mind» or «open»."""
    from facegen.guarded import enforced
    from facegen.provenance.keys import key_path, operator_path, read_operator_key
    from facegen.provenance.signing import TIMESTAMP_URL

    home, key = config.home(), key_path()
    profile = os.environ.get("FACEGEN_PROFILE", "") or ("space" if "SPACE_ID" in os.environ else "own")
    held = enforced()
    missing = [name for name, holds in held.items() if not holds]
    hosts, accounts = os.environ.get("FACEGEN_HOSTS", ""), os.environ.get("FACEGEN_AUTH_FILE", "")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return {
        "profile": f"{'mind' if profile == 'own' else 'good'}: {profile} (FACEGEN_PROFILE); «own» is for one person alone",
        "signing key": f"{_check_permissions(key, 0o077)}: {key}",
        "certificate": f"{_check_permissions(operator_path(), 0o077)}: {operator_path()}"
        if read_operator_key()
        else "mind: made by facegen itself; other programs find its signer on no trust list (docs/provenance.md)",
        "time stamps": f"good: {os.environ[TIMESTAMP_URL]}"
        if TIMESTAMP_URL in os.environ
        else f"mind: none ({TIMESTAMP_URL}); the time of credentials is this machine's own",
        "home": f"{_check_permissions(home, 0o002)}: {home}",
        "files of others": f"open: not enforced here: {', '.join(missing)}"
        if missing
        else "good: memory, network and writing are limited while they are opened",
        "user": "mind: root; a container or service should run as somebody without rights"
        if is_root
        else "good: not root",
        "hosts": f"good: {hosts}"
        if hosts
        else "mind: FACEGEN_HOSTS names none; a studio that others reach answers to every name",
        "sign-in": f"{_check_permissions(Path(accounts), 0o077)}: {accounts}"
        if accounts
        else "mind: none (--auth-file); whoever reaches the port may use a shared studio",
        "transport": "mind: plain HTTP; put a proxy with a certificate in front (it should set X-Forwarded-For)",
        "audit": f"good: {home / 'audit.jsonl'}, written by shared studios",
        "read on": "docs/threats.md",
    }


def _check_permissions(path: Path, forbidden: int) -> str:
    if not path.exists():
        return "mind, not there yet"
    return (
        "open, others may read or write"
        if stat.S_IMODE(path.stat().st_mode) & forbidden and os.name == "posix"
        else "good"
    )
