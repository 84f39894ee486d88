"""Movements of a face over a clip, and the network that predicts those of the mouth from speech."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facegen import hub
from facegen.config import from_dict
from facegen.errors import InputError, WeightsError
from facegen.json_file import read_object
from facegen.media.source import file_key
from facegen.talk.engines import MOTION_FILE, find_motion
from facegen.talk.rig import MOTION_RATE, RIG_SIZE, load_rig
from facegen.talk.speech import FEATURE_RATE, Speech
from facegen.talk.weights import MOTION

if TYPE_CHECKING:
    from torch import Tensor

    from facegen.talk.encoder import SpeechEncoder
    from facegen.talk.motion_network import MotionNet, MotionNetConfig

_WINDOW_SECONDS = 20
_MARGIN_SECONDS = 1
_WIDE_CM = 1.25
"""Lip gap at the wide moments of speech at strength 1, for a mouth of 5 cm."""
_CLOSE_SECONDS = 0.12
_PAUSE_SECONDS = 0.4


class MotionModel:
    """Predicts mouth movements from speech; it holds nothing of a recording.

    Args:
        network: as trained.
        encoder: the speech encoder that it was trained with, if any.
    """

    def __init__(self, network: MotionNet, encoder: SpeechEncoder | None = None) -> None:
        self._network, self.encoder = network.eval().requires_grad_(False), encoder

    @classmethod
    def load(cls, run: str = "") -> MotionModel:
        """The network of a training, or the bundled one; kept in memory between calls.

        Args:
            run: a run of «train motion», by the path of its folder or by its name; empty for the bundled network.

        Raises:
            InputError: there is no such run, or it has no finished network.
            WeightsError: the weights are missing, were changed or belong to another model; or the encoder is missing.
        """
        if not run:
            return _load_file(hub.fetch(MOTION))
        folder = find_motion(run)
        return _load_run(str(folder), file_key(folder / MOTION_FILE))

    def predict(self, speech: Speech) -> np.ndarray:
        """(T, K) float32 coefficients of the mouth rig, `MOTION_RATE` rows a second, as the network predicts them.

        Long recordings are processed in overlapping windows; the result does not depend on where these begin.
        """
        import torch

        step = FEATURE_RATE // MOTION_RATE
        rows = max(1, -(-len(speech.mels) // step))
        window, margin = _WINDOW_SECONDS * MOTION_RATE, _MARGIN_SECONDS * MOTION_RATE
        parts = []
        for start in range(0, rows, window):
            first, last = max(0, start - margin), min(rows, start + window + margin)
            features = speech.features(first * step, last * step)
            features = np.pad(features, [(0, (last - first) * step - len(features)), (0, 0)], mode="edge")
            embeddings = None if self.encoder is None else _embedding_rows(speech, first, last)
            with torch.inference_mode():
                predicted = self._network(torch.from_numpy(features.T.copy())[None], embeddings)[0].numpy().T
            parts.append(predicted[start - first : start - first + min(window, rows - start)])
        return np.concatenate(parts).astype(np.float32)

    def animate_mouth(self, speech: Speech, seconds: np.ndarray, strength: float = 1.0) -> np.ndarray:
        """Mouth movements at given times.

        The network averages over what is possible and so moves less than people do: its lip gap is stretched to that of
        clear speech, and closed where nobody speaks. Louder moments open wider.

        Args:
            speech: features of the sound.
            seconds: (N,) the times.
            strength: how widely the mouth opens; 1 is clear speech.

        Returns:
            (N, K) float32 coefficients of the mouth rig.
        """
        coefficients = self.predict(speech)
        moments = np.arange(len(coefficients)) / MOTION_RATE
        voiced = speech.sample(speech.voiced.astype(np.float32), moments) > 0.5
        # mouths open before the voice and close after it: only longer pauses are forced shut
        around = (
            np.convolve(voiced, np.ones(2 * round(_PAUSE_SECONDS * MOTION_RATE) + 1), mode="same")[: len(voiced)] > 0
        )
        reach = max(1, round(_CLOSE_SECONDS * MOTION_RATE))
        kernel = np.hanning(2 * reach + 3)[1:-1]
        speaking = np.convolve(
            np.pad(around.astype(np.float32), reach, mode="edge"), kernel / kernel.sum(), mode="valid"
        )
        coefficients = stretch_opening(coefficients, voiced)
        loudness = speech.sample(speech.loudness, moments)
        emphasis = 0.8 + 0.35 * np.convolve(np.pad(loudness, 12, mode="edge"), np.ones(25) / 25, mode="valid")
        rows = coefficients * (speaking * emphasis * strength)[:, None]
        position = np.clip(np.asarray(seconds) * MOTION_RATE, 0, len(rows) - 1)
        low = position.astype(np.int64)
        high = np.minimum(low + 1, len(rows) - 1)
        share = (position - low)[:, None]
        result = rows[low] * (1 - share) + rows[high] * share
        result[np.asarray(seconds) > speech.seconds + 0.1] = 0
        return result.astype(np.float32)


def stretch_opening(coefficients: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Coefficients whose lip gap goes from closed to `_WIDE_CM` over the voiced rows."""
    if voiced.sum() < MOTION_RATE // 5:
        return coefficients
    opening = load_rig().opening
    gap = coefficients @ opening
    low, high = np.percentile(gap[voiced], [12, 95])
    low = max(float(low), 0.0) * 0.8
    factor = float(np.clip(_WIDE_CM / max(float(high) - low, 0.1), 0.6, 2.2))
    result = coefficients * min(factor, 1.3)
    # what is still missing, and what closes the lips, goes to the shape that opens them most
    main = int(np.argmax(np.abs(opening)))
    target = np.maximum((gap - low) * factor, -0.1)
    result[:, main] += (target - result @ opening) / opening[main]
    return result


def _embedding_rows(speech: Speech, first: int, last: int) -> Tensor:
    """(1, EMBEDDING_SIZE, rows) of the encoder, the last row repeated beyond the end."""
    import torch

    if speech.embeddings is None or not len(speech.embeddings):
        raise InputError(
            "Expected speech with embeddings of the network's encoder, found none; load it with that encoder."
        )
    rows = np.minimum(np.arange(first, last), len(speech.embeddings) - 1)
    return torch.from_numpy(speech.embeddings[rows].astype(np.float32).T.copy())[None]


@functools.lru_cache(4)
def _load_run(folder: str, _weights_key: tuple[str, int, int]) -> MotionModel:
    """The network in a folder; the key changes when a training that went on writes another one there."""
    from facegen.talk.encoder import load_encoder
    from facegen.talk.motion_network import MotionNetConfig

    settings = read_object(Path(folder) / "motion.json")
    config = from_dict(MotionNetConfig, settings.get("network"))
    encoder = None if config.encoder == "none" else load_encoder(config.encoder)
    return MotionModel(_load_network(Path(folder) / MOTION_FILE, config), encoder)


@functools.cache
def _load_file(path: Path) -> MotionModel:
    from facegen.talk.motion_network import MotionNetConfig

    return MotionModel(_load_network(path, MotionNetConfig()))


def _load_network(path: Path, config: MotionNetConfig) -> MotionNet:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from facegen.talk.motion_network import MotionNet

    network = MotionNet(config)
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"Expected the motion network's weights in {path}, found another model; install them again."
        ) from error
    return network


@dataclass(frozen=True, eq=False, kw_only=True)
class MotionFrame:
    """Movements of a face in one frame."""

    mouth: np.ndarray
    """(K,) coefficients of the mouth rig."""
    turn_deg: np.ndarray
    """(3,) yaw (to the picture's right), pitch (up) and roll (clockwise) from the pose as pictured."""
    shift_cm: np.ndarray
    """(3,) right, up, towards the camera."""
    lids: np.ndarray
    """(2,) how far the eyes are closed, 0..1, the one on the picture's left first."""
    brows: float
    """How far the brows are raised, -1..1."""
    gaze: np.ndarray
    """(2,) where the eyes look, right and up, in widths of an eye."""

    @classmethod
    def of_mouth(cls, mouth: np.ndarray) -> MotionFrame:
        """A face that keeps still but for its mouth, (K,) coefficients of the mouth rig."""
        zeros = np.zeros(3, np.float32)
        return cls(mouth=mouth, turn_deg=zeros, shift_cm=zeros, lids=zeros[:2], brows=0.0, gaze=zeros[:2])


@dataclass(frozen=True, eq=False, kw_only=True)
class Motion:
    """Movements of a face over a clip: a row of each array is a frame, as in `MotionFrame`."""

    mouth: np.ndarray
    """(N, K) coefficients of the mouth rig."""
    turn_deg: np.ndarray
    """(N, 3) yaw, pitch, roll from the pose as pictured."""
    shift_cm: np.ndarray
    """(N, 3) right, up, towards the camera."""
    lids: np.ndarray
    """(N, 2) how far the eyes are closed, 0..1."""
    brows: np.ndarray
    """(N,) how far the brows are raised, -1..1."""
    gaze: np.ndarray
    """(N, 2) where the eyes look, right and up, in widths of an eye."""

    def __len__(self) -> int:
        return len(self.mouth)

    def frame(self, index: int) -> MotionFrame:
        """One row."""
        return MotionFrame(
            mouth=self.mouth[index],
            turn_deg=self.turn_deg[index],
            shift_cm=self.shift_cm[index],
            lids=self.lids[index],
            brows=float(self.brows[index]),
            gaze=self.gaze[index],
        )

    @classmethod
    def of_mouth(cls, mouth: np.ndarray) -> Motion:
        """A head that keeps still but for its mouth, (N, K) coefficients of the mouth rig."""
        count = len(mouth)
        assert mouth.shape[1] == RIG_SIZE
        three, two = np.zeros((count, 3), np.float32), np.zeros((count, 2), np.float32)
        return cls(
            mouth=mouth, turn_deg=three, shift_cm=three, lids=two, brows=np.zeros(count, np.float32), gaze=two.copy()
        )
