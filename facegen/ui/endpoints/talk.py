"""Named endpoints for talks."""

from collections.abc import AsyncIterator
from typing import Any

from facegen.jobs import Run
from facegen.talk.jobs import TALK
from facegen.talk.options import TalkOptions
from facegen.talk.text_to_speech import synthesize_speech
from facegen.ui.endpoints.parameters import Endpoint, consent, file, number, options, picture, status, text
from facegen.ui.handlers import require_consent
from facegen.ui.messages import to_browser_message
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
        return [
            file("portrait", "A picture of the speaker, or a video of them, in which then only the mouth changes."),
            file("audio", "What is said: a sound file, or a video with sound."),
            file("driving", "A video whose head and eyes are followed; nothing for invented movements."),
            options("options", "TalkOptions by name; those that are left out keep their defaults.", TalkOptions),
        ]

    return [
        Endpoint(
            function=talk,
            inputs=[*request(), consent()],
            outputs=[status(), file("result", "What was made, at the end; nothing before.")],
        ),
        Endpoint(
            function=talk_preview,
            inputs=[*request(), number("seconds", "Which moment.", 0), consent()],
            outputs=[picture("What is seen at that moment.")],
            queue="look",
        ),
        Endpoint(
            function=talk_read,
            inputs=[text("text", "What to say."), text("voice", "As espeak-ng names it: en, de, en-us+f3.", "en")],
            outputs=[file("audio", "The sound, WAV.")],
        ),
    ]


def _describe(run: Run) -> dict[str, Any]:
    status = run.status()
    return {
        "run": run.name,
        "state": status.state,
        "progress": status.progress,
        "text": to_browser_message(status.text),
    }
