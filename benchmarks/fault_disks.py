"""Disks that `faults` fills and closes; mounting them needs rights."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own of 40 MB at a new folder; needs the rights to mount one."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount() -> bool:
    """Whether this user may mount disks."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def remount(folder: Path, mode: str) -> bool:
    """Whether the disk could be closed or opened; one with a file that is being written cannot be closed."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        done = subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=False, capture_output=True)
        if done.returncode == 0:
            return True
        time.sleep(0.01)
    return False
