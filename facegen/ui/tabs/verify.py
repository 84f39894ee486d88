"""The Verify tab: drop a file, read what it says of its making."""

import html
from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.provenance import Report, verify
from facegen.ui.examples import EXAMPLE_CLICK, example_cards
from facegen.ui.handlers import note, show_errors
from facegen.ui.page import PREVIEW
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services

_ASK = "Drop a picture or video: its signature, its invisible watermark and its metadata are looked at."
_CAVEAT = (
    "Nothing leaves this machine. Where nothing is found, the file may still be synthetic: another program may have "
    "made it, or the traces may have been removed. A manifest beside a file (.c2pa) is read by the command "
    "<code>facegen verify</code>."
)


def build(services: Services, tab: gr.Tab) -> None:
    """Lay out the tab and wire it; it opens on a picture of the examples, whose report is made when the tab is."""
    example = str(services.examples.file(PREVIEW))
    with gr.Row(elem_id="verify-columns"):
        with gr.Column(scale=1, min_width=300):
            file = gr.File(
                label="A picture or video", file_types=[*PICTURE_SUFFIXES, *VIDEO_SUFFIXES], elem_id="verify-file"
            )
            cards = example_cards([("swap.mp4", "A swap of facegen", ("ada", "bea"))])
            examples = gr.HTML(f'<div class="fg-hint">No file at hand?</div>{cards}', js_on_load=EXAMPLE_CLICK)
            gr.HTML(f'<div class="fg-hint">{_CAVEAT}</div>')
        with gr.Column(scale=2, min_width=300):
            words = gr.HTML(note(_ASK), elem_id="verify-report")
            shown = gr.Image(
                example, label="An example", interactive=False, height=240, buttons=[], elem_id="verify-example"
            )

    @show_errors(1)
    def look(path: str | None) -> str:
        return report_card(verify_file(path))

    def use_example(event: gr.EventData) -> str:
        return str(services.examples.file(event.example))

    quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}
    file.change(
        lambda path: (look(path) if path else note(_ASK), gr.Image(visible=False)), file, [words, shown], **quiet
    )
    examples.click(use_example, None, file, **quiet)
    seen = gr.State(False)
    tab.select(
        lambda path, is_seen: (gr.skip() if path or is_seen else look(example), True), [file, seen], [words, seen],
        show_progress="hidden", **quiet,
    )  # fmt: skip


def report_card(report: Report) -> str:
    """A report as HTML."""
    verdict, *details = report.lines()
    state = "done" if report.is_proven else "failed" if report.verdict == "changed" else ""
    rows = "".join(_row(line) for line in details)
    return (
        f'<div class="fg-status {state}" role="status" data-verdict="{report.verdict}">'
        f'<div class="fg-line"><b>{html.escape(verdict)}</b></div>{rows}</div>'
    )


def _row(line: str) -> str:
    subject, _, words = line.partition(": ")
    words = words[:1].upper() + words[1:]
    return f'<div class="fg-text" style="margin-top: 10px"><b>{html.escape(subject)}</b><br>{html.escape(words)}</div>'


def verify_file(path: str | None) -> Report:
    """What a file says of its making.

    Raises:
        InputError: there is none.
    """
    if not path:
        raise InputError("Expected a picture or video, found nothing; drop a file first.")
    return verify(path)
