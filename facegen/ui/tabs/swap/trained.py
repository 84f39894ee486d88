"""Engines that the Swap tab offers: one-shot models, trained models with their merge settings, files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facegen.catalog import WEIGHTS
from facegen.errors import InputError
from facegen.faces.weights import RECOGNISER_FILES
from facegen.hub import Hub, WeightFile
from facegen.jobs import Run
from facegen.reenact.weights import WEIGHTS as REENACTING
from facegen.swap.merge.options import (
    MergeOptions,
    apply_clip_options,
    clip_options_path,
    format_merge_options,
    parse_merge_options,
    save_merge_options,
)
from facegen.swap.oneshot.models import ENGINES, MODELS, find_model
from facegen.swap.options import LIVE_PORTRAIT, SwapOptions
from facegen.ui.options import parse
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.faceset import mask_drawing

MESH, FILE = "", "dfm"
"""What the drop-down says for the built-in engine, and for a file of one's own."""
KINDS = ("train", "swap-train")


def list_models(services: Services, visitor: Visitor) -> list[tuple[str, str]]:
    """(words, value) of what can draw a face: the built-in engine, one-shot models, the visitor's own trainings, a file."""
    found: list[tuple[str, str]] = [("Built in: any face, from a picture", MESH)]
    found += [(model.name, model.name) for model in MODELS]
    found.append(("live-portrait: the clip's own face, by sliders", LIVE_PORTRAIT))
    found += [(f"Trained here: {run.name}", run.name) for run in services.runs(visitor) if _has_model(run)]
    if not services.settings.shared:
        found.append(("A .dfm file of yours", FILE))
    return found


def engine_files(chosen: str | None) -> Sequence[WeightFile]:
    """The files of the Hub that the drop-down's value needs."""
    if chosen == LIVE_PORTRAIT:
        return REENACTING
    model = find_model(chosen) if chosen in ENGINES else None
    return model.weights if model else ()


def recogniser_files(recogniser: str) -> Sequence[WeightFile]:
    """The files of the Hub that a recogniser needs."""
    return (RECOGNISER_FILES[recogniser],) if recogniser in ("arcface", "auraface") else ()


def model_files(name: str) -> Sequence[WeightFile]:
    """The file of the Hub that an enhancer, a mask or a model of the whole frame is."""
    return [weight for weight in WEIGHTS if weight.name == name and isinstance(weight.source, Hub)]


def is_trained(chosen: str | None) -> bool:
    """Whether the drop-down's value names a model that knows its own person, whose face is merged."""
    return bool(chosen) and chosen not in (*ENGINES, LIVE_PORTRAIT)


def needs_source(chosen: str | None) -> bool:
    """Whether what the drop-down's value names puts a source's face into the target."""
    return not is_trained(chosen) and chosen != LIVE_PORTRAIT


def _has_model(run: Run) -> bool:
    return run.kind in KINDS and any((run.path / "exports").glob("*/model.json"))


def engine_of(services: Services, visitor: Visitor, chosen: str | None, file: str | None) -> str:
    """The engine that the drop-down's value names; empty for the built-in one.

    Raises:
        InputError: no file was given, or the run is somebody else's.
    """
    if not chosen:
        return ""
    if not is_trained(chosen):
        return chosen
    if chosen != FILE:
        return f"autoencoder:{services.run(visitor, chosen).path.absolute()}"
    if not file or services.settings.shared:
        raise InputError("Expected a .dfm file, found none; choose one, or a model that was trained here.")
    return f"dfm:{file}"


def merge_text(services: Services, visitor: Visitor, settings: Mapping[str, Any]) -> str:
    """What `SwapOptions.merge` says for the widgets' values.

    Raises:
        InputError: a value does not fit.
    """
    return format_merge_options(_options(services, visitor, settings))


def _options(services: Services, visitor: Visitor, settings: Mapping[str, Any]) -> MergeOptions:
    """The options that the widgets say; a trained mask is named by its run, one of the visitor's."""
    name = settings.get("own_mask")
    place = str(services.run(visitor, name).path.absolute()) if name else ""
    return parse(MergeOptions, {**settings, "own_mask": place})


def own_masks(services: Services, visitor: Visitor, options: MergeOptions) -> tuple[list[str], str | None]:
    """The visitor's trained masks, and which of them the options name."""
    found = mask_drawing.trained_masks(services, visitor)
    named = Path(options.own_mask).name
    return found, named if named in found else None


def load_options(services: Services, visitor: Visitor, chosen: str | None, clip: str | None = None) -> MergeOptions:
    """The merge settings that were kept beside a model for a clip, else for all, else the defaults."""
    if chosen is None or not is_trained(chosen) or chosen == FILE:
        return MergeOptions()
    place = services.run(visitor, chosen).path
    engine = SwapOptions(engine=f"autoencoder:{place}")
    return parse_merge_options(apply_clip_options(engine, clip).merge if clip else "", place)


def save_options(
    services: Services, visitor: Visitor, chosen: str | None, settings: Mapping[str, Any], clip: str | None = None
) -> Path:
    """Keep merge settings beside a model, for its next merge of a clip, or of any where none is given.

    Raises:
        InputError: no model that was trained here is chosen, or a value does not fit.
    """
    if chosen is None or not is_trained(chosen) or chosen == FILE:
        raise InputError("Expected a model that was trained here, found none chosen; choose one first.")
    place = services.run(visitor, chosen).path
    save_merge_options(_options(services, visitor, settings), place, clip)
    return place


def has_options(services: Services, visitor: Visitor, chosen: str | None, clip: str | None) -> bool:
    """Whether settings were kept beside a model for a clip."""
    if chosen is None or not is_trained(chosen) or chosen == FILE or not clip:
        return False
    return clip_options_path(services.run(visitor, chosen).path, clip).is_file()
