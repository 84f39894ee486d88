"""The radiance field: rays and render weights, both fields learn, pictures follow audio and expression."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facegen import media
from facegen.__main__ import main
from facegen.config import override
from facegen.errors import InputError
from facegen.talk import TalkOptions
from facegen.talk.dfrf import rays
from facegen.talk.dfrf.audio import CODE_SIZE, select_windows
from facegen.talk.dfrf.dataset import PeopleDataset, Scene, SceneDataset
from facegen.talk.dfrf.expression import EYES_SIZE
from facegen.talk.dfrf.fast_field import STRIDE, FastConfig, FastField
from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.reference_field import (
    ReferenceConfig,
    ReferenceField,
    SlotAttention,
    apply_in_chunks,
    linear_of_parts,
)
from facegen.talk.dfrf.rendering import FrameRenderer, read_head_mask, split_head
from facegen.talk.dfrf.task import DfrfTask
from facegen.training.task import BatchSpec
from tests.talk.sounds import babble, write_wave

CPU = torch.device("cpu")
TINY = (
    *("references=2", "measured=1", "fast.plane_size=16", "fast.channels=4", "fast.width=16", "fast.features=7"),
    *("fast.samples=4", "reference.width=16", "reference.depth=4", "reference.coarse=8", "reference.fine=8"),
    "reference.rays=64",
)


@pytest.fixture(scope="module")
def data(prepared: PreparedFolder) -> SceneDataset:
    return SceneDataset(Scene(prepared.path, 2, CPU))


def _task(kind: str) -> DfrfTask:
    return override(DfrfTask(), [f"kind={kind}", *TINY])


def _batch(data: SceneDataset, frame: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return data.batch(BatchSpec(indices=torch.tensor([frame]), generator=generator, step=0, progress=0.0))


def test_rays_go_where_points_come_from() -> None:
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    extrinsics = torch.cat([turn * torch.det(turn), torch.tensor([[0.3], [0.1], [9.0]])], 1)[None]
    intrinsics = torch.tensor([[500.0, 64.0, 60.0]])
    pixels = rays.pixel_grid(torch.tensor([[10.0, 20.0]]), (16, 24), 4)
    assert pixels[0, 0, 0].tolist() == [12.0, 22.0]
    origin, direction = rays.generate_rays(extrinsics, intrinsics, pixels.flatten(1, 2))
    points = origin + 7.5 * direction
    assert torch.allclose(rays.project(extrinsics, intrinsics, points), pixels.flatten(1, 2), atol=1e-3)


def test_weights_add_up_and_transmittance_never_rises() -> None:
    random = torch.Generator().manual_seed(0)
    density = torch.rand(5, 9, generator=random) * 4
    depth = torch.rand(5, 9, generator=random).sort(-1).values
    alpha = rays.density_to_alpha(density, depth, 0.1)
    weights = rays.render_weights(alpha)
    left = 1 - torch.cumsum(weights, -1)
    assert (left.diff(dim=-1) <= 1e-6).all()
    assert (left >= -1e-5).all()
    whole = rays.render_weights(torch.cat([alpha[:, :-1], torch.ones(5, 1)], -1)).sum(-1)
    assert torch.allclose(whole, torch.ones(5), atol=1e-5)
    more = rays.sample_pdf(depth, weights, 40, is_random=False)
    assert (more >= depth[:, :1]).all()
    assert (more <= depth[:, -1:]).all()


def test_boxes_hold_the_face_and_lie_in_the_frame(data: SceneDataset) -> None:
    scene = data.scene
    for index in (0, 20, 51):
        x, y = scene.box_corner(scene.frame_view(index))
        height, width = scene.box_hw
        assert height % STRIDE == width % STRIDE == 0
        assert 0 <= x <= scene.frame_hw[1] - width
        assert 0 <= y <= scene.frame_hw[0] - height
        points = scene.folder.read_landmarks(index)
        assert ((points > [x, y]) & (points < [x + width, y + height])).all()


def test_reference_pictures_are_training_frames(data: SceneDataset) -> None:
    assert len(set(data.scene.reference_frames)) == 2
    assert max(data.scene.reference_frames) < data.scene.state.train_frames == data.held_out[0]
    assert len(data) >= data.held_out[0]


@pytest.mark.parametrize(("kind", "name"), [("fast", "colour"), ("reference", "fine")])
def test_steps_bring_the_loss_down(kind: str, name: str, data: SceneDataset) -> None:
    task = _task(kind)
    torch.manual_seed(0)
    model = task.build_model().train()
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    batch, totals = _batch(data), []
    # the fast field begins with warped pictures, near the goal, and has less far to go
    for _ in range(40 if kind == "fast" else 12):
        torch.manual_seed(1)
        losses = task.losses(model, batch, progress=0.0, group=0)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
        totals.append(float(losses[name].detach()))
    assert totals[-1] < 0.8 * totals[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("kind", ["fast", "reference"])
def test_pictures_follow_audio_and_upper_face(kind: str, data: SceneDataset) -> None:
    torch.manual_seed(0)
    model = _task(kind).build_model()
    assert isinstance(model, RadianceField)
    # untrained networks hardly depend on their inputs: with larger weights they must
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    windows = select_windows(data.scene.audio_features, np.array([5]))
    batch = data.scene.build_batch([data.scene.frame_view(5)], windows)
    model.eval()
    some = slice(80, 82)
    first, again = model.render(batch, some), model.render(batch, some)
    assert torch.equal(first, again)
    assert first.shape == (1, 3, 2, data.scene.box_hw[1])
    for name in ("audio", "upper_face"):
        other = model.render({**batch, name: batch[name] + 1.0}, some)
        assert float((other - first).abs().mean()) > 1e-6


def test_broadcast_parts_and_chunks_give_the_same_result() -> None:
    torch.manual_seed(0)
    layer, shared, own = nn.Linear(7, 5), torch.randn(2, 1, 3), torch.randn(2, 11, 4)
    whole = layer(torch.cat([shared.expand(-1, 11, -1), own], -1))
    assert torch.allclose(linear_of_parts(layer, shared, own), whole, atol=1e-6)
    pieces = apply_in_chunks(lambda some, more: some + more, own, 2 * own, size=4)
    assert torch.allclose(pieces, 3 * own)
    fusion = SlotAttention(6, 16)
    inputs, slots = torch.randn(2, 11, 2, 8), torch.randn(2, 11, 2, 8)
    updated = fusion.update(inputs.flatten(0, 2), slots.flatten(0, 2)).view_as(slots)
    assert torch.allclose(fusion._update_slots(inputs, slots), updated, atol=1e-6)


def test_samples_may_come_in_any_order(data: SceneDataset) -> None:
    torch.manual_seed(0)
    field = RadianceField("reference", 2, FastConfig(), override(ReferenceConfig(), ["width=16", "depth=4"])).field
    assert isinstance(field, ReferenceField)
    depth, order = torch.rand(1, 3, 6) * 2, torch.randperm(6)
    samples = (torch.randn(1, 3, 6, 63), torch.randn(1, 3, 6, 256))
    condition, direction, background = torch.randn(1, CODE_SIZE + EYES_SIZE), torch.randn(1, 3, 3), torch.rand(1, 3, 3)
    first = field._composite(field.fine, condition, direction, samples, depth, background)[0]
    mixed = tuple(value[:, :, order] for value in samples)
    again = field._composite(field.fine, condition, direction, (mixed[0], mixed[1]), depth[..., order], background)[0]
    assert torch.allclose(first, again, atol=1e-5)


@pytest.mark.parametrize("kind", ["fast", "reference"])
def test_single_pixels_are_those_of_the_frame(kind: str, data: SceneDataset) -> None:
    torch.manual_seed(0)
    model = _task(kind).build_model()
    assert isinstance(model, RadianceField)
    renderer = FrameRenderer(model, data.scene)
    drawn, pixels = renderer.render_pixels(40, 24)
    assert pixels.shape == (*drawn.shape[:2], 2)
    if kind == "fast":
        frame = renderer.render_video_frame(40)
        height, width = drawn.shape[:2]
        middle = drawn[height // 2, width // 2].astype(int), pixels[height // 2, width // 2]
        assert np.abs(frame[middle[1][1], middle[1][0]] - middle[0]).max() <= 1


def test_a_whole_frame_is_rendered(data: SceneDataset) -> None:
    model = _task("fast").build_model()
    assert isinstance(model, RadianceField)
    frame = FrameRenderer(model, data.scene).render_video_frame(40)
    assert (frame.shape, frame.dtype) == ((*data.scene.frame_hw, 3), np.uint8)
    measures = _task("fast").measure(model, PeopleDataset([data]))
    assert measures["head_psnr"] > 12
    assert next(iter(measures)) == "head_error"


def test_the_parts_make_up_the_head(data: SceneDataset) -> None:
    model = _task("fast").build_model()
    assert isinstance(model, RadianceField)
    parts, mask = split_head(data.scene, 40), read_head_mask(data.scene, 40)
    assert np.array_equal(sum(part.astype(int) for part in parts.values()), mask.astype(int))
    mouth = data.scene.folder.read_landmarks(40)[48:].mean(0).astype(int)
    assert parts["mouth"][mouth[1], mouth[0]]
    assert all(part.any() for part in parts.values())


def test_half_prepared_folders_are_refused(prepared: PreparedFolder, tmp_path: Path) -> None:
    about = json.loads(prepared.state_path.read_text())
    (tmp_path / "steps.json").write_text(json.dumps({**about, "done": about["done"][:3]}))
    with pytest.raises(InputError, match="parsing"):
        Scene(tmp_path, 2, CPU)


@pytest.mark.parametrize("engine", ["dfrf:", "lipsync", ""])
def test_engines_have_names(engine: str) -> None:
    with pytest.raises(InputError, match="engine"):
        TalkOptions(engine=engine)


def test_a_person_is_trained_goes_on_and_speaks(
    prepared: PreparedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def command(*words: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["facegen", "talk", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    run = tmp_path / "run"
    train = ("train", "--video", prepared.path, "--field", "tiny", "--run", run, "--minutes", "0", "--json")
    assert command(*train, "--set", "steps=2") == 0
    assert json.loads(capfd.readouterr().out)["steps"] == 2
    assert command(*train, "--set", "steps=3") == 0
    result = json.loads(capfd.readouterr().out)
    assert result["steps"] == 3
    assert result["measures"]["head_psnr"] > 12
    sound = write_wave(tmp_path / "said.wav", babble(0.6))
    made = tmp_path / "talks.mp4"
    assert command("--engine", f"dfrf:{run}", "--audio", sound, "--output", made, "--preset", "ultrafast") == 0
    info = media.probe(made)
    assert (info.frame_count, info.width) == (15, 192)
    assert len(info.audio) == 1
    assert command("--engine", "dfrf:nothing", "--audio", sound, "--output", made) == 2
    assert "name of a run" in capfd.readouterr().err


def test_expressions_lead_to_where_the_references_show_the_same_skin(data: SceneDataset) -> None:
    model = _task("fast").build_model()
    assert isinstance(model, RadianceField)
    field, batch = model.field, _batch(data)
    assert isinstance(field, FastField)
    same = batch["reference_expressions"][:, 0]
    positions = torch.zeros(1, 3, 4, 4)
    positions[:, 1] = torch.linspace(-0.6, 0.4, 4)[:, None]
    flow = field.expression_flow(same, positions, batch)
    assert flow.shape == (1, 4, 4, 4)
    # the first reference has this very expression
    assert float(flow[:, :2].abs().max()) < 0.2
    other = field.expression_flow(same + 2.0, positions, batch)
    assert float((other - flow).abs().max()) > 1e-3
