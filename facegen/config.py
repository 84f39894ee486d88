"""Frozen dataclasses to JSON and back, strictly, and the one folder where facegen keeps what it downloads and makes.

What was asked for is written beside every result and must rebuild it later, so nothing is guessed on the way back:
an unknown key, a wrong type, a value out of bounds or a file of a newer format is an `InputError` of one sentence.

Fields may carry `metadata={"min": ..., "max": ..., "step": ...}`; the browser's sliders, `check` and `override` all
read these bounds, so that they are written once. A renamed field states its old name, `metadata={"formerly": ...}`,
which is read for one more release. A class that changes its meaning raises its `FORMAT: ClassVar[int]`.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import json
import math
import os
import tempfile
import textwrap
import types
import typing
import warnings
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from facegen.errors import InputError, ResourceError
from facegen.json_file import JsonLines, parse_json, read_json, read_json_lines

T = TypeVar("T")


def home() -> Path:
    """The user's facegen folder: $FACEGEN_HOME or ~/.facegen. It holds weights/ and runs/ and need not exist yet."""
    named = os.environ.get("FACEGEN_HOME", "")
    return Path(named).expanduser().absolute() if named else Path.home() / ".facegen"


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that a reader, or a crash at any moment, sees the old file or the new one and nothing between.

    Raises:
        ResourceError: the place cannot be written or the disk is full.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(
            f"Cannot write {path}: {error.strerror}; free some space or choose another place."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values, with its `format` where the class states one."""
    data = {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
    declared = getattr(type(config), "FORMAT", None)
    return data if declared is None else {"format": declared, **data}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a config field must hold plain values, but got {type(value).__name__}")


def from_dict(cls: type[T], data: Any) -> T:
    """Build the dataclass `cls` from plain JSON values; fields that are left out keep their defaults.

    Raises:
        InputError: unknown key, missing key, wrong type, value out of bounds, or a newer format.
    """
    name = cls.__name__
    if not isinstance(data, Mapping):
        raise InputError(f"Expected the settings of {name} as an object, found {_kind(data)}; check the file.")
    values = {_current_name(cls, key): value for key, value in data.items()}
    declared: int | None = getattr(cls, "FORMAT", None)
    found = None if declared is None else values.pop("format", declared)
    if declared is not None and (not isinstance(found, int) or found > declared):
        raise InputError(
            f"Expected {name} of format {declared} or older, found {found!s:.60}; update facegen to read it."
        )
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(fields)):
        raise InputError(
            f"Expected only settings that {name} has, found {unknown[0]!r:.60}; it has: {', '.join(fields)}."
        )
    hints = typing.get_type_hints(cls)
    given = {key: _convert(hints[key], value, f"{name}.{key}") for key, value in values.items()}
    missing = [
        key
        for key, field in fields.items()
        if key not in given and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"Expected {name} to state {missing[0]!r}, found it left out; add it.")
    config = cls(**given)
    check(config)
    return config


def _current_name(cls: type, key: str) -> str:
    """The name of the field that `key` names; a field's former name gives a FutureWarning."""
    for field in dataclasses.fields(cls):
        if field.metadata.get("formerly") == key:
            note = f"{cls.__name__}.{key} is now called {field.name}; the next release will refuse the old name."
            warnings.warn(note, FutureWarning, stacklevel=3)
            return field.name
    return key


def save(path: Path, config: Any) -> None:
    """Write a dataclass as JSON, atomically."""
    write_json(path, to_dict(config))


def load(cls: type[T], path: Path) -> T:
    """Read a dataclass from JSON, strictly.

    Raises:
        InputError: the file is missing, is not JSON, or does not fit `cls`; the sentence names the file.
    """
    data = read_json(path)
    try:
        return from_dict(cls, data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def load_lines(cls: type, path: Path) -> JsonLines:
    """The lines of a log as they are; one that does not fit `cls` counts as damaged.

    Args:
        cls: a dataclass that says which keys a line must or may have and of what type; further keys are left alone.
        path: a file of JSON lines; a missing one has none.

    Raises:
        InputError: the file cannot be read at all.
    """
    hints = typing.get_type_hints(cls)
    needed = {
        item.name
        for item in dataclasses.fields(cls)
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }

    def fits(row: dict[str, Any]) -> bool:
        try:
            for key in hints.keys() & row.keys():
                _convert(hints[key], row[key], key)
        except InputError:
            return False
        return needed <= row.keys()

    found = read_json_lines(path)
    rows = [row for row in found.rows if fits(row)]
    return JsonLines(rows, found.damaged + len(found.rows) - len(rows))


def check(config: Any) -> None:
    """Hold every field against the `min` and `max` of its metadata; meant for `__post_init__`.

    Raises:
        InputError: a number is not finite or lies outside its bounds.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        low, high = field.metadata.get("min", -math.inf), field.metadata.get("max", math.inf)
        if not math.isfinite(value) or not low <= value <= high:
            bounds = f"between {low} and {high}" if math.isfinite(high) else f"{low} or more"
            if math.isinf(low):
                bounds = f"{high} or less" if math.isfinite(high) else "finite"
            raise InputError(f"{type(config).__name__}.{field.name} must be {bounds}, but got {value}.")


@functools.cache
def field_help(cls: type) -> Mapping[str, str]:
    """The docstring under each field of a dataclass, with those of its bases, as one line of plain text each."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ == "builtins":
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        for here, after in itertools.pairwise(body):
            match (here, after):
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = " ".join(text.replace("`", "").split())
    return found


def override(config: T, settings: Iterable[str]) -> T:
    """A copy of `config` with «key=value» settings, as a command line gives them, put in.

    Values are read by the type of the field: JSON where it parses («1e-4», «true», «[1, 2]»), else text. A dotted key
    reaches into a nested dataclass («optimiser.rate=1e-4»).

    Raises:
        InputError: a setting without «=», an unknown key, a value of a wrong type or out of bounds.
    """
    data = to_dict(config)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"Expected a setting as key=value, found {setting!r}; write it as {setting}=VALUE.")
        cls: Any = type(config)
        name, *rest = (part.strip() for part in key.split("."))
        target, hints, name = data, typing.get_type_hints(cls), _current_name(cls, name)
        for part in rest:
            if not isinstance(target.get(name), dict) or not dataclasses.is_dataclass(hints.get(name)):
                raise InputError(f"Expected a group of settings at {name!r}, found none; the setting was {setting!r}.")
            cls = hints[name]
            target, hints, name = target[name], typing.get_type_hints(cls), _current_name(cls, part)
        target[name] = _from_text(hints.get(name), text.strip())
    return from_dict(type(config), data)


def _from_text(hint: Any, text: str) -> Any:
    if hint is str or (typing.get_origin(hint) is Literal and text in typing.get_args(hint)):
        return text
    try:
        return parse_json(text, "a setting")
    except InputError:
        lowered = text.lower()
        return {"true": True, "false": False, "none": None}.get(lowered, text)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type, refusing whatever would need a guess."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is Literal:
        if value in arguments and not (isinstance(value, bool) and not any(item is value for item in arguments)):
            return value
        raise InputError(f"{where} must be one of {', '.join(map(repr, arguments))}, but got {value!r:.60}.")
    if origin in (tuple, list) and isinstance(value, (list, tuple)):
        return _convert_sequence(origin, arguments, value, where)
    if origin in (dict, Mapping) or getattr(origin, "__name__", "") == "Mapping":
        return _convert_mapping(arguments, value, where)
    if isinstance(hint, type):
        return _convert_plain(hint, value, where)
    raise InputError(f"{where} must be {hint}, but got {_kind(value)}.")


def _convert_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    failure: InputError | None = None
    for argument in arguments:
        if argument is type(None):
            continue
        try:
            return _convert(argument, value, where)
        except InputError as error:
            failure = failure or error
    raise failure or InputError(f"{where} must be None, but got {_kind(value)}.")


def _convert_sequence(origin: type, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        if len(arguments) != len(value):
            raise InputError(f"{where} must have {len(arguments)} values, but got {len(value)}.")
        return tuple(_convert(hint, item, where) for hint, item in zip(arguments, value, strict=True))
    return origin(_convert(arguments[0], item, where) for item in value)


def _convert_mapping(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be an object, but got {_kind(value)}.")
    key_type, item_type = arguments
    keys: dict[Any, Any] = {}
    for key, item in value.items():
        try:
            keys[key_type(key)] = _convert(item_type, item, where)
        except ValueError:
            raise InputError(f"{where} must have keys of type {key_type.__name__}, but got {key!r:.60}.") from None
    return keys


def _convert_plain(hint: type, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value)
    if issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            choices = ", ".join(repr(item.value) for item in hint)
            raise InputError(f"{where} must be one of {choices}, but got {value!r:.60}.") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool):
        return value
    raise InputError(f"{where} must be {hint.__name__}, but got {_kind(value)}.")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r:.60}"
