"""The Talk tab: who speaks, what is said, how lively, a first try of two seconds, and the result with its sound."""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from facegen.generate.request import GenerateOptions
from facegen.generate.weights import DIRECTIONS, GENERATOR
from facegen.hub import is_present
from facegen.system import link_or_copy
from facegen.talk.engines import PORTRAIT
from facegen.talk.jobs import TALK
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest
from facegen.talk.text_to_speech import LONGEST_TEXT, can_synthesize, synthesize_speech
from facegen.ui import presets
from facegen.ui.examples import EXAMPLE_CLICK, PORTRAITS, SPEECH, example_cards
from facegen.ui.handlers import (
    Shell,
    build_status,
    end_status,
    note,
    progress_card,
    require_consent,
    result_words,
    show_errors,
    starting_card,
    step,
)
from facegen.ui.options import ENCODING, Widgets, widgets
from facegen.ui.presets import reset_button
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services, Visitor
from facegen.ui.tabs.generate.faces import FaceEditor, FaceSpec
from facegen.ui.tabs.talk import requests as talks

LABELS = {
    "mouth": "Mouth opens",
    "head": "Head moves",
    "eyes": "Eyes and brows",
    "still": "Keep the head still",
    "blink": "Blink",
    "seed": "Seed",
    "restore": "Sharpen the face",
    "frame": "Of a video, the picture at this second",
    "face": "Which face of the picture",
    "seconds": "Only the first seconds",
    "longest_side": "Longest side (pixels)",
    "keep_position": "Keep where it was recorded",
    "label": "Visible label",
    **ENCODING,
}
VOICES = [
    *(("English", "en"), ("English, American", "en-us"), ("English, a woman's voice", "en+f3"), ("German", "de")),
    *(("French", "fr"), ("Spanish", "es"), ("Italian", "it"), ("Chinese", "cmn"), ("Hindi", "hi"), ("Russian", "ru")),
]
FIRST_WORDS = (
    "You see an example: Bea, whom facegen drew, says a sentence that a computer spoke. Take her files with one click "
    "under «No files at hand?», or add your own."
)
LIVELINESS = ("mouth", "head", "eyes", "still", "blink", "seed")
MORE = ("restore", "frame", "face", "seconds", "longest_side", "keep_position", "label", *ENCODING)


@dataclass(frozen=True, kw_only=True)
class TalkInputs:
    """The widgets from which a talk request is made."""

    portrait: gr.File
    audio: gr.Audio
    driving: gr.File
    engine: gr.Dropdown
    motion: gr.Dropdown
    options: tuple[Widgets, ...]

    @property
    def components(self) -> list[Any]:
        """All of them, in the order in which `read` takes their values."""
        groups = [component for group in self.options for component in group.components]
        return [self.portrait, self.audio, self.driving, self.engine, self.motion, *groups]

    def option(self, name: str) -> Any:
        """The widget of one of `TalkOptions`."""
        return next(
            dict(zip(group.names, group.components, strict=True))[name] for group in self.options if name in group.names
        )

    def read(self, values: Sequence[Any]) -> TalkRequest:
        """The request of the widgets' values.

        Raises:
            InputError: something is missing or does not fit.
        """
        portrait, audio, driving, engine, motion = values[:5]
        rest, settings = values[5:], dict[str, Any](engine=engine, motion=motion)
        for group in self.options:
            settings |= group.settings(rest[: len(group.names)])
            rest = rest[len(group.names) :]
        return talks.make_request(portrait, audio, settings, driving)


def build(services: Services, shell: Shell) -> None:
    """Lay out the tab and wire it."""
    with gr.Row(equal_height=False, elem_classes="fg-columns", elem_id="talk-columns"):
        with gr.Column(scale=5, min_width=300):
            portrait, examples, invent, audio = _ask_files()
            engine, motion, driving, options = _ask_options(services, shell)
            presets.build(services, shell, "talk", options)
        with gr.Column(scale=6, min_width=300):
            trial, run, cancel, status, ready = _ask_run()
            pictured, result, download = _show_outcome(services)
    inputs = TalkInputs(portrait=portrait, audio=audio, driving=driving, engine=engine, motion=motion, options=options)
    motion.focus(
        lambda visitor: gr.Dropdown(choices=talks.list_motion_networks(services, visitor)),
        shell.visitor,
        motion,
        show_progress="hidden",
        api_visibility="private",
    )
    _wire_portrait(services, inputs, examples, (status, ready), [pictured, result, download])
    _wire_invention(services, shell, invent, (status, ready), portrait)
    _wire_run(services, shell, inputs, (trial, run, cancel), [status, result, download])


def _ask_files() -> tuple[gr.File, gr.HTML, gr.Button, gr.Audio]:
    gr.HTML(step(1, "Who speaks?", "A picture from the front; or a video, in which then only the mouth changes."))
    portrait = gr.File(
        label="Portrait", file_types=[*PICTURE_SUFFIXES, *VIDEO_SUFFIXES], height=130, elem_id="talk-portrait"
    )
    cards = example_cards([(name, title, (name,)) for name, title in PORTRAITS.items()])
    examples = gr.HTML(
        f'<div class="fg-hint">No files at hand? Take one of these faces, which do not exist, and a sentence:</div>{cards}',
        js_on_load=EXAMPLE_CLICK,
        elem_id="talk-examples",
    )
    can_invent = all(is_present(weight) for weight in (*GENERATOR, DIRECTIONS))
    invent = gr.Button("Or a face that does not exist", size="md", visible=can_invent, elem_id="talk-invent")
    gr.HTML(step(2, "What is said?", "Any recording, in any language: a file, or the microphone."))
    audio = gr.Audio(
        label="Sound", sources=["upload", "microphone"], type="filepath", buttons=["download"], elem_id="talk-audio"
    )
    if can_synthesize():
        with gr.Accordion("Or have a text read", open=False):
            text = gr.Textbox(label="Text", lines=3, max_length=LONGEST_TEXT, elem_id="talk-text")
            voice = gr.Dropdown(VOICES, value="en", label="Voice", filterable=False, elem_id="talk-voice")
            read = gr.Button("Read aloud", elem_id="talk-read")
            said = gr.HTML()
        read.click(_read, [text, voice], [said, audio], api_visibility="private")
    return portrait, examples, invent, audio


@show_errors(2)
def _read(text: str, voice: str) -> Any:
    path = synthesize_speech(text, voice)
    copy = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR"))) / path.name
    link_or_copy(path, copy)
    return "", str(copy)


def _ask_options(services: Services, shell: Shell) -> tuple[gr.Dropdown, gr.Dropdown, gr.File, tuple[Widgets, ...]]:
    gr.HTML(step(3, "How lively?", "The defaults are good; another seed gives other movements."))
    lively = widgets(TalkOptions, LIVELINESS, labels=LABELS, prefix="talk")
    reset_button(lively.components)
    engine = gr.Dropdown(
        [("Portrait: one picture, at once", PORTRAIT)],
        value=PORTRAIT,
        label="Who draws",
        info="A person trained in the Train tab (dfrf) brings their own head; Wav2Lip moves the lips of a video.",
        filterable=False,
        elem_id="talk-engine",
    )
    shell.hub_options.add(engine, talks.engine_files, lambda visitor: talks.list_engines(services, visitor))
    motion = gr.Dropdown(
        [("Built in: any voice", "")],
        value="",
        label="Who moves the mouth",
        info="A motion network of your own, from the Train tab, may know a language or a person better.",
        filterable=False,
        elem_id="talk-motion",
    )
    with gr.Accordion("Follow somebody's head", open=False):
        driving = gr.File(label="Driving video", file_types=list(VIDEO_SUFFIXES), height=110, elem_id="talk-driving")
        gr.HTML('<div class="fg-hint">Head, lids and brows are taken from this video instead of being invented.</div>')
    with gr.Accordion("Picture and file", open=False):
        more = widgets(TalkOptions, MORE, labels=LABELS, prefix="talk")
        reset_button(more.components)
    return engine, motion, driving, (lively, more)


def _ask_run() -> tuple[gr.Button, gr.Button, gr.Button, gr.HTML, gr.HTML]:
    gr.HTML(step(4, "Make it", "The liveliest two seconds first, then all of it."))
    status, ready = build_status("talk", FIRST_WORDS)
    with gr.Row(elem_classes="fg-buttons"):
        trial = gr.Button("Try 2 s", min_width=80, elem_id="talk-try")
        run = gr.Button("Run", variant="primary", min_width=80, elem_id="talk-run")
        cancel = gr.Button("Cancel", variant="stop", min_width=80, interactive=False, elem_id="talk-cancel")
    return trial, run, cancel, status, ready


def _show_outcome(services: Services) -> tuple[gr.Image, gr.Video, gr.DownloadButton]:
    about: dict[str, Any] = {"interactive": False, "height": 360, "min_width": 150, "buttons": []}
    portrait, talk = str(services.examples.file("bea.jpg")), str(services.examples.file("bea.mp4"))
    with gr.Row(elem_id="talk-shown"):
        pictured = gr.Image(portrait, label="Portrait", elem_id="talk-pictured", **about)
        result = gr.Video(talk, label="Result", elem_id="talk-result", **about)
    download = gr.DownloadButton("Download the result", value=talk, min_width=110, elem_id="talk-download")
    return pictured, result, download


def _wire_portrait(
    services: Services, inputs: TalkInputs, examples: gr.HTML, statuses: tuple[gr.HTML, gr.HTML], shown: list[Any]
) -> None:
    status, ready = statuses
    pictured = shown[0]
    no_result = (gr.Video(None, visible=False), gr.DownloadButton(visible=False))

    @show_errors(4)
    def look(portrait: str | None, second: str, audio: str | None) -> Any:
        if not portrait:
            return note("Add a portrait and a sound."), None, *no_result
        words, picture = talks.load_poster(portrait, second)
        return note(f"{words} {_WITH_SOUND if audio else _WITHOUT_SOUND}"), picture, *no_result

    @show_errors(3)
    def use_example(event: gr.EventData) -> Any:
        files = services.examples.file(f"{event.example}.jpg"), services.examples.file(SPEECH)
        return gr.skip(), *(str(path) for path in files)

    for file in (inputs.portrait, inputs.audio):
        end_status(file, status)
    second = inputs.option("frame")
    for moment in (inputs.portrait.change, second.blur, second.submit):
        moment(
            look,
            [inputs.portrait, second, inputs.audio],
            [ready, *shown],
            show_progress="minimal",
            show_progress_on=pictured,
            api_visibility="private",
        )
    inputs.audio.change(
        lambda portrait, *rest: look(portrait, *rest) if portrait else (gr.skip(),) * 4,
        [inputs.portrait, second, inputs.audio],
        [ready, *shown],
        show_progress="hidden",
        api_visibility="private",
    )
    examples.click(use_example, None, [status, inputs.portrait, inputs.audio], api_visibility="private")


_WITHOUT_SOUND = "Now add what is said."
_WITH_SOUND = "All is there: try two seconds, or press Run."


def _wire_invention(
    services: Services, shell: Shell, invent: gr.Button, statuses: tuple[gr.HTML, gr.HTML], portrait: gr.File
) -> None:
    editor = FaceEditor(services.models)

    @show_errors(2)
    def draw(visitor: Visitor) -> Any:
        face = FaceSpec(options=GenerateOptions(seed=secrets.randbelow(1_000_000)))
        return note("A new face was drawn."), editor.write(services, visitor, face)[0]

    invent.click(
        draw,
        shell.visitor,
        [statuses[0], portrait],
        show_progress_on=list(statuses),
        concurrency_id="look",
        api_visibility="private",
    )


def _wire_run(
    services: Services, shell: Shell, inputs: TalkInputs, buttons: tuple[gr.Button, ...], outputs: list[Any]
) -> None:
    name = gr.State("")

    def make_handler(is_trial: bool) -> Callable[..., Any]:
        @show_errors(5)
        async def make(visitor: Visitor, consent: bool, *values: Any) -> AsyncIterator[Any]:
            require_consent(consent)
            request = inputs.read(values)
            yield starting_card(), gr.skip(), gr.skip(), "", gr.skip()
            if is_trial:
                request = talks.trial(services, visitor, request)
            run = services.start(visitor, TALK, talks.resolve_runs(services, visitor, request))
            async for state in services.watch(run):
                yield progress_card(state), gr.skip(), gr.skip(), run.name, gr.Button(interactive=state.is_active)
            words = progress_card(run.status(), result_words(run))
            made = services.output(run) if run.status().state == "done" else None
            if made is None:
                yield words, gr.skip(), gr.skip(), run.name, gr.Button(interactive=False)
                return
            path = services.publish(visitor, made)
            # an animation is no clip that a player takes
            clip = path if path.lower().endswith(VIDEO_SUFFIXES) else None
            download = gr.DownloadButton(value=path, visible=True)
            yield words, gr.Video(clip, visible=clip is not None), download, run.name, gr.Button(interactive=False)

        return make

    @show_errors(1)
    def stop(visitor: Visitor, run_name: str) -> str:
        return progress_card(services.run(visitor, run_name).cancel())

    trial, start, cancel = buttons
    request_inputs = [shell.visitor, shell.consent, *inputs.components]
    private: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
    trial.click(make_handler(True), request_inputs, [*outputs, name, cancel], **private)
    start.click(make_handler(False), request_inputs, [*outputs, name, cancel], **private)
    cancel.click(stop, [shell.visitor, name], outputs[0], **private)
