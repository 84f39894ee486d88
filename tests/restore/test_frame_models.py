"""The records of upscalers and mattings, proved with stand-ins whose right answer is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facegen import hub
from facegen.errors import InputError, WeightsError
from facegen.restore import enhancers, frame_chain, mattes, upscalers
from facegen.restore.frame_chain import parse_frame_chain, run_chain
from facegen.restore.mattes import MATTES, Matting, load_matting
from facegen.restore.upscalers import UPSCALERS, Upscaler, load_upscaler
from tests.factories import noise_rgb
from tests.onnx_graph import Graph, colour, number

# of the publisher's code, written down a second time: how many times larger, side of a tile, border that is not used
UPSCALER_FACTS = {
    "clear-reality-x4": (4, 128, 4),
    "face-dat-x4": (4, 128, 4),
    "nomos8k-sc-x4": (4, 128, 4),
    "real-esrgan-x2": (2, 256, 8),
    "real-esrgan-x2-fp16": (2, 256, 8),
    "real-esrgan-x4": (4, 256, 8),
    "real-esrgan-x4-fp16": (4, 256, 8),
    "real-esrgan-x8": (8, 256, 8),
    "real-esrgan-x8-fp16": (8, 256, 8),
    "real-hatgan-x4": (4, 256, 8),
    "real-web-photo-x4": (4, 64, 2),
    "realistic-rescaler-x4": (4, 128, 4),
    "remacri-x4": (4, 128, 4),
    "siax-x4": (4, 128, 4),
    "span-kendata-x4": (4, 128, 4),
    "swin2-sr-x4": (4, 128, 4),
    "tghq-face-x8": (8, 128, 4),
    "ultra-sharp-x4": (4, 128, 4),
    "ultra-sharp-2-x4": (4, 1024, 32),
}
NOTHING, HALF, ONE = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MATTE_FACTS = {
    "ben-2": (1024, (NOTHING, ONE)),
    "birefnet-general": (1024, (NOTHING, ONE)),
    "birefnet-portrait": (1024, (NOTHING, ONE)),
    "isnet-general": (1024, (HALF, ONE)),
    "modnet": (512, (HALF, HALF)),
    "ormbg": (1024, (NOTHING, ONE)),
    "rmbg-1-4": (1024, (HALF, ONE)),
    "rmbg-2-0": (1024, IMAGENET),
    "silueta": (320, IMAGENET),
    "u2net-general": (320, IMAGENET),
    "u2net-human": (320, IMAGENET),
    "u2netp": (320, IMAGENET),
}


def write_upscaler(name: str, path: Path) -> Path:
    """Enlarges pixel by pixel to 1 - R, G, B / 2, and blackens what lies within its border, which nobody may see."""
    scale, tile, border = UPSCALER_FACTS[name]
    graph = Graph()
    made = graph.node("Add", graph.node("Mul", "input", colour((-1.0, 1.0, 0.5))), colour((1.0, 0.0, 0.0)))
    inside = np.zeros((1, 1, tile, tile), np.float32)
    inside[..., border : tile - border, border : tile - border] = 1
    made = graph.node(
        "Resize", graph.node("Mul", made, inside), "", np.array([1, 1, scale, scale], np.float32), mode="nearest",
        nearest_mode="floor", coordinate_transformation_mode="asymmetric",
    )  # fmt: skip
    return graph.save(path, {"input": (1, 3, tile, tile)}, made, (1, 3, tile * scale, tile * scale))


def write_matting(name: str, path: Path) -> Path:
    """Its matte is 2 R - G / 2 of RGB in 0..1; a second output says 1 everywhere."""
    size, (mean, std) = MATTE_FACTS[name]
    graph = Graph()
    rgb = graph.node("Add", graph.node("Mul", "input", colour(std)), colour(mean))
    weighed = graph.node("Mul", rgb, colour((2.0, -0.5, 0.0)))
    made = graph.node("ReduceSum", weighed, np.array([1]), keepdims=1)
    ones = graph.node("Add", graph.node("Mul", made, number(0)), number(1))
    return graph.save(path, {"input": (1, 3, size, size)}, [made, ones], (1, 1, size, size))


def use_stand_ins(folder: Path, *names: str) -> None:
    """Put stand-ins into the places of the files of upscalers and mattings."""
    for name in names:
        write = write_upscaler if name in UPSCALER_FACTS else write_matting
        hub.use_custom(frame_chain.FRAME_MODELS[name].weight, write(name, folder / f"{name}.onnx"))
    load_upscaler.cache_clear()
    load_matting.cache_clear()


def check_upscaler(model: upscalers.UpscalerModel, folder: Path) -> None:
    scale, tile, _ = UPSCALER_FACTS[model.name]
    use_stand_ins(folder, model.name)
    # more than a tile one way, less than one the other
    image = noise_rgb(24, min(tile, 256) + 10)
    made = Upscaler(model).upscale(image, 1.0)
    expected = np.rint(image * [-1, 1, 0.5] + [255, 0, 0])
    np.testing.assert_allclose(made, np.kron(expected, np.ones((scale, scale, 1))), atol=1)


def check_matting(model: mattes.MatteModel, folder: Path) -> None:
    use_stand_ins(folder, model.name)
    size = MATTE_FACTS[model.name][0]
    image = cv2.resize(noise_rgb(6, 9), (size, size // 2), interpolation=cv2.INTER_LINEAR)
    matte = Matting(model).find(image)
    expected = np.clip(image[..., 0] * 2.0 - image[..., 1] * 0.5, 0, 255)
    assert matte.shape == image.shape[:2]
    assert np.abs(matte - expected).mean() < 1


@pytest.mark.parametrize("name", [model.name for model in UPSCALERS])
def test_upscaler_is_run_as_it_was_made_to_be(name: str, tmp_path: Path) -> None:
    check_upscaler(next(model for model in UPSCALERS if model.name == name), tmp_path)


@pytest.mark.parametrize("name", [model.name for model in MATTES])
def test_matting_is_run_as_it_was_made_to_be(name: str, tmp_path: Path) -> None:
    check_matting(next(model for model in MATTES if model.name == name), tmp_path)


@pytest.mark.parametrize("wrong", [{"mean": NOTHING}, {"std": ONE}, {"mean": IMAGENET[0], "std": IMAGENET[1]}])
def test_a_slip_in_the_record_of_a_matting_is_noticed(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_matting(replace(MATTES[0], **wrong), tmp_path)


def test_a_border_that_is_too_small_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_upscaler(replace(next(m for m in UPSCALERS if m.name == "siax-x4"), overlap=2), tmp_path)


def test_strength_mixes_with_plain_interpolation(tmp_path: Path) -> None:
    use_stand_ins(tmp_path, "siax-x4")
    image = np.zeros((8, 8, 3), np.uint8) + np.array([200, 40, 80], np.uint8)
    made, matte = run_chain(image, parse_frame_chain("siax-x4=0.25"))
    assert matte is None
    np.testing.assert_allclose(made[16, 16], [200 * 0.75 + 55 * 0.25, 40, 80 * 0.75 + 40 * 0.25], atol=1)


def test_steps_follow_one_another_in_their_order(tmp_path: Path) -> None:
    use_stand_ins(tmp_path, "modnet", "real-esrgan-x2")
    image = np.zeros((10, 20, 3), np.uint8) + np.array([100, 40, 0], np.uint8)
    made, matte = run_chain(image, parse_frame_chain("modnet, real-esrgan-x2=1"))
    assert made.shape == (20, 40, 3)
    assert matte is not None
    np.testing.assert_allclose(matte, 180, atol=1)
    # the other way round the matting sees what the upscaler made: red is 255 - 100 there
    _, matte = run_chain(image, parse_frame_chain("real-esrgan-x2=1, modnet"))
    assert matte is not None
    assert matte.shape == (20, 40)
    np.testing.assert_allclose(matte, 255, atol=1)


def test_a_chain_is_read_with_its_strengths() -> None:
    names = [(model.name, strength) for model, strength in parse_frame_chain("modnet , real-esrgan-x2, siax-x4=1")]
    assert names == [("modnet", enhancers.STRENGTH), ("real-esrgan-x2", enhancers.STRENGTH), ("siax-x4", 1.0)]
    for text, message in (
        ("esrgan", "Expected a model of real-esrgan-x2"),
        ("siax-x4=2", "strength above 0"),
        ("modnet=0.5", "no strength for modnet"),
        ("siax-x4, swin2-sr-x4", "16 times"),
    ):
        with pytest.raises(InputError, match=message):
            parse_frame_chain(text)
    for text in ("green", "#00b14", "00b140"):
        with pytest.raises(InputError, match="Expected a colour"):
            frame_chain.parse_colour(text)
    assert frame_chain.parse_colour("#00b140") == (0, 177, 64)


def test_missing_and_wrong_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="facegen weights fetch real-esrgan-x2"):
        Upscaler(UPSCALERS[0])
    with pytest.raises(WeightsError, match="facegen weights fetch modnet"):
        Matting(MATTES[0])
    path = Graph().save(tmp_path / "other.onnx", {"input": (1, 4, 64, 64)}, "input", (1, 4, 64, 64))
    hub.use_custom(UPSCALERS[0].weight, path)
    with pytest.raises(WeightsError, match=r"\(1, 3, 256, 256\)"):
        Upscaler(UPSCALERS[0])
    hub.use_custom(MATTES[0].weight, path)
    with pytest.raises(WeightsError, match=r"\(1, 3, 512, 512\)"):
        Matting(MATTES[0])
