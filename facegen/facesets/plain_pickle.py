"""Reads and writes plain data as pickles, without executing them.

DeepFaceLab and faceswap keep plain data (numbers, text, lists, dictionaries, numpy arrays) as Python pickles. Loading a
pickle runs whatever its author wrote into it, so it is never loaded here: this reader walks through its opcodes, builds
plain values, and knows by name the few functions that numpy arrays are made of. Any other name refuses the whole file.
The writer makes such files for programs that want them.
"""

from __future__ import annotations

import io
import pickletools
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from facegen.errors import InputError

MAX_BYTES = 1 << 30
"""A pickle larger than this is refused."""
_MAX_ITEMS = 50_000_000
_MAX_DEPTH = 100
_COPIED_BYTES = 16 << 20
"""Values may be copied out of a pickle up to this, or to four times its size."""
_DTYPE = re.compile(r"[<>|=]?[?biufcSUV]\d{0,4}")


@dataclass(frozen=True)
class _Name:
    """Reference to a global of the pickle, which is not imported."""

    module: str
    name: str

    @property
    def plain(self) -> str:
        return f"{self.module}.{self.name}"


class _Mark:
    pass


class _RawArray:
    """A numpy array under construction: pickles create an empty one and then set its state."""

    value: np.ndarray | None = None


def _reconstruct(*_arguments: Any) -> _RawArray:
    return _RawArray()


def _dtype(text: Any, *_arguments: Any) -> np.dtype:
    if not isinstance(text, np.dtype) and not (isinstance(text, str) and _DTYPE.fullmatch(text)):
        raise InputError("numpy arrays of something else than numbers")
    dtype = np.dtype(text)
    if dtype.hasobject:
        raise InputError("numpy arrays of objects")
    return dtype


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return np.frombuffer(_bytes(data), _dtype(dtype), 1)[0].item()


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """A dictionary of alternating keys and values; nested keys are refused, as hashing them could take for ever."""
    for key in items[::2]:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(part, (str, bytes, int, float, type(None))) for part in parts):
            raise ValueError("a key is no text and no number")
    return dict(zip(items[::2], items[1::2], strict=True))


def _bytes(data: Any) -> bytes:
    return data.encode("latin-1") if isinstance(data, str) else bytes(data)


def _encode(text: str, encoding: str = "latin-1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise InputError(f"text in {encoding}")
    return text.encode("latin-1")


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    return np.frombuffer(_bytes(data), _dtype(dtype)).reshape(shape, order=order).copy()


_CALLS: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _dtype,
    "numpy.ndarray": _reconstruct,
    "_codecs.encode": _encode,
    "builtins.bytearray": lambda data=b"", *_: _bytes(data),
    "__builtin__.bytearray": lambda data=b"", *_: _bytes(data),
    "builtins.set": lambda items=(): list(items),
    "__builtin__.set": lambda items=(): list(items),
    "collections.OrderedDict": lambda items=(): _pairs([part for key, value in items for part in (key, value)]),
}
for _core in ("numpy.core", "numpy._core"):
    _CALLS[f"{_core}.multiarray._reconstruct"] = _reconstruct
    _CALLS[f"{_core}.multiarray.scalar"] = _scalar
    _CALLS[f"{_core}.numeric._frombuffer"] = _frombuffer


def loads(data: bytes, where: str) -> Any:
    """The plain data of a pickle: None, numbers, text, bytes, lists, tuples, dictionaries, numpy arrays.

    Args:
        data: the pickle.
        where: name of the file, for error messages.

    Raises:
        InputError: it asks for anything else (the sentence names it), or is damaged.
    """
    if len(data) > MAX_BYTES:
        raise InputError(
            f"Expected less than {MAX_BYTES >> 20} MB of plain data in {where}, found more; it was refused."
        )
    machine = _Machine(where, max(_COPIED_BYTES, 4 * len(data)))
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            if opcode.name == "STOP":
                return _resolve(machine.stack.pop(), {})[0]
            machine.step(opcode.name, argument)
    except InputError:
        raise
    except (
        *(LookupError, ValueError, TypeError, AttributeError, RecursionError, StopIteration, struct.error),
        *(OverflowError, MemoryError),
    ) as error:
        raise InputError(
            f"Expected readable data in {where}, found it damaged ({str(error)[:100]}); it was refused."
        ) from error
    raise InputError(f"Expected readable data in {where}, found it cut off; it was refused.")


@contextmanager
def check_values(where: str) -> Iterator[None]:
    """Translate errors of a body that reads plain data of unexpected types or values.

    Args:
        where: name of the file, for the error message.

    Raises:
        InputError: the body raised because of a value.
    """
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, OverflowError, zlib.error, cv2.error) as error:
        reason = str(error).strip().splitlines()[0][:80] if str(error).strip() else type(error).__name__
        raise InputError(
            f"Expected what DeepFaceLab or faceswap writes in {where}, found other values ({reason}); it was refused."
        ) from error


class _Machine:
    """Stack machine of the pickle opcodes that plain data needs."""

    def __init__(self, where: str, max_copied: int) -> None:
        self.where = where
        self.left_to_copy = max_copied
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0

    def step(self, name: str, argument: Any) -> None:
        """Executes one opcode."""
        self.steps += 1
        if self.steps > _MAX_ITEMS:
            raise InputError(f"Expected fewer than {_MAX_ITEMS} items in {self.where}, found more; it was refused.")
        stack = self.stack
        if name in _CONSTANTS:
            constant = _CONSTANTS[name]
            stack.append(constant.copy() if isinstance(constant, (list, dict)) else constant)
        elif name in _LITERALS:
            stack.append(argument)
        elif name == "MARK":
            stack.append(_Mark())
        elif name in ("PROTO", "FRAME"):
            return
        elif name in _STRUCTURE:
            _STRUCTURE[name](self, argument)
        else:
            raise self._refusal(f"the instruction {name}")

    def _refusal(self, what: str) -> InputError:
        return InputError(
            f"Expected only numbers, text, lists and numpy arrays in {self.where}, found {what}, which could run "
            "somebody's code; the file was refused and nothing of it was used."
        )

    def pop_mark(self) -> list[Any]:
        """Pops everything above the topmost mark, and the mark."""
        mark = next(i for i in range(len(self.stack) - 1, -1, -1) if isinstance(self.stack[i], _Mark))
        items = self.stack[mark + 1 :]
        del self.stack[mark:]
        return items

    def push_named(self, text: str) -> None:
        module, name = text.split(" ", 1)
        self.push_global(module, name)

    def push_global(self, module: str, name: str) -> None:
        """Pushes a requested global; refuses all but those of numpy arrays."""
        requested = _Name(module, name)
        if requested.plain not in _CALLS:
            raise self._refusal(f"a call of {requested.plain!r}")
        self.stack.append(requested)

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.push_global(str(module), str(name))

    def call(self) -> None:
        """Calls one of the few known functions."""
        arguments, called = self.stack.pop(), self.stack.pop()
        if not isinstance(called, _Name) or not isinstance(arguments, tuple):
            raise self._refusal("a call of something unnamed")
        try:
            self.push_copy(_CALLS[called.plain](*arguments))
        except InputError as error:
            raise self._refusal(str(error)) from error

    def push_copy(self, value: Any) -> None:
        self.count_copy(value)
        self.stack.append(value)

    def count_copy(self, value: Any) -> None:
        """Refuses a pickle that copies its values over and over, for which a few bytes suffice."""
        size = value.nbytes if isinstance(value, np.ndarray) else len(value) if isinstance(value, bytes) else 0
        size += 64 * len(value) if isinstance(value, (list, dict)) else 0
        self.left_to_copy -= size
        if self.left_to_copy < 0:
            raise ValueError("it holds too much")

    def build(self) -> None:
        """Sets the state of a new array or a dtype."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _RawArray):
            _, shape, dtype, is_fortran, data = state
            if not isinstance(data, (bytes, str)):
                raise self._refusal("numpy arrays of objects")
            order: Any = "F" if is_fortran else "C"
            target.value = np.frombuffer(_bytes(data), _dtype(dtype)).reshape(shape, order=order).copy()
            self.count_copy(target.value)
        elif isinstance(target, np.dtype):
            order_mark = state[1] if len(state) > 1 else "="
            if order_mark in ("<", ">", "="):
                self.stack[-1] = target.newbyteorder(order_mark)  # type: ignore[arg-type]
                self._replace(target, self.stack[-1])
        else:
            raise self._refusal(f"the state of a {type(target).__name__}")

    def _replace(self, old: Any, new: Any) -> None:
        self.steps += len(self.memo)
        for key, value in self.memo.items():
            if value is old:
                self.memo[key] = new

    def put(self, key: int | None) -> None:
        self.memo[len(self.memo) if key is None else key] = self.stack[-1]

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise self._refusal(f"items set on a {type(target).__name__}")
        target.update(_pairs(pairs))

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise self._refusal(f"items added to a {type(target).__name__}")
        target.extend(items)

    def push_tuple(self, count: int) -> None:
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.stack.append(items)


_CONSTANTS: dict[str, Any] = {
    "NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_LIST": [], "EMPTY_DICT": {}, "EMPTY_TUPLE": (),
    "EMPTY_SET": [],
}  # fmt: skip
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_STRUCTURE: dict[str, Callable[[_Machine, Any], Any]] = {
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.pop_mark(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "GLOBAL": lambda m, text: m.push_named(text),
    "STACK_GLOBAL": lambda m, _: m.stack_global(),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_mark())),
    "TUPLE1": lambda m, _: m.push_tuple(1),
    "TUPLE2": lambda m, _: m.push_tuple(2),
    "TUPLE3": lambda m, _: m.push_tuple(3),
    "LIST": lambda m, _: m.stack.append(m.pop_mark()),
    "DICT": lambda m, _: m.stack.append(_pairs(m.pop_mark())),
    "APPEND": lambda m, _: m.extend([m.stack.pop()]),
    "APPENDS": lambda m, _: m.extend(m.pop_mark()),
    "ADDITEMS": lambda m, _: m.extend(m.pop_mark()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "PUT": lambda m, key: m.put(int(key)),
    "BINPUT": lambda m, key: m.put(key),
    "LONG_BINPUT": lambda m, key: m.put(key),
    "MEMOIZE": lambda m, _: m.put(None),
    "GET": lambda m, key: m.stack.append(m.memo[int(key)]),
    "BINGET": lambda m, key: m.stack.append(m.memo[key]),
    "LONG_BINGET": lambda m, key: m.stack.append(m.memo[key]),
}


def _resolve(value: Any, resolved: dict[int, tuple[Any, int] | None], depth: int = 0) -> tuple[Any, int]:
    """The value with `_RawArray` replaced by arrays, and its number of items when expanded.

    Shared values are resolved once, but counted each time, since a walk through the value meets them each time.
    """
    if isinstance(value, _RawArray):
        if value.value is None:
            raise ValueError("an array has no content")
        value = value.value
    if not isinstance(value, (dict, list, tuple)):
        return value, 1 + (len(value) if isinstance(value, (str, bytes)) else getattr(value, "nbytes", 0)) // 1024
    if id(value) in resolved:
        cached = resolved[id(value)]
        if cached is None:
            raise ValueError("it contains itself")
        return cached
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    resolved[id(value)] = None
    parts = [_resolve(item, resolved, depth + 1) for item in (value.values() if isinstance(value, dict) else value)]
    count = 1 + sum(size for _, size in parts)
    if count > _MAX_ITEMS:
        raise ValueError("it holds too much")
    items = [item for item, _ in parts]
    result: Any = dict(zip(value, items, strict=True)) if isinstance(value, dict) else type(value)(items)
    resolved[id(value)] = result, count
    return result, count


def dumps(value: Any) -> bytes:
    """Plain data as a pickle of protocol 4, which any Python can read.

    Args:
        value: None, booleans, numbers, text, bytes, uint8 and float32 arrays, and lists, tuples and dictionaries of
            these.
    """
    return b"\x80\x04" + b"".join(_dump(value)) + b"."


def _dump(value: Any) -> list[bytes]:
    if value is None:
        return [b"N"]
    if isinstance(value, bool):
        return [b"\x88" if value else b"\x89"]
    if isinstance(value, int):
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return [b"\x8a" + bytes([len(raw)]) + raw]
    if isinstance(value, float):
        return [b"G" + struct.pack(">d", value)]
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogatepass")
        return [b"X" + struct.pack("<I", len(raw)) + raw]
    if isinstance(value, bytes):
        return [b"B" + struct.pack("<I", len(value)) + value]
    if isinstance(value, dict):
        parts = [part for key, item in value.items() for part in (*_dump(key), *_dump(item))]
        return [b"}(", *parts, b"u"]
    if isinstance(value, (list, tuple)):
        begin, end = (b"](", b"e") if isinstance(value, list) else (b"(", b"t")
        return [begin, *(part for item in value for part in _dump(item)), end]
    if isinstance(value, np.ndarray) and value.dtype in (np.uint8, np.float32):
        return _dump_array(value)
    raise TypeError(f"only plain values can be written, but got {type(value).__name__}")


def _dump_array(value: np.ndarray) -> list[bytes]:
    code, order = ("u1", "|") if value.dtype == np.uint8 else ("f4", "<")
    byte_order = _dump((3, order, None, None, None, -1, -1, 0))
    dtype = [b"cnumpy\ndtype\n", *_dump((code, False, True)), b"R", *byte_order, b"b"]
    empty = [b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n", *_dump((0,)), *_dump(b"b"), b"tR"]
    state = [b"(", *_dump(1), *_dump(tuple(value.shape)), *dtype, *_dump(False), *_dump(value.tobytes()), b"tb"]
    return [*empty, *state]
