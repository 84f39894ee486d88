"""Masks drawn with a brush: values of the editor, stored masks, and a training on them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.facesets.tasks import MASK
from facegen.jobs import Run
from facegen.training.jobs import TRAIN
from facegen.ui.pictures import write_upload
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.train.trainings import SHARED_FIRST_MINUTES, is_limited

if TYPE_CHECKING:
    from facegen.facesets import FaceRecord, Faceset

CANVAS = 512
"""Side of the editor's picture, pixels."""
COLOUR, OPACITY = (60, 230, 120), 0.45
"""Of what is drawn."""
_DRAWN = 40
"""From this opacity (of 255) on a pixel counts as drawn."""


def record_at(faceset: "Faceset", number: int) -> "FaceRecord":
    """A face by its place, which is brought into bounds.

    Raises:
        InputError: the faceset is empty.
    """
    if not len(faceset):
        raise InputError("Expected faces to draw on, found none; cut some out first.")
    return faceset.records[min(max(int(number), 0), len(faceset) - 1)]


def editor_value(faceset: "Faceset", record: "FaceRecord") -> dict[str, Any]:
    """What the editor gets: the face, and its mask as a layer to paint on and erase from."""
    image, mask = faceset.picture(record), faceset.mask(record)
    background = cv2.resize(image, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    layer = np.zeros((CANVAS, CANVAS, 4), np.uint8)
    if mask is not None:
        inside = cv2.resize(mask, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR) > 127
        layer[inside] = (*COLOUR, round(255 * OPACITY))
    return {"background": background, "layers": [layer], "composite": None}


def read_layer(services: Services, visitor: Visitor, content: bytes) -> np.ndarray:
    """(H, W) uint8: how opaque a layer of the editor is.

    Raises:
        InputError: it is no picture.
    """
    from facegen.media import read_still

    still = read_still(write_upload(services.visitor_folder(visitor) / "painted", content))
    return np.full(still.image_rgb.shape[:2], 255, np.uint8) if still.alpha is None else still.alpha


def painted_mask(layers: Sequence[np.ndarray], side: int) -> np.ndarray:
    """(side, side) uint8, 255 where something is painted in any layer.

    Args:
        layers: (H, W) uint8 of one size, how opaque each is.
        side: of the mask, pixels.

    Raises:
        InputError: nothing is painted.
    """
    covered = np.max(layers, 0) > _DRAWN if len(layers) else np.zeros((1, 1), bool)
    if not covered.any():
        raise InputError("Expected something painted on the face, found nothing; paint what belongs to it.")
    return cv2.resize(covered.astype(np.uint8) * 255, (side, side), interpolation=cv2.INTER_AREA)


def count(faceset: "Faceset") -> int:
    """Faces whose masks were drawn by hand."""
    from facegen.facesets.record import BRUSH

    return sum(record.mask_kind == BRUSH for record in faceset.records)


def train(services: Services, visitor: Visitor, faceset: "Faceset") -> Run:
    """Put a training on the drawn masks into the queue.

    Raises:
        InputError: too few are drawn.
    """
    from facegen.facesets.mask_task import MIN_MASKS

    if count(faceset) < MIN_MASKS:
        raise InputError(
            f"Expected at least {MIN_MASKS} masks drawn by hand, found {count(faceset)}; draw some more, better a dozen."
        )
    from facegen.training.request import make_request

    changes = [f"minutes={SHARED_FIRST_MINUTES:g}"] if is_limited(services) else []
    request = make_request(MASK, preset="default", data=str(faceset.folder.absolute()), changes=changes)
    return services.start(visitor, TRAIN, request)


def trained_masks(services: Services, visitor: Visitor) -> list[str]:
    """The visitor's runs that hold a trained mask, newest first."""
    return [run.name for run in services.runs(visitor) if any((run.path / "exports").glob("*/mask.safetensors"))]


def apply(services: Services, visitor: Visitor, faceset: "Faceset", name: str | None) -> "Faceset":
    """Gives the faces of a faceset masks by a trained one; those drawn by hand stay.

    Raises:
        InputError: there is no such training.
    """
    from facegen.facesets import mask as masking
    from facegen.facesets.record import TRAINED

    if not name:
        raise InputError("Expected a trained mask, found none chosen; train one on masks that you drew.")
    return masking.apply(faceset, f"{TRAINED}:{services.run(visitor, name).path}")
