"""How the Swap tab is arranged: its widgets, in the order of the work, and what reads and fills them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import gradio as gr

from facegen.faces.weights import detector_files
from facegen.reenact.weights import RESTORING
from facegen.swap.options import SwapOptions
from facegen.swap.request import SwapRequest
from facegen.ui.examples import EXAMPLE_CLICK, EXAMPLES, SWAP, Examples, example_cards
from facegen.ui.handlers import build_status, step
from facegen.ui.missing import HubOptions
from facegen.ui.options import ENCODING, Widgets, widgets
from facegen.ui.presets import reset_button
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services, Visitor
from facegen.ui.tabs.swap import requests as swaps
from facegen.ui.tabs.swap.merge import Merging
from facegen.ui.tabs.swap.trained import model_files, recogniser_files

MAX_PEOPLE = 12

LABELS = {
    "faces": "Which faces",
    "source_face": "Which face of the source picture",
    "face_shape": "Face shape",
    "mask_feather": "Soft border",
    "colour": "Skin tone and light",
    "sharpness_match": "Match sharpness",
    "grain_match": "Match grain",
    "temporal_smoothing": "Calm over time",
    "occlusion": "Hands and hair stay in front",
    "when_no_face": "Frames without a face",
    "detector": "Face detector",
    "recogniser": "Face recogniser",
    "identity_strength": "Strength of the identity",
    "pixel_boost": "Pixel boost",
    "sliders": "Sliders of the engine live-portrait",
    "expression": "Expression of the clip (LivePortrait)",
    "enhance": "Face enhancers, in their order",
    "masks": "More masks",
    "frame_chain": "Upscalers and mattings of the whole frame",
    "background": "New background",
    "keep_position": "Keep where it was recorded",
    "label": "Visible label",
    **ENCODING,
}
CHOICES = {
    "faces": {"all": "Every face", "largest": "The largest face of each frame"},
    "when_no_face": {"keep": "Keep them as they are", "hold": "Hold the last picture", "skip": "Leave them out"},
    "detector": {
        "auto": "facexlib if its weights are present",
        "embedded": "Embedded (CenterFace)",
        "facexlib": "facexlib (RetinaFace)",
        "yunet": "YuNet",
        "scrfd": "SCRFD",
        "yoloface": "YOLOv8-face",
    },
    "recogniser": {"embedded": "Embedded (dlib)", "arcface": "ArcFace (w600k)", "auraface": "AuraFace"},
}
GROUPS = {
    "Faces": ("faces", "source_face", "when_no_face", "detector", "recogniser"),
    "Look": (
        "finish",
        "restore",
        "face_shape",
        "colour",
        "mask_feather",
        "sharpness_match",
        "grain_match",
        "temporal_smoothing",
        "occlusion",
    ),
    "Models from the Hub": (
        "sliders",
        "expression",
        "enhance",
        "masks",
        "frame_chain",
        "background",
        "identity_strength",
        "pixel_boost",
    ),
}
SEPARATE_FIELDS = ("person", "start_seconds", "end_seconds", "engine", "merge")
"""Options without a widget of their own: the people below «Find people», the trim, and what `swap_merge` asks for."""

FIRST_WORDS = (
    "You see an example: Ada's face on a clip of Bea. facegen drew and animated both, nobody in it exists. "
    "Take its files with one click under «No files at hand?», or add your own."
)
PLAY_BOTH = (
    "() => { document.querySelectorAll('#swap-original video, #swap-result video').forEach((clip) => {"
    " clip.currentTime = 0; clip.muted = clip.closest('#swap-original') !== null; clip.play(); }); }"
)


@dataclass(frozen=True, kw_only=True)
class SwapInputs:
    """The widgets of a swap."""

    sources: gr.Gallery
    target: gr.File
    start: gr.Slider
    end: gr.Slider
    person_ids: gr.State
    people: tuple[gr.Dropdown, ...]
    options: tuple[Widgets, ...]
    merging: Merging

    @property
    def components(self) -> list[Any]:
        """All of them, in the order in which `read` takes their values."""
        groups = [component for group in self.options for component in group.components]
        own = [self.sources, self.target, self.start, self.end, self.person_ids, *self.people, *groups]
        return [*own, *self.merging.components]

    def option(self, name: str) -> Any:
        """The component of one option."""
        group = next(group for group in self.options if name in group.names)
        return group.components[group.names.index(name)]

    def read(self, services: Services, visitor: Visitor, values: Sequence[Any]) -> SwapRequest:
        """The request that the widgets' values say.

        Raises:
            InputError: something is missing or does not fit.
        """
        sources, target, start, end, person_ids = values[:5]
        chosen, rest = values[5 : 5 + MAX_PEOPLE], values[5 + MAX_PEOPLE :]
        settings: dict[str, Any] = {"start_seconds": float(start), "end_seconds": float(end)}
        for group in self.options:
            settings |= group.settings(rest[: len(group.names)])
            rest = rest[len(group.names) :]
        engine = self.merging.read(services, visitor, rest)
        pictures = [path for path, _ in sources or ()]
        people = {
            person: [pictures[number] for number in numbers or () if number < len(pictures)]
            for person, numbers in zip(person_ids or (), chosen, strict=False)
        }
        return swaps.request(pictures, target, settings, people, engine)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The widgets that show what a swap made."""

    clips: gr.Row
    original: gr.Video
    result: gr.Video
    pictures: gr.ImageSlider
    download: gr.DownloadButton
    play: gr.Button

    @property
    def components(self) -> list[Any]:
        """All of them, in the order of `show`."""
        return [self.clips, self.original, self.result, self.pictures, self.download, self.play]

    def hide(self) -> list[Any]:
        """Updates for a new target, of which nothing was made yet."""
        return [
            gr.Row(visible=False),
            None,
            None,
            gr.ImageSlider(visible=False),
            gr.DownloadButton(visible=False),
            gr.Button(visible=False),
        ]

    def show(self, services: Services, visitor: Visitor, target: str, name: str) -> list[Any]:
        """Updates that show a run's result beside its target; nothing where the run made none."""
        made = services.output(services.run(visitor, name))
        if made is None:
            return [gr.skip() for _ in self.components]
        path, is_picture = services.publish(visitor, made), swaps.describe(target).is_picture
        download = gr.DownloadButton(value=path, visible=True)
        if is_picture:
            return [
                gr.Row(visible=False),
                None,
                None,
                gr.ImageSlider((target, path), visible=True),
                download,
                gr.skip(),
            ]
        hidden = gr.ImageSlider(visible=False)
        # an animation is no clip that a player takes
        is_clip = path.lower().endswith(VIDEO_SUFFIXES)
        shown = [target, path] if is_clip else [None, None]
        return [gr.Row(visible=is_clip), *shown, hidden, download, gr.Button(visible=is_clip)]


def build_files() -> tuple[gr.Gallery, gr.HTML, gr.File, gr.HTML, gr.HTML]:
    """The sources and a line about them, the target, the examples and a line about the target."""
    gr.HTML(step(1, "Whose face?", "One sharp picture is enough; several of the same person look better."))
    sources = gr.Gallery(
        label="Source pictures",
        file_types=list(PICTURE_SUFFIXES),
        sources=["upload"],
        columns=4,
        height=190,
        object_fit="contain",
        allow_preview=False,
        fit_columns=False,
        interactive=True,
        buttons=[],
        elem_id="swap-sources",
    )
    source_words = gr.HTML(elem_id="swap-source-words")
    gr.HTML(step(2, "Into what?", "A video or a picture."))
    target = gr.File(
        label="Target video or picture",
        file_types=[*VIDEO_SUFFIXES, *PICTURE_SUFFIXES],
        height=130,
        elem_id="swap-target",
    )
    target_words = gr.HTML(elem_id="swap-target-words")
    cards = example_cards([(example.name, example.title, example.portraits) for example in EXAMPLES])
    hint = '<div class="fg-hint">No files at hand? Take an example (nobody in it exists):</div>'
    examples = gr.HTML(hint + cards, js_on_load=EXAMPLE_CLICK, elem_id="swap-examples")
    return sources, source_words, target, examples, target_words


def build_people() -> tuple[gr.Button, gr.State, list[gr.Column], list[gr.Image], tuple[gr.Dropdown, ...]]:
    """The button, the people's numbers, and a card, thumbnail and choice of pictures for each."""
    gr.HTML(step(3, "Who in it?", "Not needed where one face goes onto everybody."))
    find = gr.Button("Find people", size="md", elem_id="swap-find")
    cards, thumbnails, people = [], [], []
    with gr.Row(elem_classes="fg-people", elem_id="swap-people"):
        for number in range(MAX_PEOPLE):
            with gr.Column(visible=False, elem_classes="fg-person", min_width=130) as card:
                thumbnails.append(
                    gr.Image(label=f"Person {number + 1}", height=130, interactive=False, buttons=[], container=True)
                )
                people.append(gr.Dropdown([], label="Gets the face of", multiselect=True, value=[]))
            cards.append(card)
    return find, gr.State([]), cards, thumbnails, tuple(people)


def build_options(hub_options: HubOptions) -> tuple[gr.Slider, gr.Slider, tuple[Widgets, ...]]:
    """The trim and every group of options."""
    gr.HTML(step(4, "How?", "The defaults are good; change what you see a reason for."))
    bounds = next(item.metadata for item in fields(SwapOptions) if item.name == "start_seconds")
    with gr.Accordion("Trim", open=False):
        start = gr.Slider(bounds["min"], 1, value=0, step=bounds["step"], label="Start (seconds)", visible=False)
        end = gr.Slider(bounds["min"], 1, value=0, step=bounds["step"], label="End (seconds)", visible=False)
        gr.HTML('<div class="fg-hint">Only what lies between start and end of a video is made.</div>')
    grouped = {name for names in GROUPS.values() for name in names}
    more = [item.name for item in fields(SwapOptions) if item.name not in {*grouped, *SEPARATE_FIELDS}]
    below = {
        "detector": partial(hub_options.add, files=detector_files),
        "recogniser": partial(hub_options.add, files=recogniser_files),
        "expression": partial(hub_options.add, files=lambda _: RESTORING, name="LivePortrait"),
        **{name: partial(hub_options.add, files=model_files) for name in ("enhance", "masks", "frame_chain")},
    }
    made = []
    for title, names in {**GROUPS, "File": more}.items():
        with gr.Accordion(title, open=False):
            made.append(widgets(SwapOptions, names, labels=LABELS, choices=CHOICES, below=below))
            reset_button(made[-1].components)
    return start, end, tuple(made)


def show_preview(examples: Examples) -> tuple[gr.Slider, gr.Button, gr.ImageSlider]:
    """The frame, the button and the comparison, which begins with a frame of the stored example."""
    gr.HTML(step(5, "See one frame", "Before on the left, after on the right: move the line."))
    compare = gr.ImageSlider(
        swaps.example_frames(examples),
        label="Before | after",
        interactive=False,
        height=280,
        max_height=262,
        buttons=["fullscreen"],
        elem_id="swap-compare",
    )
    frame = gr.Slider(0, 1, value=0, step=1, label="Frame", visible=False, elem_id="swap-frame")
    preview = gr.Button("Preview this frame", elem_id="swap-preview")
    return frame, preview, compare


def build_run() -> tuple[gr.Button, gr.Button, gr.Button, gr.HTML, gr.HTML]:
    """The status and what is missing, and below them run, cancel and queue."""
    gr.HTML(step(6, "Make it"))
    status, ready = build_status("swap", FIRST_WORDS)
    with gr.Row(elem_classes="fg-buttons"):
        run = gr.Button("Run", variant="primary", min_width=110, elem_id="swap-run")
        cancel = gr.Button("Cancel", variant="stop", min_width=110, interactive=False, elem_id="swap-cancel")
        queue = gr.Button("Add to queue", min_width=110, elem_id="swap-queue")
    return run, queue, cancel, status, ready


def show_outcome(examples: Examples) -> Outcome:
    """What was made, beside the original; at first the stored example."""
    before, after = str(examples.file("bea.mp4")), str(examples.file(SWAP))
    about: dict[str, Any] = {"interactive": False, "min_width": 150, "height": 260, "buttons": []}
    with gr.Row() as clips:
        original = gr.Video(before, label="Original", elem_id="swap-original", **about)
        result = gr.Video(after, label="Result", elem_id="swap-result", **about)
    pictures = gr.ImageSlider(
        label="Original | result",
        interactive=False,
        visible=False,
        buttons=["fullscreen"],
        elem_id="swap-result-picture",
    )
    with gr.Row(elem_classes="fg-buttons"):
        play = gr.Button("Play both", min_width=110, elem_id="swap-play")
        download = gr.DownloadButton("Download the result", value=after, min_width=110, elem_id="swap-download")
    play.click(None, js=PLAY_BOTH)
    return Outcome(clips=clips, original=original, result=result, pictures=pictures, download=download, play=play)
