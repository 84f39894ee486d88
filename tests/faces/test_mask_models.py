"""The mask models' records, proved with stand-ins whose right answer is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facegen import hub
from facegen.errors import InputError, WeightsError
from facegen.faces import Face, FaceAnalyser, align
from facegen.faces.mask_models import MASK_MODELS, MaskNetwork, load_mask, parse_masks
from facegen.swap.engines.occlusion import OcclusionDetector
from tests.factories import portrait_rgb
from tests.onnx_graph import Graph, colour, number

OCCLUDERS, PARSERS = ("xseg-1", "xseg-2", "xseg-3"), ("bisenet-18", "bisenet-34", "segformer-face-parsing")
Paint = Callable[[Graph], str]


def blue_seen(graph: Graph) -> str:
    """An occluder that takes for face what is blue: first of BGR, in 0..1."""
    return graph.node("Gather", "input", np.array([0]), axis=3)


def skin_where_red(graph: Graph, glasses: int = 6, hair: int = 17) -> str:
    """A parser that gives class 1 (skin) the red of RGB in 0..1, class 17 (hair) 0.5 and glasses the green."""
    mean, deviation = colour((0.485, 0.456, 0.406)), colour((0.229, 0.224, 0.225))
    rgb = graph.node("Add", graph.node("Mul", "input", deviation), mean)
    red, green = (graph.node("Gather", rgb, np.array([index]), axis=1) for index in (0, 1))
    nothing = graph.node("Mul", red, number(0))
    scores = [nothing] * 19
    scores[1], scores[glasses], scores[hair] = red, green, graph.node("Add", nothing, number(0.5))
    return graph.node("Concat", *scores, axis=1)


def skin_in_cells(graph: Graph) -> str:
    """The same as a SegFormer gives it: classes in its own order, on cells of 4 pixels."""
    scores = skin_where_red(graph, glasses=3, hair=13)
    return graph.node("AveragePool", scores, kernel_shape=[4, 4], strides=[4, 4])


def use_stand_in(name: str, folder: Path, paint: Paint | None = None) -> None:
    """Put a stand-in into the place of a mask model's file."""
    graph = Graph()
    if name in OCCLUDERS:
        given = (paint or blue_seen)(graph)
        path = graph.save(folder / f"{name}.onnx", {"input": (1, 256, 256, 3)}, given, (1, 256, 256, 1))
    elif name == "segformer-face-parsing":
        given = (paint or skin_in_cells)(graph)
        path = graph.save(folder / f"{name}.onnx", {"input": (1, 3, 512, 512)}, given, (1, 19, 128, 128))
    else:
        given = (paint or skin_where_red)(graph)
        path = graph.save(folder / f"{name}.onnx", {"input": (1, 3, 512, 512)}, given, (1, 19, 512, 512))
    hub.use_custom(next(model.weight for model in MASK_MODELS if model.name == name), path)
    load_mask.cache_clear()


@pytest.fixture(scope="module")
def shown() -> tuple[np.ndarray, Face]:
    image = portrait_rgb()[:300, 80:380].copy()
    return image, FaceAnalyser().detect(image, max_faces=1)[0]


@pytest.mark.parametrize("name", OCCLUDERS + PARSERS)
def test_what_a_model_sees_lies_where_it_is_in_the_picture(
    name: str, tmp_path: Path, shown: tuple[np.ndarray, Face]
) -> None:
    use_stand_in(name, tmp_path)
    (image, face), (model,) = shown, parse_masks(name)
    nose = face.points5[2]
    seen, covered = ((0, 0, 255), (255, 255, 0)) if name in OCCLUDERS else ((255, 0, 0), (0, 0, 255))
    flat = np.empty_like(image)
    flat[:], flat[:, int(nose[0]) :] = seen, covered
    visible, matrix = load_mask(model).visibility(flat, face.points5)
    for offset, expected in ((-20, 1.0), (-60, 1.0), (20, 0.0), (60, 0.0)):
        x, y = align.apply(matrix, nose + np.array([offset, 0], np.float32)).astype(int)
        assert visible[y, x] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("name", PARSERS)
def test_glasses_are_no_face(name: str, tmp_path: Path, shown: tuple[np.ndarray, Face]) -> None:
    use_stand_in(name, tmp_path)
    flat = np.empty_like(shown[0])
    flat[:] = (200, 255, 0)
    visible, _ = load_mask(*parse_masks(name)).visibility(flat, shown[1].points5)
    assert visible.max() == 0


def test_a_models_mask_is_combined_with_ours_by_the_minimum(tmp_path: Path, shown: tuple[np.ndarray, Face]) -> None:
    image, face = shown
    detector = OcclusionDetector()
    ours = detector.detect(image, face, is_target=True)
    use_stand_in("xseg-3", tmp_path, lambda graph: graph.node("Add", blue_seen(graph), number(2)))
    all_seen = detector.detect(image, face, is_target=True, models=parse_masks("xseg-3"))
    use_stand_in("xseg-3", tmp_path, lambda graph: graph.node("Mul", blue_seen(graph), number(0)))
    none_seen = detector.detect(image, face, is_target=True, models=parse_masks("xseg-3"))
    assert ours is not None
    assert all_seen is not None
    assert none_seen is not None
    np.testing.assert_array_equal(all_seen.visibility, ours.visibility)
    assert none_seen.visibility.max() == 0
    assert ours.visibility.max() == 255


def test_names_and_missing_files_are_told(tmp_path: Path) -> None:
    assert [model.name for model in parse_masks("xseg-3, bisenet-34, xseg-3")] == ["xseg-3", "bisenet-34"]
    with pytest.raises(InputError, match="Expected masks of xseg-1"):
        parse_masks("xseg")
    with pytest.raises(WeightsError, match="facegen weights fetch xseg-1"):
        MaskNetwork(MASK_MODELS[0])
    path = Graph().save(tmp_path / "other.onnx", {"input": (1, 64, 64, 3)}, "input", (1, 64, 64, 3))
    hub.use_custom(MASK_MODELS[0].weight, path)
    with pytest.raises(WeightsError, match=r"\(256, 256\) pixels"):
        MaskNetwork(MASK_MODELS[0])
