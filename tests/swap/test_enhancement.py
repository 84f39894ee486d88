"""What follows on a new face, whichever engine drew it."""

import numpy as np

from facegen.faces import Face, FaceAnalyser
from facegen.media import Patch
from facegen.swap.enhancement import finish_patch
from facegen.swap.options import SwapOptions
from tests.factories import portrait_rgb


def test_the_restorer_is_the_first_link_of_the_chain(analyser: FaceAnalyser) -> None:
    image = portrait_rgb()
    (face,) = analyser.detect(image, max_faces=1)
    patch = patch_of(image, face)
    plain = finish_patch(patch, image, face.points5, SwapOptions())
    restored = finish_patch(patch, image, face.points5, SwapOptions(restore=0.5))
    chained = finish_patch(patch, image, face.points5, SwapOptions(enhance="restorer=0.5"))
    np.testing.assert_array_equal(plain.image_rgb, patch.image_rgb)
    np.testing.assert_array_equal(restored.image_rgb, chained.image_rgb)
    assert np.abs(restored.image_rgb.astype(int) - patch.image_rgb).mean() > 0.5


def patch_of(image: np.ndarray, face: Face) -> Patch:
    x0, y0, x1, y1 = face.box_xyxy.astype(int)
    return Patch(x=x0, y=y0, image_rgb=image[y0:y1, x0:x1].copy(), alpha=np.ones((y1 - y0, x1 - x0), np.float32))
