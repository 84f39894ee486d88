"""How large the wheel and the images are, file by file as installed here; with --install also how long installing takes."""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.freshness import REPOSITORY
from benchmarks.report import report

MEASURES = ("requirements.txt", "requirements.lock", "pyproject.toml", "Dockerfile", "weights")
_CUDA = re.compile(r"nvidia-.*|cuda-.*|triton")
"""Packages that torch's builds without CUDA do not ask for."""
_CUDA_FILES = re.compile(r"torch/lib/lib(torch_cuda|torch_nvshmem|c10_cuda|caffe2_nvrtc|nccl)[^/]*")
"""What these builds lack of torch itself."""
_SHOWN = 12


def main(arguments: list[str]) -> None:
    """Add up the files of the packages that requirements.txt asks for, build the wheel, and with --install install both ways."""
    names = needed(REPOSITORY / "requirements.txt")
    sizes = {name: sum(_files(name).values()) for name in names}
    own = sum(
        path.stat().st_size
        for folder in ("facegen", "weights")
        for path in (REPOSITORY / folder).rglob("*.*")
        if path.suffix != ".pyc"
    )
    cuda = sum(size for name, size in sizes.items() if _CUDA.fullmatch(name))
    of_torch = sum(size for file, size in _files("torch").items() if _CUDA_FILES.match(file))
    with_cuda, without = sum(sizes.values()) + own, sum(sizes.values()) + own - cuda - of_torch
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        rows = [
            {"what": "wheel of facegen, weights included", "MB": _mb(wheel.stat().st_size)},
            {"what": "installed, with CUDA", "MB": _mb(with_cuda)},
            {"what": "installed, without CUDA (reckoned)", "MB": _mb(without)},
        ]
        times = install_times(Path(folder), wheel) if "--install" in arguments else []
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:_SHOWN]
    report(
        "install_size",
        rows,
        measures=MEASURES,
        figures={
            "without CUDA by with CUDA": round(without / with_cuda, 3),
            "largest packages, MB": {name: _mb(size) for name, size in largest},
            "installing": times,
            "load of the machine, one minute": round(os.getloadavg()[0], 1),
        },
        notes=[
            f"{len(names)} packages, as their own lists of files say; bytecode and Debian (about 0.3 GB) come on top in an image.",
            "Without CUDA: less the packages of NVIDIA and Triton, and less the libraries of CUDA inside torch. Not built: the index "
            "of such builds could not be reached.",
        ],
    )


def needed(requirements: Path) -> list[str]:
    """The installed packages that a file of requirements asks for, and what these ask for in turn."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in requirements.read_text(encoding="utf-8").split()]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            asked = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for text in asked:
            more = Requirement(text)
            extras = [extra for extra in requirement.extras if more.marker and more.marker.evaluate({"extra": extra})]
            if extras:
                more.marker = None
            waiting.append(more)
    return sorted(found)


def _files(name: str) -> dict[str, int]:
    """Bytes of each file of a package; those that it lists and does not have are left out."""
    sizes = {}
    for file in metadata.files(name) or []:
        path = Path(str(file.locate()))
        if file.suffix != ".pyc" and path.is_file():
            sizes[file.as_posix()] = path.stat().st_size
    return sizes


def build_wheel(folder: Path) -> Path:
    """The wheel, of what git has."""
    source = folder / "source"
    source.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", source], input=archive, check=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*pip, str(source)], check=True)
    (wheel,) = folder.glob("facegen-*.whl")
    return wheel


def install_times(folder: Path, wheel: Path) -> list[dict[str, float | str]]:
    """Seconds of `make install` in a fresh copy, and of `pip install facegen-*.whl` in a fresh environment; nothing is cached."""
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    ways = {
        "make install": ["make", "-C", str(folder / "source"), f"PYTHON={sys.executable}", "install"],
        "pip install facegen-*.whl": [str(environment / "bin" / "pip"), "install", "-q", str(wheel)],
    }
    times: list[dict[str, float | str]] = []
    for name, command in ways.items():
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        caches = {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **caches})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        load = round(os.getloadavg()[0], 1)
        times.append({"way": name, "s": round(time.perf_counter() - began, 1), "CPU s": round(cpu, 1), "load": load})
    return times


def _mb(size: int) -> int:
    return round(size / 1e6)
