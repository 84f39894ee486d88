"""`Surroundings`: strands, neck and shoulders that a retouch gives to drawn faces, learnt from photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegen.errors import WeightsError
from facegen.generate.bodies import Bodies
from facegen.generate.matte import put_together, skin_of
from facegen.generate.strands import Strands
from facegen.generate.variants import warped


@dataclass(frozen=True, eq=False, kw_only=True)
class Surroundings:
    """Strands and bodies."""

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
            return cls(strands=Strands.of_arrays(found), bodies=Bodies.of_arrays(found))
        except (SafetensorError, KeyError) as error:
            raise WeightsError(
                f"Expected hair and bodies in {path}, found another file; install them again."
            ) from error

    def write(self, path: Path) -> None:
        """As one safetensors file."""
        from safetensors.numpy import save_file

        arrays = {**self.strands.arrays(), **self.bodies.arrays()}
        # safetensors writes memory as it lies
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)

    def given_to(
        self, picture_rgb: np.ndarray, classes: np.ndarray, numbers: tuple[int, int], flow: np.ndarray
    ) -> np.ndarray:
        """A picture put together anew, with hair and body of these numbers.

        Args:
            picture_rgb: (256, 256, 3) uint8.
            classes: (19, 256, 256) probabilities of the parser.
            numbers: of the strands (`Strands.nearest`), and of the colour of the clothes.
            flow: (64, 64, 2) from the canonical frame to the picture's.
        """
        strands = warped(self.strands.member(numbers[0]), flow)
        body = self.bodies.placed(numbers[1], flow, skin_of(picture_rgb, classes))
        return put_together(picture_rgb, classes, strands, body)
