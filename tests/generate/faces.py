"""A small packed dataset made of the mesh's own geometry; no picture of anybody."""

import numpy as np

from facegen.faces.mesh import topology
from facegen.generate.dataset.packed import SIDE, PackedFaces
from facegen.generate.frame.variants import flow_from_canonical


def shape(seed: int = 0) -> np.ndarray:
    """(468, 3) a plausible shape in the generator's frame."""
    points = topology().xyz * np.array([8.4, -8.4, -8.4], np.float32)
    points = points * (1 + 0.03 * np.random.default_rng(seed).standard_normal(3))
    eyes = points[[33, 133, 362, 263]].mean(0)
    return (points - eyes + np.array([128.5, 121.0, 0.0])).astype(np.float32)


def small_pack(count: int = 16, variants: int = 2, *, has_large: bool = False) -> PackedFaces:
    """Random pictures with real shapes and flows."""
    random = np.random.default_rng(0)
    shapes = np.stack([shape(number) for number in range(count)])
    mean = shapes.mean(0)
    flows = np.stack([np.stack([flow_from_canonical(s, s, mean)] * variants) for s in shapes])
    drawn, measured = random.random((2, count, variants, 5), np.float32)
    measured[:, 0, 4] = 0.5  # all look ahead
    return PackedFaces(
        names=tuple(f"{'female' if n % 2 else 'male'}/{n}.png" for n in range(count)),
        groups=tuple("female" if n % 2 else "male" for n in range(count)),
        pictures=random.integers(0, 256, (count, variants, SIDE, SIDE, 3), np.uint8),
        drawn=drawn,
        measured=measured,
        canonical=random.integers(0, 256, (count, SIDE, SIDE, 5), np.uint8),
        flows=flows.astype(np.float16),
        shapes=shapes,
        mean_shape=mean,
        large=random.integers(0, 256, (count, 2 * SIDE, 2 * SIDE, 3), np.uint8) if has_large else None,
        classes=random.random((count, 19), np.float32) if has_large else None,
    )
