"""Named endpoints that generate faces."""

from typing import Any

from facegen.errors import InputError
from facegen.generate.request import GenerateOptions
from facegen.generate.sliders import NAMES, Sliders
from facegen.ui.endpoints.parameters import (
    NUMBERS,
    Endpoint,
    consent,
    file,
    files,
    json_value,
    options,
    picture,
    plain_dict,
    schema_of,
    text,
)
from facegen.ui.handlers import require_consent
from facegen.ui.options import parse
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.generate.faces import FaceEditor, FaceSpec


def endpoints(services: Services) -> list[Endpoint]:
    """New faces, strips and squares of sliders, and the face of a photograph."""
    editor = FaceEditor(services.models)

    def generate(visitor: Visitor, sliders: Any, options: Any, more: Any) -> list[str]:
        """Faces that do not exist: sliders, options (seed, count, temperature, retouch, best_of) and more by name."""
        face, count = _parse(sliders, options, more)
        return editor.write(services, visitor, face, count=count)

    def generate_sweep(sliders: Any, options: Any, more: Any, across: str, down: str) -> Any:
        """A strip of one slider going from 0 to 1, or a square of two."""
        return editor.sweep(_parse(sliders, options, more)[0], across, down or "")

    def generate_edit(photo: Any, sliders: Any, options: Any, consent: bool) -> Any:
        """The face of a photograph, with the sliders that are given; answers the picture and all five sliders."""
        require_consent(consent)
        chosen = parse(GenerateOptions, plain_dict(options, "options"))
        encoded = editor.encode(photo, chosen.expression)
        given = {**dict(zip(NAMES, encoded.sliders.values(), strict=True)), **plain_dict(sliders, "sliders")}
        face = FaceSpec(
            sliders=parse(Sliders, given),
            options=chosen,
            encoded=encoded,
        )
        return editor.picture(face), given

    sliders = options(
        "sliders", "The five sliders by name, 0 to 1; those that are left out keep their defaults.", Sliders
    )
    choices = options(
        "options", "GenerateOptions by name; those that are left out keep their defaults.", GenerateOptions
    )
    values = [
        sliders,
        choices,
        json_value("more", "Further directions by name, about -3 to 3, such as smile.", NUMBERS),
    ]
    return [
        Endpoint(function=generate, inputs=values, outputs=[files("faces", "Signed pictures, PNG.")], queue="faces"),
        Endpoint(
            function=generate_sweep,
            inputs=[
                *values,
                text("across", "The slider that goes from 0 to 1 from left to right."),
                text("down", "The one from top to bottom; nothing for a strip."),
            ],
            outputs=[picture("The strip or square.")],
            queue="faces",
        ),
        Endpoint(
            function=generate_edit,
            inputs=[file("photo", "A photograph with a face."), *values[:2], consent()],
            outputs=[
                picture("The face as it is drawn."),
                json_value("sliders", "All five sliders.", schema_of(Sliders)),
            ],
            queue="faces",
        ),
    ]


def _parse(sliders: Any, options: Any, more: Any) -> tuple[FaceSpec, int]:
    chosen = parse(GenerateOptions, plain_dict(options, "options"))
    try:
        steps = {str(name): float(step) for name, step in plain_dict(more, "more").items()}
    except (TypeError, ValueError):
        raise InputError("Expected numbers for the further directions, found something else.") from None
    return FaceSpec(sliders=parse(Sliders, plain_dict(sliders, "sliders")), options=chosen, more=steps), chosen.count
