"""ArcFace in the place of dlib, by a stand-in that tells pictures apart."""

from pathlib import Path

import numpy as np
import pytest

from facegen import hub
from facegen.errors import InputError, WeightsError
from facegen.faces import SAME_PERSON, Face, FaceAnalyser, distance, weights
from facegen.faces.arcface import SAME_COSINE, ArcFaceRecogniser
from facegen.faces.recogniser import chip
from tests.factories import portrait_rgb
from tests.swap.oneshot.stand_ins import write_arcface


@pytest.fixture(scope="module")
def shown() -> tuple[np.ndarray, Face]:
    image = portrait_rgb()[:300, 80:380].copy()
    return image, FaceAnalyser().detect(image, max_faces=1)[0]


def test_a_chip_says_the_same_as_its_picture(tmp_path: Path, shown: tuple[np.ndarray, Face]) -> None:
    recogniser = ArcFaceRecogniser(write_arcface(tmp_path / "arcface.onnx"))
    image, face = shown
    (embedded,) = recogniser.embed(image, [face])
    from_chip, of_other = recogniser.embed_chips([chip(image, face.points478), chip(255 - image, face.points478)])
    assert embedded.embedding is not None
    assert embedded.embedding.shape == from_chip.shape == (512,)
    assert distance(embedded.embedding, from_chip) < 0.3 < SAME_PERSON < distance(from_chip, of_other)
    assert recogniser.embed_chips([]).shape == (0, 512)


def test_lengths_fit_the_thresholds(tmp_path: Path, shown: tuple[np.ndarray, Face]) -> None:
    recogniser = ArcFaceRecogniser(write_arcface(tmp_path / "arcface.onnx"))
    (vector,) = recogniser.embed_chips([chip(shown[0], shown[1].points478)])
    length = float(np.linalg.norm(vector))
    assert length * np.sqrt(2 - 2 * SAME_COSINE) == pytest.approx(SAME_PERSON)


def test_an_analyser_takes_another_recogniser(tmp_path: Path, shown: tuple[np.ndarray, Face]) -> None:
    analyser, (image, face) = FaceAnalyser(), shown
    with pytest.raises(WeightsError, match="facegen weights fetch auraface"):
        analyser.with_detector("embedded", "auraface")
    with pytest.raises(InputError, match="embedded, arcface, auraface"):
        analyser.with_detector("embedded", "facenet")
    hub.use_custom(weights.AURAFACE, write_arcface(tmp_path / "auraface.onnx"))
    other = analyser.with_detector("embedded", "auraface")
    assert other.mesh_finder is analyser.mesh_finder
    (embedded,) = other.embed(image, [face])
    assert embedded.embedding is not None
    assert embedded.embedding.shape == (512,)
    assert analyser.with_detector("embedded") is analyser
    assert other.with_detector("embedded") is other
