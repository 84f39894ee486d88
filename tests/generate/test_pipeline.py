"""The bundled generator through its one door."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facegen.encoding import EncodeOptions
from facegen.errors import InputError, NoFaceError, ResourceError
from facegen.faces import distance
from facegen.generate.attributes.measure import measure_faces
from facegen.generate.editing.directions import NAMES as DIRECTIONS
from facegen.generate.model.latents import Latents
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.request import GenerateOptions, GenerateRequest
from facegen.generate.sliders import NAMES, Sliders
from facegen.media import read_picture, write_picture
from facegen.provenance import verify
from tests.factories import noise_rgb, portrait_rgb


@pytest.fixture(scope="module")
def pipeline() -> GeneratePipeline:
    return GeneratePipeline(device="cpu")


def test_pictures_are_numbered_signed_and_repeatable(pipeline: GeneratePipeline, tmp_path: Path) -> None:
    request = GenerateRequest(
        output=str(tmp_path / "a"), sliders=Sliders(mouth=0.6), options=GenerateOptions(seed=7, count=2)
    )
    done = pipeline(request)
    assert [Path(name).name for name in done.files] == ["0000.png", "0001.png"]
    assert verify(done.files[0]).is_proven
    with Image.open(done.files[1]) as picture:
        said = json.loads(picture.info["facegen"])
    assert said["options"]["seed"] == 8
    again = pipeline(
        GenerateRequest(output=str(tmp_path / "b"), sliders=Sliders(**said["sliders"]), options=GenerateOptions(seed=8))
    )
    np.testing.assert_array_equal(read_picture(again.files[0]), read_picture(done.files[1]))


@pytest.mark.parametrize("name", NAMES)
def test_a_slider_moves_what_it_says(pipeline: GeneratePipeline, name: str) -> None:
    face = pipeline.sample([7])
    drawn = pipeline.sweep(face, Sliders(), name, steps=3)
    values, faces = measure_faces(pipeline.analyser, list(drawn))
    assert all(found is not None for found in faces)
    own = values[:, NAMES.index(name)]
    assert own[0] < own[1] < own[2]
    assert own[2] - own[0] > 0.5


def test_a_photograph_is_edited(pipeline: GeneratePipeline, tmp_path: Path) -> None:
    encoded = pipeline.encode(portrait_rgb())
    plain, opened = (
        np.ascontiguousarray(pipeline.draw(encoded.latents, sliders)[0])
        for sliders in (encoded.sliders, Sliders(**{**vars(encoded.sliders), "mouth": 0.9}))
    )
    photograph = np.ascontiguousarray(encoded.framed.picture_rgb)
    found = [
        pipeline.analyser.embed(p, pipeline.analyser.detect(p, 1))[0].embedding for p in (photograph, plain, opened)
    ]
    assert distance(found[0], found[1]) < 0.35
    assert distance(found[0], found[2]) < 0.45
    write_picture(tmp_path / "noise.png", noise_rgb(128, 128))
    with pytest.raises(NoFaceError, match=r"noise\.png"):
        pipeline(GenerateRequest(output=str(tmp_path), edit=str(tmp_path / "noise.png")))


@pytest.mark.parametrize("retouch", [False, True])
def test_a_black_and_white_photograph_gets_no_colour(pipeline: GeneratePipeline, retouch: bool) -> None:
    grey = np.repeat(cv2.cvtColor(portrait_rgb(), cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    encoded = pipeline.encode(grey)
    opened = Sliders(**{**vars(encoded.sliders), "mouth": 0.9})
    drawn = pipeline.draw(encoded.latents, opened, retouch=retouch)
    assert np.ptp(drawn.astype(int), axis=3).max() <= 2


@pytest.mark.parametrize("name", DIRECTIONS)
def test_directions_change_the_face(pipeline: GeneratePipeline, name: str) -> None:
    face = pipeline.sample([7])
    moved = pipeline.directions.apply(face, {name: 2.0})
    before, after = (pipeline.draw(f, Sliders(), retouch=False).astype(int) for f in (face, moved))
    assert np.abs(before - after).mean() > 0.5
    with pytest.raises(InputError, match="direction"):
        pipeline.directions.apply(face, {"tail": 1.0})
    with pytest.raises(InputError, match="between -6 and 6"):
        pipeline.directions.apply(face, {name: 400.0})


def test_a_film_that_its_encoder_does_not_fit_is_refused_first(pipeline: GeneratePipeline, tmp_path: Path) -> None:
    encode = EncodeOptions(encoder="vp9", file_type="mov")
    with pytest.raises(InputError, match="VP9"):
        pipeline(GenerateRequest(output=str(tmp_path / "a"), sweep=("mouth",), film=True, encode=encode))
    assert not (tmp_path / "a").exists()


def test_a_card_that_is_too_small_for_a_batch_draws_the_same_faces_in_smaller_ones(
    pipeline: GeneratePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where not even one fits, the command ends with a sentence and writes nothing."""
    import torch

    latents = pipeline.sample([1, 2, 3])
    together = pipeline.draw(latents, Sliders(), retouch=False)
    draw, most = pipeline.generator.draw, 1

    def small(part: Latents, sliders: Sequence[Sliders]) -> np.ndarray:
        if len(part) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return draw(part, sliders)

    monkeypatch.setattr(pipeline.generator, "draw", small)
    difference = pipeline.draw(latents, Sliders(), retouch=False).astype(int) - together
    assert np.abs(difference).max() <= 1
    most = 0
    output = tmp_path / "faces"
    with pytest.raises(ResourceError, match="use --device cpu"):
        pipeline(GenerateRequest(output=str(output), sliders=Sliders(), options=GenerateOptions(retouch=False)))
    assert not list(output.glob("*.png"))
