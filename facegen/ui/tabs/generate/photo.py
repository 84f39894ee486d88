"""The part of the Generate tab where a photograph is edited: dropped, given another expression, forgotten."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from facegen.errors import InputError
from facegen.generate.request import GenerateOptions
from facegen.reenact.weights import WEIGHTS as LIVE_PORTRAIT
from facegen.ui.handlers import Shell, note, require_consent, show_errors
from facegen.ui.missing import HubOptions
from facegen.ui.options import widgets
from facegen.ui.pictures import Picture
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.generate.faces import FaceEditor

if TYPE_CHECKING:
    from facegen.ui.tabs.generate.tab import FaceInputs

LIVE: dict[str, Any] = {
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "concurrency_id": "face",
    "concurrency_limit": 1,
    "api_visibility": "private",
}
SLOW: dict[str, Any] = {"concurrency_id": "faces", "concurrency_limit": 1, "api_visibility": "private"}
_IN_TURN: dict[str, Any] = {"concurrency_id": "face", "concurrency_limit": 1, "api_visibility": "private"}
"""After the faces that were asked for before: a face that is still being drawn must not replace the photograph."""


@dataclass(frozen=True, kw_only=True)
class PhotoInputs:
    """The widgets of a photograph."""

    drop: gr.Image
    expression: gr.Dropdown
    change: gr.Button
    forget: gr.Button


def build_photo(hub_options: HubOptions) -> PhotoInputs:
    """The widgets of a photograph, folded away."""
    with gr.Accordion("Start from my photo", open=False):
        drop = Picture(label="A photograph", height=180, sources=["upload"], buttons=[], elem_id="generate-photo")
        (expression,) = widgets(
            GenerateOptions, ("expression",), labels={"expression": "Expression (LivePortrait)"}, prefix="generate"
        ).components
        hub_options.add(expression, lambda chosen: LIVE_PORTRAIT if chosen else (), name="LivePortrait")
        change = gr.Button("Change the expression", size="sm", elem_id="generate-change-expression")
        forget = gr.Button("Back to faces that do not exist", size="sm")
    return PhotoInputs(drop=drop, expression=expression, change=change, forget=forget)


def wire_photo(
    services: Services,
    editor: FaceEditor,
    shell: Shell,
    inputs: "FaceInputs",
    photo: PhotoInputs,
    face: gr.Image,
    status: gr.HTML,
) -> None:
    """Let a photograph, and another expression of it, become the face that is edited."""
    drop = photo.drop

    def encode(visitor: Visitor, consent: bool, path: str, expression: str, values: tuple[Any, ...]) -> Any:
        require_consent(consent)
        shown = services.browser_picture(visitor, path)
        encoded = editor.encode(path, expression)
        spec = replace(inputs.read(values), encoded=encoded, photo=path, sliders=encoded.sliders)
        words = note(f"The photograph {'with another expression' if expression else 'as it is'}; move the sliders.")
        drawn = editor.picture(spec)
        return (
            words,
            (path, encoded, expression),
            drawn,
            *encoded.sliders.values(),
            shown if shown != path else gr.skip(),
        )

    outputs = [status, inputs.photo, face, *inputs.sliders, drop]

    @show_errors(9)
    def begin(visitor: Visitor, consent: bool, path: str, *values: Any) -> Any:
        return encode(visitor, consent, path, "", values)

    drop.upload(
        begin, [shell.visitor, shell.consent, drop, *inputs.components], outputs, show_progress_on=face, **_IN_TURN
    )

    @show_errors(9)
    def change(visitor: Visitor, consent: bool, path: str | None, chosen: list[str] | None, *values: Any) -> Any:
        """The photograph with another expression."""
        held = inputs.read(values).photo or path
        if not held:
            raise InputError("Expected a photograph, found nothing; drop one first.")
        return encode(visitor, consent, held, ", ".join(chosen or ()), values)

    photo.change.click(
        change,
        [shell.visitor, shell.consent, drop, photo.expression, *inputs.components],
        outputs,
        show_progress_on=face,
        **_IN_TURN,
    )

    def continue_with_consent(visitor: Visitor, consent: bool, path: str | None, *values: Any) -> Any:
        """A photograph that waited for consent."""
        waits = consent and path and inputs.read(values).encoded is None
        return begin(visitor, consent, path, *values) if waits else [gr.skip() for _ in outputs]

    shell.consent.change(
        continue_with_consent,
        [shell.visitor, shell.consent, drop, *inputs.components],
        outputs,
        show_progress="hidden",
        **_IN_TURN,
    )
    for event in (photo.forget.click, drop.clear):
        event(lambda: None, None, inputs.photo, show_progress="hidden", api_visibility="private").then(
            lambda *values: editor.picture(inputs.read(values)), inputs.components, face, **LIVE
        )
