"""The Verify tab: drop a file, read what it says of its making."""

import html
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr

from facegen.errors import InputError
from facegen.guarded import Limits, run_guarded
from facegen.provenance.report import describe
from facegen.ui.examples import EXAMPLE_CLICK, example_cards
from facegen.ui.handlers import note, show_errors
from facegen.ui.page import PREVIEW
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services

_LIMITS = Limits(memory_mb=3000, cpu_seconds=120, wall_seconds=240.0)
"""What a look at an upload may take."""
_ASK = "Drop a picture or video: its signature, its invisible watermark and its metadata are looked at."
_CAVEAT = (
    "Where nothing is found, the file may still be synthetic: another program may have made it, or the traces may have "
    "been removed."
)


def build(services: Services, tab: gr.Tab) -> None:
    """Lay out the tab and wire it; it opens on a picture of the examples, whose report is made when the tab is."""
    example = str(services.examples.file(PREVIEW))
    with gr.Row(elem_id="verify-columns"):
        with gr.Column(scale=1, min_width=300):
            file = gr.File(
                label="A picture or video",
                file_types=[*PICTURE_SUFFIXES, *VIDEO_SUFFIXES, ".wav"],
                elem_id="verify-file",
            )
            address = gr.Textbox(label="Or the link of a result of this studio", elem_id="verify-address")
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
        return report_card(read_report(services, path))

    @show_errors(1)
    def report_address(link: str) -> str:
        return report_card(read_report(services, file_of_link(services, link))) if link.strip() else note(_ASK)

    def use_example(event: gr.EventData) -> str:
        return str(services.examples.file(event.example))

    quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}
    file.change(
        lambda path: (look(path) if path else note(_ASK), gr.Image(visible=False)), file, [words, shown], **quiet
    )
    address.submit(lambda link: (report_address(link), gr.Image(visible=False)), address, [words, shown], **quiet)
    examples.click(use_example, None, file, **quiet)
    seen = gr.State(False)
    tab.select(
        lambda path, is_seen: (gr.skip() if path or is_seen else look(example), True), [file, seen], [words, seen],
        show_progress="hidden", **quiet,
    )  # fmt: skip


def report_card(report: dict[str, Any]) -> str:
    """A report as HTML."""
    verdict, *details = report["lines"]
    state = "done" if report["is_proven"] else "failed" if report["verdict"] == "changed" else ""
    rows = "".join(_row(line) for line in details)
    return (
        f'<div class="fg-status {state}" role="status" data-verdict="{report["verdict"]}">'
        f'<div class="fg-line"><b>{html.escape(verdict)}</b></div>{rows}</div>'
    )


def _row(line: str) -> str:
    subject, _, words = line.partition(": ")
    words = words[:1].upper() + words[1:]
    return f'<div class="fg-text" style="margin-top: 10px"><b>{html.escape(subject)}</b><br>{html.escape(words)}</div>'


def read_report(services: Services, path: str | None) -> dict[str, Any]:
    """What a file says of its making, as `facegen verify --json` prints it; in a shared studio a process with limits opens it.

    Raises:
        InputError: there is none, or it cannot be read within the limits.
    """
    if not path:
        raise InputError("Expected a picture or video, found nothing; drop a file first.")
    if not services.settings.shared:
        return describe(path)
    report: dict[str, Any] = run_guarded(
        "facegen.provenance.report:describe", path, what=repr(Path(path).name), limits=_LIMITS
    )
    return report


def file_of_link(services: Services, link: str) -> str:
    """The file behind a link that this studio's page shows for a result; whoever has the link can fetch the file, too.

    Raises:
        InputError: it is another address, or the file has gone.
    """
    try:
        named = unquote(urlsplit(link.strip()).path).partition("/file=")[2]
        file = Path(named).resolve()
        is_ours = named != "" and file.is_relative_to(services.folder.resolve()) and file.is_file()
    except (ValueError, OSError):  # no address at all
        is_ours = False
    if not is_ours:
        raise InputError(
            "Expected the link of a result of this studio, found another address; copy it from a result, or drop the file."
        )
    return str(file)
