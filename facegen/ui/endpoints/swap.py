"""Named endpoints for swaps."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.swap.jobs import SWAP
from facegen.swap.options import SwapOptions
from facegen.swap.request import SwapRequest
from facegen.ui.endpoints.parameters import (
    NUMBER,
    PEOPLE,
    Endpoint,
    consent,
    describe,
    file,
    files,
    job_endpoints,
    json_value,
    number,
    options,
    picture,
    plain_dict,
    text,
)
from facegen.ui.handlers import require_consent
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import requests as swaps


def endpoints(services: Services) -> list[Endpoint]:
    """`/swap` waits for the result, `/swap_start` returns at once; previews, people and examples."""

    def fields(*more: Any) -> list[Any]:
        return [
            files("sources", "Pictures of the face, or of each face."),
            file("target", "The video or picture that gets the face."),
            options("options", "SwapOptions by name; those that are left out keep their defaults.", SwapOptions),
            json_value(
                "people", "Numbers of sources, from 0, by person of the clip; nothing gives everybody all.", PEOPLE
            ),
            *more,
            consent(),
        ]

    def make_request(
        _visitor: Visitor, sources: Any, target: Any, options: Any, people: Any, consent: bool
    ) -> SwapRequest:
        require_consent(consent)
        options = plain_dict(options, "options")
        return swaps.request(sources, target, options, _choose_sources(sources, plain_dict(people, "people")))

    def swap_preview(
        visitor: Visitor, sources: Any, target: Any, options: Any, people: Any, frame: float, consent: bool
    ) -> Any:
        """One frame of the target, before and after."""
        request = services.admit(visitor, make_request(visitor, sources, target, options, people, consent))
        return swaps.preview(services, request, int(frame))[:2]

    def find_people(target: Any, consent: bool, detector: str = "auto") -> Any:
        """The people of a clip, longest on screen first: pictures of them, and their numbers and shares of the clip."""
        require_consent(consent)
        found = swaps.find_people(services, target, detector)
        people = [{"person": card.person_id, "share": round(card.share, 4)} for card in found]
        return [(card.thumbnail_rgb, f"Person {card.person_id}") for card in found], people

    def example(name: str) -> Any:
        """The files of an example: its sources and its target."""
        return services.examples.files(name)

    return [
        *job_endpoints(services, SWAP, make_request, fields, "Swap faces"),
        Endpoint(
            function=swap_preview,
            inputs=fields(number("frame", "Which frame of the target, from 0.", 0)),
            outputs=[picture("The frame before."), picture("The frame after.")],
            queue="look",
        ),
        Endpoint(
            function=find_people,
            inputs=[
                file("target", "A video or picture."),
                consent(),
                text("detector", "What finds faces, as in SwapOptions.", "auto"),
            ],
            outputs=[
                describe(gr.Gallery(buttons=[]), "A picture of each person."),
                json_value(
                    "people",
                    "Each person's number, and the share of the clip that shows them.",
                    {
                        "type": "array",
                        "items": {"type": "object", "properties": {"person": {"type": "integer"}, "share": NUMBER}},
                    },
                ),
            ],
            queue="look",
        ),
        Endpoint(
            function=example,
            inputs=[text("name", "The name of an example: «swap» and the like.")],
            outputs=[files("sources", "Its sources."), file("target", "Its target.")],
        ),
    ]


def _choose_sources(sources: Any, people: Mapping[str, Any]) -> dict[int, list[str]]:
    """Sources by person of the clip, from the numbers of both."""
    chosen: dict[int, list[str]] = {}
    for person, numbers in people.items():
        try:
            chosen[int(person)] = [sources[number] for number in numbers]
        except (ValueError, TypeError, IndexError):
            raise InputError(
                f"Expected people as {{person: [number of a source, ...]}}, found {person!r}: {numbers!r}; "
                "sources count from 0."
            ) from None
    return chosen
