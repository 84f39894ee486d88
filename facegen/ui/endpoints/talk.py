"""Talks for programs."""

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from facegen.jobs import Run
from facegen.talk.jobs import TALK
from facegen.talk.text_to_speech import synthesize_speech
from facegen.ui.endpoints.endpoint import Endpoint, consent
from facegen.ui.handlers import require_consent
from facegen.ui.sentences import for_browser
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.talk import requests as talks


def endpoints(services: Services) -> list[Endpoint]:
    """`/talk` waits for the result, `/talk_preview` draws one moment, `/talk_read` reads a text."""

    async def talk(
        visitor: Visitor, portrait: Any, audio: Any, driving: Any, options: Any, consent: bool
    ) -> AsyncIterator[Any]:
        """Make a portrait speak and wait: yields how the run stands, at the end with the file that it made."""
        require_consent(consent)
        request = talks.make_request(portrait, audio, options or {}, driving)
        run = services.start(visitor, TALK, talks.resolve_runs(services, visitor, request))
        async for _ in services.watch(run):
            yield _describe(run), None
        made = services.output(run)
        yield _describe(run), services.publish(visitor, made) if made else None

    def talk_preview(
        visitor: Visitor, portrait: Any, audio: Any, driving: Any, options: Any, seconds: float, consent: bool
    ) -> Any:
        """What is seen at one moment of a talk."""
        require_consent(consent)
        return talks.draw_preview(
            services, visitor, talks.make_request(portrait, audio, options or {}, driving), seconds
        )

    def talk_read(visitor: Visitor, text: str, voice: str) -> Any:
        """A text read aloud, where espeak-ng is installed: the sound for `/talk`."""
        return services.publish(visitor, synthesize_speech(text, voice))

    def request() -> list[Any]:
        files = [gr.File(label=name) for name in ("portrait", "audio", "driving")]
        return [*files, gr.JSON(label="options: TalkOptions by name")]

    return [
        Endpoint(function=talk, inputs=[*request(), consent()], outputs=[gr.JSON(), gr.File()]),
        Endpoint(
            function=talk_preview,
            inputs=[*request(), gr.Number(0, label="seconds"), consent()],
            outputs=[gr.Image(format="png", buttons=[])],
            queue="look",
        ),
        Endpoint(
            function=talk_read,
            inputs=[gr.Textbox(label="text"), gr.Textbox("en", label="voice")],
            outputs=[gr.File()],
        ),
    ]


def _describe(run: Run) -> dict[str, Any]:
    status = run.status()
    return {"run": run.name, "state": status.state, "progress": status.progress, "text": for_browser(status.text)}
