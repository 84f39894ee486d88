"""The part of the Swap tab for trained models: which one draws the face, and how it is merged into the frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegen.swap.merge.options import MergeOptions
from facegen.ui.handlers import Shell, end_status, note, show_errors
from facegen.ui.options import Widgets, widgets
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.swap import trained as trained_swaps

MATTER = ("mode", "mask", "erode", "blur", "face_scale", "colour", "restore", "sharpen")
MORE = ("motion_blur", "denoise", "degrade", "colour_degrade", "hist_threshold", "morph")
LABELS = {
    "mode": "Merge mode",
    "erode": "Shrink the mask",
    "blur": "Soften the mask",
    "restore": "Details from the restorer (%)",
    "face_scale": "Size of the face (%)",
    "colour": "Colour transfer",
    "hist_threshold": "Highlights that are left (hist-match)",
    "morph": "From A to B (amp models)",
}
CHOICES = {
    "mode": {
        "original": "Leave the frame (original)",
        "overlay": "Blend (overlay)",
        "hist-match": "Blend, brightness matched (hist-match)",
        "seamless": "Blend gradients (seamless)",
        "seamless-hist-match": "Blend gradients, brightness matched",
        "raw-rgb": "The model's picture alone (raw-rgb)",
        "raw-predict": "The model's crop alone (raw-predict)",
        "mesh-guided": "Shape and eyes of the frame (mesh-guided)",
        "mask": "The mask alone, for compositors",
    },
    "mask": {
        "full": "The whole crop (full)",
        "hull": "Outline of the face (hull)",
        "learned-prd": "As the model learnt B's face (prd)",
        "learned-dst": "As the model learnt A's face (dst)",
        "learned-prd*dst": "Where both agree (prd*dst)",
        "learned-prd+dst": "Either of both (prd+dst)",
        "parser": "Skin, eyes and mouth as the face parser sees them",
        "parser*learned": "Face parser and model agree",
        "own": "A mask that you trained (own)",
    },
    "colour": {
        "none": "None",
        "rct": "Mean and contrast of each colour (RCT)",
        "lct": "Colours and how they go together (LCT)",
        "mkl": "Smallest change of all colours (MKL)",
        "idt": "The whole distribution, step by step (IDT)",
        "sot": "The whole distribution, sorted (SOT)",
    },
}
"""Choices in plain words, the field's own names beside them."""
HINT = (
    "A model trained for two people (Train tab) knows whose face it draws: no source picture is "
    "needed. The settings of its merge appear below the frame."
)


@dataclass(frozen=True, kw_only=True)
class Merging:
    """The widgets of a trained model."""

    engine: gr.Dropdown
    file: gr.File
    column: gr.Column
    groups: tuple[Widgets, ...]
    own_mask: gr.Dropdown
    keep: gr.Button
    patches: gr.Button
    archive: gr.DownloadButton

    @property
    def components(self) -> list[Any]:
        """All that `read` takes the values of, in order."""
        return [self.engine, self.file, *self.settings]

    @property
    def settings(self) -> list[Any]:
        """The widgets of the merge alone."""
        return [*(component for group in self.groups for component in group.components), self.own_mask]

    def values(self, values: Sequence[Any]) -> dict[str, Any]:
        """The merge settings by name."""
        return dict(zip((*(name for group in self.groups for name in group.names), "own_mask"), values, strict=True))

    def read(self, services: Services, visitor: Visitor, values: Sequence[Any]) -> dict[str, str]:
        """What the swap's options say of it; nothing for the built-in engine.

        Raises:
            InputError: a model is missing, or a value does not fit.
        """
        engine = trained_swaps.engine_of(services, visitor, *values[:2])
        if not engine or not trained_swaps.is_trained(values[0]):
            return {"engine": engine} if engine else {}
        return {"engine": engine, "merge": trained_swaps.merge_text(services, visitor, self.values(values[2:]))}


def build_engine() -> tuple[gr.Dropdown, gr.File]:
    """What draws the face."""
    engine = gr.Dropdown(
        [("Built in: any face, from a picture", trained_swaps.MESH)],
        value=trained_swaps.MESH,
        label="What draws the face",
        info=HINT,
        elem_id="swap-engine",
    )
    file = gr.File(label=".dfm file", file_types=[".dfm"], height=110, visible=False, elem_id="swap-dfm")
    return engine, file


def build_merge(engine: gr.Dropdown, file: gr.File) -> Merging:
    """How the drawn face is merged into the frame; seen only with a trained model."""
    with gr.Column(visible=False, elem_id="swap-merge") as column:
        gr.HTML('<div class="fg-hint">The frame above follows these settings.</div>')
        with gr.Group():
            matter = widgets(MergeOptions, MATTER, labels=LABELS, choices=CHOICES, prefix="merge")
        with gr.Accordion("More", open=False):
            more = widgets(MergeOptions, MORE, labels=LABELS, prefix="merge")
            own_mask = gr.Dropdown(
                [],
                label="Your trained mask (for mask «own»)",
                info="Trained on masks that you drew in the Faceset tab.",
                elem_id="merge-own_mask",
            )
        keep = gr.Button("Keep these settings for this clip", size="sm", elem_id="swap-merge-keep")
        with gr.Row(elem_classes="fg-buttons"):
            patches = gr.Button("16-bit patches for compositors", size="sm", min_width=150, elem_id="swap-patches")
            archive = gr.DownloadButton(
                "Download the patches", size="sm", visible=False, min_width=150, elem_id="swap-patches-zip"
            )
    return Merging(
        engine=engine,
        file=file,
        column=column,
        groups=(matter, more),
        own_mask=own_mask,
        keep=keep,
        patches=patches,
        archive=archive,
    )


def wire_merge(
    services: Services,
    shell: Shell,
    merging: Merging,
    target: gr.File,
    statuses: tuple[gr.HTML, gr.HTML],
    live: Callable[..., None],
) -> None:
    """Let the settings of a model appear, and the frame follow these.

    Args:
        services: the studio's.
        shell: visitor and consent.
        merging: the widgets.
        target: the clip; the settings that were kept for it come back with it.
        statuses: of the job, and what is shown while it says nothing.
        live: binds an event to a preview of the frame.
    """
    status, ready = statuses

    @show_errors(3 + len(merging.settings))
    def choose(visitor: Visitor, chosen: str | None, clip: str | None) -> Any:
        options = trained_swaps.load_options(services, visitor, chosen, clip)
        names = [name for group in merging.groups for name in group.names]
        masks, mask = trained_swaps.own_masks(services, visitor, options)
        words = f"{chosen} draws the face." if chosen else "The built-in engine draws the face of your picture."
        return (
            note(words),
            gr.File(visible=chosen == trained_swaps.FILE),
            gr.Column(visible=trained_swaps.is_trained(chosen)),
            *[getattr(options, name) for name in names],
            gr.Dropdown(masks, value=mask),
        )

    @show_errors(1)
    def keep(visitor: Visitor, chosen: str | None, clip: str | None, *values: Any) -> str:
        place = trained_swaps.save_options(services, visitor, chosen, merging.values(values), clip)
        return note(f"Kept in {place.name}; the next merge of this clip begins with them.")

    @show_errors(3 + len(merging.settings))
    def recall(visitor: Visitor, chosen: str | None, clip: str | None) -> Any:
        """What was kept for a new clip; otherwise the settings stay."""
        if not trained_swaps.has_options(services, visitor, chosen, clip):
            return [gr.skip() for _ in range(3 + len(merging.settings))]
        return choose(visitor, chosen, clip)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    end_status(merging.engine, status)
    made = [ready, merging.file, merging.column, *merging.settings]
    for component, handler in ((merging.engine, choose), (target, recall)):
        component.change(handler, [shell.visitor, merging.engine, target], made, **private)
    for component in (merging.engine, merging.file, *merging.settings):
        live(component.change)
    merging.keep.click(keep, [shell.visitor, merging.engine, target, *merging.settings], status, **private)
