"""Options of a merge, with DeepFaceLab's names: which mask, which colour transfer, which mode. Imports no torch."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from facegen.config import check, load, override, save
from facegen.errors import InputError
from facegen.swap.options import SwapOptions

MergeMode = Literal[
    "original",
    "overlay",
    "hist-match",
    "seamless",
    "seamless-hist-match",
    "raw-rgb",
    "raw-predict",
    "mesh-guided",
    "mask",
]
MaskMode = Literal[
    "full",
    "hull",
    "learned-prd",
    "learned-dst",
    "learned-prd*dst",
    "learned-prd+dst",
    "parser",
    "parser*learned",
    "own",
]
ColourTransfer = Literal["none", "rct", "lct", "mkl", "idt", "sot"]
OPTIONS_FILE, CLIP_FOLDER = "merge.json", "merge"
"""In a run folder: the options of every merge, and the folder with those of single clips, by the clip's name."""


def _bounded(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"min": low, "max": high, "step": 1})


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """How a predicted face is composited into the frame."""

    mode: MergeMode = "overlay"
    """original leaves the frame; overlay blends; hist-match also matches the histograms; seamless blends gradients
    (Poisson); raw-rgb and raw-predict show the model's output; mesh-guided warps its features to the mesh of the frame's
    face, with the frame's own eyes, teeth, sharpness and grain; mask shows the mask alone, for compositors."""
    mask: MaskMode = "learned-prd*dst"
    """full is the whole crop; hull the outline of the face in the frame; learned the model's masks of B's face (prd) and
    A's (dst); parser the face parser's; own that of a mask model you trained (`own_mask`)."""
    own_mask: str = ""
    """Run folder of a training of «mask», for mask=own."""
    erode: int = _bounded(5, -400, 400)
    """Shrinks the mask (grows it below 0), thousandths of the crop's side."""
    blur: int = _bounded(60, 0, 400)
    """Softens the mask's border, thousandths of the crop's side."""
    face_scale: int = _bounded(0, -50, 50)
    """Makes the new face larger or smaller, percent."""
    colour: ColourTransfer = "rct"
    """Gives the new face the colours of the frame."""
    hist_threshold: int = _bounded(238, 0, 255)
    """Values above this are not matched by hist-match, so that highlights do not spread."""
    motion_blur: int = _bounded(0, 0, 100)
    """Blurs the new face as it moves, percent of the way between two frames."""
    sharpen: int = _bounded(0, -100, 100)
    """Sharpens the new face, or softens it below 0."""
    restore: int = _bounded(0, 0, 100)
    """Brings details back to the new face with the restorer, percent."""
    denoise: int = _bounded(0, 0, 500)
    """Takes noise out of the frame around the face."""
    degrade: int = _bounded(0, 0, 100)
    """Lowers the resolution of the new face, percent."""
    colour_degrade: int = _bounded(0, 0, 100)
    """Lowers the number of colours of the new face, percent."""
    morph: int = _bounded(100, 0, 100)
    """How far to go from A to B, percent (amp models)."""

    def __post_init__(self) -> None:
        check(self)
        choices = {"mode": get_args(MergeMode), "mask": get_args(MaskMode), "colour": get_args(ColourTransfer)}
        for name, offered in choices.items():
            if getattr(self, name) not in offered:
                raise InputError(
                    f"Expected a merge {name} of {', '.join(offered)}, found {getattr(self, name)!r}; choose one of these."
                )
        if self.mask == "own" and not self.own_mask:
            raise InputError(
                "Expected a trained mask for mask=own, found none; choose one, or name the run of its training with "
                "own_mask=RUN."
            )


@functools.lru_cache(maxsize=64)
def parse_merge_options(text: str, run: Path | None = None) -> MergeOptions:
    """Parses a text such as «mode=seamless, mask=hull, blur=40».

    Args:
        text: key=value pairs, separated by commas.
        run: a run folder; the text changes the options that `save_merge_options` kept there.

    Raises:
        InputError: an unknown key, or a value that does not fit.
    """
    kept = run / OPTIONS_FILE if run is not None else None
    base = load(MergeOptions, kept) if kept is not None and kept.is_file() else MergeOptions()
    return _override(base, text)


def format_merge_options(options: MergeOptions) -> str:
    """The text from which `parse_merge_options` reads these options, with every key."""
    return ", ".join(f"{item.name}={getattr(options, item.name)}" for item in fields(MergeOptions))


def save_merge_options(options: MergeOptions, run: Path, clip: str | None = None) -> None:
    """Saves options in a run folder, for every merge with its model, or for those of one clip.

    Args:
        options: to be saved.
        run: the run folder.
        clip: path of a video; its file name identifies it.
    """
    path = run / OPTIONS_FILE if clip is None else clip_options_path(run, clip)
    path.parent.mkdir(exist_ok=True)
    save(path, options)
    parse_merge_options.cache_clear()


def clip_options_path(run: Path, clip: str) -> Path:
    """Where a run folder keeps the options of a clip."""
    return run / CLIP_FOLDER / f"{Path(clip).name}.json"


def apply_clip_options(options: SwapOptions, clip: str) -> SwapOptions:
    """Completes `SwapOptions.merge` with the options kept for a clip; keys that `merge` names keep its values.

    Raises:
        InputError: `merge` or the kept options do not fit.
    """
    kind, _, run = options.engine.partition(":")
    kept = clip_options_path(Path(run), clip)
    if kind != "autoencoder" or not kept.is_file():
        return options
    merged = _override(load(MergeOptions, kept), options.merge)
    return replace(options, merge=format_merge_options(merged))


def _override(base: MergeOptions, text: str) -> MergeOptions:
    return override(base, [part.strip() for part in text.split(",") if part.strip()])
