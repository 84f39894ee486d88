"""Phones as a further input of the motion network: pocketsphinx's acoustic and phone models, in seven groups of lip shapes.

The models are of English; their groups (closed, rounded, open lips) are not. What they recognise is often wrong, so
the motion network learns how far to rely on it.
"""

from __future__ import annotations

import functools
import importlib.util
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facegen.errors import WeightsError

if TYPE_CHECKING:
    from pocketsphinx import Decoder

GROUPS = (
    ("M", "B", "P"),
    ("F", "V"),
    ("W", "UW", "UH", "OW", "AO", "OY", "R", "ER"),
    ("AA", "AE", "AH", "AY", "AW", "EH", "HH"),
    ("IY", "IH", "EY", "Y"),
    ("S", "Z", "T", "D", "N", "L", "TH", "DH", "CH", "JH", "SH", "ZH", "K", "G", "NG"),
    ("SIL", "+SPN+", "+NSN+"),
)
"""Phones with the same lip shape (visemes); what is in none counts as silence."""
SILENCE = len(GROUPS) - 1
RATE = 100
"""Rows a second."""

_PEAK = 0.9 * 32767
_GROUP_OF = {phone: number for number, group in enumerate(GROUPS) for phone in group}
_lock = threading.Lock()


def recognise_phones(samples: np.ndarray, rows: int) -> np.ndarray:
    """Recognises groups of phones.

    Args:
        samples: (n,) float32 mono at 16 kHz, some seconds of it.
        rows: length of the result.

    Returns:
        (rows,) uint8 numbers of `GROUPS`, `RATE` a second.
    """
    groups = np.full(rows, SILENCE, np.uint8)
    peak = float(np.abs(samples).max()) if samples.size else 0.0
    if peak < 1e-4 or rows < RATE // 10:
        return groups
    samples_int16 = (samples * (_PEAK / peak)).astype("<i2")
    # one decoder, which holds the utterance it is at
    with _lock:
        decoder = _decoder()
        # forgets its estimate of the channel: the same sound gives the same phones each time
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(samples_int16.tobytes(), full_utt=True)
        decoder.end_utt()
        for segment in decoder.seg() or ():
            groups[segment.start_frame : segment.end_frame + 1] = _GROUP_OF.get(segment.word, SILENCE)
    return groups


def one_hot(groups: np.ndarray) -> np.ndarray:
    """(N, len(GROUPS)) float32 of (N,) numbers."""
    return np.eye(len(GROUPS), dtype=np.float32)[groups]


def find_models() -> Path:
    """The folder of pocketsphinx's English models.

    Raises:
        WeightsError: they are missing.
    """
    spec = importlib.util.find_spec("pocketsphinx")
    folder = Path((spec.submodule_search_locations or [""])[0] if spec else "") / "model" / "en-us"
    if not (folder / "en-us-phone.lm.bin").is_file():
        raise WeightsError(f"Expected pocketsphinx's phone model in {folder}, found none; run make install again.")
    return folder


@functools.cache
def _decoder() -> Decoder:
    from pocketsphinx import Config, Decoder

    folder = find_models()
    return Decoder(
        Config(
            hmm=str(folder / "en-us"),
            allphone=str(folder / "en-us-phone.lm.bin"),
            lw=1.0,
            pip=1.0,
            beam=1e-60,
            pbeam=1e-50,
            wbeam=1e-40,
            cmn="batch",
            loglevel="FATAL",
        )
    )
