"""The dense steps by torch agree with OpenCV's: what is tried here on the CPU is what runs on a GPU."""

import cv2
import numpy as np
import pytest
import torch

from facegen.faces import FaceAnalyser, blend
from facegen.swap.assignment import FaceAssignment
from facegen.swap.engines import dense
from facegen.swap.engines.mesh import MeshEngine
from facegen.swap.options import SwapOptions
from facegen.swap.render import swap_image
from tests.factories import noise_rgb, portrait_rgb

CPU = torch.device("cpu")


def planes(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("sigma", [0.6, 2.0, 9.0])
def test_blur(sigma: float) -> None:
    image = cv2.GaussianBlur(noise_rgb(96, 120), (0, 0), 1.5).astype(np.float32)
    made = dense.gaussian_blur(planes(image), sigma)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(made, cv2.GaussianBlur(image, (0, 0), sigma), atol=0.05)
    # the engine's own wide blur is done on a smaller picture
    assert np.abs(made - blend.gaussian_blur(image, sigma)).mean() < 0.5


def test_sampling() -> None:
    image = cv2.GaussianBlur(noise_rgb(60, 80), (0, 0), 1.5)
    y, x = np.mgrid[:60, :80].astype(np.float32)
    x, y = x + 3 * np.sin(y / 9), y - 4 + x / 20
    expected = cv2.remap(image.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    made = dense.sample(planes(image), torch.from_numpy(x)[None, None], torch.from_numpy(y)[None, None])
    np.testing.assert_allclose(made[0].permute(1, 2, 0).numpy(), expected, atol=1.5)


@pytest.mark.parametrize("options", [SwapOptions(), SwapOptions(finish=0.0, colour=0.4, mask_feather=0.6)])
def test_a_swap_on_a_gpu_is_that_on_the_cpu(options: SwapOptions) -> None:
    """Within 1 of 255 in 95 % of what changes, 8 everywhere, 0.4 in the mean."""
    image = cv2.resize(portrait_rgb()[:300, 80:380], (600, 600), interpolation=cv2.INTER_CUBIC)
    face = FaceAnalyser().detect(image, max_faces=1)[0]
    other = np.clip(image[:, ::-1] * np.array([0.8, 0.7, 0.6]) + 30, 0, 255).astype(np.uint8)
    source = FaceAnalyser().detect(other, max_faces=1)[0]
    on_cpu, on_gpu = MeshEngine(), MeshEngine(CPU)
    identity = on_cpu.prepare([(other, source)])
    part = FaceAssignment(face=face, identity=identity, track=1)
    plain, torched = (swap_image(image, [part], engine, options).astype(int) for engine in (on_cpu, on_gpu))
    changed = (plain != image).any(-1)
    difference = np.abs(plain - torched).max(-1)
    assert changed.mean() > 0.1
    assert difference[~changed].max() <= 1
    assert np.mean(difference[changed] <= 1) > 0.95
    assert difference.max() <= 8
    assert difference[changed].mean() < 0.4
    assert (plain != torched).any()


def test_small_crops_and_full_devices_stay_with_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    image = cv2.resize(portrait_rgb()[:300, 80:380], (600, 600), interpolation=cv2.INTER_CUBIC)
    face = FaceAnalyser().detect(image, max_faces=1)[0]
    engine = MeshEngine(CPU)
    part = FaceAssignment(face=face, identity=engine.prepare([(image, face)]), track=1)
    plain = swap_image(image, [part], MeshEngine(), SwapOptions(finish=0.0))

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(dense, "composite", fail)
    np.testing.assert_array_equal(swap_image(image, [part], engine, SwapOptions(finish=0.0)), plain)
