"""Reads numpy's files that a crash, another program or a stranger may have damaged; nothing in them is unpickled."""

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from facegen.errors import InputError

MAX_BYTES = 16 << 30
"""The arrays of one compressed file may take so much."""
_MOST_RATIO = 1100
"""No honest entry shrinks by more than deflate can."""


def read_array(path: Path, *, is_mapped: bool = False) -> np.ndarray:
    """The array of a `.npy` file.

    Args:
        path: the file.
        is_mapped: leave it on disk, to be read where it is looked at.

    Raises:
        InputError: it is none, is cut short, or holds objects.
    """
    with _translate_errors(path):
        found = np.load(path, mmap_mode="r" if is_mapped else None, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("it holds several arrays")
        return found


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name.

    Raises:
        InputError: it is none, is damaged, or holds objects.
    """
    with _translate_errors(path), zipfile.ZipFile(path) as archive:
        total = sum(entry.file_size for entry in archive.infolist())
        if total > min(MAX_BYTES, _MOST_RATIO * path.stat().st_size):
            raise ValueError("it would unpack to more than it can hold")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def check_shapes(path: Path, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int | None, ...]]) -> None:
    """Refuse arrays of other shapes than expected, or of no numbers.

    Args:
        path: where they come from, for the sentence.
        arrays: by name.
        shapes: by name; None stands for any length.

    Raises:
        InputError: one differs.
    """
    for name, shape in shapes.items():
        found = arrays[name]
        is_alike = found.ndim == len(shape) and all(
            wanted in (None, length) for wanted, length in zip(shape, found.shape, strict=True)
        )
        if not is_alike or found.dtype.kind not in "biuf":
            wanted = " x ".join("N" if length is None else str(length) for length in shape)
            raise InputError(
                f"Expected {name} as {wanted} numbers in {path}, found {found.dtype} of shape {found.shape}; make it again."
            )


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, KeyError, SyntaxError, TypeError, OverflowError, MemoryError) as error:
        raise _damage_error(path, error) from error
    # numpy reads a header as Python's own literal
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, tokenize.TokenError) as error:
        raise _damage_error(path, error) from error


def _damage_error(path: Path, error: BaseException) -> InputError:
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return InputError(f"Expected readable arrays in {path}, but {reason}; make that file again.")
