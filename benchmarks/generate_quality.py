"""Do drawn faces look like photographs, and are they new? Against pictures that no training saw."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from benchmarks import generate_plain
from benchmarks.report import report
from facegen.faces import FaceAnalyser, distance
from facegen.generate.attributes.measure import measure_faces
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.frame.alignment import align_face
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.sliders import NAMES, Sliders
from facegen.media import write_picture

MEASURES = ("facegen/generate", "weights/generate")
MAPS = ("387", "413", "474", "507")
"""Outputs of the detector's MobileNetV2 at 1/4, 1/8, 1/16 and 1/32 of the side: 24, 32, 96 and 320 channels."""
PLAIN = "plain CVAE"
GENERATOR_SPENT = "2,657,200 weights, 22,488 pictures and 6,051 samples, 35 CPU minutes"
NOTES = (
    "CenterFace: mean and deviation of four maps of the MobileNetV2 in the face detector (WIDER FACE; no training of ours "
    "uses it), 944 numbers of pictures at 128 pixels, standardised by the held-back photographs. dlib: its 128 numbers "
    "of recognition.",
    "KID: cubic kernel, unbiased (arXiv:1801.01401).",
    "Realism: of pictures brought into the frame by their five points, as photographs are; as they stand, the classifier "
    "also sees that a head that turns leaves its place.",
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
        Sliders(**dict(zip(NAMES, map(float, np.clip(pack.drawn[place, 0], 0, 1)), strict=True)))
        for place in held[np.arange(count) % len(held)]
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
    features = {name: _maps(pictures) for name, pictures in sets.items()}
    people = {name: _people(analyser, pictures) for name, pictures in sets.items()}
    reference = "real (held back)"
    rows = [
        {
            "pictures": name,
            "KID x 1000, CenterFace": 1000 * kid(features[name], features[reference]),
            "KID x 1000, dlib": 1000 * kid(people[name], people[reference]),
            "realism": float(pipeline.realism.score(_align_pictures(analyser, pictures)).mean()),
            "as they stand": float(pipeline.realism.score(pictures).mean()),
            "count": len(pictures),
        }
        for name, pictures in sets.items()
        if name != reference
    ]
    held_realism = float(pipeline.realism.score(_align_pictures(analyser, sets[reference])).mean())
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
            "realism of held-back photographs": held_realism,
            "dlib distance to the nearest training picture, median": float(np.median(new)),
            "smallest": float(np.min(new)),
            **_better(rows),
        },
        notes=[*notes, f"{NOTES[-1]}{asked.sheet}."],
        measures=MEASURES,
    )


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
    """(N, 944) of (N, 128, 128, 3) uint8 RGB."""
    import onnx
    import onnxruntime

    from facegen import hub
    from facegen.faces.weights import CENTERFACE

    model = onnx.load(str(hub.fetch(CENTERFACE)))
    for place, name in enumerate(("count", "", "height", "width")):
        if name:
            model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
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
        large = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_CUBIC)
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
    rows = [retouched[:shown], [cv2.resize(pack.pictures[place, 0], (256, 256)) for place in near[:shown]]]
    return near, np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)


def _nearest_distances(analyser: FaceAnalyser, pack: PackedFaces, near: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Recognition distances of drawn faces to their nearest training pictures."""
    distances = []
    for place, picture in zip(near, drawn, strict=True):
        pair = []
        for image in (picture, cv2.resize(pack.pictures[place, 0], (256, 256), interpolation=cv2.INTER_CUBIC)):
            faces = analyser.detect(np.ascontiguousarray(image), max_faces=1)
            if faces:
                pair.append(analyser.embed(np.ascontiguousarray(image), faces)[0].embedding)
        if len(pair) == 2:
            distances.append(distance(*pair))
    return np.array(distances)
