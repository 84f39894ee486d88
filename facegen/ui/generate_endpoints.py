"""The Generate tab for programs: named endpoints with plain arguments, for `gradio_client`."""

from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.generate.request import GenerateOptions
from facegen.generate.sliders import NAMES, Sliders
from facegen.ui.faces import Asked, FaceDesk
from facegen.ui.handlers import answered
from facegen.ui.options import parse
from facegen.ui.services import Services, Visitor, consented


def build(services: Services, desk: FaceDesk, visitor: gr.State) -> None:
    """Add the endpoints to the page that is being built."""

    def generate(visitor: Visitor, sliders: Any, options: Any, more: Any) -> list[str]:
        """Faces that do not exist: sliders, options (seed, count, temperature, retouch, best_of) and more by name."""
        asked, count = _asked(sliders, options, more)
        return desk.written(services, visitor, asked, count=count)

    def generate_sweep(sliders: Any, options: Any, more: Any, across: str, down: str) -> Any:
        """A strip of one slider going from 0 to 1, or a square of two."""
        return desk.sweep(_asked(sliders, options, more)[0], across, down or "")

    def generate_edit(photo: Any, sliders: Any, options: Any, consent: bool) -> Any:
        """The face of a photograph, with the sliders that are given; answers the picture and all five sliders."""
        consented(consent)
        encoded = desk.encode(photo)
        given = {**dict(zip(NAMES, encoded.sliders.values(), strict=True)), **_plain(sliders)}
        asked = Asked(sliders=parse(Sliders, given), options=parse(GenerateOptions, _plain(options)), encoded=encoded)
        return desk.picture(asked), given

    limits: dict[str, Any] = {"concurrency_id": "faces", "concurrency_limit": 1}
    with gr.Column(visible=False):
        said = [gr.JSON(label="sliders by name"), gr.JSON(label="options by name"), gr.JSON(label="more by name")]
        gr.Button(visible=False).click(
            answered(generate), [visitor, *said], gr.File(file_count="multiple"), api_name="generate", **limits
        )
        gr.Button(visible=False).click(
            answered(generate_sweep),
            [*said, gr.Textbox(label="across"), gr.Textbox(label="down")],
            gr.Image(format="png"),
            api_name="generate_sweep",
            **limits,
        )
        gr.Button(visible=False).click(
            answered(generate_edit),
            [gr.File(label="photo"), *said[:2], gr.Checkbox(label="consent")],
            [gr.Image(format="png"), gr.JSON()],
            api_name="generate_edit",
            **limits,
        )


def _plain(said: Any) -> dict[str, Any]:
    if not isinstance(said or {}, dict):
        raise InputError("Expected sliders, options and more as objects, found something else; pass a dict or nothing.")
    return dict(said or {})


def _asked(sliders: Any, options: Any, more: Any) -> tuple[Asked, int]:
    chosen = parse(GenerateOptions, _plain(options))
    try:
        steps = {str(name): float(step) for name, step in _plain(more).items()}
    except (TypeError, ValueError):
        raise InputError("Expected numbers for the further directions, found something else.") from None
    return Asked(sliders=parse(Sliders, _plain(sliders)), options=chosen, more=steps), chosen.count
