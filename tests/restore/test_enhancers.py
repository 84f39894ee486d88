"""The enhancers' records, proved with stand-ins whose right answer is known."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from facegen import hub
from facegen.errors import InputError, WeightsError
from facegen.faces import FaceAnalyser
from facegen.restore import enhancers
from facegen.restore.enhancers import ENHANCERS, Enhancer, load_enhancer, parse_chain
from tests.factories import portrait_rgb
from tests.onnx_graph import Graph, colour, dots, number
from tests.swap.oneshot.facts import POINTS

SIZES = {
    "gfpgan-1-2": 512,
    "gfpgan-1-3": 512,
    "gfpgan-1-4": 512,
    "restoreformer": 512,
    "codeformer": 512,
    "gpen-bfr-256": 256,
    "gpen-bfr-512": 512,
    "gpen-bfr-1024": 1024,
    "gpen-bfr-2048": 2048,
}
Paint = Callable[[Graph, str, int], str]
every_enhancer = pytest.mark.parametrize("name", [model.name for model in ENHANCERS])


def input_itself(graph: Graph, name: str, size: int) -> str:
    return "input"


def odd_colours(graph: Graph, name: str, size: int) -> str:
    """1 - R, G, B / 2, of RGB in 0..1, in -1..1."""
    rgb = graph.node("Add", graph.node("Mul", "input", number(0.5)), number(0.5))
    made = graph.node("Add", graph.node("Mul", rgb, colour((-1.0, 1.0, 0.5))), colour((1.0, 0.0, 0.0)))
    return graph.node("Sub", graph.node("Mul", made, number(2)), number(1))


def dotted(graph: Graph, name: str, size: int) -> str:
    points = POINTS["128" if name == "gpen-bfr-256" else "ffhq"]
    return graph.node("Add", graph.node("Mul", "input", number(0)), dots(points, size) * 2 - 1)


def half_as_bright(graph: Graph, name: str, size: int) -> str:
    return graph.node("Sub", graph.node("Mul", "input", number(0.5)), number(0.5))


def use_stand_in(name: str, folder: Path, paint: Paint = input_itself) -> None:
    """Put a stand-in into the place of an enhancer's file."""
    graph, shape = Graph(), (1, 3, SIZES[name], SIZES[name])
    made = paint(graph, name, SIZES[name])
    inputs: dict[str, tuple[int | str, ...]] = {"input": shape}
    if name == "codeformer":
        # a fidelity other than 0.5 darkens the answer
        off = graph.node("Sub", graph.node("Cast", "weight", to=1), number(0.5))
        made, inputs["weight"] = graph.node("Sub", made, graph.node("Abs", off)), (1,)
    path = graph.save(folder / f"{name}.onnx", inputs, made, shape, doubles=("weight",))
    hub.use_custom(next(model.weight for model in ENHANCERS if model.name == name), path)
    load_enhancer.cache_clear()


@pytest.fixture(scope="module")
def shown() -> tuple[np.ndarray, np.ndarray]:
    """A picture with a face of about 130 pixels, and its five points."""
    image = portrait_rgb()[:300, 80:380].copy()
    return image, FaceAnalyser().detect(image, max_faces=1)[0].points5


def test_every_enhancer_has_its_size() -> None:
    assert {model.name: model.size for model in ENHANCERS} == SIZES


@every_enhancer
def test_one_that_gives_back_its_input_changes_nothing(
    name: str, tmp_path: Path, shown: tuple[np.ndarray, np.ndarray]
) -> None:
    use_stand_in(name, tmp_path)
    np.testing.assert_array_equal(load_enhancer(name).enhance(*shown, 1.0), shown[0])


@every_enhancer
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_ranges_channels_and_strength(
    name: str, strength: float, tmp_path: Path, shown: tuple[np.ndarray, np.ndarray]
) -> None:
    use_stand_in(name, tmp_path, odd_colours)
    image = np.zeros_like(shown[0]) + np.array([40, 90, 200], np.uint8)
    made = load_enhancer(name).enhance(image, shown[1], strength)
    x, y = shown[1][2].astype(int)
    expected = np.array([40, 90, 200]) * (1 - strength) + np.array([255 - 40, 90, 100]) * strength
    np.testing.assert_allclose(made[y, x], expected, atol=1)
    np.testing.assert_array_equal(made[0, 0], image[0, 0])


@every_enhancer
def test_crop_is_aligned_by_its_template(name: str, tmp_path: Path, shown: tuple[np.ndarray, np.ndarray]) -> None:
    use_stand_in(name, tmp_path, dotted)
    image, points5 = shown
    points, size = POINTS["128" if name == "gpen-bfr-256" else "ffhq"], SIZES[name]
    matrix, _ = cv2.estimateAffinePartial2D(
        points5, (points * size).astype(np.float32), method=cv2.RANSAC, ransacReprojThreshold=100
    )
    to_frame = cv2.invertAffineTransform(matrix)
    made = load_enhancer(name).enhance(np.full_like(image, 60), points5, 1.0)[..., 0].astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    for expected in points * size @ to_frame[:, :2].T + to_frame[:, 2]:
        weight = made * (np.hypot(x - expected[0], y - expected[1]) < 5)
        found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert weight.max() > 120
        assert np.hypot(*(found - expected)) < 0.6


def test_a_chain_is_read_with_its_strengths() -> None:
    assert parse_chain("gfpgan-1-4=0.5, restorer , codeformer=1") == (
        ("gfpgan-1-4", 0.5),
        ("restorer", enhancers.STRENGTH),
        ("codeformer", 1.0),
    )
    assert parse_chain("") == ()
    with pytest.raises(InputError, match="Expected an enhancer of restorer, gfpgan-1-4"):
        parse_chain("gfpgan")
    for wrong in ("0", "1.5", "much"):
        with pytest.raises(InputError, match="strength above 0"):
            parse_chain(f"codeformer={wrong}")


def test_missing_and_wrong_files_are_told(tmp_path: Path) -> None:
    model = ENHANCERS[0]
    with pytest.raises(WeightsError, match="facegen weights fetch gfpgan-1-4"):
        Enhancer(model)
    graph = Graph()
    path = graph.save(tmp_path / "other.onnx", {"input": (1, 3, 64, 64)}, "input", (1, 3, 64, 64))
    hub.use_custom(model.weight, path)
    with pytest.raises(WeightsError, match=r"\(1, 3, 512, 512\)"):
        Enhancer(model)
