"""Every record, proved with a stand-in whose right answer is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from facegen.errors import InputError, WeightsError
from facegen.faces import Face, FaceAnalyser
from facegen.faces.arcface import ArcFace
from facegen.inference import OnnxNetwork
from facegen.swap.assignment import FaceAssignment
from facegen.swap.engines import make_engine
from facegen.swap.oneshot.engine import OneShotEngine, SwapNetwork, join_tiles, split_tiles
from facegen.swap.oneshot.identity import OneShotIdentity, read_projection
from facegen.swap.oneshot.models import ENGINES, MODELS, find_model
from facegen.swap.options import SwapOptions
from facegen.swap.render import swap_image
from tests.factories import noise_rgb, portrait_rgb
from tests.onnx_graph import Graph, number
from tests.swap.oneshot.facts import FACTS, POINTS
from tests.swap.oneshot.stand_ins import (
    EMAP,
    MEANS_TO_EMBEDDING,
    Paint,
    odd_colours,
    psnr,
    source_shown,
    stand_in_engine,
    target_itself,
    template_shown,
    write_converter,
    write_swap_model,
)

Shown = tuple[np.ndarray, Face]

every_model = pytest.mark.parametrize("name", ENGINES)


@pytest.fixture(scope="module")
def shown(analyser: FaceAnalyser) -> Shown:
    """A picture with a face of about 130 pixels, and that face."""
    image = portrait_rgb()[:300, 80:380].copy()
    return image, analyser.detect(image, max_faces=1)[0]


def fitted(face: Face, points: np.ndarray, size: int) -> np.ndarray:
    """The (2, 3) matrix as the published pipeline finds it, in OpenCV's words."""
    target = (points * size).astype(np.float32)
    matrix, _ = cv2.estimateAffinePartial2D(face.points5, target, method=cv2.RANSAC, ransacReprojThreshold=100)
    return matrix


def expected_embedding(image: np.ndarray, face: Face) -> np.ndarray:
    """What the stand-in of ArcFace says of a face, computed without ONNX Runtime."""
    crop = cv2.warpAffine(image, fitted(face, POINTS["v2"], 112), (112, 112), borderMode=cv2.BORDER_REPLICATE)
    means = (crop / 127.5 - 1).reshape(7, 16, 7, 16, 3).mean((1, 3)).transpose(2, 0, 1)
    return MEANS_TO_EMBEDDING @ means.ravel()


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def expected_source(name: str, embedding: np.ndarray) -> np.ndarray:
    """What a model must be told of an embedding, as the facts say."""
    converted = embedding[::-1] * 0.5 + 0.25
    return {
        "raw": embedding,
        "unit": unit(embedding),
        "projected": embedding @ EMAP / np.linalg.norm(embedding),
        "converted": converted,
        "converted unit": unit(converted),
    }[FACTS[name].source]


def test_every_engine_has_its_facts() -> None:
    assert set(ENGINES) == set(FACTS)


def check_ranges(engine: OneShotEngine, shown: Shown) -> None:
    """The network's answer is known where channels and ranges are right."""
    facts = FACTS[engine.name]
    crop = noise_rgb(facts.size, facts.size)
    (made,) = engine._network.swap([crop], [np.zeros(facts.source_shape[1:], np.float32)])
    np.testing.assert_allclose(made, crop * [-1, 1, 0.5] + [255, 0, 0], atol=0.05)


def check_template(engine: OneShotEngine, shown: Shown) -> None:
    """What the network paints at its template's points lies on those of the frame's face, to half a pixel."""
    image, face = shown
    options = SwapOptions(
        engine=engine.name, colour=0, grain_match=0, sharpness_match=0, occlusion=False, mask_feather=0
    )
    prediction = engine.predict(image, face, engine.prepare([shown]), options)
    patch = engine.composite(prediction, prediction.statistics, options, seed=0)
    facts = FACTS[engine.name]
    to_frame = cv2.invertAffineTransform(fitted(face, POINTS[facts.points], facts.size))
    dots = POINTS[facts.points] * facts.size @ to_frame[:, :2].T + to_frame[:, 2]
    radius = max(facts.size * 0.03 * np.hypot(*to_frame[0, :2]), 2)
    y, x = np.mgrid[: patch.alpha.shape[0], : patch.alpha.shape[1]]
    for expected in dots - (patch.x, patch.y):
        weight = patch.image_rgb[..., 0] * (np.hypot(x - expected[0], y - expected[1]) < radius)
        found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert np.hypot(*(found - expected)) < 0.5
        assert weight.max() > 150


def check_source(engine: OneShotEngine, shown: Shown) -> None:
    """What the network is told of the source is what the facts say of two pictures, or of one where it takes one."""
    (image, face), facts = shown, FACTS[engine.name]
    options = SwapOptions(engine=engine.name)
    if facts.source in POINTS:
        drawn = engine.predict(image, face, engine.prepare([shown]), options).drawn / 255
        side = facts.source_shape[-1]
        matrix = fitted(face, POINTS[facts.source], side)
        crop = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE) / 255
        np.testing.assert_allclose(drawn[:side, :side], crop, atol=0.02)
        return
    pictures = [shown, (image // 2, face)]
    drawn = engine.predict(image, face, engine.prepare(pictures), options).drawn / 255
    expected = expected_source(engine.name, np.mean([expected_embedding(*picture) for picture in pictures], axis=0))
    np.testing.assert_allclose(painted(drawn, facts.size), np.clip(expected, -8, 8), atol=0.02 * np.abs(expected).max())


def painted(drawn: np.ndarray, size: int) -> np.ndarray:
    """The (512,) numbers that `source_shown` painted."""
    fields = drawn[size // 32 :: size // 16, size // 64 :: size // 32, 0]
    return ((fields - 0.5) * 16).ravel()


CHECKS = ((check_ranges, odd_colours), (check_template, template_shown), (check_source, source_shown))


@every_model
@pytest.mark.parametrize(("check", "paint"), CHECKS)
def test_model_is_run_as_it_was_made_to_be(
    name: str, check: Callable[[OneShotEngine, Shown], None], paint: Paint, tmp_path: Path, shown: Shown
) -> None:
    check(stand_in_engine(name, tmp_path, paint), shown)


@pytest.mark.parametrize(
    ("number", "wrong"),
    [
        (0, {"mean": (0.0, 0.0, 0.0)}),
        (0, {"std": (1.0, 1.0, 1.0)}),
        (0, {"is_output_normalised": False}),
        (1, {"template": "arcface-112-v1"}),
        (1, {"template": "arcface-112-v2"}),
        (1, {"template": "mtcnn-512"}),
        (2, {"source": "raw"}),
        (2, {"source": "converted-normalised", "converter": MODELS[-4].converter}),
    ],
)
def test_a_slip_in_a_record_is_noticed(number: int, wrong: dict[str, Any], tmp_path: Path, shown: Shown) -> None:
    check, paint = CHECKS[number]
    engine = stand_in_engine("hyperswap-1a-256", tmp_path, paint, **wrong)
    with pytest.raises(AssertionError):
        check(engine, shown)


@every_model
def test_target_given_back_leaves_the_picture(name: str, tmp_path: Path, shown: Shown) -> None:
    image, face = shown
    engine = stand_in_engine(name, tmp_path, target_itself)
    part = FaceAssignment(face=face, identity=engine.prepare([shown]), track=1)
    for boost in (1, 2):
        swapped = swap_image(image, [part], engine, SwapOptions(engine=name, pixel_boost=boost))
        assert psnr(image, swapped) > 45


def test_strength_of_the_identity_mixes_with_the_target_or_leads_away_from_it(tmp_path: Path, shown: Shown) -> None:
    image, face = shown
    engine = stand_in_engine("hyperswap-1a-256", tmp_path, source_shown)
    source, target = unit(expected_embedding(image // 2, face)), unit(expected_embedding(image, face))
    identity = engine.prepare([(image // 2, face)])
    for strength, share in ((0.0, 0.35), (0.5, 0.0), (0.75, -0.175), (1.0, -0.35)):
        options = SwapOptions(engine=engine.name, identity_strength=strength)
        drawn = engine.predict(image, face, identity, options).drawn / 255
        expected = unit(source * (1 - share) + target * share)
        np.testing.assert_allclose(painted(drawn, 256), expected, atol=0.003)


def test_half_precision_is_fed_as_such(tmp_path: Path) -> None:
    path = write_swap_model("hyperswap-1a-256", tmp_path / "model.onnx", odd_colours)
    network = onnx.load(path)
    for entry in [*network.graph.input, *network.graph.output]:
        entry.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for constant in network.graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype == np.float32:
            constant.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), constant.name))
    onnx.save(network, path)
    model = find_model("hyperswap-1a-256")
    assert model is not None
    crop = noise_rgb(256, 256)
    (made,) = SwapNetwork(model, path).swap([crop], [np.zeros(512, np.float32)])
    np.testing.assert_allclose(made, crop * [-1, 1, 0.5] + [255, 0, 0], atol=0.5)


@pytest.mark.parametrize(("axis", "calls"), [("batch", 1), (1, 8)])
def test_faces_of_a_frame_go_through_in_one_call_where_the_file_lets_them(
    axis: int | str, calls: int, tmp_path: Path, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, face = shown
    engine = stand_in_engine("hyperswap-1a-256", tmp_path)
    graph = Graph()
    first = graph.node("Slice", "source", np.array([0]), np.array([1]), np.array([1]))
    first = graph.node("Reshape", first, np.array([-1, 1, 1, 1]))
    made = graph.node("Add", graph.node("Mul", "target", number(0)), first)
    path = graph.save(tmp_path / "any.onnx", {"target": (axis, 3, 256, 256), "source": (axis, 512)}, made, None)
    model = find_model("hyperswap-1a-256")
    assert model is not None
    engine._network = SwapNetwork(model, path)
    runs: list[int] = []
    run = OnnxNetwork._run

    def count(network: OnnxNetwork, wanted: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        runs.append(len(feeds["target"]))
        return run(network, wanted, feeds)

    monkeypatch.setattr(OnnxNetwork, "_run", count)
    sources = [np.full(512, value, np.float32) for value in (0.5, -0.5)]
    faces = [(face, OneShotIdentity(embedding=None, source=source), None) for source in sources]
    first, second = engine.predict_faces(image, faces, SwapOptions(engine=engine.name, pixel_boost=2, occlusion=False))
    assert (len(runs), sum(runs)) == (calls, 8)
    np.testing.assert_allclose(first.drawn, 255 * 0.75, atol=0.1)
    np.testing.assert_allclose(second.drawn, 255 * 0.25, atol=0.1)


def test_missing_files_are_named_with_the_command_that_fetches_them() -> None:
    with pytest.raises(WeightsError, match="ghost-1-256, crossface-ghost, arcface-w600k.*facegen weights fetch"):
        make_engine("ghost-1-256")


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = write_swap_model("inswapper-128", tmp_path / "model.onnx")
    model = find_model("hyperswap-1a-256")
    assert model is not None
    with pytest.raises(WeightsError, match="hyperswap-1a-256 with the inputs source and target"):
        SwapNetwork(model, path)
    with pytest.raises(WeightsError, match="512 x 512"):
        read_projection(write_swap_model("hyperswap-1a-256", path))
    with pytest.raises(WeightsError, match="ArcFace network"):
        ArcFace(write_converter(path))
    path.write_bytes(b"no network")
    with pytest.raises(WeightsError, match="cannot be read"):
        SwapNetwork(model, path)


def test_a_boost_beyond_what_a_crop_may_be_is_refused() -> None:
    with pytest.raises(InputError, match="at most 2 for the engine simswap-512"):
        SwapOptions(engine="simswap-512", pixel_boost=3)


def test_pixel_boost_is_undone_exactly() -> None:
    crop = noise_rgb(96, 96).astype(np.float32)
    for times in (1, 2, 3, 4):
        np.testing.assert_array_equal(join_tiles(split_tiles(crop, times), times), crop)
    tiles = split_tiles(crop, 2)
    np.testing.assert_array_equal(tiles[1], crop[0::2, 1::2])
