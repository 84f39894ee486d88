"""The generator's network and its linear prior."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from facegen.generate.model.cells import LatentGroup
from facegen.generate.model.diffusion import ConditionalVae, FacePipeline
from facegen.generate.model.generator import FaceGenerator
from facegen.generate.model.prior import canonical_vectors, fit_linear_prior
from facegen.generate.model.regularization import balance_divergences
from facegen.generate.sliders import Sliders
from tests.generate.faces import small_pack


@pytest.fixture(scope="module")
def vae() -> ConditionalVae:
    torch.manual_seed(0)
    model = ConditionalVae(texture_codes=6, shape_codes=3, anchors=10, widths=(8, 8, 8, 8), latents=(2, 2, 2))
    model.set_prior(fit_linear_prior(small_pack(), 6, 3))
    for parameter in model.paint.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


def test_a_posterior_equal_to_the_prior_costs_nothing() -> None:
    group = LatentGroup(8, 8, 2)
    _, divergence, _ = group(torch.randn(3, 8, 4, 4), torch.randn(2, 8, 4, 4), None)
    torch.testing.assert_close(divergence, torch.zeros(3))


def test_noises_repeat_a_posterior_through_the_prior(vae: ConditionalVae) -> None:
    base = vae.decode_texture(torch.randn(2, 6))
    condition = vae.embed_condition(torch.rand(2, 5))
    seen = vae.encode(torch.rand(2, 5, 128, 128))
    drawn, _, noises = vae.decode_canonical(base, condition, seen)
    again, spent, _ = vae.decode_canonical(base, condition, None, noises)
    torch.testing.assert_close(again, drawn)
    assert not spent.any()


def test_codes_of_the_data_are_whitened_and_give_it_back(vae: ConditionalVae) -> None:
    pack = small_pack()
    vectors = torch.from_numpy(canonical_vectors(pack.canonical))
    codes = vae.encode_texture(vectors)
    drawn = vae.texture_mean + codes @ vae.texture_axes
    assert float((drawn - vectors).square().mean()) < float((vae.texture_mean - vectors).square().mean())
    shapes = torch.from_numpy(pack.shapes)
    near = vae.decode_shapes(vae.encode_shapes(shapes))
    assert float((near - shapes).abs().mean()) < 0.5


def test_warm_up_weighs_divergences() -> None:
    spent = torch.tensor([[1.0, 2.0, 3.0]])
    assert balance_divergences(spent, 0.5) == 6
    assert 0 < balance_divergences(spent, 0.1) < 6


def test_a_seed_is_one_face_whatever_stands_beside_it(vae: ConditionalVae) -> None:
    generator = FaceGenerator(vae, "cpu")
    together, alone = generator.sample([3, 4]), generator.sample([4])
    torch.testing.assert_close(together.texture[1], alone.texture[0])
    np.testing.assert_array_equal(together.shapes[1], alone.shapes[0])
    first = generator.draw(alone, Sliders())
    np.testing.assert_array_equal(first, generator.draw(generator.sample([4]), Sliders()))
    assert first.shape == (1, 128, 128, 3)


def test_sliders_change_the_picture(vae: ConditionalVae) -> None:
    generator = FaceGenerator(vae, "cpu")
    face = generator.sample([1])
    plain = generator.draw(face, Sliders()).astype(int)
    for name in ("eyes", "mouth", "hair", "background", "head"):
        moved = generator.draw(face, Sliders(**{name: 0.0 if name != "mouth" else 1.0})).astype(int)
        assert np.abs(moved - plain).mean() > 0.05, name


def test_the_diffusers_pipeline_saves_and_loads(vae: ConditionalVae, tmp_path: Path) -> None:
    FacePipeline(vae=vae).save_pretrained(tmp_path)
    loaded = FacePipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    one, same = FacePipeline(vae=vae)(seed=5).images[0], loaded(seed=5).images[0]
    np.testing.assert_array_equal(np.asarray(one), np.asarray(same))


def test_drawing_imports_no_diffusers() -> None:
    modules = ("model.generator", "retouch.retoucher", "editing.photograph", "realism", "editing.directions")
    names = ", ".join([*(f"facegen.generate.{name}" for name in modules), "facegen.restore.restorer"])
    program = f"import sys, {names}; print(*{{'diffusers', 'torch._dynamo', 'scipy.stats'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()
