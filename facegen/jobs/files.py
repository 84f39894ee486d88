"""The file fields of a request: listed, made absolute, staged into a run, checked.

A field of a request (or of a dataclass inside it) that names files says so in its metadata:

```python
target: str = field(metadata=INPUT)
sources: tuple[str, ...] = field(default=(), metadata=INPUT)
people: Mapping[int, tuple[str, ...]] = field(default_factory=dict, metadata=INPUT)
output: str = field(metadata=OUTPUT)
engine: str = field(default="mesh", metadata=model_of("dfm:"))
```

A field with settings as text, or by name, says which of them are models: `merge: str = field(metadata=settings_of("own_mask"))`.

A field may hold one path, several, several for each key, or nothing ("" or None).
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from facegen.errors import InputError
from facegen.system import link_or_copy

Q = TypeVar("Q")
Role = Literal["input", "output", "model"]

INPUT: Mapping[str, Any] = {"file": "input"}
"""Metadata of a field that names files or folders that are read; staged into the run of a browser's visitor."""
OUTPUT: Mapping[str, Any] = {"file": "output"}
"""Metadata of a field that names the file or folder that is written."""
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".gif")
"""Of files that are taken for pictures where a folder is given or a browser offers files; others are looked into."""
VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".3gp", ".ogv", ".dv", ".mxf"),
)
SOUND_SUFFIXES = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wma", ".aiff", ".aif", ".amr")
_NAME_LENGTH = 80


def model_of(*prefixes: str) -> Mapping[str, Any]:
    """Metadata of a field that may name a model's file or run after one of these prefixes, such as «dfm:»."""
    return {"file": "model", "prefixes": prefixes}


def settings_of(*names: str) -> Mapping[str, Any]:
    """Metadata of a field with settings, of which these name a model's file or run.

    The field is a text «key=value, key=value», several texts «key=value», or a mapping of values by key.
    """
    return {"file": "model", "settings": names}


def paths(request: Any, role: Role = "input") -> tuple[str, ...]:
    """The distinct paths in a request's fields of one role, in the order of the fields."""
    found: dict[str, None] = {}

    def note(path: str, field_role: Role) -> str:
        if field_role == role:
            found[path] = None
        return path

    map_paths(request, note)
    return tuple(found)


def map_paths(request: Q, change: Callable[[str, Role], str]) -> Q:
    """The request with every path replaced by `change(path, role)`; prefixes of models stay."""
    changed = {}
    for item in _fields(request):
        value = getattr(request, item.name)
        if "file" in item.metadata:
            changed[item.name] = _map_value(value, item.metadata, change)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed[item.name] = map_paths(value, change)
    different = {name: value for name, value in changed.items() if value != getattr(request, name)}
    return dataclasses.replace(request, **different) if different else request  # type: ignore[type-var]


def _fields(request: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(request)


def _map_value(value: Any, metadata: Mapping[str, Any], change: Callable[[str, Role], str]) -> Any:
    if not value:
        return value
    if "settings" in metadata:
        return _map_settings(value, metadata["settings"], lambda path: change(path, metadata["file"]))
    if isinstance(value, Mapping):
        return {key: _map_value(item, metadata, change) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_map_value(item, metadata, change) for item in value)
    for prefix in metadata.get("prefixes", ("",)):
        if value.startswith(prefix):
            return prefix + change(value.removeprefix(prefix), metadata["file"])
    return value


def _map_settings(value: Any, names: tuple[str, ...], change: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: change(item) if key in names and isinstance(item, str) and item else item
            for key, item in value.items()
        }
    if isinstance(value, tuple):
        return tuple(_map_settings(item, names, change) for item in value)
    parts = value.split(",")
    for number, part in enumerate(parts):
        key, equals, path = part.partition("=")
        if ".".join(piece.strip() for piece in key.split(".")) in names and path.strip():
            parts[number] = f"{key}{equals}{change(path.strip())}"
    return ",".join(parts)


def absolute(request: Q) -> Q:
    """The request with absolute paths, so that it means the same from every folder; names of runs stay."""

    def change(path: str, role: Role) -> str:
        return path if role == "model" and not os.path.exists(path) else os.path.abspath(path)

    return map_paths(request, change)


def stage(request: Q, folder: Path, output: Path) -> Q:
    """The request with its input files linked (or copied) into `folder`, and its output, where it names none, at `output`.

    The files then live as long as the run, whatever becomes of an upload. Folders stay where they are.
    """
    staged = dict(_stage(paths(request), folder))
    unnamed = [item.name for item in _fields(request) if item.metadata.get("file") == "output"]
    missing = {name: str(output) for name in unnamed if not getattr(request, name)}
    request = dataclasses.replace(request, **missing)  # type: ignore[type-var]
    return map_paths(request, lambda path, role: staged.get(path, path) if role == "input" else path)


def _stage(originals: tuple[str, ...], folder: Path) -> Iterator[tuple[str, str]]:
    for number, path in enumerate(originals):
        if os.path.isdir(path):
            yield path, os.path.abspath(path)
            continue
        # a folder for each, as two uploads may have the same name
        yield path, str(link_into(Path(path), folder / str(number)))


def link_into(origin: Path, folder: Path) -> Path:
    """`link_or_copy` into a folder, which is made; under another name where its own is taken there."""
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(origin.name[-_NAME_LENGTH:])
    place, number = folder / name, 1
    while place.exists():
        number += 1
        place = folder / f"{name.stem}-{number}{name.suffix}"
    link_or_copy(origin, place)
    return place


def check_output_file(request: Any, suffixes: tuple[str, ...]) -> None:
    """Refuse an output file that cannot become the result, before any work.

    Args:
        request: with one output.
        suffixes: of a name that the job can write, in small letters with the dot.

    Raises:
        InputError: the output has another suffix, or is one of the inputs.
        ResourceError: it cannot be written.
    """
    from facegen import media
    from facegen.encoding import EncodeOptions

    (output,) = map(Path, paths(request, "output"))
    for path in paths(request):
        if os.path.exists(path) and output.resolve() == Path(path).resolve():
            raise InputError(f"Expected a new file as output, found the input {output.name!r}; choose another name.")
    if output.suffix.lower() not in suffixes:
        raise InputError(f"Expected an output ending in {', '.join(suffixes)}, found {output.name!r}; change it.")
    media.check_output(output)
    encode = getattr(request, "options", None)
    if isinstance(encode, EncodeOptions) and output.suffix.lower() in media.CONTAINERS:
        media.find_encoder(encode, output)
