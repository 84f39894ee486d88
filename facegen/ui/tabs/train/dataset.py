"""The Train tab's preparation of a dataset for the generator from photographs."""

import html
from pathlib import Path
from typing import Any

import gradio as gr

from facegen.generate.jobs import DATASET
from facegen.generate.request import DatasetRequest
from facegen.jobs import Run
from facegen.json_file import read_json
from facegen.ui.handlers import Shell, note, progress_card, require_consent, show_errors
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.train.trainings import data_folder


def build(services: Services, shell: Shell, timer: gr.Timer, target: gr.Textbox) -> None:
    """Lay out the accordion and wire it.

    Args:
        services: of the studio.
        shell: of the page.
        timer: ticks while the tab is seen.
        target: the data folder of the next training, which a finished dataset is put into.
    """
    with gr.Accordion("Prepare a dataset for attributes, generator and retoucher", open=False, elem_id="dataset"):
        gr.HTML(
            '<div class="fg-hint">Align and crop, resize, change brightness, choose, measure the five sliders, and make '
            "variants of each face.</div>"
        )
        folder = gr.Textbox(
            label="Folder of photographs",
            placeholder="/path/to/photographs; sub-folders female and male are labels",
            elem_id="dataset-folder",
        )
        keep = gr.Textbox(label="Keep", placeholder="all, or female>=0.9999", elem_id="dataset-keep")
        with gr.Row():
            augment = gr.Checkbox(True, label="A copy of other brightness")
            variants = gr.Slider(0, 8, value=3, step=1, label="Variants of each")
        labels = gr.Textbox(label="CSV of hand labels", placeholder="none: everything is measured")
        with gr.Row(elem_classes="fg-buttons"):
            start = gr.Button("Prepare", variant="primary", min_width=110, elem_id="dataset-start")
            use = gr.Button("Train on it", min_width=110, elem_id="dataset-use")
        card, chosen = gr.HTML(elem_id="dataset-card"), gr.State("")

    @show_errors(2)
    def begin(visitor: Visitor, consent: bool, *values: Any) -> Any:
        require_consent(consent)
        return note("Begun."), start_dataset(services, visitor, *values).name

    @show_errors(1)
    def show(visitor: Visitor, name: str) -> Any:
        return describe_dataset(services.run(visitor, name)) if name else gr.skip()

    @show_errors(2)
    def use_dataset(visitor: Visitor, name: str) -> Any:
        run = services.run(visitor, name)
        return describe_dataset(run), str(run.results / "dataset")

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    values = [folder, keep, augment, variants, labels]
    start.click(begin, [shell.visitor, shell.consent, *values], [card, chosen], **private)
    timer.tick(show, [shell.visitor, chosen], card, **private)
    use.click(use_dataset, [shell.visitor, chosen], [card, target], **private)


def start_dataset(
    services: Services, visitor: Visitor, folder: str, keep: str, augment: bool, variants: float, labels: str
) -> Run:
    """Put the preparation of a dataset into the queue as a run of its own.

    Raises:
        InputError: the folder or the choice does not fit.
    """
    request = DatasetRequest(
        photographs=data_folder(services, visitor, folder, None),
        output="",
        keep=keep,
        augment=augment,
        variants=int(variants),
        labels=labels.strip(),
    )
    return services.start(visitor, DATASET, request)


def describe_dataset(run: Run) -> str:
    """How a preparation stands, and the numbers of its steps once it is done (HTML)."""
    steps = run.results / "dataset" / "steps.json"
    status = run.status()
    card = progress_card(status, "The dataset is ready." if status.state == "done" else "")
    return card + (_table(steps) if status.state == "done" else "")


def _table(steps: Path) -> str:
    rows = "".join(
        f"<tr><td><b>{html.escape(step)}</b></td><td style='white-space:nowrap'>{count}</td><td>{html.escape(words)}</td></tr>"
        for step, count, words in read_json(steps)["rows"]
    )
    return f'<table class="fg-table fg-facts"><tbody>{rows}</tbody></table>'
