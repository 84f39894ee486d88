"""Whether figures are older than their code: `make bench CHECK=1`, or `python -m benchmarks --check`.

A result says which files and folders of the repository it measures and the digest of each as it was then. The digests are of
bytes, so that a changed comment counts, too: a figure that is listed was true of other code, and may be true still.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from facegen.errors import InputError
from facegen.json_file import read_json

REPOSITORY = Path(__file__).resolve().parents[1]
_LEFT_OUT = {".pyc", ".md"}


def code_digests(paths: Sequence[str]) -> dict[str, str]:
    """The digest of each file or folder.

    Args:
        paths: from the root of the repository, such as «facegen/swap».

    Raises:
        InputError: one of them does not exist.
    """
    return {path: _digest(path) for path in sorted(paths)}


def _digest(path: str) -> str:
    root = REPOSITORY / path
    files = [root] if root.is_file() else sorted(file for file in root.rglob("*") if file.is_file())
    files = [file for file in files if file.suffix not in _LEFT_OUT]
    if not files:
        raise InputError(f"Expected code or weights in {root}, found none; name what the figures depend on.")
    digest = sha256()
    for file in files:
        digest.update(f"{file.relative_to(REPOSITORY).as_posix()}\0".encode() + sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def find_changed(code: dict[str, str]) -> list[str]:
    """Which of a result's files and folders have changed or gone since it was measured."""
    changed = []
    for path, digest in code.items():
        if not (REPOSITORY / path).exists() or _digest(path) != digest:
            changed.append(path)
    return changed


def old_results(folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(name, when it was measured, what changed since) of each result of a folder that is older than its code."""
    for file in sorted(folder.glob("*.json")):
        result = read_json(file)
        if "rows" in result:
            changed = find_changed(result.get("code") or {"facegen": ""})
            if changed:
                yield result["name"], result["measured"], changed
