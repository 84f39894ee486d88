"""Trained models on disk: safetensors with their settings, and `.dfm` (ONNX) for DeepFaceLive and FaceFusion."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facegen.config import from_dict, read_json, to_dict, write_json
from facegen.errors import InputError
from facegen.media import atomic_output
from facegen.swap.autoencoder.model import SaehdModel
from facegen.swap.autoencoder.options import SaehdOptions

WEIGHTS, SETTINGS, DFM = "model.safetensors", "model.json", "model.dfm"
OPSET = 12


def write_model(
    model: SaehdModel, options: SaehdOptions, folder: Path, *, with_dfm: bool = True, is_half: bool = False
) -> Mapping[str, Path]:
    """Writes what a swap needs; returns the files by name."""
    made = {"weights": folder / WEIGHTS, "settings": folder / SETTINGS}
    shape = {item.name: getattr(options, item.name) for item in fields(SaehdOptions)}
    write_json(made["settings"], to_dict(SaehdOptions(**shape)))
    with atomic_output(made["weights"]) as temporary:
        save_file({k: v.contiguous().cpu() for k, v in model.drawing_state().items()}, temporary)
    if with_dfm:
        made["dfm"] = folder / DFM
        write_dfm(model, options, made["dfm"], is_half=is_half)
    return made


def find_export(place: Path) -> Path:
    """The folder with a model's files: an export, or the newest export of a run.

    Raises:
        InputError: there is none.
    """
    if (place / WEIGHTS).is_file():
        return place
    made = sorted((place / "exports").glob(f"*/{WEIGHTS}"), key=lambda path: path.stat().st_mtime)
    if made:
        return made[-1].parent
    raise InputError(f"Expected a trained model at {place}, found none; export the training first.")


def read_model(place: Path) -> tuple[SaehdModel, SaehdOptions]:
    """A trained model, ready to draw.

    Raises:
        InputError: there is none, or its files do not belong together.
    """
    folder = find_export(place)
    options = from_dict(SaehdOptions, read_json(folder / SETTINGS))
    model = SaehdModel(options)
    _load(model, folder)
    return model.eval().requires_grad_(False), options


def read_weights(place: Path, model: SaehdModel) -> bool:
    """Puts the weights of an export into a model; returns whether they were pretrained on many people.

    Raises:
        InputError: there is no model, or one of another shape.
    """
    folder = find_export(place)
    _load(model, folder)
    return bool(read_json(folder / SETTINGS).get("pretrain"))


def _load(model: SaehdModel, folder: Path) -> None:
    try:
        weights = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"Expected weights in {folder / WEIGHTS}, but {error}; export the training again.") from error
    own = model.drawing_state()
    wrong = sorted(set(own) ^ set(weights)) or [name for name in own if own[name].shape != weights[name].shape]
    if wrong:
        raise InputError(
            f"Expected weights of this shape in {folder}, found those of another ({wrong[0]} differs); give the "
            "training the settings of the model that it starts from."
        )
    model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)


class _DfmGraph(nn.Module):
    """(N, R, R, 3) BGR in [0, 1] to masks (N, R, R, 1) and the swapped face (N, R, R, 3), as DeepFaceLive wants it."""

    def __init__(self, model: SaehdModel, *, is_half: bool) -> None:
        super().__init__()
        self.model, self.is_half, self.has_morph = model, is_half, model.way == "amp"

    def forward(self, face: Tensor, morph: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        pictures = face.permute(0, 3, 1, 2).flip(1)
        pictures = pictures.half() if self.is_half else pictures
        model = self.model
        again = model.draw_a(pictures)
        if morph is None:
            swapped = model.swap(pictures)
            picture, mask = swapped.picture, swapped.mask
        else:
            flat = model.encoder(pictures)
            own, other = model.inter_b(flat), model.inter_a(flat)
            share = torch.arange(own.shape[1], device=own.device).view(1, -1, 1, 1) / own.shape[1]
            picture, mask = model.decoder(torch.where(share < morph.to(share.dtype), own, other))
        return (
            again.mask.float().permute(0, 2, 3, 1),
            picture.float().flip(1).permute(0, 2, 3, 1),
            mask.float().permute(0, 2, 3, 1),
        )


def write_dfm(model: SaehdModel, options: SaehdOptions, path: Path, *, is_half: bool = False) -> None:
    """Writes a `.dfm`: ONNX of opset 12 with DeepFaceLab's tensor names, batch of any size."""
    import onnx

    graph = _DfmGraph(copy.deepcopy(model).cpu().float().eval(), is_half=is_half)
    if is_half:
        graph.model.half()
    faces = torch.zeros(1, options.resolution, options.resolution, 3)
    inputs: tuple[Tensor, ...] = (faces, torch.ones(1)) if graph.has_morph else (faces,)
    outputs = ["out_face_mask:0", "out_celeb_face:0", "out_celeb_face_mask:0"]
    with atomic_output(path) as temporary, warnings.catch_warnings(), torch.no_grad():
        # the exporter that writes opset 12 is the older one, and says so
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            inputs,
            str(temporary),
            opset_version=OPSET,
            dynamo=False,
            input_names=["in_face:0", "morph_value:0"][: len(inputs)],
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in ("in_face:0", *outputs)},
        )
        made = onnx.load(str(temporary))
        made.metadata_props.add(key="face_type", value=options.face_type)
        onnx.save(made, str(temporary))
