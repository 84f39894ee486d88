"""The fields of a job's request, which are options of a command and keyword arguments of a function."""

import dataclasses
import difflib
import os
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar, get_args, get_origin

from facegen.config import field_help, from_dict
from facegen.jobs.job import Job, Result

Q = TypeVar("Q")
R = TypeVar("R", bound=Result)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One value of a request."""

    path: tuple[str, ...]
    """Names of the fields from the request to the value."""
    hint: Any
    """Its type."""
    metadata: Mapping[str, Any]
    default: Any
    """MISSING where it must be given."""
    help: str
    prefix: str = ""
    """Stands before its name, where the dataclass that it belongs to has one."""

    @property
    def name(self) -> str:
        """What the value is called among the parameters of a command or a function."""
        return self.prefix + self.path[-1]

    @property
    def flag(self) -> str:
        """How it is typed as an option."""
        return self.flag_of(self.metadata.get("flag", self.path[-1]))

    def flag_of(self, name: str) -> str:
        """A name of the option as it is typed."""
        return "--" + f"{self.prefix}{name}".replace("_", "-")

    @property
    def is_repeated(self) -> bool:
        """Whether it holds several values."""
        return get_origin(self.hint) is tuple or self.is_by_key

    @property
    def is_by_key(self) -> bool:
        """Whether each value has a key."""
        origin = get_origin(self.hint)
        return isinstance(origin, type) and issubclass(origin, Mapping)


def fields_of(cls: type, path: tuple[str, ...] = (), prefix: str = "") -> Iterator[Field]:
    """The fields of a request, those of the dataclasses inside it after its own."""
    hints, about = typing.get_type_hints(cls), field_help(cls)
    nested = []
    for item in dataclasses.fields(cls):
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            nested.append((hint, (*path, item.name), item.metadata.get("prefix", "")))
            continue
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        yield Field(
            path=(*path, item.name),
            hint=hint,
            metadata=item.metadata,
            default=default,
            help=about.get(item.name, ""),
            prefix=prefix,
        )
    for hint, inner, own_prefix in nested:
        yield from fields_of(hint, inner, own_prefix)


def make_request(job: Job[Q, R], values: Mapping[str, Any]) -> Q:
    """The request with these values by name of their field, wherever inside the request that stands.

    Paths may be path objects, and one value may stand for several.

    Raises:
        TypeError: there is no field of a name.
        InputError: a value does not fit.
    """
    by_name = {item.name: item for item in fields_of(job.request)}
    nested: dict[str, Any] = {}
    for name, value in values.items():
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            hint = f"did you mean {near[0]!r}?" if near else "see docs/api.md."
            raise TypeError(f"{job.name}() got an unexpected keyword argument {name!r}; {hint}")
        item, place = by_name[name], nested
        for group in item.path[:-1]:
            place = place.setdefault(group, {})
        place[item.path[-1]] = _plain(value, item.hint)
    return from_dict(job.request, nested)


def _plain(value: Any, hint: Any) -> Any:
    """A value with paths as text, and as a tuple where the type is one and the value is not."""
    origin, of = get_origin(hint), get_args(hint)
    if isinstance(value, Mapping):
        return {key: _plain(item, of[1] if of else Any) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item, Any) for item in value)
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    return (value,) if origin is tuple and isinstance(value, str) else value
