"""Named endpoints for talks."""

from typing import Any

from facegen.talk.jobs import TALK
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest
from facegen.talk.text_to_speech import synthesize_speech
from facegen.ui.endpoints.parameters import Endpoint, consent, file, job_endpoints, number, options, picture, text
from facegen.ui.handlers import require_consent
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.talk import requests as talks


def endpoints(services: Services) -> list[Endpoint]:
    """`/talk` waits for the result, `/talk_preview` draws one moment, `/talk_read` reads a text."""

    def make_request(
        visitor: Visitor, portrait: Any, audio: Any, driving: Any, options: Any, consent: bool
    ) -> TalkRequest:
        require_consent(consent)
        request = talks.make_request(portrait, audio, options or {}, driving)
        return talks.resolve_runs(services, visitor, request)

    def talk_preview(
        visitor: Visitor, portrait: Any, audio: Any, driving: Any, options: Any, seconds: float, consent: bool
    ) -> Any:
        """What is seen at one moment of a talk."""
        require_consent(consent)
        request = talks.make_request(portrait, audio, options or {}, driving)
        return talks.draw_preview(services, visitor, request, seconds)

    def talk_read(visitor: Visitor, text: str, voice: str) -> Any:
        """A text read aloud, where espeak-ng is installed: the sound for `/talk`."""
        return services.publish(visitor, synthesize_speech(text, voice))

    def fields(*more: Any) -> list[Any]:
        return [
            file("portrait", "A picture of the speaker, or a video of them, in which then only the mouth changes."),
            file("audio", "What is said: a sound file, or a video with sound."),
            file("driving", "A video whose head and eyes are followed; nothing for invented movements."),
            options("options", "TalkOptions by name; those that are left out keep their defaults.", TalkOptions),
            *more,
            consent(),
        ]

    return [
        *job_endpoints(services, TALK, make_request, fields, "Make a portrait speak", has_start=False),
        Endpoint(
            function=talk_preview,
            inputs=fields(number("seconds", "Which moment.", 0)),
            outputs=[picture("What is seen at that moment.")],
            queue="look",
        ),
        Endpoint(
            function=talk_read,
            inputs=[text("text", "What to say."), text("voice", "As espeak-ng names it: en, de, en-us+f3.", "en")],
            outputs=[file("audio", "The sound, WAV.")],
        ),
    ]
