"""Model files: safetensors with their settings, and `.dfm` (ONNX) for DeepFaceLive and FaceFusion."""

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

from facegen.config import load, to_dict, write_json
from facegen.errors import InputError
from facegen.json_file import read_object
from facegen.media import atomic_output
from facegen.swap.autoencoder.model import SaehdModel
from facegen.swap.autoencoder.options import SaehdOptions

WEIGHTS, SETTINGS, DFM, ONNX = "model.safetensors", "model.json", "model.dfm", "model.onnx"
OPSET = 12
SHARD_BYTES = 9_000_000
"""Largest shard of weights that are kept in a repository."""


def write_model(
    model: SaehdModel,
    options: SaehdOptions,
    folder: Path,
    *,
    dfm_name: str | None = DFM,
    with_onnx: bool = False,
    is_half: bool = False,
    in_shards: bool = False,
) -> Mapping[str, Path]:
    """Writes what a swap needs; returns the files by name.

    Args:
        model: its discriminators are left out.
        options: its settings.
        folder: where.
        dfm_name: also as `.dfm` of this name.
        with_onnx: also as plain ONNX.
        is_half: half-precision numbers in the `.dfm`.
        in_shards: the weights in half precision, in files below 10 MB.
    """
    files = {"weights": folder / WEIGHTS, "settings": folder / SETTINGS}
    settings = {item.name: getattr(options, item.name) for item in fields(SaehdOptions)}
    write_json(files["settings"], to_dict(SaehdOptions(**settings)))
    weights = {k: v.contiguous().cpu() for k, v in model.autoencoder_state().items()}
    if in_shards:
        files["weights"] = _write_shards(
            {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}, folder
        )
    else:
        with atomic_output(files["weights"]) as temporary:
            save_file(weights, temporary)
    if dfm_name is not None:
        files["dfm"] = folder / dfm_name
        write_dfm(model, options, files["dfm"], is_half=is_half)
    if with_onnx:
        files["onnx"] = folder / ONNX
        write_onnx(model, options, files["onnx"])
    return files


def _write_shards(weights: Mapping[str, Tensor], folder: Path) -> Path:
    """Fills files one after the other; returns the first one.

    A tensor larger than a file is cut along its first axis, its parts named «NAME//0» and so on.
    """
    parts: list[tuple[str, Tensor]] = []
    for name, value in weights.items():
        pieces = -(-value.nbytes // SHARD_BYTES)
        cut = value.chunk(pieces) if pieces > 1 else (value,)
        parts += [(name, cut[0])] if len(cut) == 1 else [(f"{name}//{n}", part) for n, part in enumerate(cut)]
    shards: list[dict[str, Tensor]] = [{}]
    for name, value in parts:
        if shards[-1] and sum(part.nbytes for part in shards[-1].values()) + value.nbytes > SHARD_BYTES:
            shards.append({})
        shards[-1][name] = value.contiguous()
    paths = [folder / f"model-{n:05d}-of-{len(shards):05d}.safetensors" for n in range(1, len(shards) + 1)]
    for path, shard in zip(paths, shards, strict=True):
        with atomic_output(path) as temporary:
            save_file(shard, temporary)
    return paths[0]


def _read_shards(folder: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        weights |= load_file(path)
    for name in sorted({key.partition("//")[0] for key in weights if "//" in key}):
        count = sum(key.startswith(f"{name}//") for key in weights)
        weights[name] = torch.cat([weights.pop(f"{name}//{number}") for number in range(count)])
    return weights


def find_export(path: Path) -> Path:
    """The folder with a model's files, of an export or of the newest export of a run.

    Raises:
        InputError: there is none.
    """
    if (path / SETTINGS).is_file():
        return path
    exports = sorted((path / "exports").glob(f"*/{SETTINGS}"), key=lambda file: file.stat().st_mtime)
    if exports:
        return exports[-1].parent
    raise InputError(f"Expected a trained model at {path}, found none; export the training first.")


def load_model(path: Path) -> tuple[SaehdModel, SaehdOptions]:
    """Loads a trained model for inference, from a run or an export.

    Raises:
        InputError: there is none, or its files do not belong together.
    """
    folder = find_export(path)
    options = load(SaehdOptions, folder / SETTINGS)
    # on the meta device a network has shapes and no memory: settings of gigabytes beside small weights are never built
    with torch.device("meta"):
        expected = SaehdModel(options).autoencoder_state()
    weights = _read_weights(expected, folder)
    model = SaehdModel(options)
    model.load_state_dict(weights, strict=False)
    return model.eval().requires_grad_(False), options


def load_weights(path: Path, model: SaehdModel) -> bool:
    """Loads the weights of a run or an export into a model; returns whether they were pretrained on many people.

    Raises:
        InputError: there is no model, or one of another shape.
    """
    folder = find_export(path)
    model.load_state_dict(_read_weights(model.autoencoder_state(), folder), strict=False)
    return bool(read_object(folder / SETTINGS).get("pretrain"))


def _read_weights(expected: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The weights of an export, full precision.

    Raises:
        InputError: they cannot be read, or they are those of another network.
    """
    try:
        weights = _read_shards(folder)
    except (OSError, SafetensorError) as error:
        raise InputError(f"Expected weights in {folder}, but {error}; export the training again.") from error
    differing = sorted(set(expected) ^ set(weights)) or [
        name for name in expected if expected[name].shape != weights[name].shape
    ]
    if differing:
        raise InputError(
            f"Expected weights of this shape in {folder}, found those of another ({differing[0]} differs); give the "
            "training the settings of the model that it starts from."
        )
    return {name: value.float() for name, value in weights.items()}


class _DfmGraph(nn.Module):
    """(N, R, R, 3) BGR in [0, 1] to masks (N, R, R, 1) and the swapped face (N, R, R, 3), as DeepFaceLive wants it."""

    def __init__(self, model: SaehdModel, *, is_half: bool) -> None:
        super().__init__()
        self.model, self.is_half, self.has_morph = model, is_half, model.bottleneck == "amp"

    def forward(self, face: Tensor, morph: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        pictures = face.permute(0, 3, 1, 2).flip(1)
        pictures = pictures.half() if self.is_half else pictures
        model = self.model
        reconstruction = model.reconstruct_a(pictures)
        if morph is None:
            swapped = model.swap(pictures)
            picture, mask = swapped.picture, swapped.mask
        else:
            flat = model.encoder(pictures)
            own, other = model.inter_b(flat), model.inter_a(flat)
            share = torch.arange(own.shape[1], device=own.device).view(1, -1, 1, 1) / own.shape[1]
            picture, mask = model.decoder(torch.where(share < morph.to(share.dtype), own, other))
        return (
            reconstruction.mask.float().permute(0, 2, 3, 1),
            picture.float().flip(1).permute(0, 2, 3, 1),
            mask.float().permute(0, 2, 3, 1),
        )


def write_dfm(model: SaehdModel, options: SaehdOptions, path: Path, *, is_half: bool = False) -> None:
    """Writes a `.dfm`: ONNX of opset 12 with DeepFaceLab's tensor names, batch of any size."""
    graph = _DfmGraph(copy.deepcopy(model).cpu().float().eval(), is_half=is_half)
    if is_half:
        graph.model.half()
    faces = torch.zeros(1, options.resolution, options.resolution, 3)
    inputs: tuple[Tensor, ...] = (faces, torch.ones(1)) if graph.has_morph else (faces,)
    names = ["in_face:0", "morph_value:0"][: len(inputs)]
    _write_graph(graph, inputs, names, ["out_face_mask:0", "out_celeb_face:0", "out_celeb_face_mask:0"], options, path)


class _PlainGraph(nn.Module):
    """(N, 3, R, R) RGB in [0, 1] to the swapped face, its mask (N, 1, R, R) and that of the input's face."""

    def __init__(self, model: SaehdModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        swapped = self.model.swap(face)
        return swapped.picture, swapped.mask, self.model.reconstruct_a(face).mask


def write_onnx(model: SaehdModel, options: SaehdOptions, path: Path) -> None:
    """Writes plain ONNX: `face` to `swapped`, `mask` and `own_mask`, batch of any size."""
    graph = _PlainGraph(copy.deepcopy(model).cpu().float().eval())
    faces = torch.zeros(1, 3, options.resolution, options.resolution)
    _write_graph(graph, (faces,), ["face"], ["swapped", "mask", "own_mask"], options, path)


def _write_graph(
    graph: nn.Module,
    inputs: tuple[Tensor, ...],
    names: list[str],
    outputs: list[str],
    options: SaehdOptions,
    path: Path,
) -> None:
    """Writes a network as ONNX; the first input and all outputs are batches of any size."""
    import onnx

    with atomic_output(path) as temporary, warnings.catch_warnings(), torch.no_grad():
        # the exporter that writes opset 12 is the older one, and says so
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            inputs,
            str(temporary),
            opset_version=OPSET,
            dynamo=False,
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in (names[0], *outputs)},
        )
        graph_proto = onnx.load(str(temporary))
        graph_proto.metadata_props.add(key="face_type", value=options.face_type)
        onnx.save(graph_proto, str(temporary))
