"""The Faceset tab: cut faces out of videos, look at them, sort, clean, mask, take them away."""

from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.faces.weights import detector_files
from facegen.facesets.options import CLEAN_REASONS, MASKS, SORT_KEYS, ExtractOptions
from facegen.jobs.job import count_text
from facegen.ui.examples import EXAMPLE_CLICK, FACESET, example_cards
from facegen.ui.handlers import Shell, note, progress_card, require_consent, show_errors, step
from facegen.ui.options import Widgets, widgets
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services, Visitor
from facegen.ui.tabs.faceset import brush, tools
from facegen.ui.tabs.faceset import facesets as work

MATTER = ("face_type", "size", "every", "min_face_px")
MORE = ("min_sharpness", "max_faces", "person_distance", "format", "jpeg_quality", "detector")
LABELS = {"face_type": "How much is shown", "every": "Every so many frames", "min_face_px": "Smallest face (pixels)",
    "min_sharpness": "Least sharpness", "max_faces": "Most faces of a picture", "person_distance": "How alike a person must be",
    "format": "Pictures are kept as", "jpeg_quality": "JPEG quality", "detector": "Face detector",
}  # fmt: skip
_MASKS = {"hull": "Outline of the face (hull)", "parser": "Skin, eyes and mouth (face parser)"}
_FIRST_WORDS = "You see an example: faces cut out of a clip of two people whom facegen drew. Nobody in it exists."
_SECONDS = 1.5
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_BUSY: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}


def build(services: Services, shell: Shell) -> gr.Timer:
    """Lay out the tab and wire it.

    Returns:
        The timer that follows an extraction; it is to run only while the tab is seen.
    """
    timer = gr.Timer(_SECONDS, active=False)
    run_name, number, proposals = gr.State(""), gr.State(0), gr.State([])
    with gr.Row(elem_classes="fg-columns", elem_id="faceset-columns"):
        with gr.Column(scale=2, min_width=300):
            gr.HTML(step(1, "Cut faces out", "Videos, pictures; several at once."))
            files = gr.File(
                label="Videos and pictures",
                file_count="multiple",
                file_types=[*VIDEO_SUFFIXES, *PICTURE_SUFFIXES],
                elem_id="faceset-files",
            )
            example = gr.HTML(
                '<div class="fg-hint">No files at hand? Take a clip of two people who do not exist:</div>'
                + example_cards([("two.mp4", "Two people, one clip", ("bea", "carl"))]),
                js_on_load=EXAMPLE_CLICK,
                elem_id="faceset-example",
            )
            name = gr.Textbox("faces", label="Name of the faceset", max_length=64, elem_id="faceset-name")
            person = gr.File(
                label="Only this person (a picture; may be left out)",
                file_count="multiple",
                file_types=[*PICTURE_SUFFIXES],
                height=150,
                elem_id="faceset-person",
            )
            basic = widgets(ExtractOptions, MATTER, labels=LABELS, choices={"face_type": work.FACE_TYPES})
            with gr.Accordion("More", open=False):
                others = gr.File(
                    label="Nobody who looks like these (pictures; may be left out)",
                    file_count="multiple",
                    file_types=[*PICTURE_SUFFIXES],
                    height=150,
                    elem_id="faceset-others",
                )
                more = widgets(ExtractOptions, MORE, labels=LABELS, prefix="faceset")
                shell.hub_options.add(more.components[MORE.index("detector")], detector_files)
            status = gr.HTML(note("Add videos or pictures, or take the example."), elem_id="faceset-status")
            extract = gr.Button("Cut faces out", variant="primary", elem_id="faceset-extract")
        with gr.Column(scale=3, min_width=300):
            gr.HTML(step(2, "Look and sort"))
            with gr.Row():
                chosen = gr.Dropdown([], label="Faceset", scale=2, min_width=160, elem_id="faceset-chosen")
                key = gr.Dropdown(
                    [(work.ORDERS[key], key) for key in SORT_KEYS],
                    value="blur",
                    label="Order",
                    min_width=120,
                    elem_id="faceset-key",
                )
                count = gr.Number(2000, label="Faces to keep", precision=0, minimum=1, min_width=110, visible=False)
            with gr.Row(elem_classes="fg-buttons"):
                sort = gr.Button("Sort", min_width=90, elem_id="faceset-sort")
                before = gr.Button("◀ Page before", min_width=110)
                after = gr.Button("Next page ▶", min_width=110)
                about = gr.Button("Statistics", min_width=90, elem_id="faceset-info")
            words = gr.HTML(note(_FIRST_WORDS), elem_id="faceset-words")
            gallery = _gallery("Faces", "faceset-gallery", first=_example_faces(services))
            spread = gr.Image(
                label="Distribution", show_label=False, visible=False, interactive=False, buttons=["fullscreen"]
            )
            clean, mask, take = _tools()
            brush.build(services, shell, chosen, words)
            tools.build(services, shell, chosen, words)
    pages = {"words": words, "gallery": gallery, "number": number}

    def use_example(event: gr.EventData) -> list[str]:
        return [str(services.examples.file(event.example))]

    example.click(use_example, None, files, **_QUIET)
    _wire_extraction(
        services, shell, timer, run_name, (files, name, person, others, basic, more), extract, status, chosen, pages
    )
    _wire_looking(services, shell, chosen, (key, count, sort, before, after, about), spread, pages)
    _wire_cleaning(services, shell, chosen, proposals, clean, pages)
    _wire_masks(services, shell, chosen, mask, take, pages)
    return timer


def _gallery(label: str, name: str, *, is_visible: bool = True, first: list[str] | None = None) -> gr.Gallery:
    return gr.Gallery(
        first, label=label, columns=6, height=360, object_fit="contain", allow_preview=False, interactive=False, elem_id=name,
        elem_classes="fg-faces", show_label=False, visible=is_visible, buttons=[],
    )  # fmt: skip


def _example_faces(services: Services) -> list[str]:
    return [str(services.examples.file(name)) for name in FACESET]


def _none() -> gr.Gallery:
    return gr.Gallery([], visible=False)


def _tools() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The widgets of cleaning, of masks, and of taking the faces away."""
    gr.HTML(step(3, "Clean", "See what does not belong; click a face to keep or drop it."))
    clean: dict[str, Any] = {
        "reasons": gr.CheckboxGroup(
            [(work.REASONS[reason], reason) for reason in CLEAN_REASONS], value=list(CLEAN_REASONS), label="Look for"
        ),
    }
    with gr.Row(elem_classes="fg-buttons"):
        clean["propose"] = gr.Button("Find what does not belong", min_width=230, elem_id="faceset-propose")
        clean["drop"] = gr.Button("Move to the trash", variant="stop", min_width=130, elem_id="faceset-drop")
        clean["undo"] = gr.Button("Undo", min_width=80, elem_id="faceset-undo")
    clean["gallery"] = _gallery("Proposed for the trash", "faceset-proposals", is_visible=False)
    gr.HTML(step(4, "Mask and take away"))
    mask: dict[str, Any] = {
        "kind": gr.Radio([(_MASKS[kind], kind) for kind in MASKS], value="parser", label="Masks by")
    }
    with gr.Row(elem_classes="fg-buttons"):
        mask["make"] = gr.Button("Make masks", min_width=110, elem_id="faceset-mask")
        mask["remove"] = gr.Button("Remove masks", min_width=110)
    take = {
        "pack": gr.Button("Pack for download", elem_id="faceset-pack"),
        "files": gr.File(label="Archives (.tar)", visible=False, interactive=False, file_count="multiple"),
    }
    return clean, mask, take


def _page(services: Services, visitor: Visitor, name: str | None, number: int, said: str = "") -> tuple[Any, Any, int]:
    """Words, tiles and the number of a page that exists."""
    if not name:
        return note(_FIRST_WORDS), _example_faces(services), 0
    faceset = work.open_faceset(services, visitor, name)
    last = max(0, (len(faceset) - 1) // work.PAGE)
    number = min(max(number, 0), last)
    where = f", page {number + 1} of {last + 1}" if last else ""
    kind = (
        f"{work.FACE_TYPES[faceset.face_type].partition(':')[0].lower()}, {faceset.records[0].size} px"
        if len(faceset)
        else "empty"
    )
    return (
        note(f"{said} {count_text(len(faceset), 'face')}, {kind}{where}.".strip()),
        work.page(faceset, number),
        number,
    )


def _wire_extraction(
    services: Services,
    shell: Shell,
    timer: gr.Timer,
    run_name: gr.State,
    widgets_: tuple[gr.File, gr.Textbox, gr.File, gr.File, Widgets, Widgets],
    extract: gr.Button,
    status: gr.HTML,
    chosen: gr.Dropdown,
    pages: dict[str, Any],
) -> None:
    files, name, person, others, basic, more = widgets_

    @show_errors(2)
    def begin(visitor: Visitor, consent: bool, paths: Any, title: str, *rest: Any) -> Any:
        require_consent(consent)
        (wanted, unwanted, *values), middle = rest, len(basic.names)
        settings = {**basic.settings(values[:middle]), **more.settings(values[middle:])}
        run = work.start(
            *(services, visitor),
            name=title,
            files=paths or [],
            persons=wanted or [],
            others=unwanted or [],
            settings=settings,
        )
        return note("It waits for its turn."), run.name

    def follow(visitor: Visitor, name: str, current: str | None, done: str) -> Any:
        """The card; when a run has ended, its faceset is chosen."""
        own = work.names(services, visitor)
        value = current if current in own else (own[0] if own else None)
        if not name:
            return gr.skip(), gr.Dropdown(own, value=value), gr.skip()
        run = services.run(visitor, name)
        state = run.status()
        if state.state == "done":
            folder = str(run.request.get("output", "")).rsplit("/", 1)[-1]
            return progress_card(state), gr.Dropdown(own, value=folder if folder in own else value), ""
        return progress_card(state), gr.Dropdown(own, value=value), name if state.is_active else ""

    extract.click(
        begin,
        [shell.visitor, shell.consent, files, name, person, others, *basic.components, *more.components],
        [status, run_name],
        **_QUIET,
    )
    timer.tick(
        follow,
        [shell.visitor, run_name, chosen, run_name],
        [status, chosen, run_name],
        trigger_mode="once",
        concurrency_limit=None,
        **_QUIET,
    )
    chosen.change(
        show_errors(3)(lambda visitor, name: _page(services, visitor, name, 0)),
        [shell.visitor, chosen],
        [pages["words"], pages["gallery"], pages["number"]],
        **_BUSY,
    )


def _wire_looking(
    services: Services,
    shell: Shell,
    chosen: gr.Dropdown,
    tools: tuple[Any, ...],
    spread: gr.Image,
    pages: dict[str, Any],
) -> None:
    key, count, sort, before, after, about = tools
    made = [pages["words"], pages["gallery"], pages["number"]]

    @show_errors(3)
    def order(visitor: Visitor, name: str, by: str, keep: float) -> Any:
        from facegen.facesets import sort as sorting
        from facegen.facesets import trash

        faceset = work.open_faceset(services, visitor, name)
        found = sorting.sort(faceset, by, count=int(keep or 1))
        trash.move(faceset, found.dropped, [f"sort by {by}"] * len(found.dropped))
        faceset.rename_in_order(found.records)
        gone = f" {len(found.dropped)} went to the trash (Undo brings them back)." if found.dropped else ""
        return _page(services, visitor, name, 0, f"Sorted by «{work.ORDERS[by]}».{gone}")

    @show_errors(3)
    def turn(visitor: Visitor, name: str, number: int, way: int) -> Any:
        return _page(services, visitor, name, number + way)

    @show_errors(2)
    def look(visitor: Visitor, name: str) -> Any:
        from facegen.facesets import info

        return gr.skip(), gr.Image(info.draw(work.open_faceset(services, visitor, name)), visible=True)

    key.change(lambda by: gr.Number(visible=by == "final"), key, count, **_QUIET)
    sort.click(order, [shell.visitor, chosen, key, count], made, **_BUSY)
    for button, way in ((before, -1), (after, 1)):
        button.click(turn, [shell.visitor, chosen, pages["number"], gr.State(way)], made, **_BUSY)
    about.click(look, [shell.visitor, chosen], [pages["words"], spread], **_BUSY)


def _wire_cleaning(
    services: Services,
    shell: Shell,
    chosen: gr.Dropdown,
    proposals: gr.State,
    clean: dict[str, Any],
    pages: dict[str, Any],
) -> None:
    made = [pages["words"], pages["gallery"], pages["number"], proposals, clean["gallery"]]

    @show_errors(3)
    def propose(visitor: Visitor, name: str, reasons: list[str]) -> Any:
        faceset = work.open_faceset(services, visitor, name)
        found = work.propose(faceset, reasons)
        said = f"{len(found)} of {len(faceset)} faces are proposed; click those that are to stay."
        return note(said), found, gr.Gallery(work.draw_proposals(faceset, found), visible=bool(found))

    @show_errors(3)
    def toggle(visitor: Visitor, name: str, found: list[work.Proposal], event: gr.SelectData) -> Any:
        changed = work.toggle(found, int(event.index))
        left = sum(not proposal.is_kept for proposal in changed)
        tiles = work.draw_proposals(work.open_faceset(services, visitor, name), changed)
        return note(f"{count_text(left, 'face')} would go."), changed, tiles

    @show_errors(5)
    def drop(visitor: Visitor, name: str, found: list[work.Proposal]) -> Any:
        if not found:
            raise InputError("Expected proposals, found none; press «Find what does not belong» first.")
        _, count = work.drop(work.open_faceset(services, visitor, name), found)
        return *_page(services, visitor, name, 0, f"{count} went to the trash (Undo brings them back)."), [], _none()

    @show_errors(5)
    def undo(visitor: Visitor, name: str) -> Any:
        from facegen.facesets import trash

        _, count = trash.restore(work.open_faceset(services, visitor, name))
        return *_page(services, visitor, name, 0, f"{count_text(count, 'face')} back."), [], _none()

    shown_too = [pages["words"], proposals, clean["gallery"]]
    clean["propose"].click(propose, [shell.visitor, chosen, clean["reasons"]], shown_too, **_BUSY)
    clean["gallery"].select(toggle, [shell.visitor, chosen, proposals], shown_too, **_QUIET)
    clean["drop"].click(drop, [shell.visitor, chosen, proposals], made, **_BUSY)
    clean["undo"].click(undo, [shell.visitor, chosen], made, **_BUSY)


def _wire_masks(
    services: Services,
    shell: Shell,
    chosen: gr.Dropdown,
    mask: dict[str, Any],
    take: dict[str, Any],
    pages: dict[str, Any],
) -> None:
    made = [pages["words"], pages["gallery"], pages["number"]]

    @show_errors(3)
    def make(visitor: Visitor, name: str, kind: str) -> Any:
        from facegen.facesets import mask as masking

        faceset = masking.apply(work.open_faceset(services, visitor, name), kind)
        return _page(services, visitor, name, 0, f"Masks by {kind} on {count_text(len(faceset), 'face')}.")

    @show_errors(3)
    def remove(visitor: Visitor, name: str) -> Any:
        from facegen.facesets import mask as masking

        _, count = masking.remove(work.open_faceset(services, visitor, name))
        return _page(services, visitor, name, 0, f"{count_text(count, 'mask')} removed.")

    @show_errors(2)
    def pack(visitor: Visitor, name: str) -> Any:
        made = work.archive(services, visitor, work.open_faceset(services, visitor, name))
        said = f"Packed into {count_text(len(made), 'archive')}: {name}."
        return note(said), gr.File(made, visible=True)

    mask["make"].click(make, [shell.visitor, chosen, mask["kind"]], made, **_BUSY)
    mask["remove"].click(remove, [shell.visitor, chosen], made, **_BUSY)
    take["pack"].click(pack, [shell.visitor, chosen], [pages["words"], take["files"]], **_BUSY)
