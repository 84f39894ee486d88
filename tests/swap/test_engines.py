"""What `Engine` promises, held by every engine that is built in, by a trained one and by stand-ins of the one-shot models."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from facegen.faces import Face, FaceAnalyser
from facegen.media import Patch
from facegen.reenact.live_portrait import load_part
from facegen.reenact.weights import WEIGHTS as REENACTING
from facegen.swap.engines import Engine, make_engine
from facegen.swap.oneshot.models import ENGINES
from facegen.swap.options import LIVE_PORTRAIT, SwapOptions
from tests.factories import moving_portrait
from tests.reenact.stand_ins import use_stand_ins
from tests.swap.oneshot.stand_ins import stand_in_engine

BUILT_IN = next(item for item in fields(SwapOptions) if item.name == "engine").metadata["choices"]


@pytest.fixture(scope="module", params=[*BUILT_IN, "autoencoder"])
def engine(request: pytest.FixtureRequest, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    if request.param in ENGINES:
        return stand_in_engine(request.param, tmp_path_factory.mktemp("engine"))
    if request.param == LIVE_PORTRAIT:
        use_stand_ins(tmp_path_factory.mktemp("engine"))
        engine = make_engine(LIVE_PORTRAIT)
        for weight in REENACTING:
            load_part(weight)
        return engine
    return make_engine(request.param if request.param in BUILT_IN else f"{request.param}:{trained}")


@pytest.fixture(scope="module")
def shown(analyser: FaceAnalyser) -> tuple[np.ndarray, Face]:
    """A picture that nobody may write to, and the face in it."""
    image = moving_portrait(1, size=320)[0]
    face = analyser.embed(image, analyser.detect(image, max_faces=1))[0]
    image.flags.writeable = False
    return image, face


def swap(engine: Engine, shown: tuple[np.ndarray, Face], *, seed: int = 1) -> Patch:
    options = SwapOptions()
    prediction = engine.predict(*shown, engine.prepare([shown]), options)
    window = [prediction.statistics] * (2 * engine.window_radius + 1)
    smoothed = engine.smooth(window, engine.window_radius, options)
    return engine.composite(prediction, smoothed, options, seed=seed)


def test_it_has_all_that_an_engine_has(engine: Engine) -> None:
    assert isinstance(engine, Engine)
    assert engine.window_radius >= 0


def test_a_patch_lies_in_the_frame_and_fades_out_at_its_border(engine: Engine, shown: tuple[np.ndarray, Face]) -> None:
    patch = swap(engine, shown)
    height, width = patch.image_rgb.shape[:2]
    assert patch.image_rgb.dtype == np.uint8
    assert patch.alpha.shape[:2] == (height, width)
    assert 0 <= patch.x <= patch.x + width <= 320
    assert 0 <= patch.y <= patch.y + height <= 320
    assert 0 <= patch.alpha.min() <= patch.alpha.max() <= 1
    assert patch.alpha.max() > 0.5
    sides = [
        (patch.y > 0, patch.alpha[0]),
        (patch.y + height < 320, patch.alpha[-1]),
        (patch.x > 0, patch.alpha[:, 0]),
        (patch.x + width < 320, patch.alpha[:, -1]),
    ]
    assert all(alpha.max() < 0.05 for is_within, alpha in sides if is_within)


def test_the_same_arguments_give_the_same_patch_on_any_thread(engine: Engine, shown: tuple[np.ndarray, Face]) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, *others = pool.map(lambda _: swap(engine, shown), range(3))
    for other in others:
        np.testing.assert_array_equal(other.image_rgb, first.image_rgb)
        np.testing.assert_array_equal(other.alpha, first.alpha)
