"""`Surroundings`: strands, neck and shoulders that a retouch gives to drawn faces, learnt from photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegen.errors import WeightsError
from facegen.generate.bodies import Bodies
from facegen.generate.matte import put_together, skin_of
from facegen.generate.strands import Strands
from facegen.generate.variants import warped


@dataclass(frozen=True, eq=False, kw_only=True)
class Around:
    """What the retouch gives to B new faces."""

    strands: np.ndarray
    """(B, 256, 256) float32 in the canonical frame, as `Strands.drawn` makes them."""
    bodies: np.ndarray
    """(B, K) float32 codes of `Bodies`."""

    def take(self, places: Sequence[int]) -> Around:
        """Of some of the faces."""
        return Around(strands=self.strands[list(places)], bodies=self.bodies[list(places)])

    def mixed(self, other: Around, share: float) -> Around:
        """Between these (0) and others (1); strands, which do not mix, are those that are nearer."""
        nearer = self if share < 0.5 else other
        return Around(strands=nearer.strands, bodies=self.bodies + share * (other.bodies - self.bodies))

    @classmethod
    def joined(cls, parts: Sequence[Around]) -> Around:
        """Several groups as one."""
        return cls(strands=np.concatenate([p.strands for p in parts]), bodies=np.concatenate([p.bodies for p in parts]))


@dataclass(frozen=True, eq=False, kw_only=True)
class Surroundings:
    """The learnt models of strands and bodies."""

    strands: Strands
    bodies: Bodies

    @classmethod
    def read(cls, path: Path) -> Surroundings:
        """From the file that `write` makes.

        Raises:
            WeightsError: it is another file.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = load_file(path)
            bodies = Bodies(mean=found["body_mean"], axes=found["body_axes"], codes=found["body_codes"])
            return cls(strands=Strands(field=found["strands"]), bodies=bodies)
        except (SafetensorError, KeyError) as error:
            raise WeightsError(
                f"Expected hair and bodies in {path}, found another file; install them again."
            ) from error

    def write(self, path: Path) -> None:
        """As one safetensors file."""
        from safetensors.numpy import save_file

        bodies = {f"body_{name}": np.ascontiguousarray(value) for name, value in vars(self.bodies).items()}
        # safetensors writes memory as it lies
        save_file({"strands": np.ascontiguousarray(self.strands.field), **bodies}, path)

    def around(self, canonical_rgb: np.ndarray, hair: np.ndarray, person: int) -> Around:
        """What goes with one face.

        Args:
            canonical_rgb: (S, S, 3) uint8 the face in the canonical frame.
            hair: (S, S) float32 0..1 where its hair is.
            person: a seed.
        """
        strands = self.strands.drawn(canonical_rgb, hair, person)
        return Around(strands=strands[None], bodies=self.bodies.mixed(person)[None])

    def given_to(self, picture_rgb: np.ndarray, classes: np.ndarray, around: Around, flow: np.ndarray) -> np.ndarray:
        """A picture put together anew.

        Args:
            picture_rgb: (256, 256, 3) uint8.
            classes: (19, 256, 256) probabilities of the parser.
            around: of one face.
            flow: (64, 64, 2) from the canonical frame to the picture's.
        """
        strands = warped(around.strands[0][..., None], flow)[..., 0]
        body = self.bodies.placed(around.bodies[0], flow, skin_of(picture_rgb, classes))
        return put_together(picture_rgb, classes, strands, body)
