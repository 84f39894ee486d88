"""Photographs that sliders change."""

from dataclasses import replace

import numpy as np
import pytest

from facegen.generate.editing.photograph import EncodedPhoto
from facegen.generate.pipeline import GeneratePipeline
from tests.factories import portrait_rgb


@pytest.fixture(scope="module")
def pipeline() -> GeneratePipeline:
    return GeneratePipeline(device="cpu")


@pytest.fixture(scope="module")
def encoded(pipeline: GeneratePipeline) -> EncodedPhoto:
    return pipeline.encode(portrait_rgb())


def change(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(256, 256) mean difference of the colours, levels."""
    return np.abs(one.astype(int) - other.astype(int)).mean(2)


def test_its_own_sliders_show_the_photograph(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> None:
    drawn = pipeline.draw(encoded.latents, encoded.sliders)[0]
    blurred = pipeline.restorer.restore(pipeline.draw(encoded.latents, encoded.sliders, retouch=False))[0]
    photograph = encoded.framed.picture_rgb
    assert drawn.shape == photograph.shape
    assert change(drawn, photograph).mean() < 0.5 * change(blurred, photograph).mean()
    small = pipeline.draw(encoded.latents, encoded.sliders, retouch=False)[0]
    assert small.shape == (128, 128, 3)  # without a retouch, what the networks alone draw


def test_what_a_slider_does_not_mean_stays(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> None:
    before, darker, opened = pipeline.draw(
        encoded.latents.take([0, 0, 0]),
        [encoded.sliders, replace(encoded.sliders, hair=0.95), replace(encoded.sliders, mouth=0.9)],
    )
    assert change(before, darker)[130:190, 100:156].mean() < 2  # the middle of the face
    assert change(before, opened)[:60].mean() < 1  # above the brows
    assert change(before, opened)[180:215, 110:146].mean() > 20  # the mouth


def test_directions_and_mixtures_change_it(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> None:
    photograph = pipeline.draw(encoded.latents, encoded.sliders)[0]
    wider = pipeline.draw(pipeline.directions.apply(encoded.latents, {"nose width": 3.0}), encoded.sliders)[0]
    assert change(photograph, wider)[120:180, 100:156].mean() > 1
    other = pipeline.sample([7])
    steps = [pipeline.draw(encoded.latents.mix(other, part), encoded.sliders)[0] for part in (0.0, 0.5, 1.0)]
    np.testing.assert_array_equal(steps[0], photograph)
    alone = pipeline.draw(other, encoded.sliders)[0]
    assert change(steps[2], alone).mean() < change(steps[1], alone).mean() < change(steps[0], alone).mean()


def test_several_are_kept_apart(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> None:
    both = type(encoded.latents).concat([encoded.latents, encoded.latents])
    drawn = pipeline.draw(both, [encoded.sliders, replace(encoded.sliders, background=0.1)])
    alone = pipeline.draw(encoded.latents, encoded.sliders)[0]
    assert change(drawn[0], alone).max() < 4
    assert change(drawn[0], drawn[1]).mean() > 5
