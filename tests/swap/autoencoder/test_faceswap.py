"""faceswap's models: what goes in, what comes out, how large they are, and that each of them trains."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from facegen.config import from_dict
from facegen.errors import InputError
from facegen.swap.autoencoder.export import load_model
from facegen.swap.autoencoder.faceswap import TimmEncoder
from facegen.swap.autoencoder.model import SaehdModel
from facegen.swap.autoencoder.options import FACESWAP, SaehdOptions
from facegen.swap.autoencoder.task import SaehdTask
from facegen.swap.merge.predictor import DfmPredictor, TorchPredictor
from facegen.swap.tasks import SAEHD
from facegen.training.checkpoint import list_checkpoints
from facegen.training.launch import train_in_folder
from facegen.training.request import make_request

# preset: side seen, side drawn, bottleneck, million parameters; those of original, dfaker and villain are faceswap's own
FACTS = {
    "lightweight": (64, 64, 512, 45.4),
    "original": (64, 64, 1024, 82.1),
    "iae": (64, 64, 1024, 117.8),
    "dfaker": (64, 128, 1024, 113.3),
    "dfl-h128": (128, 128, 512, 89.4),
    "realface": (64, 128, 1536, 88.9),
    "unbalanced": (128, 128, 1024, 112.5),
    "villain": (128, 128, 1024, 154.9),
    "dlight": (128, 256, 1024, 90.2),
    "phaze-a-mobile": (128, 128, 512, 47.2),
    "phaze-a-split": (128, 128, 512, 84.2),
    "phaze-a-convnext": (128, 128, 512, 75.9),
}
TINY = ("steps=1", "batch_size=2", "task.resolution=64", "task.ae_dims=32", "task.e_dims=16", "task.d_dims=16")


def _options(preset: str, *changes: str) -> SaehdTask:
    return from_dict(SaehdTask, make_request(SAEHD, preset=preset, changes=changes).task_settings)


def test_every_model_has_a_preset() -> None:
    found = {_options(preset).architecture for preset in FACTS}
    assert found == set(FACESWAP)
    assert {name for name in SAEHD.presets if _options(name).architecture in FACESWAP} == set(FACTS)


@pytest.mark.parametrize("preset", FACTS)
def test_as_large_as_its_original(preset: str) -> None:
    seen, drawn, code, millions = FACTS[preset]
    options = _options(preset)
    with torch.device("meta"):
        model = options.build_model()
        faces = torch.rand(2, 3, drawn, drawn)
        made = model("swap", faces)
    assert (options.encoder_resolution, options.resolution, options.ae_dims) == (seen, drawn, code)
    assert made.picture.shape == (2, 3, drawn, drawn)
    assert made.mask.shape == (2, 1, drawn, drawn)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("preset", FACTS)
def test_trains_saves_shows_and_exports(preset: str, two_people: Path, tmp_path: Path) -> None:
    seen = 64 * FACTS[preset][0] // FACTS[preset][1]
    request = make_request(SAEHD, preset=preset, data=str(two_people), changes=(*TINY, f"task.input_resolution={seen}"))
    result = train_in_folder(tmp_path, SAEHD, request, on_line=lambda _: None)
    assert result.is_complete
    assert [found.step for found in list_checkpoints(tmp_path / "checkpoints")] == [0, 1]
    assert list((tmp_path / "previews").glob("*1.jpg"))
    kept = load_file(result.files["weights"])
    model, options = load_model(tmp_path)
    assert options.architecture == _options(preset).architecture
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    face = torch.rand(64, 64, 3).numpy()
    for ours, theirs in zip(
        TorchPredictor(tmp_path)(face, 1.0), DfmPredictor(result.files["dfm"])(face, 1.0), strict=True
    ):
        torch.testing.assert_close(torch.from_numpy(ours), torch.from_numpy(theirs), atol=1e-3, rtol=0)


@pytest.mark.parametrize("preset", ["original", "iae", "phaze-a-split"])
def test_the_swapped_face_is_b_s(preset: str) -> None:
    """What draws A again and what draws B share the encoder and nothing that would tell them apart."""
    model = SaehdModel(_options(preset, *TINY[2:], "task.input_resolution=0")).eval()
    faces = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.swap(faces).picture, model.reconstruct_b(faces).picture)
        assert not torch.allclose(model.swap(faces).picture, model.reconstruct_a(faces).picture)


def test_b_s_decoder_is_the_larger_one() -> None:
    with torch.device("meta"):
        model = _options("unbalanced").build_model()
    assert isinstance(model, SaehdModel)
    a, b = (sum(p.numel() for p in decoder.parameters()) for decoder in (model.decoder_a, model.decoder_b))
    assert a < 0.7 * b


@pytest.mark.parametrize(
    "wrong",
    [
        {"architecture": "dfaker-u"},
        {"architecture": "dfaker", "resolution": 80},
        {"architecture": "original", "resolution": 128, "input_resolution": 48},
        {"architecture": "phaze-a", "is_decoder_shared": True},
    ],
)
def test_what_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SaehdOptions(**wrong)  # type: ignore[arg-type]


def test_a_network_that_timm_does_not_have() -> None:
    with pytest.raises(InputError, match="timm"):
        TimmEncoder(64, "no_such_network")
