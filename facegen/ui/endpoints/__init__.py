"""Named endpoints with plain arguments for what the tabs do, for `gradio_client`.

The arguments come through components that are never seen, because gradio then checks that a file was uploaded by the
caller before it lets anybody read it. A refusal arrives at the caller's as an exception with its sentence.
"""

import gradio as gr

from facegen.ui.endpoints import generate, runs, swap, talk, train, verify
from facegen.ui.handlers import api_errors
from facegen.ui.services import Services

_LIMITS = {"": None, "look": 1, "faces": 1, "verify": 2}
"""Calls that a queue handles at the same time; one by one where models are shared, any number where runs do the work."""


def build(services: Services, visitor: gr.State) -> None:
    """Add the endpoints to the page that is being built; those whose first argument is the visitor get the page's."""
    with gr.Column(visible=False):
        for room in (swap, talk, generate, train, runs, verify):
            for endpoint in room.endpoints(services):
                is_personal = endpoint.function.__code__.co_varnames[:1] == ("visitor",)
                gr.Button(visible=False).click(
                    api_errors(endpoint.function),
                    [visitor, *endpoint.inputs] if is_personal else list(endpoint.inputs),
                    list(endpoint.outputs),
                    api_name=endpoint.function.__name__,
                    concurrency_limit=_LIMITS[endpoint.queue],
                    concurrency_id=endpoint.queue or None,
                )
