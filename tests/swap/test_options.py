"""What can be chosen, and how it is refused."""

import dataclasses

import pytest

from facegen.config import field_help, from_dict, to_dict
from facegen.errors import InputError
from facegen.swap import SwapOptions, SwapRequest


def test_every_option_is_explained() -> None:
    assert set(field_help(SwapOptions)) == {item.name for item in dataclasses.fields(SwapOptions)}


def test_numbers_have_bounds_that_hold() -> None:
    for item in dataclasses.fields(SwapOptions):
        if "max" in item.metadata:
            with pytest.raises(InputError, match=item.name):
                SwapOptions(**{item.name: item.metadata["max"] + 1})


@pytest.mark.parametrize("name", ["faces", "when_no_face", "preset", "engine"])
def test_choices_are_held(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} must be one of"):
        SwapOptions(**{name: "nonsense"})


def test_the_end_comes_after_the_start() -> None:
    with pytest.raises(InputError, match="end must come after the start"):
        SwapOptions(start_seconds=3.0, end_seconds=3.0)


def test_a_request_survives_json() -> None:
    request = SwapRequest(
        target="clip.mp4",
        output="out.mp4",
        people={0: ("a.jpg", "b.jpg"), 3: ("c",)},
        options=SwapOptions(faces="largest", crf=23, end_seconds=2.5),
    )
    assert from_dict(SwapRequest, to_dict(request)) == request


@pytest.mark.parametrize("sources", [{}, {"sources": ("a",), "people": {0: ("b",)}}])
def test_sources_are_for_everybody_or_for_each(sources: dict) -> None:
    with pytest.raises(InputError, match="source"):
        SwapRequest(target="clip.mp4", output="out.mp4", **sources)
