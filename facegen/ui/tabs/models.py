"""The Models tab: every weight file facegen knows, where it comes from, its licence, and whether it is here."""

import html

import gradio as gr

from facegen import hub
from facegen.ui.handlers import size
from facegen.ui.services import Services


def build(services: Services, tab: gr.Tab) -> None:
    """Lay out the tab; the list is made anew whenever the tab is opened."""
    gr.HTML(
        '<div class="fg-hint">What is bundled or lies in an installed package needs no download. What comes from '
        "the Hub is better, never necessary, and is fetched only on request, with its checksum held.</div>"
    )
    models = gr.HTML(table(services.weights()), elem_id="models-list")
    tab.select(lambda: table(services.weights()), None, models, show_progress="hidden", api_visibility="private")


def table(weights: tuple[hub.WeightFile, ...]) -> str:
    """The list as HTML."""
    head = "<tr><th>Model</th><th>State</th><th>Licence</th><th>Size</th><th>From</th></tr>"
    rows = "".join(_row(weight) for weight in weights)
    return f'<table class="fg-table"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def _row(weight: hub.WeightFile) -> str:
    present = hub.is_present(weight)
    state = "present" if present else "not here"
    terms = "" if weight.is_permissive else ' <span class="fg-chip">own terms</span>'
    amount = size(weight.size) if weight.size else "not stated"
    return (
        f'<tr><td><b>{html.escape(weight.name)}</b><div class="fg-hint">{html.escape(weight.filename)}</div></td>'
        f'<td><span class="fg-chip {"present" if present else "absent"}">{state}</span></td>'
        f'<td data-label="Licence">{html.escape(weight.licence)}{terms}</td><td data-label="Size">{amount}</td>'
        f'<td data-label="From">{_origin(weight)}</td></tr>'
    )


def _origin(weight: hub.WeightFile) -> str:
    match weight.source:
        case hub.Bundled():
            return "bundled with facegen"
        case hub.Package(distribution=name):
            return f"package {html.escape(name)}"
        case hub.Hub(repo_id=repository):
            return f"Hub, {html.escape(repository)}"
