"""Training of the motion network on the engine: clips of people who speak in, `motion.safetensors` out."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import check, save
from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.talk.clips import SpeechClip, read_clip, split_clips
from facegen.talk.encoder import load_encoder
from facegen.talk.motion import MotionModel, stretch_opening
from facegen.talk.motion_network import DOWN, EMBEDDING_SIZE, MotionNet, MotionNetConfig
from facegen.talk.rig import RIG_SIZE, MouthRig, load_rig
from facegen.talk.sentences import Sentence, close_lips, synthesize_sentences
from facegen.talk.speech import FEATURES, MELS, SILENT_MEL
from facegen.training.task import BatchSpec, SampleNames, Task, TrainingData

_PHONES_LEFT_OUT = (0.2, 0.6)
"""Share of examples without phones, of clips and of sentences: in synthesised sentences they are recognised too well."""
_SENTENCE_EVERY = 5
"""One in so many examples of a batch is a synthesised sentence, where there are any."""
_GAP_SOFT_CM = 0.05
_CLOSED_CM, _OPEN_CM = 0.15, 0.4
_CLOSED_SHARE = 0.12
"""Lips are closed where their gap is below this share of the clip's wide moments."""
_NEAR_ROWS = 13


@dataclass(frozen=True, eq=False, kw_only=True)
class _Example:
    """One clip as tensors: (FEATURES, 2 T) features, (K, T) coefficients, (T,) lip gap and loudness."""

    name: str
    features: Tensor
    coefficients: Tensor
    gap: np.ndarray
    loudness: np.ndarray
    embeddings: Tensor | None = None


class MotionData:
    """Pieces of clips with augmented voices.

    Batches hold `features` (B, FEATURES, 2 T), `coefficients` (B, K, T), `known` (B, T) and, where the network has an
    encoder, `embeddings` (B, EMBEDDING_SIZE, T).
    """

    def __init__(
        self, examples: list[_Example], held_back: list[_Example], rig: MouthRig, rows: int, device: torch.device
    ) -> None:
        self.examples, self.held_back, self.rig, self.rows, self.device = examples, held_back, rig, rows, device
        self.skipped: tuple[str, ...] = ()
        self.names = SampleNames()
        self.sentences: list[_Example] = []
        """Synthesised ones."""

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One piece of each drawn clip."""
        generator = spec.generator
        features = torch.zeros(len(spec.indices), FEATURES, DOWN * self.rows)
        features[:, :MELS] = SILENT_MEL
        features[:, -1] = 1
        coefficients = torch.zeros(len(spec.indices), self.rig.shapes.shape[0], self.rows)
        known = torch.zeros(len(spec.indices), self.rows)
        batch = {"features": features, "coefficients": coefficients, "known": known}
        if self.examples[0].embeddings is not None:
            batch["embeddings"] = torch.zeros(len(spec.indices), EMBEDDING_SIZE, self.rows)
        for row, index in enumerate(spec.indices.tolist()):
            is_sentence = bool(self.sentences) and row % _SENTENCE_EVERY == _SENTENCE_EVERY - 1
            example = self.examples[index]
            if is_sentence:
                example = self.sentences[int(torch.randint(0, len(self.sentences), (1,), generator=generator))]
            piece, target, *embeddings = _change_pace(_crop(example, self.rows, generator), self.rows, generator)
            length = target.shape[1]
            if embeddings:
                batch["embeddings"][row, :, :length] = embeddings[0]
            features[row, :MELS, : DOWN * length] = _augment_voice(piece[:MELS], generator)
            # the network must not depend on phones: they are often wrong, and other languages have others
            has_phones = float(torch.rand(1, generator=generator)) > _PHONES_LEFT_OUT[is_sentence]
            features[row, MELS:, : DOWN * length] = piece[MELS:] * has_phones
            coefficients[row, :, :length] = target
            known[row, :length] = 1
        return {name: value.to(self.device) for name, value in batch.items()}


def _crop(example: _Example, rows: int, generator: torch.Generator) -> list[Tensor]:
    """A piece of a clip a fifth longer than is needed, where the clip is that long: features, coefficients, embeddings."""
    total = example.coefficients.shape[1]
    length = min(rows + rows // 5, total)
    start = int(torch.randint(0, total - length + 1, (1,), generator=generator))
    parts = [example.coefficients] if example.embeddings is None else [example.coefficients, example.embeddings]
    return [
        example.features[:, DOWN * start : DOWN * (start + length)],
        *(values[:, start : start + length] for values in parts),
    ]


def _change_pace(parts: list[Tensor], rows: int, generator: torch.Generator) -> list[Tensor]:
    """Resamples a piece in time, up to a sixth quicker or slower."""
    factor = 1 + (float(torch.rand(1, generator=generator)) - 0.5) / 3
    length = min(rows, int(parts[1].shape[1] / factor))
    return [
        F.interpolate(values[None, :, : round(length * factor) * step], size=length * step, mode="linear")[0]
        for values, step in zip(parts, (DOWN, 1, 1), strict=False)
    ]


def _augment_voice(mels: Tensor, generator: torch.Generator) -> Tensor:
    """(MELS, T) mels as of another voice, microphone and room."""

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    def chance() -> float:
        return float(torch.rand(1, generator=generator))

    # vocal tract length: bands move along the mel scale (Jaitly and Hinton 2013)
    band = (torch.arange(MELS) * torch.exp(normal(1) * 0.1) + normal(1) * 0.7).clamp(0, MELS - 1)
    low = band.long().clamp(max=MELS - 2)
    share = (band - low)[:, None]
    mels = mels[low] * (1 - share) + mels[low + 1] * share
    mels = mels * torch.exp(normal(1) * 0.1) + normal(MELS, 1) * 0.15 + normal(*mels.shape) * chance() * 0.3
    if chance() < 0.3:
        mels = mels.clamp(min=-3 + 2 * chance())
    if chance() < 0.3:
        first = int(chance() * (MELS - 5))
        mels[first : first + 1 + int(chance() * 4)] = 0
    return mels


@dataclass(frozen=True, kw_only=True)
class MotionTask(Task):
    """Learns how mouths move to speech, whoever speaks."""

    network: MotionNetConfig = field(default_factory=MotionNetConfig)
    """Size of the network."""
    piece_rows: int = field(default=160, metadata={"min": 20, "max": 2000, "step": 10})
    """Length of the pieces that are learned from, in rows of 20 ms."""
    velocity: float = field(default=4.0, metadata={"min": 0.0, "max": 100.0})
    """Weight of the error of coefficients' steps, beside that of coefficients."""
    closing: float = field(default=1.0, metadata={"min": 0.0, "max": 100.0})
    """Weight of lips that close amid speech, and of the root of the lip gap, in which they count as much as wide ones."""
    sentences: int = field(default=0, metadata={"min": 0, "max": 10_000, "step": 10})
    """Sentences said by flite, where it is installed, that teach lips to close for p, b and m; not with an encoder."""
    teacher: str = ""
    """A run of «train motion» whose network says what the rest of the mouth does in sentences; empty: the bundled one."""
    held_back: tuple[str, ...] = ()
    """Names of clips, without ending, that are only measured on; none: every fifth."""

    def __post_init__(self) -> None:
        check(self)

    def build_data(self, folder: Path | None, device: torch.device) -> MotionData:
        """Tracks the mouth of every clip below the folder, once, and reads features of its sound."""
        if folder is None:
            raise InputError("Expected a folder of clips of people who speak, found none; name it with --data.")
        paths, apart = split_clips(Path(folder), self.held_back)
        analyser, clips, skipped = FaceAnalyser(), [], []
        encoder = None if self.network.encoder == "none" else load_encoder(self.network.encoder)
        for path in paths:
            try:
                clips.append(read_clip(path, analyser, encoder))
            except InputError:
                skipped.append(path.name)
        learned = [clip for clip in clips if clip.name not in apart]
        if not learned:
            raise InputError(f"Expected clips of people who speak in {folder}, found none that can be used.")
        rig = load_rig()
        examples = [_example(clip, rig) for clip in learned]
        others = [_example(clip, rig) for clip in clips if clip.name in apart]
        # a clip is drawn in proportion to the root of its length: voices count more than minutes
        repeated = [example for example in examples for _ in range(max(1, round(example.features.shape[1] ** 0.5 / 8)))]
        data = MotionData(repeated, others, rig, self.piece_rows, device)
        data.skipped = tuple(skipped)
        data.names = SampleNames.split([clip.name for clip in clips], [clip.name in apart for clip in clips])
        if self.sentences and encoder is None:
            teacher = MotionModel.load(self.teacher)
            data.sentences = [_sentence_example(one, teacher, rig) for one in synthesize_sentences(self.sentences)]
        return data

    def build_model(self) -> MotionNet:
        """A fresh network."""
        return MotionNet(self.network)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Squared error of the coefficients, stronger shapes first, of their steps, and of the root of the lip gap."""
        predicted = model(batch["features"], batch.get("embeddings")).float()
        error = (predicted - batch["coefficients"]) * batch["known"][:, None]
        error = error * torch.from_numpy(_strengths()).to(error.device)[None, :, None]
        gap, real = (_gap(numbers) for numbers in (predicted, batch["coefficients"]))
        roots = torch.sqrt(gap + _GAP_SOFT_CM) - torch.sqrt(real + _GAP_SOFT_CM)
        weight = 1 + 2 * self.closing * _closure_mask(real)[:, None]
        return {
            "place": (error.square() * weight).mean(),
            "step": self.velocity * error.diff(dim=2).square().mean(),
            "gap": self.closing * (roots * batch["known"]).square().mean(),
        }

    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """On clips held back: 1 - median correlation of the lip gap, that of loudness alone, and closed lips.

        Closed lips: which share of the moments of speech at which they are closed is predicted (`recall`), and which share of
        the closures predicted is real (`precision`), mean over the clips.
        """
        assert isinstance(data, MotionData)
        if not data.held_back:
            return {}
        model.eval()
        correlations, loud, closed = [], [], []
        for example in data.held_back:
            numbers = _predict(model, example, data)
            correlations.append(correlation(data.rig.opening @ numbers, example.gap))
            closed.append(_closures(numbers, example, data.rig))
            loud.append(correlation(example.loudness, example.gap))
        return {
            "lip_error": 1 - float(np.median(correlations)),
            "lip_correlation": float(np.median(correlations)),
            "loudness_correlation": float(np.median(loud)),
            "closed_recall": float(np.mean([recall for recall, _ in closed])),
            "closed_precision": float(np.mean([precision for _, precision in closed])),
        }

    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray | None:
        """The lip gap of clips held back: measured grey, predicted in colour."""
        assert isinstance(data, MotionData)
        model.eval()
        rows = []
        for example in (data.held_back or data.examples)[:4]:
            predicted = data.rig.opening @ _predict(model, example, data)
            rows.append(_plot_curves([example.gap, predicted], example.name))
        return np.concatenate(rows)

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """The weights in half precision and the settings that rebuild the network."""
        from safetensors.torch import save_file

        weights, settings = folder / "motion.safetensors", folder / "motion.json"
        state = model.state_dict()
        save_file(
            {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()}, weights
        )
        save(settings, self)
        return {"weights": weights, "settings": settings}


@functools.cache
def _strengths() -> np.ndarray:
    """(K,) weight of each coefficient: root of how far its shape moves the mouth, because units are deviations."""
    sizes = np.linalg.norm(load_rig().shapes.reshape(RIG_SIZE, -1), axis=1)
    return np.sqrt(sizes / sizes.max()).astype(np.float32)


def _example(clip: SpeechClip, rig: MouthRig) -> _Example:
    rows = clip.row_count()
    loudness = np.convolve(clip.speech.loudness[: DOWN * rows : DOWN], np.ones(5) / 5, mode="same")
    return _Example(
        name=clip.name,
        features=torch.from_numpy(clip.speech.features(0, DOWN * rows).T.copy()),
        coefficients=torch.from_numpy(clip.resample(rig.coefficients(clip.track.offsets)).T.copy()),
        gap=clip.resample(clip.track.gap),
        loudness=loudness,
        embeddings=None if clip.speech.embeddings is None else _resize_embeddings(clip.speech.embeddings, rows),
    )


def _sentence_example(sentence: Sentence, teacher: MotionModel, rig: MouthRig) -> _Example:
    """What a network predicts for a sentence, lips closed where they must be."""
    predicted = teacher.predict(sentence.speech).T
    rows = min(predicted.shape[1], len(sentence.speech.mels) // DOWN)
    numbers = close_lips(predicted[:, :rows], sentence.lip_closures(rows), rig)
    return _Example(
        name="sentence",
        features=torch.from_numpy(sentence.speech.features(0, DOWN * rows).T.copy()),
        coefficients=torch.from_numpy(numbers),
        gap=rig.opening @ numbers,
        loudness=sentence.speech.loudness[: DOWN * rows : DOWN],
    )


def _gap(coefficients: Tensor) -> Tensor:
    """(B, T) lip gap, cm, of (B, K, T) coefficients."""
    opening = torch.from_numpy(load_rig().opening).to(coefficients)
    return torch.relu(torch.einsum("bkt,k->bt", coefficients, opening))


def _closure_mask(gap: Tensor) -> Tensor:
    """(B, T) 1 where lips are closed and open before or after, 0 elsewhere."""
    around = F.max_pool1d(gap[:, None], 2 * _NEAR_ROWS + 1, 1, _NEAR_ROWS)[:, 0]
    return ((gap < _CLOSED_CM) & (around > _OPEN_CM)).float()


def _closures(numbers: np.ndarray, example: _Example, rig: MouthRig) -> tuple[float, float]:
    """Recall and precision of closed lips while somebody speaks."""
    speaking = example.features[FEATURES - 1, ::DOWN].numpy()[: numbers.shape[1]] < 0.5
    near = np.convolve(speaking, np.ones(_NEAR_ROWS), mode="same") > _NEAR_ROWS / 2
    drawn = np.maximum(stretch_opening(numbers.T, speaking) @ rig.opening, 0)
    predicted, real = (
        (gap < _CLOSED_SHARE * np.percentile(gap, 95)) & near for gap in (drawn, example.gap[: len(drawn)])
    )
    both = float(np.sum(predicted & real))
    return both / max(float(real.sum()), 1), both / max(float(predicted.sum()), 1)


def _resize_embeddings(embeddings: np.ndarray, rows: int) -> Tensor:
    """(EMBEDDING_SIZE, rows) of an encoder's rows, the last one repeated."""
    return torch.from_numpy(embeddings[np.minimum(np.arange(rows), len(embeddings) - 1)].astype(np.float32).T.copy())


@torch.no_grad()
def _predict(model: nn.Module, example: _Example, data: MotionData) -> np.ndarray:
    """(K, T) coefficients that a network predicts for an example."""
    embeddings = None if example.embeddings is None else example.embeddings[None].to(data.device)
    return np.asarray(model(example.features[None].to(data.device), embeddings)[0].float().cpu().numpy())


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation; 0 where one of them does not move."""
    if np.ptp(a) < 1e-9 or np.ptp(b) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _plot_curves(curves: list[np.ndarray], title: str, size_hw: tuple[int, int] = (120, 900)) -> np.ndarray:
    """(h, w, 3) RGB: curves over each other, the first one grey."""
    picture = np.full((*size_hw, 3), 250, np.uint8)
    high = max(float(curve.max()) for curve in curves) + 1e-6
    for curve, colour in zip(curves, ((150, 150, 150), (200, 60, 40)), strict=True):
        x = np.linspace(0, size_hw[1] - 1, len(curve))
        y = (size_hw[0] - 8) * (1 - np.clip(curve / high, -0.05, 1)) + 4
        points = np.stack([x, y], 1).round().astype(np.int32)
        cv2.polylines(picture, [points], False, colour, 2, cv2.LINE_AA)
    cv2.putText(picture, title, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 60), 1, cv2.LINE_AA)
    return picture
