"""Thresholds chosen by cross-validation over people of the tuning part: what would be chosen, its spread, what is in use.

    python -m benchmarks thresholds [--only NAME]

The tuning part is laid out in a folder by itself (`division.lay_out`); nothing else is read. A threshold is chosen without a
fifth of the people, four times over with other fifths, and its error measured on those left out.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.io import wavfile
from scipy.spatial.distance import cdist

from benchmarks import division, people
from benchmarks.report import report
from benchmarks.talk_languages import SAYER_RATE, TEXTS, make_sayer
from facegen.faces import SAME_PERSON
from facegen.faces.parse import BACKGROUND, SKIN
from facegen.faces.parse.occluders import add_occluders
from facegen.facesets import CleanOptions, ExtractOptions, Faceset, extract, quality
from facegen.facesets.clean import measure_occlusion
from facegen.facesets.cluster import stack_embeddings
from facegen.facesets.options import PERSON_DISTANCE_LIMIT
from facegen.facesets.record import FaceRecord
from facegen.media import read_picture
from facegen.provenance import THRESHOLD, MarkKey, detect_mark, mark_picture, to_luma
from facegen.talk.speech import SPEECH_SCORE, load_speech

MEASURES = (
    *people.RECOGNITION_CODE,
    *("facegen/facesets/clean.py", "facegen/facesets/mask.py", "facegen/facesets/quality.py", "facegen/talk/speech.py"),
    *(
        "facegen/provenance/detection.py",
        "facegen/provenance/spectrum.py",
        "facegen/provenance/watermark.py",
        "weights/parser",
    ),
)
_BLUR_PX = 1.5
"""Deviation of the blur that makes a face a blurred one, in pixels of a face of `quality.MEASURED_SIZE`."""
_COVERED = 0.25
"""A thing that hides this share of a face's hull covers it."""
_SECONDS, _RATE = 8, 16000
_KEY = MarkKey(installation_id=0xFACE01, secret=b"benchmark")


@dataclass(frozen=True, kw_only=True)
class Validation:
    """A threshold, and how it is chosen and judged on some people."""

    what: str
    in_use: float
    people: list[str]
    choose: Callable[[set[str]], float]
    error: Callable[[set[str], float], float]

    def row(self) -> dict[str, Any]:
        """One line of the table."""
        chosen, errors = people.cross_validate(self.people, self.choose, self.error)
        low, high = np.percentile(chosen, (2.5, 97.5))
        return {
            "threshold": self.what,
            "in use": self.in_use,
            "chosen (median)": round(float(np.median(chosen)), 3),
            "spread": [round(float(low), 3), round(float(high), 3)],
            "error left out": round(float(np.nanmean(errors)), 4),
            "error of that in use": round(self.error(set(self.people), self.in_use), 4),
            "people": len(set(self.people)),
        }


def main(arguments: list[str]) -> None:
    """Choose every threshold, or one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks thresholds", description=__doc__)
    parser.add_argument("--only", choices=sorted(_VALIDATIONS), help="one of them")
    parser.add_argument("--count", type=int, default=1000, help="of pictures and clips for each, no more than this")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="facegen-thresholds-") as name:
        data = Path(name) / "data"
        division.lay_out(data)
        rows = []
        for key, make in _VALIDATIONS.items():
            if asked.only in (None, key):
                rows.append(make(data, asked.count).row())
                print(rows[-1], flush=True)
    report(
        "thresholds" if asked.only is None else f"thresholds_{asked.only}",
        rows,
        measures=MEASURES,
        notes=(
            "Spread: 95 % of the choices. Error: the mean of both error rates; of clustering 1 - B-cubed F1. That of the value in "
            "use is over all people at once, among whom groups are harder to tell apart than in a fifth.",
            f"Blurred: by a Gaussian of {_BLUR_PX:g} pixels in faces of {quality.MEASURED_SIZE}. Covered: things drawn over "
            f"{_COVERED:.0%} of a face's hull and more, against faces without. Little speech: clips, recordings and twelve "
            "languages of espeak-ng against synthesised chords, drums and noise. Mark: pictures with it after JPEG 75 against pictures without.",
        ),
    )


def recognition(data: Path, count: int) -> Validation:
    """Pairs of photographs: two people are further apart than this."""
    records = people.named_faces(data, data.parent / "named")[:count]
    names = [people.person_of(record) for record in records]
    apart = cdist(stack_embeddings(records), stack_embeddings(records))

    def pairs(chosen: set[str]) -> tuple[np.ndarray, np.ndarray]:
        kept = [index for index, name in enumerate(names) if name in chosen]
        first, second = np.triu_indices(len(kept), 1)
        own = np.array([names[index] for index in kept])
        return apart[np.ix_(kept, kept)][first, second], own[first] != own[second]

    return Validation(
        what="recognition: distance of two people",
        in_use=SAME_PERSON,
        people=names,
        choose=lambda chosen: people.choose_between(*pairs(chosen)),
        error=lambda chosen, value: people.balanced_error(*pairs(chosen), value),
    )


def clustering(data: Path, count: int) -> Validation:
    """Photographs of people seen several times among photographs of others seen once."""
    records = people.named_faces(data, data.parent / "named")[:count]
    strangers = _strangers(data)[:count]
    names = [*map(people.person_of, records), *(record.file_name for record in strangers)]
    vectors = stack_embeddings([*records, *strangers])

    def subset(chosen: set[str]) -> tuple[np.ndarray, list[str]]:
        kept = [index for index, name in enumerate(names) if name in chosen]
        return vectors[kept], [names[index] for index in kept]

    return Validation(
        what="clustering: distance of two people",
        in_use=PERSON_DISTANCE_LIMIT,
        people=names,
        choose=lambda chosen: people.choose_limit(*subset(chosen)),
        error=lambda chosen, value: 1 - people.f1(_by_face(*subset(chosen), value)),
    )


def _by_face(vectors: np.ndarray, names: list[str], limit: float) -> np.ndarray:
    return people.bcubed_by_face(people.cluster_embeddings(vectors, limit), names)


def blur(data: Path, count: int) -> Validation:
    """Sharpness by the median's: portraits as they are, and blurred."""
    scores: list[tuple[str, float, bool]] = []
    for record, image in _aligned_faces(data, count):
        sigma = _BLUR_PX * record.size / quality.MEASURED_SIZE
        soft = cv2.GaussianBlur(image, (0, 0), sigma)
        for picture, is_sharp in ((image, True), (soft, False)):
            scores.append((record.file_name, float(quality.measure(picture, record.points68)["sharpness"]), is_sharp))
    median = float(np.median([score for _, score, is_sharp in scores if is_sharp]))
    scores = [(name, score / median, is_sharp) for name, score, is_sharp in scores]
    return _validate_scores("blur: sharpness by the median's", CleanOptions().blur_share, scores)


def covered(data: Path, count: int) -> Validation:
    """Shares that the parser finds hidden: portraits as they are, and with hands, microphones and cards drawn over them."""
    scores: list[tuple[str, float, bool]] = []
    for number, (record, image) in enumerate(_aligned_faces(data, count)):
        scores.append((record.file_name, measure_occlusion(record, image), False))
        hull = torch.from_numpy(quality.hull_mask(record.points68, image.shape[:2]) > 127)
        labels = torch.where(hull, SKIN, BACKGROUND)[None]
        picture = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        random = torch.Generator().manual_seed(number)
        for _ in range(8):
            drawn, left = add_occluders(picture, labels, random)
            if float((hull & (left[0] == BACKGROUND)).sum() / hull.sum()) >= _COVERED:
                over = (drawn[0].permute(1, 2, 0) * 255).round().byte().numpy()
                scores.append((record.file_name, measure_occlusion(record, over), True))
                break
    return _validate_scores("covered: hidden share of a face", CleanOptions().most_covered, scores)


def speech(data: Path, count: int) -> Validation:
    """Phones by change of spectrum: clips, recordings and twelve languages of a synthesiser, against what is no speech."""
    files = [*sorted(data.glob("talking/**/*.m*")), *sorted(data.glob("speech/*.wav"))][:count]
    say = make_sayer()
    for language, text in TEXTS.items():
        files.append(data.parent / f"{language}.wav")
        wavfile.write(files[-1], SAYER_RATE, say(language, text)[0])
    scores = [(path.stem, load_speech(path).speech_score, True) for path in files]
    for seed in range(len(files)):
        path = data.parent / f"noise-{seed}.wav"
        wavfile.write(path, _RATE, (_synthesise(seed) * 12000).astype(np.int16))
        scores.append((path.stem, load_speech(path).speech_score, False))
    return _validate_scores("little speech: phones by change of spectrum", SPEECH_SCORE, scores)


def _synthesise(seed: int) -> np.ndarray:
    """Chords, drums or noise, float in [-1, 1]."""
    random = np.random.default_rng(seed)
    seconds = np.arange(_SECONDS * _RATE) / _RATE
    beat = random.uniform(0.25, 0.6)
    since = seconds % beat
    if seed % 3 == 0:
        notes = 220 * 2 ** (random.integers(-5, 12, (round(_SECONDS / beat) + 1, 3)) / 12)
        pitch = notes[(seconds / beat).astype(int)]
        sound = np.sin(2 * np.pi * pitch * seconds[:, None]).mean(1) * np.exp(-2 * since)
    elif seed % 3 == 1:
        sound = random.normal(size=len(seconds)) * 0.3 * np.exp(-random.uniform(8, 30) * since)
    else:
        sound = np.convolve(random.normal(size=len(seconds)), np.ones(random.integers(1, 40)), "same")
        sound *= 1 + 0.5 * np.sin(2 * np.pi * seconds * random.uniform(0.2, 3))
    return np.asarray(sound / np.abs(sound).max())


def mark(data: Path, count: int) -> Validation:
    """Scores of the watermark in portraits with it, after JPEG 75, and without."""
    scores: list[tuple[str, float, bool]] = []
    for path in sorted(data.glob("portraits/synthetic/*"))[::3][:count]:
        image = cv2.resize(read_picture(path), (512, 512), interpolation=cv2.INTER_AREA)
        _, content = cv2.imencode(".jpg", mark_picture(image, _KEY), [cv2.IMWRITE_JPEG_QUALITY, 75])
        for picture, is_marked in ((image, False), (cv2.imdecode(content, cv2.IMREAD_COLOR), True)):
            scores.append((path.stem, detect_mark(to_luma(picture), _KEY).score, is_marked))
    return _validate_scores("mark: strength of the pattern", THRESHOLD, scores)


def _strangers(data: Path) -> list[FaceRecord]:
    """Faces of every sixth photograph of celebamask."""
    folder = data.parent / "strangers"
    chosen = sorted(data.glob("faces/celebamask/images/*.jpg"))[::6]
    extract(chosen, folder, ExtractOptions(max_faces=1))
    return list(Faceset.open(folder).records)


def _portraits(data: Path) -> Faceset:
    """The faces of portraits/synthetic; cut out once."""
    folder = data.parent / "portraits"
    if not folder.exists():
        extract([data / "portraits/synthetic"], folder, ExtractOptions(max_faces=1))
    return Faceset.open(folder)


def _aligned_faces(data: Path, count: int) -> Iterator[tuple[FaceRecord, np.ndarray]]:
    faceset = _portraits(data)
    for record in list(faceset.records)[:count]:
        yield record, faceset.picture(record)


def _validate_scores(what: str, in_use: float, scores: list[tuple[str, float, bool]]) -> Validation:
    """Of (person, score, whether it belongs above the threshold)."""
    names = np.array([name for name, _, _ in scores])
    values = np.array([score for _, score, _ in scores])
    is_above = np.array([above for _, _, above in scores])

    def subset(chosen: set[str]) -> tuple[np.ndarray, np.ndarray]:
        kept = np.isin(names, sorted(chosen))
        return values[kept], is_above[kept]

    return Validation(
        what=what,
        in_use=in_use,
        people=names.tolist(),
        choose=lambda chosen: people.choose_between(*subset(chosen)),
        error=lambda chosen, value: people.balanced_error(*subset(chosen), value),
    )


_VALIDATIONS: dict[str, Callable[[Path, int], Validation]] = {
    make.__name__: make for make in (recognition, clustering, blur, covered, speech, mark)
}


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
