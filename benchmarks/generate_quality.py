"""Do drawn faces look like photographs, and are they new? Against pictures that no training saw."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch.nn import functional as F

from benchmarks import generate_plain
from benchmarks.report import estimate, report
from facegen.faces import FaceAnalyser, distance
from facegen.generate.attributes.measure import measure_faces
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.frame.alignment import align_face
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.sliders import NAMES, Sliders
from facegen.media import read_picture, write_picture

MEASURES = ("facegen/generate", "weights/generate")
MAPS = ("387", "413", "474", "507")
"""Outputs of the detector's MobileNetV2 at 1/4, 1/8, 1/16 and 1/32 of the side: 24, 32, 96 and 320 channels."""
PLAIN = "plain CVAE"
REFERENCE = "real (held back)"
NEIGHBOURS = 3
"""Of precision and recall."""
GENERATOR_SPENT = "2,657,200 weights, 22,488 pictures and 6,051 samples, 35 CPU minutes"
NOTES = (
    "CenterFace: mean and deviation of four maps of the MobileNetV2 in the face detector (WIDER FACE; no training of ours "
    "uses it), 944 numbers of pictures at 128 pixels, standardised by the held-back photographs. dlib: its 128 numbers "
    "of recognition.",
    "KID: cubic kernel, unbiased (arXiv:1801.01401). Precision, recall: third nearest neighbours (arXiv:1904.06991).",
    "Realism: of pictures brought into the frame by their five points, as photographs are.",
    "Nearest neighbours by pixels at 32x32 among the training photographs; drawn (top) and nearest (below) in ",
)


def main(arguments: list[str]) -> None:
    """Share of faces found, KID against held-back pictures, what the retouch does, and nearest training pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="a folder made by «facegen generate dataset»")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--plain", type=Path, help="a run of generate_plain, to compare with")
    parser.add_argument("--sheet", type=Path, default=Path("/tmp/facegen-benchmarks/generate_quality.png"))
    asked = parser.parse_args(arguments)
    pack = PackedFaces.read(asked.data)
    held = np.flatnonzero(pack.is_held_out())
    # the folders lie one after the other, so in any order but their own
    trained = np.random.default_rng(0).permutation(np.flatnonzero(~pack.is_held_out()))
    pipeline, analyser = GeneratePipeline(), FaceAnalyser()
    count = asked.count
    latents = pipeline.retouch(pipeline.sample(range(count)))
    # the five values of the held-back pictures, so that only the faces differ
    sliders = [
        Sliders(**dict(zip(NAMES, map(float, np.clip(pack.drawn[index, 0], 0, 1)), strict=True)))
        for index in held[np.arange(count) % len(held)]
    ]
    plain = pipeline.draw(latents, sliders, retouch=False)
    retouched = pipeline.draw(latents, sliders)
    sets = {
        "real (held back)": np.asarray(pack.pictures[held, 0]),
        "real (training)": np.asarray(pack.pictures[trained[: len(held)], 0]),
        "drawn, 128 px": plain,
        "drawn, retouched": np.stack([cv2.resize(p, (128, 128), interpolation=cv2.INTER_AREA) for p in retouched]),
        "linear prior alone": _linear(pipeline, latents, sliders),
    }
    notes = list(NOTES[:-1])
    if asked.plain:
        model, spent = generate_plain.load(asked.plain)
        sets[PLAIN] = generate_plain.sample_faces(
            model, np.array([s.controls() for s in sliders], np.float32), range(count)
        )
        notes.append(
            f"Plain CVAE: {sum(p.numel() for p in model.parameters()):,} weights, {spent['pictures']:,} pictures, "
            f"{spent['cpu_minutes']:.0f} CPU minutes (the generator: {GENERATOR_SPENT})."
        )
    large = {
        REFERENCE: np.stack([_photograph(asked.data, pack.names[index]) for index in held]),
        "real (training), 256 px": np.stack([_photograph(asked.data, pack.names[n]) for n in trained[: len(held)]]),
        "drawn, retouched, 256 px": retouched,
    }
    scores = {name: pipeline.realism.score(_align_pictures(analyser, pictures)) for name, pictures in sets.items()}
    rows = [
        {**row, "realism": float(scores[row["pictures"]].mean()) if row["pictures"] in scores else ""}
        for some in (sets, large)
        for row in _compare(analyser, some)
    ]
    near, sheet = _neighbours(pack, trained, plain, retouched)
    if asked.plain:
        row = [cv2.resize(picture, (256, 256), interpolation=cv2.INTER_CUBIC) for picture in sets[PLAIN][:12]]
        sheet = np.concatenate([sheet, np.concatenate(row, 1)], 0)
    new = _nearest_distances(analyser, pack, near, retouched[: len(near)])
    asked.sheet.parent.mkdir(parents=True, exist_ok=True)
    write_picture(asked.sheet, sheet)
    report(
        "generate_quality",
        rows,
        figures={
            **_retouching(analyser, plain[:100], retouched[:100]),
            "retouch: share of samples whose realism it raises": _improved_share(pipeline, plain, retouched),
            **{f"realism: {name}": estimate([[score] for score in several]) for name, several in scores.items()},
            "dlib distance to the nearest training picture, median": float(np.median(new)),
            "smallest": float(np.min(new)),
            **_better(rows),
        },
        notes=[*notes, f"{NOTES[-1]}{asked.sheet}."],
        measures=MEASURES,
    )


def _photograph(dataset: Path, name: str) -> np.ndarray:
    """(256, 256, 3) uint8 RGB: a photograph of a dataset, aligned."""
    return read_picture((dataset / "resized" / name.removeprefix("resized_")).with_suffix(".png"))


def _compare(analyser: FaceAnalyser, sets: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """Sets of pictures of one size against the held-back photographs among them."""
    maps = {name: _maps(pictures) for name, pictures in sets.items()}
    people = {name: _people(analyser, pictures) for name, pictures in sets.items()}
    rows = []
    for name, pictures in sets.items():
        if name == REFERENCE:
            continue
        row: dict[str, object] = {"pictures": name}
        for title, features in (("CenterFace", maps), ("dlib", people)):
            row[f"KID x 1000, {title}"] = 1000 * kid(features[name], features[REFERENCE])
            precision, recall = precision_recall(features[name], features[REFERENCE])
            row |= {f"precision, {title}": precision, f"recall, {title}": recall}
        rows.append({**row, "count": len(pictures)})
    return rows


def _better(rows: list[dict]) -> dict[str, float]:
    """How much smaller the generator's KID is than the plain CVAE's, as a share of it."""
    found = {row["pictures"]: row for row in rows}
    if PLAIN not in found:
        return {}
    drawn, plain = found["drawn, 128 px"], found[PLAIN]
    return {
        f"{name}: smaller than the plain CVAE's by": 1 - drawn[name] / plain[name] for name in drawn if "KID" in name
    }


def _improved_share(pipeline: GeneratePipeline, plain: np.ndarray, retouched: np.ndarray) -> float:
    before, after = (pipeline.realism.score(_align_pictures(pipeline.analyser, found)) for found in (plain, retouched))
    return float(np.mean(after > before))


def _retouching(analyser: FaceAnalyser, plain: np.ndarray, retouched: np.ndarray) -> dict[str, float]:
    """Faces found, and what the retouch changes: the largest mean shift of a slider, the person."""
    large = [cv2.resize(picture, (256, 256), interpolation=cv2.INTER_CUBIC) for picture in plain]
    before, faces = measure_faces(analyser, large)
    after, again = measure_faces(analyser, list(retouched))
    gaps = []
    for one, face, other, found in zip(large, faces, retouched, again, strict=True):
        if face is not None and found is not None:
            gaps.append(distance(analyser.embed(one, [face])[0].embedding, analyser.embed(other, [found])[0].embedding))
    shifts = np.nanmean(np.abs(after - before), 0)
    return {
        "share of faces found": float(np.mean([face is not None for face in again])),
        "retouch: largest mean shift of a slider": float(shifts.max()),
        "retouch: dlib distance of before to after, mean": float(np.mean(gaps)),
    }


def _linear(pipeline: GeneratePipeline, latents, sliders: list[Sliders]) -> np.ndarray:
    """The base alone, moved and repainted: what the trained cells begin with."""
    from facegen.generate.model.vae import hair_shading, recolour_base, sampling_grid

    generator = pipeline.generator
    flows = np.stack([generator.flow(s, v) for s, v in zip(latents.shapes, sliders, strict=True)])
    with torch.inference_mode():
        base = generator.vae.decode_texture(latents.texture)
        base = torch.cat([base, hair_shading(base)], 1)
        large = F.interpolate(base, size=128, mode="bicubic", align_corners=False)
        flow = F.interpolate(torch.from_numpy(flows).permute(0, 3, 1, 2), size=128, mode="bilinear")
        placed = F.grid_sample(large, sampling_grid(flow), padding_mode="border", align_corners=False)
        drawn = recolour_base(placed[:, :5], placed[:, 5:], torch.tensor([v.values() for v in sliders]))
    return drawn.clamp(0, 1).mul(255).byte().permute(0, 2, 3, 1).numpy()


def _align_pictures(analyser: FaceAnalyser, pictures: np.ndarray) -> np.ndarray:
    """(N, 128, 128, 3) uint8: square pictures as the dataset has photographs; those in which no face is found stay."""
    found = []
    for picture in pictures:
        large = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_CUBIC) if len(picture) < 256 else picture
        faces = analyser.detect(large, max_faces=1)
        framed = align_face(large, faces[0]).picture_rgb if faces else large
        found.append(cv2.resize(framed, (128, 128), interpolation=cv2.INTER_AREA))
    return np.stack(found)


def _maps(pictures: np.ndarray) -> np.ndarray:
    """(N, 944) of (N, S, S, 3) uint8 RGB."""
    import onnx
    import onnxruntime

    from facegen import hub
    from facegen.faces.weights import CENTERFACE

    model = onnx.load(str(hub.fetch(CENTERFACE)))
    for axis, name in enumerate(("count", "", "height", "width")):
        if name:
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in MAPS)
    del model.graph.value_info[:]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = []
    for part in np.array_split(pictures, max(1, len(pictures) // 32)):
        inputs = np.ascontiguousarray(part.transpose(0, 3, 1, 2), np.float32)
        maps = session.run(list(MAPS), {model.graph.input[0].name: inputs})
        found.append(np.concatenate([s for m in maps for s in (m.mean((2, 3)), m.std((2, 3)))], 1))
    return np.concatenate(found).astype(np.float64)


def _people(analyser: FaceAnalyser, pictures: np.ndarray) -> np.ndarray:
    """(M, 128) recognition descriptors of the pictures in which a face is found."""
    found = []
    for picture in pictures:
        large = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_CUBIC) if len(picture) < 256 else picture
        faces = analyser.detect(large, max_faces=1)
        if faces:
            found.append(analyser.embed(large, faces)[0].embedding)
    return np.stack(found).astype(np.float64)


def kid(a: np.ndarray, b: np.ndarray) -> float:
    """Squared maximum mean discrepancy of two sets of features, standardised by the second's mean and spread."""
    middle, spread = b.mean(0), b.std(0) + 1e-6
    a, b = (a - middle) / spread, (b - middle) / spread

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        k = kernel(x, x)
        return float((k.sum() - np.trace(k)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())


def precision_recall(drawn: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019) of two sets of features, standardised by the real ones.

    Returns:
        Share of the drawn that lie within the distance of a real one to its third nearest real neighbour, and the same
        the other way round.
    """
    middle, spread = real.mean(0), real.std(0) + 1e-6
    drawn, real = (drawn - middle) / spread, (real - middle) / spread

    def covered(points: np.ndarray, manifold: np.ndarray) -> float:
        radius = np.sort(cdist(manifold, manifold), 1)[:, NEIGHBOURS]
        return float((cdist(points, manifold) <= radius).any(1).mean())

    return covered(drawn, real), covered(real, drawn)


def _neighbours(
    pack: PackedFaces, trained: np.ndarray, plain: np.ndarray, retouched: np.ndarray, shown: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    def small(pictures: np.ndarray) -> np.ndarray:
        return np.stack([cv2.resize(p, (32, 32), interpolation=cv2.INTER_AREA) for p in pictures]).reshape(
            len(pictures), -1
        )

    photographs = small(np.asarray(pack.pictures[trained, 0])).astype(np.float32)
    near = np.array(
        [trained[np.square(photographs - one).sum(1).argmin()] for one in small(plain[:64]).astype(np.float32)]
    )
    rows = [retouched[:shown], [cv2.resize(pack.pictures[index, 0], (256, 256)) for index in near[:shown]]]
    return near, np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)


def _nearest_distances(analyser: FaceAnalyser, pack: PackedFaces, near: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Recognition distances of drawn faces to their nearest training pictures."""
    distances = []
    for index, picture in zip(near, drawn, strict=True):
        pair = []
        for image in (picture, cv2.resize(pack.pictures[index, 0], (256, 256), interpolation=cv2.INTER_CUBIC)):
            faces = analyser.detect(np.ascontiguousarray(image), max_faces=1)
            if faces:
                pair.append(analyser.embed(np.ascontiguousarray(image), faces)[0].embedding)
        if len(pair) == 2:
            distances.append(distance(*pair))
    return np.array(distances)
