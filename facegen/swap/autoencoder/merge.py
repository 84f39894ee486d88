"""Laying a drawn face over the frame: which mask, which colours, which way. Settings with DeepFaceLab's names."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from facegen.config import check, from_dict, override, read_json, save
from facegen.errors import InputError
from facegen.swap.options import SwapOptions

Mode = Literal[
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
Colour = Literal["none", "rct", "lct", "mkl", "idt", "sot"]
FILE, CLIPS = "merge.json", "merge"
"""In a run folder: settings of every merge, and a folder with those of single clips, by the clip's name."""


def _bounded(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"min": low, "max": high, "step": 1})


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """How a trained face is laid over the frame."""

    mode: Mode = "overlay"
    """original leaves the frame; overlay blends; hist-match also matches the histograms; seamless blends gradients
    (Poisson); raw-rgb and raw-predict show what the model drew; mesh-guided moves its features to where the mesh of the
    frame's face wants them, with the frame's own eyes, teeth, sharpness and grain; mask shows the mask alone, for
    compositors."""
    mask: MaskMode = "learned-prd*dst"
    """full is the whole crop; hull the outline of the face in the frame; learned what the model drew for B's face (prd)
    and A's (dst); parser what the face parser sees; own what a mask of yours says that was trained (`own_mask`)."""
    own_mask: str = ""
    """Run folder of a training of «mask», for mask=own."""
    erode: int = _bounded(5, -400, 400)
    """Shrinks the mask (grows it below 0), thousandths of the crop's side."""
    blur: int = _bounded(60, 0, 400)
    """Softens the mask's border, thousandths of the crop's side."""
    face_scale: int = _bounded(0, -50, 50)
    """Makes the new face larger or smaller, percent."""
    colour: Colour = "rct"
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
        for name, offered in (("mode", get_args(Mode)), ("mask", get_args(MaskMode)), ("colour", get_args(Colour))):
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
def merge_options(text: str, place: Path | None = None) -> MergeOptions:
    """The options that a text such as «mode=seamless, mask=hull, blur=40» asks for.

    Args:
        text: key=value, separated by commas.
        place: a run folder; what `save_options` left there is what the text changes.

    Raises:
        InputError: an unknown key, or a value that does not fit.
    """
    kept = place / FILE if place is not None else None
    base = from_dict(MergeOptions, read_json(kept)) if kept is not None and kept.is_file() else MergeOptions()
    return _changed(base, text)


def merge_text(options: MergeOptions) -> str:
    """The text that `merge_options` reads these options from, all of them said."""
    return ", ".join(f"{item.name}={getattr(options, item.name)}" for item in fields(MergeOptions))


def save_options(options: MergeOptions, place: Path, clip: str | None = None) -> None:
    """Keeps options beside a run, for its next merge, or for the next one of a clip (a path, of which the name counts)."""
    path = place / FILE if clip is None else clip_file(place, clip)
    path.parent.mkdir(exist_ok=True)
    save(path, options)
    merge_options.cache_clear()


def clip_file(place: Path, clip: str) -> Path:
    """Where a run folder keeps the settings of a clip."""
    return place / CLIPS / f"{Path(clip).name}.json"


def for_clip(options: SwapOptions, clip: str) -> SwapOptions:
    """Options of a swap with the settings that were kept for its clip; those that `merge` names stay as it says.

    Raises:
        InputError: `merge` or what was kept does not fit.
    """
    kind, _, run = options.engine.partition(":")
    kept = clip_file(Path(run), clip)
    if kind != "autoencoder" or not kept.is_file():
        return options
    return replace(options, merge=merge_text(_changed(from_dict(MergeOptions, read_json(kept)), options.merge)))


def _changed(base: MergeOptions, text: str) -> MergeOptions:
    return override(base, [part.strip() for part in text.split(",") if part.strip()])
