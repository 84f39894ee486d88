"""The guided way in the Train tab: two people's videos and the one to be changed become a swap, in one run."""

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.jobs import Run
from facegen.swap.jobs import SWAP_TRAIN
from facegen.swap.request import SwapTrainRequest
from facegen.swap.tasks import SAEHD
from facegen.training.jobs import TRAIN
from facegen.ui.handlers import Shell, note, progress_card, require_consent, show_errors
from facegen.ui.services import VIDEO_SUFFIXES, Services, Visitor
from facegen.ui.tabs.train import trained
from facegen.ui.tabs.train.trainings import SHARED_MINUTES, is_limited

PRESETS = tuple(name for name in SAEHD.presets if not name.endswith("-pretrain") and name != "tiny")
"""What is offered."""
HINT = "Person A is seen in the video to be changed; person B gives the face. Half a minute of each is enough to begin."
PREVIEW_LABEL = "A · A again · B · B again · A with B's face · laid over A"


def build(services: Services, shell: Shell) -> None:
    """Lay out the guided way and wire it."""
    with gr.Accordion("Two people: from three videos to a swap", open=False, elem_id="flow"):
        gr.HTML(f'<div class="fg-hint">{HINT}</div>')
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
            preset = gr.Dropdown(list(PRESETS), value=SwapTrainRequest.preset, label="Preset", min_width=160)
            fresh = gr.Checkbox(
                label="Begin with nothing", info="Otherwise small-128 begins with the pretrained model.", min_width=160
            )
        with gr.Row(elem_classes="fg-buttons"):
            begin = gr.Button("Make the swap", variant="primary", min_width=130, elem_id="flow-start")
            pause = gr.Button("Stop (resume it under Runs)", min_width=130, elem_id="flow-stop")
        status = gr.HTML(note("Nothing is running."), elem_id="flow-status")
        gr.HTML(f'<div class="fg-hint">As it learns: {PREVIEW_LABEL}.</div>')
        preview = gr.Image(label=PREVIEW_LABEL, show_label=False, interactive=False, buttons=["fullscreen"])
        video = gr.Video(label="The swap", interactive=False, visible=False, height=420, elem_id="flow-result")
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

    @show_errors(4)
    async def make(visitor: Visitor, consent: bool, *values: Any) -> AsyncIterator[Any]:
        require_consent(consent)
        person_a, person_b, merge, minutes, preset, fresh = values
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
            yield progress_card(state), picture(visitor, run), gr.skip(), run.name
        film = services.output(run)
        shown_film = gr.Video(services.publish(visitor, film), visible=True) if film else gr.skip()
        yield progress_card(run.status()), picture(visitor, run), shown_film, run.name

    @show_errors(1)
    def stop(visitor: Visitor, run_name: str) -> str:
        return progress_card(services.run(visitor, run_name).cancel())

    private: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
    begin.click(make, [shell.visitor, shell.consent, *values], [*made, name], **private)
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
