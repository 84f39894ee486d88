"""Dataclasses to JSON and back, strictly."""

import dataclasses
import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from facegen import config
from facegen.errors import InputError, ResourceError
from facegen.json_file import read_json


class Border(StrEnum):
    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True, kw_only=True)
class Feather:
    width: float = field(default=0.1, metadata={"min": 0.0, "max": 1.0, "step": 0.01, "formerly": "breadth"})


@dataclass(frozen=True, kw_only=True)
class Request:
    FORMAT: ClassVar[int] = 3

    name: str
    count: int = field(default=2, metadata={"min": 1})
    ratio: float = 0.5
    is_fast: bool = False
    mode: Literal["all", "one"] = "all"
    border: Border = Border.SOFT
    sources: tuple[str, ...] = ()
    size_hw: tuple[int, int] = (64, 48)
    people: dict[int, tuple[str, ...]] = field(default_factory=dict)
    limit: float | None = None
    folder: Path | None = None
    feather: Feather = Feather()

    def __post_init__(self) -> None:
        config.check(self)


FULL = Request(
    name="Zoë",
    count=3,
    ratio=0.25,
    is_fast=True,
    mode="one",
    border=Border.HARD,
    sources=("a.png", "b.png"),
    people={0: ("a.png",), 2: ()},
    limit=1.5,
    folder=Path("/tmp/x"),
    feather=Feather(width=0.5),
)


def test_round_trip_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "below" / "request.json"
    config.save(path, FULL)
    assert config.load(Request, path) == FULL
    assert json.loads(path.read_text(encoding="utf-8"))["format"] == 3
    assert [item.name for item in path.parent.iterdir()] == ["request.json"]


def test_fields_left_out_keep_their_defaults() -> None:
    assert config.from_dict(Request, {"name": "a", "ratio": 1}) == Request(name="a", ratio=1.0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "as an object, found list"),
        ({}, "state 'name'"),
        ({"name": "a", "colour": 1}, "found 'colour'"),
        ({"name": 7}, "Request.name must be str, but got int 7"),
        ({"name": "a", "count": 2.5}, "Request.count must be int"),
        ({"name": "a", "count": True}, "Request.count must be int"),
        ({"name": "a", "count": 0}, "Request.count must be 1 or more, but got 0"),
        ({"name": "a", "ratio": float("nan")}, "Request.ratio must be finite"),
        ({"name": "a", "is_fast": 1}, "Request.is_fast must be bool"),
        ({"name": "a", "mode": "two"}, "'all', 'one'"),
        ({"name": "a", "border": "none"}, "'soft', 'hard'"),
        ({"name": "a", "sources": "a.png"}, "Request.sources must be"),
        ({"name": "a", "size_hw": [1, 2, 3]}, "must have 2 values"),
        ({"name": "a", "people": {"first": []}}, "keys of type int"),
        ({"name": "a", "limit": "1"}, "Request.limit must be float"),
        ({"name": "a", "feather": {"width": 2}}, "Feather.width must be between 0.0 and 1.0"),
        ({"name": "a", "format": 4}, "format 3 or older, found 4; update facegen"),
        ({"name": "a", "format": "new"}, "found new"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(data: object, words: str) -> None:
    with pytest.raises(InputError) as caught:
        config.from_dict(Request, data)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    with pytest.raises(InputError, match="found nothing there"):
        config.load(Request, path)
    path.write_text("{")
    with pytest.raises(InputError, match="readable JSON"):
        config.load(Request, path)
    path.write_text('{"name": 1}')
    with pytest.raises(InputError, match=r"request\.json: Request\.name"):
        config.load(Request, path)


def test_override_reads_values_by_their_field() -> None:
    changed = config.override(
        FULL, ["name=7", "count=5", "ratio=1e-3", "is_fast=False", "limit=none", "feather.width=0.75", "mode=all"]
    )
    assert changed == dataclasses.replace(
        FULL, name="7", count=5, ratio=1e-3, is_fast=False, limit=None, feather=Feather(width=0.75), mode="all"
    )


@pytest.mark.parametrize("setting", ["count", "size=1", "count=many", "count=0", "name.x=1", "feather.depth=1"])
def test_override_refuses_what_does_not_fit(setting: str) -> None:
    with pytest.raises(InputError):
        config.override(FULL, [setting])


def test_a_renamed_field_is_read_by_its_old_name_with_a_notice() -> None:
    wanted = dataclasses.replace(FULL, feather=Feather(width=0.75))
    old = config.to_dict(wanted) | {"feather": {"breadth": 0.75}}
    with pytest.warns(FutureWarning, match=r"Feather\.breadth is now called width"):
        assert config.from_dict(Request, old) == wanted
    with pytest.warns(FutureWarning, match="breadth"):
        assert config.override(FULL, ["feather.breadth=0.75"]) == wanted


def test_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    config.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        config.write_json(path, {"a": float("inf")})
    with pytest.raises(ResourceError, match="Cannot write"):
        config.write_json(path / "below", {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["status.json"]


def test_home_follows_the_environment(facegen_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.home() == facegen_home
    monkeypatch.delenv("FACEGEN_HOME")
    monkeypatch.setenv("HOME", "/somewhere")
    assert config.home() == Path("/somewhere/.facegen")
