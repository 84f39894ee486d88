"""Lips in languages that the motion network never receive: closed at p, b and m, open at vowels, each said by espeak-ng."""

from __future__ import annotations

import argparse
import ctypes
import tempfile
import wave
from collections.abc import Callable
from ctypes import POINTER, Structure, Union, c_char_p, c_int, c_longlong, c_short, c_uint, c_void_p
from ctypes.util import find_library
from pathlib import Path

import numpy as np

from benchmarks.report import report
from facegen.errors import ResourceError
from facegen.talk.motion import MotionModel
from facegen.talk.rig import load_rig
from facegen.talk.speech import load_speech

MEASURES = (
    "facegen/talk/motion.py",
    "facegen/talk/motion_network.py",
    "facegen/talk/speech.py",
    "weights/talk/motion.safetensors",
)
TEXTS = {
    "en": "My mother baked a pie for Bob. Please make the big apple bread before Monday, and put the map upon my table.",
    "de": "Meine Mama backt am Montag Brot. Bitte bleib im Haus, bevor der Papa am Abend mit dem Apfelbaum kommt.",
    "fr": "Ma maman prépare un beau pain pour papa. Le bébé mange une pomme sur la table et regarde par la fenêtre.",
    "es": "Mi mamá prepara pan para Pablo. El bebé come una banana y mira el mapa del mundo sobre la mesa.",
    "it": "La mamma prepara il pane per papà. Il bambino mangia una mela e poi beve acqua sopra la panca.",
    "pl": "Mama robi zupę dla babci. Potem Paweł pije mleko i pomaga bratu pod białym parasolem.",
    "ru": "Мама покупает молоко для бабушки. Папа поёт, и мы пьём воду под большим белым мостом.",
    "tr": "Babam bana büyük bir elma verdi. Annem mutfakta pilav yapıyor ve bebek masada muz bekliyor.",
    "hi": "मेरी माँ बाज़ार से आम और पपीता लाती है। बाबा मुझे पानी पीने को बोलते हैं।",
    "ko": "엄마가 밥을 먹고 아빠는 물을 마신다. 바람이 불면 나무 밑에서 배를 판다.",
    "vi": "Mẹ mua bánh mì cho ba. Bà bảo bé mang máy bay màu đẹp ra phố với bạn.",
    "sw": "Mama anapika pilau na mboga. Baba amepanda basi mapema, mbuzi mmoja amebaki pembeni.",
}
_CLOSED = frozenset("pbm")
_OPEN = frozenset("aɐɑæɒɔɛʌ")
_APART = frozenset("tdnkɡlsz")
"""Consonants as loud or as quiet as p, b and m, said with lips apart."""
SAYER_RATE = 22050
_INITIALIZE = 0x0001 | 0x0002  # phoneme events, in IPA
_SYNCHRONOUS, _UTF8, _END, _PHONEME = 0x0002, 0x1001, 0, 7


class _Id(Union):
    _fields_ = [("number", c_int), ("name", c_char_p), ("string", ctypes.c_char * 8)]


class _Event(Structure):
    _fields_ = [
        ("type", c_int),
        ("unique", c_uint),
        ("text_position", c_int),
        ("length", c_int),
        ("audio_position", c_int),
        ("sample", c_int),
        ("user", c_void_p),
        ("id", _Id),
    ]


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    argparse.ArgumentParser(prog="benchmarks talk_languages", description=__doc__).parse_args(arguments)
    say = make_sayer()
    with tempfile.TemporaryDirectory() as folder:
        rows = [_row(language, text, say, Path(folder)) for language, text in TEXTS.items()]
    others = [row for row in rows if row["language"] != "en"]
    names = ("against vowels", "against consonants", "loudness, consonants")
    figures: dict[str, float] = {f"{name}, English": float(str(rows[0][name])) for name in names}
    for name in names:
        values = [float(str(row[name])) for row in others]
        figures[f"{name}, other languages, median"] = round(float(np.median(values)), 3)
        figures[f"{name}, other languages, least"] = min(values)
    notes = [
        "The chance that the lips are further apart in an open vowel, or in t, d, n, k, g, l, s, z, than in a p, b or m of "
        "the same sentence (1 always, 0.5 chance). «Loudness»: the same with the voice's loudness in place of the lip gap.",
        "Sound and times of phones: libespeak-ng, one voice a language. The network learned from English alone.",
    ]
    report("talk_languages", rows=rows, figures=figures, notes=notes, measures=MEASURES)


def make_sayer() -> Callable[[str, str], tuple[np.ndarray, list[tuple[float, str]]]]:
    """Says a text in a language: samples (N,) int16 at 22,050 Hz, and (second, phone) of each phone's beginning."""
    name = find_library("espeak-ng")
    if name is None:
        raise ResourceError("Expected the library of espeak-ng, found none; install it (apt-get install espeak-ng).")
    library = ctypes.CDLL(name)
    if library.espeak_Initialize(_SYNCHRONOUS, 0, None, _INITIALIZE) != SAYER_RATE:
        raise ResourceError("Expected espeak-ng to speak at 22,050 Hz, found another rate; install its usual data.")
    samples: list[np.ndarray] = []
    phones: list[tuple[float, str]] = []

    def receive(sound: object, count: int, events: object) -> int:
        if sound and count > 0:
            samples.append(np.ctypeslib.as_array(sound, (count,)).copy())
        number = 0
        while events[number].type != _END:  # type: ignore[index]
            event = events[number]  # type: ignore[index]
            if event.type == _PHONEME:
                phones.append((event.sample / SAYER_RATE, event.id.string.decode("utf-8", "replace")))
            number += 1
        return 0

    # the library keeps a bare pointer: the callback must live as long as this function does
    callback = ctypes.CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))(receive)
    library.espeak_SetSynthCallback(callback)

    def say(language: str, text: str, _alive: object = callback) -> tuple[np.ndarray, list[tuple[float, str]]]:
        samples.clear()
        phones.clear()
        if library.espeak_SetVoiceByName(language.encode()):
            raise ResourceError(f"Expected espeak-ng to know the voice {language}, found none; install its usual data.")
        data = text.encode()
        library.espeak_Synth(data, c_longlong(len(data) + 1), c_uint(0), c_int(1), c_uint(0), c_uint(_UTF8), None, None)
        library.espeak_Synchronize()
        return np.concatenate(samples), list(phones)

    return say


def _row(
    language: str, text: str, say: Callable[[str, str], tuple[np.ndarray, list[tuple[float, str]]]], folder: Path
) -> dict[str, object]:
    samples, phones = say(language, text)
    path = folder / f"{language}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAYER_RATE)
        file.writeframes(samples.tobytes())
    speech = load_speech(path)
    begins = np.array([second for second, _ in phones])
    ends = np.append(begins[1:], speech.seconds)
    grid = np.arange(0, speech.seconds, 0.01)
    gap = MotionModel.load().animate_mouth(speech, grid) @ load_rig().opening
    loudness = speech.sample(speech.loudness, grid)
    values: dict[str, dict[str, list[float]]] = {
        name: {"closed": [], "open": [], "apart": []} for name in ("gap", "loudness")
    }
    for begin, end, (_, phone) in zip(begins, ends, phones, strict=True):
        kinds = {"closed": _CLOSED, "open": _OPEN, "apart": _APART}
        kind = next((kind for kind, of_kind in kinds.items() if phone[:1] in of_kind), "")
        inside = (grid >= begin) & (grid <= end)
        if not kind or not inside.any():
            continue
        # a vowel's lips are widest, a consonant's narrowest at some moment of it
        best = np.max if kind == "open" else np.min
        values["gap"][kind].append(float(best(gap[inside])))
        values["loudness"][kind].append(float(best(loudness[inside])))
    return {
        "language": language,
        "seconds": round(speech.seconds, 1),
        "p, b, m": len(values["gap"]["closed"]),
        "open vowels": len(values["gap"]["open"]),
        "gap at p, b, m, cm": round(float(np.median(values["gap"]["closed"])), 2),
        "gap at vowels, cm": round(float(np.median(values["gap"]["open"])), 2),
        "against vowels": _area(values["gap"]["open"], values["gap"]["closed"]),
        "against consonants": _area(values["gap"]["apart"], values["gap"]["closed"]),
        "loudness, vowels": _area(values["loudness"]["open"], values["loudness"]["closed"]),
        "loudness, consonants": _area(values["loudness"]["apart"], values["loudness"]["closed"]),
    }


def _area(higher: list[float], lower: list[float]) -> float:
    """The chance that one of `higher` is above one of `lower`; even ones count half."""
    apart = np.subtract.outer(np.array(higher), np.array(lower))
    return round(float(np.mean(apart > 0) + np.mean(apart == 0) / 2), 3)
