"""The folder that «facegen train realism» learns from: photographs of a prepared dataset, and faces that the generator draws.

python -m benchmarks.realism_faces --data DATASET --output FOLDER
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from facegen.errors import InputError
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.model.generator import FaceGenerator
from facegen.generate.model.latents import Latents
from facegen.generate.sliders import Sliders
from facegen.media import write_picture

FIRST_SEED = 1_000_000
"""Benchmarks draw other seeds."""
_AT_ONCE = 16


def main(arguments: list[str]) -> None:
    """Write `photographs/` and `generated/`: samples and reconstructions as drawn, without retouch, sliders as in photographs."""
    parser = argparse.ArgumentParser(prog="benchmarks realism_faces", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="made by «facegen generate dataset … --large»")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--photographs", type=int, default=900)
    parser.add_argument("--samples", type=int, default=320)
    parser.add_argument("--reconstructions", type=int, default=200)
    asked = parser.parse_args(arguments)
    if asked.output.exists():
        raise InputError(f"Expected a new folder at {asked.output}, found one; choose another.")
    pack, generator = PackedFaces.read(asked.data), FaceGenerator.load()
    random = np.random.default_rng(0)
    # faces that no training sees stay apart, so that the classifier can be measured on them
    faces = random.permutation(np.flatnonzero(~pack.is_held_out()))
    for index in faces[: asked.photographs]:
        name = Path(pack.names[index]).with_suffix(".png").name
        _write(asked.output / "photographs" / name, np.asarray(pack.pictures[index, 0]))
    sliders = [Sliders.from_controls(pack.drawn[index, 0].tolist()) for index in random.choice(faces, asked.samples)]
    for start in range(0, asked.samples, _AT_ONCE):
        part = sliders[start : start + _AT_ONCE]
        seeds = range(FIRST_SEED + start, FIRST_SEED + start + len(part))
        for seed, picture in zip(seeds, generator.draw(generator.sample(seeds), part), strict=True):
            _write(asked.output / "generated" / f"sample-{seed}.png", picture)
    for index in random.choice(faces, asked.reconstructions, replace=False):
        shown = Sliders.from_controls(pack.drawn[index, 0].tolist())
        encoded = generator.encode_canonical(np.array(pack.canonical[index])[None], shown)
        face = Latents(
            texture=encoded.texture, shapes=np.asarray(pack.shapes[index])[None], noises=encoded.noises, seeds=(0,)
        )
        name = Path(pack.names[index]).with_suffix(".png").name
        _write(asked.output / "generated" / name, generator.draw(face, shown)[0])


def _write(path: Path, picture_rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, picture_rgb)


if __name__ == "__main__":
    main(sys.argv[1:])
