"""Named endpoints for swaps."""

from collections.abc import AsyncIterator
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
    describe_run,
    file,
    files,
    json_value,
    number,
    options,
    picture,
    plain_dict,
    status,
    text,
)
from facegen.ui.handlers import require_consent
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import requests as swaps


def endpoints(services: Services) -> list[Endpoint]:
    """`/swap` waits for the result, `/swap_start` returns at once; previews, people and examples."""

    def request() -> list[Any]:
        return [
            files("sources", "Pictures of the face, or of each face."),
            file("target", "The video or picture that gets the face."),
            options("options", "SwapOptions by name; those that are left out keep their defaults.", SwapOptions),
            json_value(
                "people", "Numbers of sources, from 0, by person of the clip; nothing gives everybody all.", PEOPLE
            ),
        ]

    made = file("result", "What was made, at the end; nothing before.")

    async def swap(
        visitor: Visitor, sources: Any, target: Any, options: Any, people: Any, consent: bool
    ) -> AsyncIterator[Any]:
        """Swap faces and wait: yields how the run stands, at the end with the file that it made."""
        require_consent(consent)
        run = services.start(visitor, SWAP, _request(services, visitor, sources, target, options, people))
        async for _ in services.watch(run):
            yield describe_run(run), None
        made = services.output(run)
        yield describe_run(run), services.publish(visitor, made) if made else None

    def swap_start(visitor: Visitor, sources: Any, target: Any, options: Any, people: Any, consent: bool) -> Any:
        """Put a swap into the queue and return at once; `/run_status` and `/run_result` take the run's name."""
        require_consent(consent)
        return describe_run(
            services.start(visitor, SWAP, _request(services, visitor, sources, target, options, people))
        )

    def swap_preview(
        visitor: Visitor, sources: Any, target: Any, options: Any, people: Any, frame: float, consent: bool
    ) -> Any:
        """One frame of the target, before and after."""
        require_consent(consent)
        before, after, _ = swaps.preview(
            services, _request(services, visitor, sources, target, options, people), int(frame)
        )
        return before, after

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
        Endpoint(function=swap, inputs=[*request(), consent()], outputs=[status(), made]),
        Endpoint(function=swap_start, inputs=[*request(), consent()], outputs=[status()]),
        Endpoint(
            function=swap_preview,
            inputs=[*request(), number("frame", "Which frame of the target, from 0.", 0), consent()],
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


def _request(services: Services, visitor: Visitor, sources: Any, target: Any, options: Any, people: Any) -> SwapRequest:
    options, people = plain_dict(options, "options"), plain_dict(people, "people")
    chosen: dict[int, list[str]] = {}
    for person, numbers in people.items():
        try:
            chosen[int(person)] = [sources[number] for number in numbers]
        except (ValueError, TypeError, IndexError):
            raise InputError(
                f"Expected people as {{person: [number of a source, ...]}}, found {person!r}: {numbers!r}; "
                "sources count from 0."
            ) from None
    return services.admit(visitor, swaps.request(sources, target, options, chosen))
