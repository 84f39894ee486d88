"""Prepares the generator's training data from a folder of photographs, and counts the pictures of each step."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from facegen import media
from facegen.config import write_json
from facegen.errors import InputError, NoFaceError
from facegen.faces import Face, FaceAnalyser
from facegen.faces.parse import BACKGROUND, HAIR
from facegen.generate.attributes.measure import measure_picture
from facegen.generate.attributes.predictor import AttributePredictor
from facegen.generate.attributes.task import FEMALE
from facegen.generate.dataset.packed import SIDE, PackedFaces
from facegen.generate.frame import geometry
from facegen.generate.frame.alignment import SIZE, AlignedFace, align_largest_face, parse_aligned
from facegen.generate.frame.variants import (
    FaceSample,
    canonical,
    flow_from_canonical,
    target_mesh,
    variant,
    warp_to_canonical,
)
from facegen.generate.jobs import DATASET
from facegen.generate.request import DatasetRequest, DatasetResult, parse_keep
from facegen.generate.sliders import NAMES
from facegen.generate.weights import generator_mean_shape
from facegen.jobs import OnProgress, Progress, Run
from facegen.jobs.pipeline import Pipeline
from facegen.training.pictures import find_pictures

CHANGE_PROBABILITY = 0.6
"""Probability that a slider is changed in a variant."""


class DatasetPipeline(Pipeline[DatasetRequest, DatasetResult]):
    """Prepares training data; see `make_dataset`."""

    job = DATASET

    def work(self, request: DatasetRequest, run: Run | None, progress: Progress) -> DatasetResult:
        """Make the dataset."""
        return make_dataset(request, progress.report)


def make_dataset(request: DatasetRequest, on_progress: OnProgress | None = None) -> DatasetResult:
    """Align and crop, resize, change brightness, select, measure and pack.

    Raises:
        InputError: the folder holds no photographs with faces, or labels do not match.
        WeightsError: the attribute network is missing.
    """
    report = on_progress or (lambda _fraction, _text: None)
    source, output = Path(request.photographs), Path(request.output)
    paths = find_pictures(source)
    labels = read_labels(Path(request.labels)) if request.labels else {}
    unknown = sorted(set(labels) - {p.relative_to(source).as_posix() for p in paths})
    if unknown:
        raise InputError(f"Expected labels of pictures in {source}, found one of {unknown[0]!r}; correct the CSV.")
    label, threshold = parse_keep(request.keep)
    predictor = AttributePredictor()
    analyser = FaceAnalyser()
    rows: list[dict[str, object]] = []
    samples: list[_Sample] = []
    skipped: list[str] = []
    counts = {"resized": 0, "augmented": 0}
    for number, path in enumerate(paths):
        name = path.relative_to(source).as_posix()
        group = name.split("/")[0] if "/" in name else ""
        try:
            aligned = align_largest_face(media.read_picture(path), analyser, path.name)
        except (NoFaceError, InputError):
            skipped.append(name)
            continue
        for kind, picture in _augment(aligned, request, number):
            counts[kind] += 1
            _write(output / kind / group / f"{path.stem}.png", picture)
            prediction = predictor.predict(picture[None])[0]
            probability = prediction[FEMALE] if label != "male" else 1 - prediction[FEMALE]
            is_selected = probability >= threshold and not (label and group and group != label)
            row: dict[str, object] = {
                "name": f"{kind}/{name}",
                "kept": int(is_selected),
                "female": float(prediction[FEMALE]),
            }
            row |= dict(zip(NAMES, (round(float(v), 4) for v in prediction), strict=False))
            if is_selected:
                sample = _measure(analyser, aligned, picture, f"{kind}_{name}", group)
                label_values = labels.get(name, np.full(5, np.nan))
                values = np.where(np.isfinite(label_values), label_values, sample.values)
                row |= {f"measured {n}": round(float(v), 4) for n, v in zip(NAMES, values, strict=True)}
                samples.append(replace(sample, values=values))
                _write(output / "final" / f"{kind}_{name.replace('/', '_').rsplit('.', 1)[0]}.png", picture)
            rows.append(row)
        report(0.5 * (number + 1) / len(paths), f"{number + 1} of {len(paths)} photographs measured")
    if not samples:
        surest = max((float(str(row["female"])) for row in rows), default=0.0)
        detail = f" (the surest female is {surest:.4f})" if rows else ""
        raise InputError(f"Expected photographs with faces in {source}, kept none of {len(paths)}{detail}.")
    _write_csv(output / "all_output.csv", rows)
    pack = _pack(samples, request, lambda part, text: report(0.5 + 0.5 * part, text))
    pack.write(output)
    table = [
        ("photographs", len(paths), f"{len(skipped)} without a usable face"),
        ("aligned and resized", counts["resized"], "256x256, the frame of the generator"),
        ("augmented by brightness", counts["augmented"], "factor 0.7 to 1.3"),
        (
            "final set",
            len(samples),
            f"{len(samples) / max(1, sum(counts.values())):.1%} kept by {request.keep or 'all'}",
        ),
        ("training pictures", pack.pictures.shape[0] * pack.pictures.shape[1], "with variants"),
    ]
    write_json(output / "steps.json", {"rows": [list(row) for row in table], "skipped": skipped})
    return DatasetResult(rows=tuple(table), skipped=tuple(skipped))


def _augment(aligned: AlignedFace, request: DatasetRequest, number: int) -> Iterator[tuple[str, np.ndarray]]:
    yield "resized", aligned.picture_rgb
    if request.augment:
        factor = np.random.default_rng((request.seed, number)).uniform(0.7, 1.3)
        yield "augmented", np.clip(aligned.picture_rgb * factor, 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Sample:
    name: str
    group: str
    picture: np.ndarray
    """(256, 256, 3) uint8 RGB in the generator's frame."""
    face: Face
    classes: np.ndarray
    """(19,) float32: share of the frame that the parser gives to each class."""
    hair: np.ndarray
    """(256, 256) float16, as `background`."""
    background: np.ndarray
    values: np.ndarray
    """(5,) sliders as measured or labelled."""

    def to_face_sample(self, side: int) -> FaceSample:
        """The input of `variant`, at `side` pixels."""
        hair, background = self.hair.astype(np.float32), self.background.astype(np.float32)
        return FaceSample.from_face(self.picture, self.face, hair, background, side)


def _measure(analyser: FaceAnalyser, aligned: AlignedFace, picture: np.ndarray, name: str, group: str) -> _Sample:
    maps = parse_aligned(analyser, [picture], [aligned.face])[0]
    sample = _Sample(
        name=name,
        group=group,
        picture=picture,
        face=aligned.face,
        classes=maps.mean((0, 1), dtype=np.float32),
        hair=maps[..., HAIR].copy(),
        background=maps[..., BACKGROUND].copy(),
        values=np.empty(0),
    )
    return replace(sample, values=measure_picture(sample.to_face_sample(SIDE)))


def _pack(samples: list[_Sample], request: DatasetRequest, report: OnProgress) -> PackedFaces:
    count, variants = len(samples), request.variants + 1
    shapes = np.stack([geometry.neutral_shape(sample.face) for sample in samples])
    mean_shape = generator_mean_shape() if request.large else geometry.symmetric_mean(shapes)
    pictures = np.empty((count, variants, SIDE, SIDE, 3), np.uint8)
    drawn, measured = (np.full((count, variants, 5), np.nan, np.float32) for _ in range(2))
    canonicals = np.empty((count, SIDE, SIDE, 5), np.uint8)
    large = np.empty((count, SIZE, SIZE, 3), np.uint8) if request.large else None
    flows = np.empty((count, variants, 64, 64, 2), np.float16)
    analyser = FaceAnalyser()
    for index, sample in enumerate(samples):
        source = sample.to_face_sample(SIDE)
        random = np.random.default_rng((request.seed, 1, index))
        measured_sliders = source.sliders()
        canonicals[index] = np.round(canonical(source, mean_shape) * 255)
        if large is not None:
            large[index] = np.round(warp_to_canonical(sample.to_face_sample(SIZE), mean_shape)[..., :3] * 255)
        for number in range(variants):
            changed = random.random(5) < CHANGE_PROBABILITY if number else np.zeros(5, bool)
            sliders = np.where(changed, random.random(5), measured_sliders).astype(np.float32)
            points = target_mesh(source, sliders, changed)
            picture, hair, background = variant(source, sliders, changed)
            pictures[index, number] = np.round(picture * 255)
            drawn[index, number] = sliders
            flows[index, number] = flow_from_canonical(points, source.shape, mean_shape)
            if number == 0:
                measured[index, 0] = sample.values
            else:
                measured[index, number] = _measure_variant(analyser, picture, hair, background)
        report((index + 1) / count, f"{index + 1} of {count} faces varied")
    return PackedFaces(
        names=tuple(sample.name for sample in samples),
        groups=tuple(sample.group for sample in samples),
        pictures=pictures,
        drawn=drawn,
        measured=measured,
        canonical=canonicals,
        flows=flows,
        shapes=shapes,
        mean_shape=mean_shape,
        large=large,
        classes=np.stack([sample.classes for sample in samples]),
    )


def _measure_variant(
    analyser: FaceAnalyser, picture: np.ndarray, hair: np.ndarray, background: np.ndarray
) -> np.ndarray:
    from facegen.generate.attributes.measure import measure_aligned

    large = cv2.resize((picture * 255).astype(np.uint8), (256, 256), interpolation=cv2.INTER_LINEAR)
    return measure_aligned(analyser, large, picture, hair, background)


def read_labels(path: Path) -> dict[str, np.ndarray]:
    """Hand labels by name, (5,) each, NaN where a field is empty.

    Raises:
        InputError: the file is missing or no such table, or a value is not between 0 and 1.
    """
    columns = ("eyes", "mouth", "hair_color", "background", "head")
    if not path.is_file():
        raise InputError(f"Expected a CSV of labels at {path}, found no file there; check the path.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [c for c in ("name", *columns) if c not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"Expected the columns name, {', '.join(columns)} in {path}, found no {missing[0]}.")
            return {row["name"]: _label_values(path, row, columns) for row in reader}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Expected a CSV of labels in UTF-8 at {path}, but {error}; save it again as one.") from error


def _label_values(path: Path, row: dict[str, str], columns: Sequence[str]) -> np.ndarray:
    """(5,) float32, NaN where a field is empty."""
    name = row["name"]
    try:
        values = np.array([float(row[c]) if row[c] else np.nan for c in columns], np.float32)
    except ValueError as error:
        raise InputError(f"Expected numbers in {path}, but {error} for {name}.") from error
    labelled = values[~np.isnan(values)]
    if ((labelled < 0) | (labelled > 1)).any():
        raise InputError(f"Expected labels between 0 and 1 in {path}, found others for {name}.")
    return values


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    media.write_picture(path, picture)


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
