"""The Verify tab: drop a file, read what it says of its making."""

import html
from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.provenance import Report, verify
from facegen.ui.handlers import note, show_errors
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services

_ASK = "Drop a picture or video: its signature, its invisible watermark and its metadata are looked at."
_CAVEAT = (
    "Nothing leaves this machine. Where nothing is found, the file may still be synthetic: another program may have "
    "made it, or the traces may have been removed. A manifest beside a file (.c2pa) is read by the command "
    "<code>facegen verify</code>."
)


def build(services: Services) -> None:
    """Lay out the tab and wire it; `services` is not needed, since a look at a file leaves nothing behind."""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            file = gr.File(
                label="A picture or video", file_types=[*PICTURE_SUFFIXES, *VIDEO_SUFFIXES], elem_id="verify-file"
            )
            gr.HTML(f'<div class="fg-hint">{_CAVEAT}</div>')
        with gr.Column(scale=2, min_width=300):
            words = gr.HTML(note(_ASK), elem_id="verify-report")

    @show_errors(1)
    def look(path: str | None) -> str:
        return report_card(verify_file(path))

    quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}
    file.upload(look, file, words, **quiet)
    file.clear(lambda: note(_ASK), None, words, show_progress="hidden", **quiet)


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
