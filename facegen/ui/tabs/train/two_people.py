"""The Train tab's guided swap of two people: from three videos to a result in one run."""

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.jobs import Run
from facegen.swap.jobs import SWAP_TRAIN
from facegen.swap.request import SwapTrainRequest
from facegen.swap.tasks import SAEHD
from facegen.training.jobs import TRAIN
from facegen.ui.examples import EXAMPLE_CLICK, TRAINING, example_cards
from facegen.ui.handlers import Shell, note, progress_card, require_consent, show_errors, starting_card
from facegen.ui.services import VIDEO_SUFFIXES, Services, Visitor
from facegen.ui.tabs.train import trained
from facegen.ui.tabs.train.trainings import SHARED_MINUTES, is_limited

PRESETS = tuple(name for name in SAEHD.presets if not name.endswith("-pretrain") and name != "tiny")
"""What is offered."""
HINT = "Person A is seen in the video to be changed; person B gives the face. Half a minute of each is enough to begin."
FIRST_WORDS = "You see an example: what a training on clips of Ada and Bea showed after four minutes."
EXAMPLE_MINUTES = 5
PREVIEW_LABEL = "A · A redrawn · B · B redrawn · A with B's face · the same in its frame"


def build(services: Services, shell: Shell) -> None:
    """Lay out the guided way and wire it."""
    with (
        gr.Accordion("A swap for two people", open=True, elem_id="flow"),
        gr.Row(equal_height=False, elem_classes="fg-columns", elem_id="flow-columns"),
    ):
        with gr.Column(scale=6, min_width=300):
            gr.HTML(f'<div class="fg-hint">{HINT}</div>')
            cards = example_cards([("ada_to_bea", "Bea gets Ada's face", ("ada", "bea"))])
            example = gr.HTML(
                f'<div class="fg-hint">No videos at hand? Nobody in these exists:</div>{cards}',
                js_on_load=EXAMPLE_CLICK,
                elem_id="flow-example",
            )
            with gr.Row():
                person_a = _videos("Person A: who is in the video", "flow-a")
                person_b = _videos("Person B: whose face it gets", "flow-b")
                merge = gr.File(
                    label="The video to be changed",
                    file_types=[*VIDEO_SUFFIXES],
                    height=140,
                    min_width=220,
                    elem_id="flow-merge",
                )
            with gr.Row():
                minutes = gr.Slider(
                    1, 600, value=45, step=1, label="Minutes to train", min_width=220, elem_id="flow-minutes",
                    info="45 minutes on two cores make a likeness; a GPU does in minutes what a CPU does in hours.",
                )  # fmt: skip
            with gr.Row():
                preset = gr.Dropdown(
                    list(PRESETS), value=SwapTrainRequest.preset, label="Preset", min_width=160,
                    info="Size of the model: small-128 suits a laptop, larger ones are sharper and take a GPU.",
                )  # fmt: skip
                fresh = gr.Checkbox(
                    label="Start from scratch",
                    info="Otherwise small-128 goes on from a pretrained model, which is quicker.",
                    min_width=160,
                )
        with gr.Column(scale=5, min_width=300):
            status = gr.HTML(note(FIRST_WORDS), elem_id="flow-status")
            with gr.Row(elem_classes="fg-buttons"):
                begin = gr.Button("Make the swap", variant="primary", min_width=130, elem_id="flow-start")
                pause = gr.Button("Stop", min_width=130, interactive=False, elem_id="flow-stop")
            gr.HTML(f'<div class="fg-hint">As it learns, in each row: {PREVIEW_LABEL}.</div>')
            preview = gr.Image(
                str(services.examples.file(TRAINING)),
                label=PREVIEW_LABEL,
                show_label=False,
                interactive=False,
                height=300,
                buttons=["fullscreen"],
                elem_id="flow-preview",
            )
            video = gr.Video(
                label="The swap",
                interactive=False,
                visible=False,
                height=420,
                buttons=["download"],
                elem_id="flow-result",
            )

    def use_example() -> Any:
        bea, ada = (str(services.examples.file(name)) for name in ("bea.mp4", "ada.mp4"))
        words = "The example is loaded: five minutes show that it learns; a likeness takes longer."
        return note(words), [bea], [ada], bea, EXAMPLE_MINUTES

    loaded = [status, person_a, person_b, merge, minutes]
    example.click(use_example, None, loaded, show_progress="hidden", api_visibility="private")
    _wire(
        services, shell, [person_a, person_b, merge, minutes, preset, fresh], (begin, pause), (status, preview, video)
    )


def _videos(label: str, name: str) -> gr.File:
    kinds = [*VIDEO_SUFFIXES]
    return gr.File(label=label, file_count="multiple", file_types=kinds, height=140, min_width=220, elem_id=name)


def _wire(
    services: Services,
    shell: Shell,
    values: list[Any],
    buttons: tuple[gr.Button, gr.Button],
    made: tuple[gr.HTML, gr.Image, gr.Video],
) -> None:
    begin, pause = buttons
    name = gr.State("")

    def picture(visitor: Visitor, run: Run) -> Any:
        newest, _ = trained.preview(run)
        return services.publish(visitor, newest) if newest else gr.skip()

    @show_errors(5)
    async def make(visitor: Visitor, consent: bool, *values: Any) -> AsyncIterator[Any]:
        require_consent(consent)
        person_a, person_b, merge, minutes, preset, fresh = values
        yield starting_card(), gr.skip(), gr.skip(), "", gr.skip()
        run = start(
            services,
            visitor,
            SwapTrainRequest(
                person_a=tuple(person_a or ()),
                person_b=tuple(person_b or ()),
                target=merge or "",
                minutes=float(minutes),
                preset=preset,
                fresh=bool(fresh),
            ),
        )
        async for state in services.watch(run):
            yield (
                progress_card(state),
                picture(visitor, run),
                gr.skip(),
                run.name,
                gr.Button(interactive=state.is_active),
            )
        film = services.output(run)
        shown_film = gr.Video(services.publish(visitor, film), visible=True) if film else gr.skip()
        ended = run.status()
        words = "It was stopped; «Resume» in the Runs tab goes on from here." if ended.state == "cancelled" else ""
        yield progress_card(ended, words), picture(visitor, run), shown_film, run.name, gr.Button(interactive=False)

    @show_errors(1)
    def stop(visitor: Visitor, run_name: str) -> str:
        return progress_card(services.run(visitor, run_name).cancel())

    private: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
    begin.click(make, [shell.visitor, shell.consent, *values], [*made, name, pause], **private)
    pause.click(stop, [shell.visitor, name], made[0], **private)


def start(services: Services, visitor: Visitor, request: SwapTrainRequest) -> Run:
    """Put the training and the merge into the queue as a run.

    Raises:
        InputError: the time does not fit a limited studio, or a file is missing.
    """
    if is_limited(services):
        if not 0 < request.minutes <= SHARED_MINUTES:
            raise InputError(
                f"Expected 1 to {SHARED_MINUTES:g} minutes on this shared machine without a GPU, found "
                f"{request.minutes:g}; set a limit."
            )
        busy = [
            run
            for run in services.runs(visitor)
            if run.kind in (SWAP_TRAIN.name, TRAIN.name) and run.status().is_active
        ]
        if busy:
            raise InputError(f"Expected your last training to have ended, found {busy[0].name} at work; stop it first.")
    return services.start(visitor, SWAP_TRAIN, request)
