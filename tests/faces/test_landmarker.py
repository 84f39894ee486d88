"""The landmarker through MediaPipe's C interface."""

import numpy as np
import pytest

from facegen import hub
from facegen.faces import weights
from facegen.faces.landmark import Landmarker
from tests.factories import portrait_rgb


def test_it_says_what_mediapipes_own_classes_say() -> None:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    model, picture = hub.fetch(weights.FACE_LANDMARKER).read_bytes(), portrait_rgb()
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=model),
        min_face_detection_confidence=0.3,
        min_face_presence_confidence=0.3,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    with vision.FaceLandmarker.create_from_options(options) as own:
        wanted = own.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture))
    landmarker = Landmarker(model, 0.3)
    found = landmarker.detect(picture)
    assert found is not None
    np.testing.assert_array_equal(found.points478, [(p.x, p.y, p.z) for p in wanted.face_landmarks[0]])
    np.testing.assert_array_equal(found.blendshapes, [shape.score for shape in wanted.face_blendshapes[0]])
    np.testing.assert_array_equal(found.matrix, wanted.facial_transformation_matrixes[0])
    assert landmarker.detect(np.zeros((64, 64, 3), np.uint8)) is None
    landmarker.close()


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(RuntimeError, match="MpFaceLandmarkerCreate failed"):
        Landmarker(b"no model", 0.3)
