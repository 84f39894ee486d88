"""The Swap tab: whose face, into which video or picture, how, and the result beside the original."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from facegen.jobs import Run
from facegen.swap.jobs import SWAP
from facegen.swap.request import SwapRequest
from facegen.ui import presets
from facegen.ui.handlers import (
    Shell,
    end_status,
    note,
    progress_card,
    require_consent,
    result_words,
    show_errors,
    starting_card,
)
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import batch, layout, merge
from facegen.ui.tabs.swap import requests as swaps
from facegen.ui.tabs.swap.layout import MAX_PEOPLE, Outcome, SwapInputs
from facegen.ui.tabs.swap.trained import engine_files, list_models, needs_source


def build(services: Services, shell: Shell) -> None:
    """Lay out the tab and wire it."""
    with gr.Row(equal_height=False, elem_classes="fg-columns", elem_id="swap-columns"):
        with gr.Column(scale=5, min_width=300):
            sources, source_words, target, examples, target_words = layout.build_files()
            engine, file = merge.build_engine()
            shell.hub_options.add(engine, engine_files, lambda visitor: list_models(services, visitor))
            find, person_ids, cards, thumbnails, people = layout.build_people()
            start, end, options = layout.build_options(shell.hub_options)
            presets.build(services, shell, "swap", options)
        with gr.Column(scale=6, min_width=300):
            with gr.Column(elem_id="swap-look"):
                frame, preview, compare = layout.show_preview(services.examples)
                merging = merge.build_merge(engine, file)
            run, queue, cancel, status, ready = layout.build_run()
            outcome = layout.show_outcome(services.examples)
            many = gr.Column()
    inputs = SwapInputs(
        sources=sources, target=target, start=start, end=end, person_ids=person_ids, people=people, options=options,
        merging=merging,
    )  # fmt: skip
    person_widgets = [person_ids, *cards, *thumbnails, *people]
    limits = [target_words, frame, start, end, compare]
    _wire_files(services, inputs, examples, limits, person_widgets, status, outcome)
    _wire_sources(services, shell, inputs, source_words)
    _wire_readiness(inputs, status, ready)
    _wire_people(services, shell, inputs, find, person_widgets, (status, ready))
    place = inputs.components.index(target)

    def request_for(visitor: Visitor, path: str, values: tuple[Any, ...]) -> SwapRequest:
        # trim and people belong to the one target above
        others = (*values[:place], path, 0.0, 0.0, [], *values[place + 4 :])
        return inputs.read(services, visitor, others)

    with many:
        batch.build(services, shell, inputs.components, request_for)
    live = _wire_preview(services, shell, inputs, (preview, frame), compare, status)
    merge.wire_merge(services, shell, merging, target, (status, ready), live)
    _wire_run(services, shell, inputs, (run, queue, cancel), status, outcome, compare)


def _wire_files(
    services: Services, inputs: SwapInputs, examples: gr.HTML, limits: list[Any], person_widgets: list[Any], status: gr.HTML,
    outcome: Outcome,
) -> None:  # fmt: skip
    @show_errors(len(limits))
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

    def use_example(event: gr.EventData) -> Any:
        sources, target = services.examples.files(event.example)
        return sources, target

    target = inputs.target
    target.change(look, target, limits, show_progress="minimal", api_visibility="private")
    target.change(
        lambda: _person_updates([], 0), None, person_widgets, show_progress="hidden", api_visibility="private"
    )
    target.change(outcome.hide, None, outcome.components, show_progress="hidden", api_visibility="private")
    examples.click(use_example, None, [inputs.sources, target], api_visibility="private")


def _wire_sources(services: Services, shell: Shell, inputs: SwapInputs, words: gr.HTML) -> None:
    @show_errors(2)
    def look(visitor: Visitor, sources: Any) -> Any:
        paths = [path for path, _ in sources or ()]
        shown = [services.browser_picture(visitor, path) for path in paths]
        said = swaps.describe_sources(services, shown)
        return note(said) if said else "", shown if shown != paths else gr.skip()

    inputs.sources.change(
        look, [shell.visitor, inputs.sources], [words, inputs.sources], show_progress="hidden",
        trigger_mode="always_last", concurrency_id="look", api_visibility="private",
    )  # fmt: skip


def _wire_readiness(inputs: SwapInputs, status: gr.HTML, ready: gr.HTML) -> None:
    """Say what is still missing whenever a file comes or goes; a refusal that asked for it is over."""

    def look(sources: Any, target: str | None, engine: str | None) -> str:
        has_face = bool(sources) or not needs_source(engine)
        if has_face and target:
            return note("All is there: preview a frame, or press Run.")
        return note(_WITHOUT_TARGET if has_face else _WITHOUT_FACE if target else _WITHOUT_BOTH)

    for files in (inputs.sources, inputs.target):
        end_status(files, status)
        files.change(
            look, [inputs.sources, inputs.target, inputs.merging.engine], ready,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip


_WITHOUT_TARGET = "The face is there: add the video or picture that it goes into."
_WITHOUT_FACE = "The target is there: add a picture of the face that goes into it."
_WITHOUT_BOTH = "Add a picture of a face, and the video or picture that it goes into."


def _wire_people(
    services: Services, shell: Shell, inputs: SwapInputs, find: gr.Button, person_widgets: list[Any],
    statuses: tuple[gr.HTML, gr.HTML],
) -> None:  # fmt: skip
    @show_errors(1 + len(person_widgets))
    def show_people(consent: bool, target: str | None, detector: str, recogniser: str, sources: Any) -> Any:
        require_consent(consent)
        found = swaps.find_people(services, target, detector, recogniser)
        words = f"{len(found)} people found, longest on screen first; whoever gets no picture keeps the own face."
        return note(words if len(found) != 1 else "One person found."), *_person_updates(found, len(sources or ()))

    def offer(sources: Any) -> Any:
        choices = _picture_choices(len(sources or ()))
        return [gr.Dropdown(choices) for _ in inputs.people]

    inputs.sources.change(offer, inputs.sources, list(inputs.people), show_progress="hidden", api_visibility="private")
    find.click(
        show_people,
        [shell.consent, inputs.target, inputs.option("detector"), inputs.option("recogniser"), inputs.sources],
        [statuses[0], *person_widgets],
        show_progress_on=list(statuses),
        concurrency_id="look",
        api_visibility="private",
    )


def _wire_preview(
    services: Services,
    shell: Shell,
    inputs: SwapInputs,
    triggers: tuple[gr.Button, gr.Slider],
    compare: gr.ImageSlider,
    status: gr.HTML,
) -> Callable[..., None]:
    """Wire the preview; returns what binds an event to a frame that follows along."""
    preview, frame = triggers

    @show_errors(2)
    def show_preview(visitor: Visitor, consent: bool, index: float, *values: Any) -> Any:
        require_consent(consent)
        request = inputs.read(services, visitor, values)
        before, after, seconds = swaps.preview(services, services.admit(visitor, request), int(index))
        return note(f"Frame {int(index)}, made in {seconds:.1f} s."), (before, after)

    @show_errors(2)
    def follow(visitor: Visitor, consent: bool, index: float, *values: Any) -> Any:
        """The same, in silence as long as something is missing."""
        place = inputs.components.index(inputs.merging.engine)
        if not consent or not values[place] or not values[inputs.components.index(inputs.target)]:
            return gr.skip(), gr.skip()
        return show_preview(visitor, consent, index, *values)

    event_inputs = [shell.visitor, shell.consent, frame, *inputs.components]
    bound: dict[str, Any] = {
        "concurrency_id": "look",
        "trigger_mode": "always_last",
        "api_visibility": "private",
    }
    for event in (preview.click, frame.release):
        event(show_preview, event_inputs, [status, compare], show_progress_on=compare, **bound)

    def live(event: Callable[..., Any]) -> None:
        event(follow, event_inputs, [status, compare], show_progress="hidden", **bound)

    return live


def _wire_run(
    services: Services,
    shell: Shell,
    inputs: SwapInputs,
    buttons: tuple[gr.Button, gr.Button, gr.Button],
    status: gr.HTML,
    outcome: Outcome,
    compare: gr.ImageSlider,
) -> None:
    name = gr.State("")
    start, queue, cancel = buttons
    quiet = [gr.skip() for _ in range(1 + len(outcome.components))]

    @show_errors(3 + len(quiet))
    async def make(visitor: Visitor, consent: bool, *values: Any) -> AsyncIterator[Any]:
        require_consent(consent)
        request = inputs.read(services, visitor, values)
        yield starting_card(), "", gr.skip(), *quiet
        run = services.start(visitor, SWAP, request)
        async for state in services.watch(run):
            yield progress_card(state), run.name, gr.Button(interactive=state.is_active), *quiet
        words = progress_card(run.status(), result_words(run))
        frames = _frames(services, run, request.target)
        made = outcome.show(services, visitor, request.target, run.name)
        yield words, run.name, gr.Button(interactive=False), frames, *made

    @show_errors(1)
    def enqueue(visitor: Visitor, consent: bool, *values: Any) -> str:
        require_consent(consent)
        run = services.start(visitor, SWAP, inputs.read(services, visitor, values))
        return note(f"{run.name} is in the queue; the Runs tab shows how it stands.")

    @show_errors(1)
    def stop(visitor: Visitor, run_name: str) -> str:
        return progress_card(services.run(visitor, run_name).cancel())

    @show_errors(4)
    async def patch(visitor: Visitor, consent: bool, *values: Any) -> AsyncIterator[Any]:
        require_consent(consent)
        request = replace(inputs.read(services, visitor, values), patches=True)
        run = services.start(visitor, SWAP, request)
        async for state in services.watch(run):
            yield progress_card(state), run.name, gr.Button(interactive=state.is_active), gr.skip()
        made = swaps.patches_archive(services, visitor, run)
        archive = gr.DownloadButton(value=made, visible=True) if made else gr.skip()
        yield progress_card(run.status()), run.name, gr.Button(interactive=False), archive

    event_inputs = [shell.visitor, shell.consent, *inputs.components]
    private: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
    start.click(make, event_inputs, [status, name, cancel, compare, *outcome.components], **private)
    queue.click(enqueue, event_inputs, status, **private)
    inputs.merging.patches.click(patch, event_inputs, [status, name, cancel, inputs.merging.archive], **private)
    cancel.click(stop, [shell.visitor, name], status, **private)


def _frames(services: Services, run: Run, target: str) -> Any:
    """The middle of what a run made, for the comparison; what is shown stays where it made nothing."""
    made = services.output(run)
    if made is None or made.suffix == ".zip":
        return gr.skip()
    return swaps.result_frames(target, str(made), swaps.describe(target).frames // 2)


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
