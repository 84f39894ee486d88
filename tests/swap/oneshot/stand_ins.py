"""Stand-ins of the published models: ONNX files with their real names, shapes, types and ranges, and a known answer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facegen import hub
from facegen.catalog import find_weight
from facegen.faces.weights import ARCFACE as ARCFACE_WEIGHT
from facegen.swap.oneshot.engine import OneShotEngine
from facegen.swap.oneshot.models import SwapModel, find_model
from tests.onnx_graph import Graph, colour, dots, number
from tests.swap.oneshot.facts import FACTS, POINTS, Facts

EMAP = np.random.default_rng(7).normal(0, 0.05, (512, 512)).astype(np.float32)
"""The matrix that the stand-in of inswapper carries."""
MEANS_TO_EMBEDDING = np.random.default_rng(8).normal(0, 1, (512, 3 * 7 * 7)).astype(np.float32)
"""From means over 16 x 16 pixels to the embedding of the stand-in of ArcFace."""


Paint = Callable[[Graph, Facts, str], str]
"""From the name of the target's RGB in 0..1 to the name of the answer's."""


def target_itself(graph: Graph, facts: Facts, rgb: str) -> str:
    """Gives back its target."""
    return rgb


def odd_colours(graph: Graph, facts: Facts, rgb: str) -> str:
    """1 - R, G, B / 2: neither channels nor ranges can be mistaken for each other."""
    return graph.node("Add", graph.node("Mul", rgb, colour((-1.0, 1.0, 0.5))), colour((1.0, 0.0, 0.0)))


def source_shown(graph: Graph, facts: Facts, rgb: str) -> str:
    """Paints what it is told of the source: 16 x 32 grey fields 0.5 + v / 16, or the picture, in the upper left."""
    base = graph.node("Mul", rgb, number(0))
    shown, height = "source", facts.size
    if len(facts.source_shape) == 2:
        fields = graph.node("Reshape", "source", np.array([1, 1, 16, 32]))
        shown = graph.node(
            "Resize", fields, "", "", np.array([1, 1, facts.size, facts.size]), mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip
        shown = graph.node("Add", graph.node("Mul", shown, number(1 / 16)), number(0.5))
    else:
        rest = height - facts.source_shape[2]
        shown = graph.node("Pad", "source", np.array([0, 0, 0, 0, 0, 0, rest, rest]))
    return graph.node("Add", base, shown)


def template_shown(graph: Graph, facts: Facts, rgb: str) -> str:
    """Black, with a white dot at each of the template's five points."""
    return graph.node("Add", graph.node("Mul", rgb, number(0)), dots(POINTS[facts.points], facts.size))


def write_swap_model(name: str, path: Path, paint: Paint = target_itself) -> Path:
    """The stand-in of a swap model."""
    facts, graph = FACTS[name], Graph()
    rgb = graph.node("Add", graph.node("Mul", "target", colour(facts.std)), colour(facts.mean))
    made = paint(graph, facts, rgb)
    if facts.gives_input_range:
        made = graph.node("Div", graph.node("Sub", made, colour(facts.mean)), colour(facts.std))
    if paint is not source_shown:  # every graph takes both of its inputs
        nothing = graph.node("ReduceSum", graph.node("Mul", "source", number(0)), keepdims=0)
        made = graph.node("Add", made, nothing)
    if facts.source == "projected":
        graph.constant(EMAP)
    shape = (1, 3, facts.size, facts.size)
    return graph.save(path, {"target": shape, "source": facts.source_shape}, made, shape)


def write_arcface(path: Path) -> Path:
    """The stand-in of ArcFace: a fixed matrix on means over 16 x 16 pixels, of length far from 1."""
    graph = Graph()
    means = graph.node("AveragePool", "input", kernel_shape=[16, 16], strides=[16, 16])
    flat = graph.node("Reshape", means, np.array([-1, 147]))
    return graph.save(
        path, {"input": ("batch", 3, 112, 112)}, graph.node("MatMul", flat, MEANS_TO_EMBEDDING.T.copy()), ("batch", 512)
    )


def write_converter(path: Path) -> Path:
    """The stand-in of a converter: half of the embedding, backwards, and 0.25."""
    graph = Graph()
    turned = graph.node("Gather", "input", np.arange(512)[::-1].copy(), axis=1)
    halved = graph.node("Mul", turned, number(0.5))
    return graph.save(path, {"input": (1, 512)}, graph.node("Add", halved, number(0.25)), (1, 512))


def write_all(model: SwapModel, folder: Path, paint: Paint = target_itself) -> dict[str, Path]:
    """Stand-ins of every file that a model needs, by the name of its weight."""
    written = {model.name: write_swap_model(model.name, folder / f"{model.name}.onnx", paint)}
    for weight in model.weights[1:]:
        write = write_arcface if weight == ARCFACE_WEIGHT else write_converter
        written[weight.name] = write(folder / f"{weight.name}.onnx")
    return written


def stand_in_engine(name: str, folder: Path, paint: Paint = target_itself, **changes: Any) -> OneShotEngine:
    """The engine of that name with stand-ins as its files, put into a home in `folder`, and changes to its record."""
    model = find_model(name)
    assert model is not None
    model = replace(model, **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEGEN_HOME", str(folder / "home"))
        for weight, path in write_all(model, folder, paint).items():
            hub.use_custom(find_weight(weight), path)
        return OneShotEngine(model)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise of two pictures of 0..255, dB."""
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))
