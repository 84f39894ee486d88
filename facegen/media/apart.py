"""Files of strangers are decoded in processes with limits (`facegen.guarded`), which hand over frames, pictures and numbers.

A program that opens files for several people, as a shared studio does, calls `decode_apart`. From then on each function of
facegen that is marked as `apart` or `each_apart` works in such a process where its file is a stranger's; what it returns comes
back as JSON and bare arrays, never as objects that are built by what a file says.
"""

import base64
import dataclasses
import functools
import importlib
import json
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from PIL.TiffImagePlugin import IFDRational

from facegen.forks import find_function
from facegen.guarded import GuardedServer, Limits

P = ParamSpec("P")
R = TypeVar("R")
LIMITS = Limits(memory_mb=2000, cpu_seconds=60, wall_seconds=90.0)
"""Of one call; of a sequence, of each of its items."""
_SERVE = "facegen.media.apart:answer"
_CLASSES = "facegen.media."
"""Where the classes are whose values are handed over."""
_MOST_PROCESSES = 4
_IDLE_SECONDS = 60.0


class _Decoders:
    """A process for each folder that files were read of last: an upload has a folder of its own, so has a visitor."""

    def __init__(self, is_foreign: Callable[[Path], bool]) -> None:
        self.is_foreign = is_foreign
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, tuple[GuardedServer, threading.Lock]] = OrderedDict()
        self._used: dict[Path, float] = {}

    def call(self, request: bytes, path: Path) -> Any:
        while True:
            server, lock = self._server(path.parent)
            with lock:
                if server.is_alive:  # else another call of this folder broke it meanwhile
                    (message,) = server.ask(request, repr(path.name))
                    return unpack(message)

    def each(self, request: bytes, path: Path) -> Iterator[Any]:
        server = GuardedServer(_SERVE, limits=LIMITS)
        try:
            for message in server.ask(request, repr(path.name)):
                yield unpack(message)
        finally:
            server.close()

    def _server(self, folder: Path) -> tuple[GuardedServer, threading.Lock]:
        with self._lock:
            self._used[folder] = time.monotonic()
            if folder in self._open and not self._open[folder][0].is_alive:
                self._open.pop(folder)[0].close()
            if folder not in self._open:
                self._open[folder] = GuardedServer(_SERVE, limits=LIMITS), threading.Lock()
            self._open.move_to_end(folder)
            self._close_some(len(self._open) - _MOST_PROCESSES, -1.0)
            return self._open[folder]

    def close_idle(self, seconds: float = _IDLE_SECONDS) -> None:
        with self._lock:
            self._close_some(len(self._open), seconds)

    def _close_some(self, most: int, seconds: float) -> None:
        """Ends the processes that were used longest ago and do nothing, at most so many."""
        now = time.monotonic()
        for folder, (server, lock) in [*self._open.items()][: max(0, most)]:
            if now - self._used[folder] >= seconds and lock.acquire(blocking=False):
                server.close()
                del self._open[folder], self._used[folder]
                lock.release()


_decoders: _Decoders | None = None
_of_parents: list[_Decoders | None] = []
"""Those of the process that this one was forked from: kept, and never asked."""


def decode_apart(is_foreign: Callable[[Path], bool] | None) -> None:
    """From now on, decode the files of which this is true in processes with limits; None: none any more."""
    global _decoders
    if _decoders is not None:
        _decoders.close_idle(-1.0)
    _decoders = None if is_foreign is None else _Decoders(is_foreign)


def _forget_those_of_the_parent() -> None:
    global _decoders
    _of_parents.append(_decoders)
    _decoders = None if _decoders is None else _Decoders(_decoders.is_foreign)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_those_of_the_parent)


def close_idle() -> None:
    """End the processes that nobody has used for a minute."""
    if _decoders is not None:
        _decoders.close_idle()


def is_foreign(path: str | os.PathLike[str]) -> bool:
    """Whether a file is not to be opened by this process."""
    return _decoders is not None and _decoders.is_foreign(Path(os.path.realpath(path)))


def apart(function: Callable[P, R]) -> Callable[P, R]:
    """Marks a function whose first argument is the file that it decodes, and which returns plain values, arrays or frames."""

    @functools.wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        path = cast("str | os.PathLike[str]", arguments[0])
        if _decoders is None or not is_foreign(path):
            return function(*arguments, **options)
        return cast("R", _decoders.call(_pack_call(function, arguments, options), Path(path)))

    return call


def each_apart(function: Callable[P, Iterator[R]]) -> Callable[P, Iterator[R]]:
    """Marks a function in the same way that returns an iterator of such values."""

    @functools.wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> Iterator[R]:
        path = cast("str | os.PathLike[str]", arguments[0])
        if _decoders is None or not is_foreign(path):
            return function(*arguments, **options)
        return _decoders.each(_pack_call(function, arguments, options), Path(path))

    return call


def _pack_call(function: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> bytes:
    name = f"{function.__module__}:{function.__qualname__}"
    path, *others = arguments
    return pack((name, (os.path.abspath(path), *others), dict(options)))


def answer(request: bytes) -> Iterator[bytes]:
    """What a process with limits does: call the function of a request and hand over what it returns."""
    name, arguments, options = unpack(request)
    result = find_function(name)(*arguments, **options)
    if isinstance(result, Iterator):
        yield from map(pack, result)
    else:
        yield pack(result)


def pack(value: Any) -> bytes:
    """Plain values, fractions, arrays, frames and the room's own dataclasses as bytes."""
    arrays: list[np.ndarray] = []
    words = json.dumps(_describe(value, arrays)).encode()
    content = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return b"".join([struct.pack("<Q", len(words)), words, *content])


def unpack(data: bytes) -> Any:
    """The value of `pack`.

    Raises:
        ValueError: it is nothing that `pack` writes.
    """
    (size,) = struct.unpack_from("<Q", data)
    return _Builder(memoryview(data)[8 + size :]).build(json.loads(data[8 : 8 + size]))


def _describe(value: Any, arrays: list[np.ndarray]) -> Any:
    def inside(some: Any) -> Any:
        return [_describe(one, arrays) for one in some]

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": [value.dtype.str, list(value.shape)]}
    if isinstance(value, Fraction):
        return {"fraction": [value.numerator, value.denominator]}
    if isinstance(value, IFDRational):
        parts = [value.numerator, value.denominator]
        return {"rational": parts if all(isinstance(part, int) for part in parts) else [float(value)]}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if hasattr(value, "to_plain") or dataclasses.is_dataclass(value):
        fields = value.to_plain() if hasattr(value, "to_plain") else vars(value)
        return {"class": inside((f"{type(value).__module__}:{type(value).__name__}", fields))}
    if isinstance(value, Mapping):
        return {"map": [inside(item) for item in value.items()]}
    for kind, name in ((tuple, "tuple"), (list, "list"), (frozenset, "set")):
        if isinstance(value, kind):
            return {name: inside(value)}
    raise TypeError(f"Expected a value that can be handed over, found {type(value).__name__}.")


class _Builder:
    """Builds values from their description and the arrays behind it, which are in the same order."""

    def __init__(self, content: memoryview) -> None:
        self._content = content

    def build(self, described: Any) -> Any:
        if not isinstance(described, dict):
            return described
        ((kind, inner),) = described.items()
        return getattr(self, f"_{kind}")(inner)

    def _all(self, inner: list[Any]) -> list[Any]:
        return [self.build(one) for one in inner]

    def _array(self, inner: list[Any]) -> np.ndarray:
        dtype, shape = np.dtype(inner[0]), tuple(inner[1])
        if dtype.kind not in "biuf":
            raise ValueError(f"Expected an array of numbers, found {dtype}.")
        array = np.frombuffer(self._content, dtype, count=int(np.prod(shape))).reshape(shape).copy()
        self._content = self._content[array.nbytes :]
        return array

    def _fraction(self, inner: list[int]) -> Fraction:
        return Fraction(*inner)

    def _rational(self, inner: list[Any]) -> IFDRational:
        return IFDRational(*inner)

    def _bytes(self, inner: str) -> bytes:
        return base64.b64decode(inner)

    def _tuple(self, inner: list[Any]) -> tuple[Any, ...]:
        return tuple(self._all(inner))

    def _list(self, inner: list[Any]) -> list[Any]:
        return self._all(inner)

    def _set(self, inner: list[Any]) -> frozenset[Any]:
        return frozenset(self._all(inner))

    def _map(self, inner: list[Any]) -> dict[Any, Any]:
        return dict(self._all(item) for item in inner)

    def _class(self, inner: list[Any]) -> Any:
        name, fields = self._all(inner)
        module, _, attribute = name.partition(":")
        kind = getattr(importlib.import_module(module), attribute) if module.startswith(_CLASSES) else None
        if not isinstance(kind, type):
            raise ValueError(f"Expected a class of {_CLASSES}, found {name!r:.60}.")
        return kind.from_plain(**fields) if hasattr(kind, "from_plain") else kind(**fields)
