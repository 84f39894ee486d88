"""The SAEHD family: shapes, counts, options, losses."""

import dataclasses
from itertools import chain, combinations
from pathlib import Path

import pytest
import torch

from facegen.config import from_dict
from facegen.errors import InputError
from facegen.swap.autoencoder import networks
from facegen.swap.autoencoder.data import SaehdData, blur_outside
from facegen.swap.autoencoder.model import SaehdModel
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.swap.autoencoder.task import SaehdTask
from facegen.swap.merge.colour_transfer import COLOUR_TRANSFERS, to_lab, to_rgb
from facegen.swap.tasks import SAEHD
from facegen.training.request import make_request
from facegen.training.task import BatchSpec

FLAGS = ["".join(flags) for flags in chain.from_iterable(combinations("udtc", count) for count in range(5))]
TINY = {"resolution": 64, "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}


@pytest.mark.parametrize("kind", ["df", "liae", "amp"])
@pytest.mark.parametrize("flags", FLAGS)
def test_every_architecture_draws(kind: str, flags: str) -> None:
    model = SaehdModel(SaehdOptions(**TINY, architecture=f"{kind}-{flags}" if flags else kind)).eval()
    faces = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for drawn in (model.reconstruct_a(faces), model.reconstruct_b(faces), model.swap(faces, 0.5)):
            assert drawn.picture.shape == (1, 3, 64, 64)
            assert drawn.mask.shape == (1, 1, 64, 64)
            assert 0 <= float(drawn.picture.min()) <= float(drawn.picture.max()) <= 1


def test_the_report_s_autoencoder(task: SaehdTask, two_people: Path) -> None:
    scratch = dataclasses.replace(task, architecture="scratch", gan_power=0.1, gan_start=0.5)
    model = scratch.build_model()
    assert isinstance(model, SaehdModel)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in model.decoder_a.modules())
    for progress, names in ((0.0, {"A", "B"}), (0.6, {"A", "B", "gan", "background"})):
        _, batch = _batch(scratch, two_people, progress)
        assert set(scratch.losses(model, batch, progress=progress, group=0)) == names
        judged = scratch.losses(model, batch, progress=progress, group=1)
        assert (float(judged["critic"].detach()) == 0) is (progress == 0)
    with pytest.raises(InputError):
        SaehdOptions(architecture="scratch-u")


@pytest.mark.parametrize("preset", [name for name in SAEHD.presets if name != "tiny"])
def test_presets_draw(preset: str) -> None:
    options = from_dict(SaehdTask, make_request(SAEHD, preset=preset).task_settings)
    with torch.device("meta"):
        model, faces = options.build_model(), torch.rand(2, 3, options.resolution, options.resolution)
        assert model("swap", faces).picture.shape == faces.shape


@pytest.mark.parametrize("architecture", ["df-ud", "liae-ud", "amp-u", "scratch"])
def test_both_at_once_are_both(architecture: str) -> None:
    model = SaehdModel(SaehdOptions(**TINY, architecture=architecture)).eval()
    a, b = torch.rand(2, 3, 64, 64), torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        both, alone = model.reconstruct_both(a, b), (model.reconstruct_a(a), model.reconstruct_b(b))
    for found, wanted in zip(both, alone, strict=True):
        for name in ("picture", "mask", "code"):
            torch.testing.assert_close(getattr(found, name), getattr(wanted, name), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("architecture", "millions"), [("liae-ud", 82.4), ("df-ud", 54.5), ("liae-udt", 77.5)])
def test_as_large_as_the_reference(architecture: str, millions: float) -> None:
    with torch.device("meta"):
        model = SaehdModel(SaehdOptions(architecture=architecture))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("shape", [(3, 1, 1), (5, 2, 2)], ids=["3x3", "5x5 strided"])
def test_deep_convolutions_learn_the_same_by_matrix(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = networks.DeepConv2d(16, 24, *shape).to(memory_format=torch.channels_last)
    picture = torch.randn(4, 16, 8, 8).to(memory_format=torch.channels_last)
    found = []
    for most in (0, 1024):
        monkeypatch.setattr(networks, "MAX_POSITIONS", most)
        seen = picture.clone().requires_grad_()
        conv.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            drawn = conv(seen).float()
        (drawn * torch.linspace(0, 1, drawn.numel()).view_as(drawn)).sum().backward()
        found.append((drawn.detach(), seen.grad, conv.weight.grad, conv.bias.grad))  # type: ignore[union-attr]
    for plain, by_matrix in zip(*found, strict=True):
        torch.testing.assert_close(plain, by_matrix, rtol=0.02, atol=0.02 * float(plain.abs().max()))


def test_a_rectangle_of_pixels_is_drawn_by_four_drawings() -> None:
    model = SaehdModel(SaehdOptions(**TINY, architecture="df-d"))
    with torch.no_grad():
        for number, out in enumerate([model.decoder_a.out, *model.decoder_a.outs]):
            out.weight.zero_()
            out.bias.fill_(float(number))
        drawn = model.reconstruct_a(torch.rand(1, 3, 64, 64)).picture[0, :, :2, :2]
    wanted = torch.sigmoid(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    torch.testing.assert_close(drawn, wanted.expand(3, 2, 2))


def test_the_reference_s_table() -> None:
    """neuface_lab's table of hyper-parameters, line by line."""
    request = make_request(SAEHD, preset="neuface-224")
    task, settings = from_dict(SaehdTask, request.task_settings), request.settings
    table = {
        "Resolution": (224, task.resolution),
        "Face_type": ("whole_face", task.face_type),
        "Archi": ("liae-udt", task.architecture),
        "Ae_dims": (512, task.ae_dims),
        "E_dims": (64, task.e_dims),
        "D_dims": (64, task.d_dims),
        "D_mask_dims": (32, task.d_mask_dims),
        "Masked_training": (True, task.masked_training),
        "Eyes_mouth_prio": (True, task.eyes_mouth_prio),
        "Uniform_yaw": (True, task.uniform_yaw),
        "Blur_out_mask": (True, task.blur_out_mask),
        "Adabelief": ("adabelief", settings.optimiser.name),
        "Lr_dropout": (0.3, settings.optimiser.lr_dropout),
        "Random_warp": (True, task.random_warp),
        "Random_hsv_power": (0.0, task.random_hsv_power),
        "True_face_power": (0.0, task.true_face_power),
        "Face_style_power": (0.0, task.face_style_power),
        "Bg_style_power": (0.0, task.bg_style_power),
        "Ct_mode": ("none", task.ct_mode),
        "Clipgrad": (0.0, settings.optimiser.clip_norm),
        "Pretrain": (False, task.pretrain),
        "Autobackup_hour": (0, settings.keep_hourly),
        "Target_iter": (500_000, settings.steps),
        "Random_src_flip": (False, task.random_src_flip),
        "Random_dst_flip": (True, task.random_dst_flip),
        "Batch_size": (12, settings.batch_size),
        "Gan_power": (0.0, task.gan_power),
        "Gan_patch_size": (28, task.gan_patch_size),
        "Gan_dims": (16, task.gan_dims),
        "learning rate": (5e-5, settings.optimiser.rate),
    }
    assert {name: found for name, (_, found) in table.items()} == {name: wanted for name, (wanted, _) in table.items()}


@pytest.mark.parametrize(
    "wrong",
    [
        {"architecture": "gan-u"},
        {"architecture": "df-uu"},
        {"resolution": 144, "architecture": "liae-ud"},
        {"resolution": 72, "architecture": "df"},
        {"e_dims": 33},
        {"ae_dims": 2000},
        {"random_hsv_power": 0.4},
        {"true_face_power": 0.1},
        {"gan_patch_size": 2},
    ],
)
def test_options_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SaehdOptions(**wrong)  # type: ignore[arg-type]


def _batch(task: SaehdTask, folder: Path, progress: float = 0.0) -> tuple[SaehdData, dict[str, torch.Tensor]]:
    data = task.build_data(folder, torch.device("cpu"))
    spec = BatchSpec(indices=torch.arange(2), generator=torch.Generator().manual_seed(1), step=0, progress=progress)
    return data, data.batch(spec)


def test_everything_at_once(task: SaehdTask, two_people: Path) -> None:
    full = dataclasses.replace(
        task,
        architecture="df-ud",
        eyes_mouth_prio=True,
        uniform_yaw=True,
        blur_out_mask=True,
        random_hsv_power=0.1,
        random_src_flip=True,
        ct_mode="mkl",
        gan_power=0.1,
        true_face_power=0.01,
        face_style_power=1.0,
        bg_style_power=1.0,
    )
    _, batch = _batch(full, two_people)
    model = full.build_model()
    assert full.group_count == 2
    drawing, judging = full.parameter_groups(model)
    names = {"A", "B", "true_face", "face_style", "bg_style", "gan", "background"}
    losses = full.losses(model, batch, progress=0.0, group=0)
    assert set(losses) == names
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in drawing)
    model.zero_grad()
    losses = full.losses(model, batch, progress=0.0, group=1)
    assert set(losses) == {"code_critic", "critic"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in judging)
    assert all(p.grad is None for p in drawing)


def test_the_shared_middle_rests_without_warping(task: SaehdTask, two_people: Path) -> None:
    ending = dataclasses.replace(task, warp_share=0.5)
    model = ending.build_model()
    assert isinstance(model, SaehdModel)
    for progress, is_trained in ((0.4, True), (0.6, False)):
        model.zero_grad()
        _, batch = _batch(ending, two_people, progress)
        is_same = torch.equal(batch["a_input"], batch["a_target"])
        assert is_same is not is_trained
        torch.stack(list(ending.losses(model, batch, progress=progress, group=0).values())).sum().backward()
        assert (model.inter_ab.narrow.weight.grad is not None) is is_trained
        assert model.encoder.convs[0].weight.grad is not None


def test_pretraining_takes_one_faceset_and_starts_middles_afresh(
    task: SaehdTask, two_people: Path, tmp_path: Path
) -> None:
    general = dataclasses.replace(task, pretrain=True, export_dfm=False, gan_power=0.1)
    assert general.group_count == 1
    data, batch = _batch(general, two_people / "a")
    assert len(data) == 6
    assert torch.equal(batch["b_input"], batch["b_target"])
    model = general.build_model()
    general.export(model, tmp_path)
    fresh = dataclasses.replace(task, start_from=str(tmp_path)).build_model()
    assert isinstance(model, SaehdModel)
    assert isinstance(fresh, SaehdModel)
    torch.testing.assert_close(fresh.encoder.convs[0].weight, model.encoder.convs[0].weight)
    assert not torch.equal(fresh.inter_ab.narrow.weight, model.inter_ab.narrow.weight)


def test_twenty_steps_fit_a_batch(task: SaehdTask, two_people: Path) -> None:
    torch.manual_seed(0)
    _, batch = _batch(task, two_people)
    model = task.build_model()
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    seen = []
    for _ in range(20):
        loss = torch.stack(list(task.losses(model, batch, progress=0.0, group=0).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(float(loss.detach()))
    assert seen[-1] < 0.6 * seen[0]


@pytest.mark.parametrize("name", COLOUR_TRANSFERS)
def test_colours_move_to_the_other_picture(name: str) -> None:
    random = torch.Generator().manual_seed(3)
    own = torch.rand(2, 3, 24, 24, generator=random) * 0.4 + 0.1
    like = torch.rand(2, 3, 24, 24, generator=random) * torch.tensor([0.5, 0.3, 0.2]).view(1, 3, 1, 1) + 0.3
    made = COLOUR_TRANSFERS[name](own, like)
    before, after = ((p.mean((2, 3)) - like.mean((2, 3))).abs().max() for p in (own, made))
    assert float(after) < 0.15 * float(before)
    same = COLOUR_TRANSFERS[name](like, like)
    assert float((same - like).abs().max()) < 0.05


def test_lab_and_back() -> None:
    pictures = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(to_rgb(to_lab(pictures)), pictures, atol=2e-3, rtol=0)


def test_nothing_of_the_face_bleeds_out() -> None:
    picture, mask = torch.full((1, 3, 128, 128), 0.2), torch.zeros(1, 1, 128, 128)
    picture[..., 40:90, 40:90], mask[..., 40:90, 40:90] = 1.0, 1.0
    made = blur_outside(picture, mask)
    torch.testing.assert_close(made, picture, atol=1e-4, rtol=0)
