"""The detectors of the Hub, proved with stand-ins that see a red square and say where it is in their own words."""

from pathlib import Path

import numpy as np
import pytest

from facegen import hub
from facegen.errors import WeightsError
from facegen.faces import FaceAnalyser
from facegen.faces.onnx_detectors import DETECTORS, OnnxDetector
from tests.onnx_graph import Graph, number

SIDE = 640
RED_AT = (192, 128)
"""Upper left of the square in the canvas."""
OFFSETS = [(-10.0, -8.0), (12.0, -6.0), (1.0, 2.0), (-7.0, 9.0), (8.0, 11.0)]
"""The five points from the centre that the stand-ins give, pixels of the canvas."""


def _redness(graph: Graph, stride: int, red: int, mean: float, divisor: float) -> str:
    """(1, 1, h, w): 1 where a cell is red alone, 0.5 where it is white, 0 elsewhere."""
    pixels = graph.node("Add", graph.node("Mul", "input.1", number(divisor)), number(mean))
    means = graph.node("AveragePool", pixels, kernel_shape=[stride] * 2, strides=[stride] * 2)
    means = graph.node("Div", means, number(255))
    planes = [graph.node("Gather", means, np.array([index]), axis=1) for index in range(3)]
    others = graph.node("Add", planes[1], planes[2 - red])
    return graph.node("Sub", planes[red], graph.node("Mul", others, number(0.25)))


def _rows(graph: Graph, plane: str, copies: int, width: int) -> str:
    """(1, N, width): a plane's cells, each `copies` times after another, in columns."""
    columns = graph.node("Reshape", plane, np.array([1, -1, 1]))
    return graph.node("Reshape", graph.node("Concat", *[columns] * (copies * width), axis=2), np.array([1, -1, width]))


def _constant_rows(graph: Graph, plane: str, values: list[float], copies: int) -> str:
    rows = _rows(graph, graph.node("Mul", plane, number(0)), copies, len(values))
    return graph.node("Add", rows, np.array(values, np.float32))


def write_yunet(path: Path) -> Path:
    """BGR in 0..255; a box of 32 pixels round the middle of a cell."""
    graph, kinds = Graph(), list[list[str]]([[], [], [], []])
    for stride in (8, 16, 32):
        plane = _redness(graph, stride, 2, 0, 1)
        seen = plane if stride == 16 else graph.node("Mul", plane, number(0))
        kinds[0].append(_rows(graph, seen, 1, 1))
        kinds[1].append(_rows(graph, seen, 1, 1))
        kinds[2].append(_constant_rows(graph, plane, [0.5, 0.5, *[float(np.log(32 / stride))] * 2], 1))
        kinds[3].append(_constant_rows(graph, plane, [0.5 + value / stride for xy in OFFSETS for value in xy], 1))
    return graph.save(path, {"input.1": (1, 3, SIDE, SIDE)}, [name for kind in kinds for name in kind], None)


def write_scrfd(path: Path) -> Path:
    """RGB, (x - 127.5) / 128; a box of 32 pixels round a cell's corner, the second anchor of each cell silent."""
    graph, kinds = Graph(), list[list[str]]([[], [], []])
    for stride in (8, 16, 32):
        plane = _redness(graph, stride, 0, 127.5, 128)
        nothing = graph.node("Mul", plane, number(0))
        seen = plane if stride == 16 else nothing
        anchors = graph.node("Concat", _rows(graph, seen, 1, 1), _rows(graph, nothing, 1, 1), axis=2)
        kinds[0].append(graph.node("Reshape", anchors, np.array([-1, 1])))
        box = _constant_rows(graph, plane, [16 / stride] * 4, 2)
        points = _constant_rows(graph, plane, [value / stride for xy in OFFSETS for value in xy], 2)
        kinds[1].append(graph.node("Reshape", box, np.array([-1, 4])))
        kinds[2].append(graph.node("Reshape", points, np.array([-1, 10])))
    return graph.save(path, {"input.1": (1, 3, "h", "w")}, [name for kind in kinds for name in kind], None)


def write_yolo(path: Path) -> Path:
    """RGB in 0..1; columns of centre, size, score, and points with a confidence of 9 that is none of them."""
    graph, columns = Graph(), []
    for stride in (8, 16, 32):
        plane = _redness(graph, stride, 0, 0, 255)
        seen = plane if stride == 16 else graph.node("Mul", plane, number(0))
        y, x = np.mgrid[: SIDE // stride, : SIDE // stride].reshape(2, -1).astype(np.float32) * stride + stride / 2
        size = np.full_like(x, 32)
        points = [part for dx, dy in OFFSETS for part in (x + dx, y + dy, np.full_like(x, 9))]
        score = graph.node("Reshape", seen, np.array([1, 1, -1]))
        columns.append(graph.node("Concat", np.stack([x, y, size, size])[None], score, np.stack(points)[None], axis=1))
    return graph.save(path, {"input.1": (1, 3, SIDE, SIDE)}, graph.node("Concat", *columns, axis=2), (1, 20, 8400))


WRITERS = {"yunet": write_yunet, "scrfd": write_scrfd, "yoloface": write_yolo}
CENTRE_OFFSET = {"yunet": 8, "scrfd": 0, "yoloface": 8}
"""From a cell's corner to where a stand-in means its middle."""


@pytest.mark.parametrize("name", list(DETECTORS))
def test_what_a_detector_says_is_read_in_pixels_of_the_picture(name: str, tmp_path: Path) -> None:
    hub.use_custom(DETECTORS[name].weight, WRITERS[name](tmp_path / f"{name}.onnx"))
    times = 2
    picture = np.zeros((SIDE * times, SIDE * times, 3), np.uint8)
    x, y = (at * times for at in RED_AT)
    picture[y : y + 16 * times, x : x + 16 * times, 0] = 255
    (found,) = OnnxDetector(name).detect(picture, SIDE)
    centre = (np.array(RED_AT) + CENTRE_OFFSET[name]) * times
    np.testing.assert_allclose(found.box_xyxy, [*(centre - 16 * times), *(centre + 16 * times)], atol=0.5)
    np.testing.assert_allclose(found.points5, centre + np.array(OFFSETS) * times, atol=0.5)
    assert found.score == pytest.approx(1, abs=0.01)
    # blue is not red, and half as many columns are no stretched picture
    assert OnnxDetector(name).detect(picture[..., ::-1].copy(), SIDE) == []
    (narrow,) = OnnxDetector(name).detect(picture[:, : SIDE * times // 2], SIDE)
    np.testing.assert_allclose(narrow.box_xyxy, found.box_xyxy, atol=0.5)


def test_missing_and_wrong_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="facegen weights fetch scrfd-10g"):
        FaceAnalyser().with_detector("scrfd")
    hub.use_custom(DETECTORS["yunet"].weight, write_scrfd(tmp_path / "other.onnx"))
    with pytest.raises(WeightsError, match="12 outputs"):
        FaceAnalyser().with_detector("yunet").detector  # noqa: B018
