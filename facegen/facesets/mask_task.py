"""Training of a mask network on masks drawn by hand (as XSeg): the face parser's network, fine-tuned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from facegen import hub
from facegen.config import from_dict, to_dict
from facegen.errors import InputError
from facegen.faces import align, parse
from facegen.faces.parse import ParserNetConfig
from facegen.faces.parse.network import ParserNet, fuse_batch_norms, to_input, upsample
from facegen.faces.parse.parser import SIZE as PARSE_SIZE
from facegen.faces.weights import PARSER
from facegen.facesets.faceset import Faceset
from facegen.facesets.record import BRUSH, FaceRecord
from facegen.json_file import parse_json
from facegen.training.augment import (
    AffineRange,
    add_noise,
    affine_grids,
    jitter_colour,
    lower_resolution,
    sample_pictures,
    to_float,
)
from facegen.training.task import BatchSpec, SampleNames, Task, TrainingData

MIN_MASKS = 4
HELD_BACK = 8
"""One in so many drawn masks is held out for measurement."""
FILE = "mask.safetensors"


@dataclass(frozen=True, kw_only=True)
class MaskTask(Task):
    """Learns what belongs to a face from masks drawn by hand."""

    size: int = field(default=256, metadata={"min": 64, "max": 256, "step": 32})
    """Side of the crops, pixels."""
    is_from_parser: bool = True
    """Begin with the face parser's weights, so that a few dozen masks suffice."""

    def build_data(self, folder: Path | None, device: torch.device) -> MaskData:
        """The faces of a faceset that have masks drawn by hand."""
        if folder is None:
            raise InputError("Expected a faceset with masks drawn by hand, found none given; add --data DIR.")
        faceset = Faceset.open(folder)
        records = [record for record in faceset.records if record.mask_kind == BRUSH]
        if len(records) < MIN_MASKS:
            raise InputError(
                f"Expected at least {MIN_MASKS} masks drawn by hand in {folder}, found {len(records)}; draw some in the "
                "Faceset tab."
            )
        return MaskData(faceset, records, self.size, device)

    def build_model(self) -> nn.Module:
        """The parser's network."""
        if not self.is_from_parser:
            return ParserNet(ParserNetConfig())
        weights, config = _read(hub.fetch(PARSER))
        network = ParserNet(config)
        if not next(network.parameters()).is_meta:
            network.load_state_dict(weights)
        return network

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Binary cross-entropy and soft Dice loss of the face classes against the rest."""
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                # a few dozen pictures of one person would spoil the statistics of many
                module.eval()
        logits = face_logits(model, batch["pictures"])
        targets = batch["masks"]
        predicted = torch.sigmoid(logits)
        overlap = 1 - (2 * (predicted * targets).sum() + 1) / (predicted.sum() + targets.sum() + 1)
        return {"cross-entropy": F.binary_cross_entropy_with_logits(logits, targets), "overlap": 0.5 * overlap}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """One minus the intersection over union with the held-out masks."""
        assert isinstance(data, MaskData)
        pictures, masks = data.held_back()
        predicted = face_logits(model, pictures) > 0
        both, either = (predicted & (masks > 0.5)).sum(), (predicted | (masks > 0.5)).sum()
        return {"1 - IoU": 1 - float(both / either.clamp_min(1))}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Held-out faces, their drawn masks, their predicted masks; a row each."""
        assert isinstance(data, MaskData)
        pictures, masks = (part[:6] for part in data.held_back())
        predicted = torch.sigmoid(face_logits(model, pictures))
        rows = [pictures, pictures * (0.3 + 0.7 * masks), pictures * (0.3 + 0.7 * predicted)]
        shown = (torch.stack(rows).clamp(0, 1) * 255).byte().permute(0, 3, 1, 4, 2)
        return shown.flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`mask.safetensors` in half precision; its metadata say how to rebuild the network."""
        assert isinstance(model, ParserNet)
        half = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
        about = {"network": json.dumps(to_dict(model.config))}
        save_file({k: v.contiguous().cpu() for k, v in half.items()}, folder / FILE, metadata=about)
        return {"mask": folder / FILE}


def face_logits(model: nn.Module, pictures: Tensor) -> Tensor:
    """(B, 1, S, S) logit of the probability that a pixel belongs to the face.

    Args:
        model: a `ParserNet`.
        pictures: (B, 3, S, S) RGB in [0, 1], aligned as the parser's.
    """
    logits = upsample(model(to_input(pictures)).float())
    other_classes = [number for number in range(logits.shape[1]) if number not in parse.FACE]
    face, other = (logits[:, list(group)].logsumexp(1, keepdim=True) for group in (parse.FACE, other_classes))
    return face - other


class MaskData:
    """Batches of «pictures» (B, 3, S, S) and «masks» (B, 1, S, S), both in [0, 1]."""

    def __init__(self, faceset: Faceset, records: Sequence[FaceRecord], size: int, device: torch.device) -> None:
        crops = [_align(faceset, record, size) for record in records]
        pictures = torch.from_numpy(np.stack([picture for picture, _ in crops])).permute(0, 3, 1, 2)
        masks = torch.from_numpy(np.stack([mask for _, mask in crops]))[:, None]
        held_back = torch.arange(len(records)) % min(HELD_BACK, len(records)) == 0
        self._held_back = (pictures[held_back], masks[held_back])
        self.pictures, self.masks = pictures[~held_back], masks[~held_back]
        self.size, self.device = size, device
        self.skipped: tuple[str, ...] = ()
        self.names = SampleNames.split([record.file_name for record in records], held_back.tolist())

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """Random affine, mirror, colour jitter, lower resolution, noise."""
        count, random = len(spec.indices), spec.generator
        pictures, masks = (to_float(part[spec.indices].to(self.device)) for part in (self.pictures, self.masks))
        matrices = AffineRange(rotation_deg=15.0, scale=1.2, shift=0.07).draw(count, random)
        matrices[torch.rand(count, generator=random) < 0.5, :, 0] *= -1
        grids = affine_grids(matrices.to(self.device), self.size)
        pictures = jitter_colour(sample_pictures(pictures, grids, "border"), random)
        pictures = lower_resolution(pictures, random, share=0.3, largest=4.0)
        pictures = add_noise(pictures, random, share=0.3, largest=0.04)
        return {"pictures": pictures, "masks": sample_pictures(masks, grids, "zeros")}

    def held_back(self) -> tuple[Tensor, Tensor]:
        """Pictures and masks that are not trained on."""
        pictures, masks = (to_float(part.to(self.device)) for part in self._held_back)
        return pictures, masks


def _align(faceset: Faceset, record: FaceRecord, size: int) -> tuple[np.ndarray, np.ndarray]:
    matrix = align.similarity(record.points5, align.PARSE5, PARSE_SIZE) * (size / PARSE_SIZE)
    matrix = matrix.astype(np.float32)
    mask = faceset.mask(record)
    assert mask is not None
    picture = cv2.warpAffine(faceset.picture(record), matrix, (size, size), flags=cv2.INTER_AREA)
    return picture, cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_LINEAR)


class TrainedMask:
    """A trained mask network for inference.

    Args:
        path: the run folder of a training of «mask», an export of it, or its file.

    Raises:
        InputError: there is none.
    """

    def __init__(self, path: Path) -> None:
        weights, config = _read(find_mask(path))
        network = ParserNet(config)
        network.load_state_dict(weights)
        self._network = fuse_batch_norms(network.eval()).requires_grad_(False).to(memory_format=torch.channels_last)

    def __call__(self, record: FaceRecord, image_rgb: np.ndarray) -> np.ndarray:
        """(S, S) uint8, 255 where the face is; see `mask.parse_mask`."""
        return self.inside(record.points5, image_rgb)

    def inside(self, points5: np.ndarray, image_rgb: np.ndarray) -> np.ndarray:
        """(S, S) uint8, 255 where the face is.

        Args:
            points5: (5, 2) the face's points in the picture.
            image_rgb: (S, S, 3) uint8.
        """
        matrix = align.similarity(points5, align.PARSE5, PARSE_SIZE)
        crop = align.warp(image_rgb, matrix, PARSE_SIZE)
        with torch.inference_mode():
            share = torch.sigmoid(face_logits(self._network, to_float(torch.from_numpy(crop).permute(2, 0, 1)[None])))
        side = image_rgb.shape[0]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        back = cv2.warpAffine(share[0, 0].numpy(), matrix, (side, side), flags=flags)
        return (np.clip((back - 0.3) / 0.4, 0, 1) * 255).astype(np.uint8)


def find_mask(path: Path) -> Path:
    """The file of a trained mask.

    Raises:
        InputError: there is none.
    """
    if path.is_file():
        return path
    exports = sorted([*path.glob(FILE), *path.glob(f"exports/*/{FILE}")], key=lambda path: path.stat().st_mtime)
    if not exports:
        raise InputError(f"Expected a trained mask at {path}, found none; train one with: facegen train mask")
    return exports[-1]


def _read(path: Path) -> tuple[dict[str, Tensor], ParserNetConfig]:
    try:
        with safe_open(path, "pt") as file:
            about = (file.metadata() or {}).get("network")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"Expected the weights of a mask in {path}, but {error}; train it again.") from error
    plain = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    return plain, from_dict(ParserNetConfig, parse_json(about, path.name)) if about else ParserNetConfig()
