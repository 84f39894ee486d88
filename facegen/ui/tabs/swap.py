"""The Swap tab: whose face, into which video or picture, how, and the result beside the original."""

import html
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from facegen.swap.options import SwapOptions
from facegen.ui import swaps
from facegen.ui.examples import EXAMPLES, thumbnail
from facegen.ui.handlers import note, progress_card, shown, step
from facegen.ui.options import Widgets, widgets
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services, Visitor, consented
from facegen.ui.shell import Shell

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
    "crf": "Quality of the file (x264 crf)",
    "preset": "Effort of the encoder",
}
CHOICES = {
    "faces": {"all": "Every face", "largest": "The largest face of each frame"},
    "when_no_face": {"keep": "Keep them as they are", "hold": "Hold the last picture", "skip": "Leave them out"},
}
GROUPS = {
    "Faces": ("faces", "source_face", "when_no_face"),
    "Look": (
        "face_shape",
        "colour",
        "mask_feather",
        "sharpness_match",
        "grain_match",
        "temporal_smoothing",
        "occlusion",
    ),
}
ASKED_OTHERWISE = ("person", "start_seconds", "end_seconds", "merge")
"""Options without a widget of their own: the people below «Find people», the trim, and what trained engines take."""

EXAMPLE_CLICK = (
    "element.addEventListener('click', (event) => { const button = event.target.closest('[data-example]');"
    " if (button) trigger('click', {example: button.dataset.example}); });"
)
PLAY_BOTH = (
    "() => { document.querySelectorAll('#swap-original video, #swap-result video').forEach((clip) => {"
    " clip.currentTime = 0; clip.muted = clip.closest('#swap-original') !== null; clip.play(); }); }"
)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The widgets that a swap is asked with."""

    sources: gr.Gallery
    target: gr.File
    start: gr.Slider
    end: gr.Slider
    person_ids: gr.State
    people: tuple[gr.Dropdown, ...]
    options: tuple[Widgets, ...]

    @property
    def components(self) -> list[Any]:
        """All of them, in the order in which `read` takes their values."""
        groups = [component for group in self.options for component in group.components]
        return [self.sources, self.target, self.start, self.end, self.person_ids, *self.people, *groups]

    def read(self, values: Sequence[Any]) -> swaps.SwapRequest:
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
        pictures = [path for path, _ in sources or ()]
        people = {
            person: [pictures[number] for number in numbers or () if number < len(pictures)]
            for person, numbers in zip(person_ids or (), chosen, strict=False)
        }
        return swaps.request(pictures, target, settings, people)


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

    def show(self, services: Services, visitor: Visitor, target: str, name: str) -> list[Any]:
        """Updates that show a run's result beside its target; nothing where the run made none."""
        made = swaps.result(services.run(visitor, name))
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
        return [gr.Row(visible=True), target, path, hidden, download, gr.Button(visible=True)]


def build(services: Services, shell: Shell) -> None:
    """Lay out the tab and wire it."""
    with gr.Row(equal_height=False, elem_classes="fg-columns"):
        with gr.Column(scale=5, min_width=300):
            sources, target, examples, target_words = _ask_files()
            find, person_ids, cards, thumbnails, people = _ask_people()
            start, end, options = _ask_options()
        with gr.Column(scale=6, min_width=300):
            frame, preview, compare = _show_preview()
            run, queue, cancel, status = _ask_run()
            outcome = _show_outcome()
    inputs = Inputs(
        sources=sources, target=target, start=start, end=end, person_ids=person_ids, people=people, options=options
    )
    person_widgets = [person_ids, *cards, *thumbnails, *people]
    _wire_files(services, inputs, examples, [target_words, frame, start, end, compare], person_widgets, status)
    _wire_people(services, shell, inputs, find, person_widgets, status)
    _wire_preview(services, shell, inputs, (preview, frame), compare, status)
    _wire_run(services, shell, inputs, (run, queue, cancel), status, outcome)


# -- layout ----------------------------------------------------------------------------------------------------------


def _ask_files() -> tuple[gr.Gallery, gr.File, gr.HTML, gr.HTML]:
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
    gr.HTML(step(2, "Into what?", "A video or a picture."))
    target = gr.File(
        label="Target video or picture",
        file_types=[*VIDEO_SUFFIXES, *PICTURE_SUFFIXES],
        height=130,
        elem_id="swap-target",
    )
    target_words = gr.HTML(elem_id="swap-target-words")
    examples = gr.HTML(_example_cards(), js_on_load=EXAMPLE_CLICK, elem_id="swap-examples")
    return sources, target, examples, target_words


def _example_cards() -> str:
    cards = []
    for example in EXAMPLES:
        faces = "".join(f'<img src="{thumbnail(name)}" alt="" width="36" height="36">' for name in example.pictured)
        cards.append(
            f'<button type="button" data-example="{example.name}">{faces}'
            f"<span>{html.escape(example.title)}</span></button>"
        )
    return (
        f'<div class="fg-hint">No files at hand? Try an example:</div><div class="fg-examples">{"".join(cards)}</div>'
    )


def _ask_people() -> tuple[gr.Button, gr.State, list[gr.Column], list[gr.Image], tuple[gr.Dropdown, ...]]:
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


def _ask_options() -> tuple[gr.Slider, gr.Slider, tuple[Widgets, ...]]:
    gr.HTML(step(4, "How?", "The defaults are good; change what you see a reason for."))
    bounds = next(item.metadata for item in fields(SwapOptions) if item.name == "start_seconds")
    with gr.Accordion("Trim", open=False):
        start = gr.Slider(bounds["min"], 1, value=0, step=bounds["step"], label="Start (seconds)", visible=False)
        end = gr.Slider(bounds["min"], 1, value=0, step=bounds["step"], label="End (seconds)", visible=False)
        gr.HTML('<div class="fg-hint">Only what lies between start and end of a video is made.</div>')
    grouped = {name for names in GROUPS.values() for name in names}
    more = [item.name for item in fields(SwapOptions) if item.name not in {*grouped, *ASKED_OTHERWISE}]
    made = []
    for title, names in {**GROUPS, "File and engine": more}.items():
        with gr.Accordion(title, open=False):
            made.append(widgets(SwapOptions, names, labels=LABELS, choices=CHOICES))
    return start, end, tuple(made)


def _show_preview() -> tuple[gr.Slider, gr.Button, gr.ImageSlider]:
    gr.HTML(step(5, "See one frame", "Before on the left, after on the right."))
    compare = gr.ImageSlider(
        label="Before | after", interactive=False, height=380, buttons=["fullscreen"], elem_id="swap-compare"
    )
    frame = gr.Slider(0, 1, value=0, step=1, label="Frame", visible=False, elem_id="swap-frame")
    preview = gr.Button("Preview this frame", elem_id="swap-preview")
    return frame, preview, compare


def _ask_run() -> tuple[gr.Button, gr.Button, gr.Button, gr.HTML]:
    gr.HTML(step(6, "Make it"))
    with gr.Row(elem_classes="fg-buttons"):
        run = gr.Button("Run", variant="primary", min_width=110, elem_id="swap-run")
        cancel = gr.Button("Cancel", variant="stop", min_width=110, elem_id="swap-cancel")
        queue = gr.Button("Add to queue", min_width=110, elem_id="swap-queue")
    status = gr.HTML(note("Nothing is running."), elem_id="swap-status")
    return run, queue, cancel, status


def _show_outcome() -> Outcome:
    with gr.Row(visible=False) as clips:
        original = gr.Video(label="Original", interactive=False, min_width=220, elem_id="swap-original", buttons=[])
        result = gr.Video(label="Result", interactive=False, min_width=220, elem_id="swap-result", buttons=[])
    pictures = gr.ImageSlider(
        label="Original | result", interactive=False, visible=False, elem_id="swap-result-picture"
    )
    with gr.Row(elem_classes="fg-buttons"):
        play = gr.Button("Play both", visible=False, min_width=110)
        download = gr.DownloadButton(
            "Download the result", variant="primary", visible=False, min_width=110, elem_id="swap-download"
        )
    play.click(None, js=PLAY_BOTH)
    return Outcome(clips=clips, original=original, result=result, pictures=pictures, download=download, play=play)


# -- events ----------------------------------------------------------------------------------------------------------


def _wire_files(
    services: Services, inputs: Inputs, examples: gr.HTML, limits: list[Any], person_widgets: list[Any], status: gr.HTML
) -> None:
    @shown(len(limits))
    def look(target: str | None) -> Any:
        if not target:
            return "", *[gr.Slider(visible=False) for _ in range(3)], None
        found = swaps.describe(target)
        services.warm_up()
        moving, seconds = not found.is_picture, found.seconds or 1
        return (
            note(found.words),
            gr.Slider(maximum=max(1, found.frames - 1), value=found.frames // 2, visible=moving),
            gr.Slider(maximum=seconds, value=0, visible=moving),
            gr.Slider(maximum=seconds, value=seconds, visible=moving),
            (found.poster_rgb, found.poster_rgb),
        )

    @shown(3)
    def use_example(event: gr.EventData) -> Any:
        sources, target = services.examples.files(event.example)
        return note("The example is loaded: preview a frame, or run the whole clip."), sources, target

    target = inputs.target
    target.change(look, target, limits, show_progress="minimal", api_visibility="private")
    target.change(
        lambda: _person_updates([], 0), None, person_widgets, show_progress="hidden", api_visibility="private"
    )
    examples.click(use_example, None, [status, inputs.sources, target], api_visibility="private")


def _wire_people(
    services: Services, shell: Shell, inputs: Inputs, find: gr.Button, person_widgets: list[Any], status: gr.HTML
) -> None:
    @shown(1 + len(person_widgets))
    def show_people(consent: bool, target: str | None, sources: Any) -> Any:
        consented(consent)
        found = swaps.find_people(services, target)
        words = f"{len(found)} people found, longest on screen first; whoever gets no picture keeps the own face."
        return note(words if len(found) != 1 else "One person found."), *_person_updates(found, len(sources or ()))

    def offer(sources: Any) -> Any:
        choices = _picture_choices(len(sources or ()))
        return [gr.Dropdown(choices) for _ in inputs.people]

    inputs.sources.change(offer, inputs.sources, list(inputs.people), show_progress="hidden", api_visibility="private")
    find.click(
        show_people,
        [shell.consent, inputs.target, inputs.sources],
        [status, *person_widgets],
        show_progress_on=status,
        concurrency_id="look",
        api_visibility="private",
    )


def _wire_preview(
    services: Services,
    shell: Shell,
    inputs: Inputs,
    triggers: tuple[gr.Button, gr.Slider],
    compare: gr.ImageSlider,
    status: gr.HTML,
) -> None:
    @shown(2)
    def show_preview(consent: bool, index: float, *values: Any) -> Any:
        consented(consent)
        before, after, seconds = swaps.preview(services, inputs.read(values), int(index))
        return note(f"Frame {int(index)}, made in {seconds:.1f} s."), (before, after)

    preview, frame = triggers
    for event in (preview.click, frame.release):
        event(
            show_preview,
            [shell.consent, frame, *inputs.components],
            [status, compare],
            show_progress_on=compare,
            concurrency_id="look",
            trigger_mode="always_last",
            api_visibility="private",
        )


def _wire_run(
    services: Services,
    shell: Shell,
    inputs: Inputs,
    buttons: tuple[gr.Button, gr.Button, gr.Button],
    status: gr.HTML,
    outcome: Outcome,
) -> None:
    name = gr.State("")
    quiet = [gr.skip() for _ in outcome.components]

    @shown(2 + len(quiet))
    async def make(visitor: Visitor, consent: bool, *values: Any) -> AsyncIterator[Any]:
        consented(consent)
        asked = inputs.read(values)
        run = swaps.start(services, visitor, asked)
        async for state in services.watch(run):
            yield progress_card(state), run.name, *quiet
        words = progress_card(run.status(), swaps.summary(run))
        yield words, run.name, *outcome.show(services, visitor, asked.target, run.name)

    @shown(1)
    def enqueue(visitor: Visitor, consent: bool, *values: Any) -> str:
        consented(consent)
        run = swaps.start(services, visitor, inputs.read(values))
        return note(f"{run.name} is in the queue; the Runs tab shows how it stands.")

    @shown(1)
    def stop(visitor: Visitor, run_name: str) -> str:
        return progress_card(services.run(visitor, run_name).cancel())

    start, queue, cancel = buttons
    asked_with = [shell.visitor, shell.consent, *inputs.components]
    private: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
    start.click(make, asked_with, [status, name, *outcome.components], **private)
    queue.click(enqueue, asked_with, status, **private)
    cancel.click(stop, [shell.visitor, name], status, **private)


def _picture_choices(count: int) -> list[tuple[str, int]]:
    return [(f"Picture {number + 1}", number) for number in range(count)]


def _person_updates(found: Sequence[swaps.PersonCard], pictures: int) -> list[Any]:
    """Updates for the people's ids, cards, thumbnails and drop-downs."""
    shown_people = found[:MAX_PEOPLE]
    cards = [gr.Column(visible=number < len(shown_people)) for number in range(MAX_PEOPLE)]
    thumbnails: list[Any] = [
        gr.Image(person.thumbnail_rgb, label=f"Person {number + 1}, {person.share:.0%} of it")
        for number, person in enumerate(shown_people)
    ]
    people = [
        gr.Dropdown(_picture_choices(pictures), value=_first_guess(number, pictures, len(shown_people)))
        for number in range(MAX_PEOPLE)
    ]
    empty: list[Any] = [None] * (MAX_PEOPLE - len(thumbnails))
    return [[person.person_id for person in shown_people], *cards, *(thumbnails + empty), *people]


def _first_guess(person: int, pictures: int, people: int) -> list[int]:
    """Which pictures a person gets to begin with: all for one person alone, else the picture of the same number."""
    if people == 1:
        return list(range(pictures))
    return [person] if person < min(pictures, people) else []
