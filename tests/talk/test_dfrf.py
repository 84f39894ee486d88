"""The radiance field: rays and what is seen along them, both fields learn, pictures follow the sound."""

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
from facegen.talk.dfrf import volume
from facegen.talk.dfrf.choices import FastConfig, ReferenceConfig
from facegen.talk.dfrf.fast import STRIDE, FastField
from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.hearing import CODE, EYES
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.paint import Painter
from facegen.talk.dfrf.people import PeopleData
from facegen.talk.dfrf.quality import head_mask, head_parts
from facegen.talk.dfrf.reference import ReferenceField, SlotFusion, beside, in_pieces
from facegen.talk.dfrf.scene import Scene, SceneData
from facegen.talk.dfrf.task import DfrfTask
from facegen.training.task import BatchSpec
from tests.talk.sounds import babble, write_wave

CPU = torch.device("cpu")
TINY = (
    *("references=2", "measured=1", "fast.plane_size=16", "fast.channels=4", "fast.width=16", "fast.features=7"),
    *("fast.samples=4", "faithful.width=16", "faithful.depth=4", "faithful.coarse=8", "faithful.fine=8"),
    "faithful.rays=64",
)


@pytest.fixture(scope="module")
def data(prepared: PreparedFolder) -> SceneData:
    return SceneData(Scene(prepared.path, 2, CPU))


def _task(kind: str) -> DfrfTask:
    return override(DfrfTask(), [f"kind={kind}", *TINY])


def _batch(data: SceneData, frame: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return data.batch(BatchSpec(indices=torch.tensor([frame]), generator=generator, step=0, progress=0.0))


def test_rays_go_where_points_come_from() -> None:
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    camera = torch.cat([turn * torch.det(turn), torch.tensor([[0.3], [0.1], [9.0]])], 1)[None]
    lens = torch.tensor([[500.0, 64.0, 60.0]])
    pixels = volume.pixel_grid(torch.tensor([[10.0, 20.0]]), (16, 24), 4)
    assert pixels[0, 0, 0].tolist() == [12.0, 22.0]
    origin, direction = volume.cast(camera, lens, pixels.flatten(1, 2))
    points = origin + 7.5 * direction
    assert torch.allclose(volume.project(camera, lens, points), pixels.flatten(1, 2), atol=1e-3)


def test_what_is_seen_adds_up_and_transmittance_never_rises() -> None:
    random = torch.Generator().manual_seed(0)
    density = torch.rand(5, 9, generator=random) * 4
    depth = torch.rand(5, 9, generator=random).sort(-1).values
    alpha = volume.opacity(density, depth, 0.1)
    shares = volume.seen_shares(alpha)
    left = 1 - torch.cumsum(shares, -1)
    assert (left.diff(dim=-1) <= 1e-6).all()
    assert (left >= -1e-5).all()
    whole = volume.seen_shares(torch.cat([alpha[:, :-1], torch.ones(5, 1)], -1)).sum(-1)
    assert torch.allclose(whole, torch.ones(5), atol=1e-5)
    more = volume.importance_samples(depth, shares, 40, is_random=False)
    assert (more >= depth[:, :1]).all()
    assert (more <= depth[:, -1:]).all()


def test_boxes_hold_the_face_and_lie_in_the_frame(data: SceneData) -> None:
    scene = data.scene
    for index in (0, 20, 51):
        x, y = scene.corner(scene.pose(index))
        height, width = scene.box_hw
        assert height % STRIDE == width % STRIDE == 0
        assert 0 <= x <= scene.frame_hw[1] - width
        assert 0 <= y <= scene.frame_hw[0] - height
        points = np.loadtxt(scene.folder.path / "ori_imgs" / f"{index}.lms")
        assert ((points > [x, y]) & (points < [x + width, y + height])).all()


def test_reference_pictures_come_from_the_trained_part(data: SceneData) -> None:
    assert len(set(data.scene.reference_frames)) == 2
    assert max(data.scene.reference_frames) < data.scene.steps.train_frames == data.held_back[0]
    assert len(data) >= data.held_back[0]


@pytest.mark.parametrize(("kind", "name"), [("fast", "colour"), ("reference", "fine")])
def test_steps_bring_the_loss_down(kind: str, name: str, data: SceneData) -> None:
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
def test_pictures_follow_sound_and_eyes(kind: str, data: SceneData) -> None:
    torch.manual_seed(0)
    model = _task(kind).build_model()
    assert isinstance(model, RadianceField)
    # untrained networks hardly answer: made to, they must do so to sound and to eyes
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    view = data.scene.view([data.scene.pose(5)], data.scene.sound_windows(data.scene.sounds, np.array([5])))
    model.eval()
    rows = slice(80, 82)
    first, again = model.draw(view, rows), model.draw(view, rows)
    assert torch.equal(first, again)
    assert first.shape == (1, 3, 2, data.scene.box_hw[1])
    for name in ("sound", "eyes"):
        other = model.draw({**view, name: view[name] + 1.0}, rows)
        assert float((other - first).abs().mean()) > 1e-6


def test_work_that_is_shared_or_cut_up_comes_to_the_same() -> None:
    torch.manual_seed(0)
    layer, shared, own = nn.Linear(7, 5), torch.randn(2, 1, 3), torch.randn(2, 11, 4)
    whole = layer(torch.cat([shared.expand(-1, 11, -1), own], -1))
    assert torch.allclose(beside(layer, shared, own), whole, atol=1e-6)
    pieces = in_pieces(lambda some, more: some + more, own, 2 * own, size=4)
    assert torch.allclose(pieces, 3 * own)
    fusion = SlotFusion(6, 16)
    taken, slots = torch.randn(2, 11, 2, 8), torch.randn(2, 11, 2, 8)
    updated = fusion.update(taken.flatten(0, 2), slots.flatten(0, 2)).view_as(slots)
    assert torch.allclose(fusion._updated(taken, slots), updated, atol=1e-6)


def test_samples_may_come_in_any_order(data: SceneData) -> None:
    torch.manual_seed(0)
    field = RadianceField("reference", 2, FastConfig(), override(ReferenceConfig(), ["width=16", "depth=4"])).field
    assert isinstance(field, ReferenceField)
    depth, order = torch.rand(1, 3, 6) * 2, torch.randperm(6)
    known = (torch.randn(1, 3, 6, 63), torch.randn(1, 3, 6, 256))
    told, way, behind = torch.randn(1, CODE + EYES), torch.randn(1, 3, 3), torch.rand(1, 3, 3)
    first = field._composed(field.fine, told, way, known, depth, behind)[0]
    mixed = tuple(value[:, :, order] for value in known)
    again = field._composed(field.fine, told, way, (mixed[0], mixed[1]), depth[..., order], behind)[0]
    assert torch.allclose(first, again, atol=1e-5)


@pytest.mark.parametrize("kind", ["fast", "reference"])
def test_some_pixels_are_those_of_the_whole(kind: str, data: SceneData) -> None:
    torch.manual_seed(0)
    model = _task(kind).build_model()
    assert isinstance(model, RadianceField)
    painter = Painter(model, data.scene)
    drawn, places = painter.sampled(40, 24)
    assert places.shape == (*drawn.shape[:2], 2)
    if kind == "fast":
        frame = painter.held_back(40)
        height, width = drawn.shape[:2]
        middle = drawn[height // 2, width // 2].astype(int), places[height // 2, width // 2]
        assert np.abs(frame[middle[1][1], middle[1][0]] - middle[0]).max() <= 1


def test_a_frame_is_drawn_whole(data: SceneData) -> None:
    model = _task("fast").build_model()
    assert isinstance(model, RadianceField)
    frame = Painter(model, data.scene).held_back(40)
    assert (frame.shape, frame.dtype) == ((*data.scene.frame_hw, 3), np.uint8)
    measures = _task("fast").measure(model, PeopleData([data]))
    assert measures["head_psnr"] > 12
    assert next(iter(measures)) == "head_error"


def test_the_parts_make_up_the_head(data: SceneData) -> None:
    model = _task("fast").build_model()
    assert isinstance(model, RadianceField)
    painter = Painter(model, data.scene)
    parts, mask = head_parts(painter, 40), head_mask(painter, 40)
    assert np.array_equal(sum(part.astype(int) for part in parts.values()), mask.astype(int))
    mouth = np.loadtxt(data.scene.folder.path / "ori_imgs" / "40.lms")[48:].mean(0).astype(int)
    assert parts["mouth"][mouth[1], mouth[0]]
    assert all(part.any() for part in parts.values())


def test_half_prepared_folders_are_refused(prepared: PreparedFolder, tmp_path: Path) -> None:
    about = json.loads(prepared.steps_path.read_text())
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
    told = json.loads(capfd.readouterr().out)
    assert told["steps"] == 3
    assert told["measures"]["head_psnr"] > 12
    sound = write_wave(tmp_path / "said.wav", babble(0.6))
    made = tmp_path / "talks.mp4"
    assert command("--engine", f"dfrf:{run}", "--audio", sound, "--output", made, "--preset", "ultrafast") == 0
    info = media.probe(made)
    assert (info.frame_count, info.width) == (15, 192)
    assert len(info.audio) == 1
    assert command("--engine", "dfrf:nothing", "--audio", sound, "--output", made) == 2
    assert "name of a run" in capfd.readouterr().err


def test_expressions_lead_to_where_the_references_show_the_same_skin(data: SceneData) -> None:
    model = _task("fast").build_model()
    assert isinstance(model, RadianceField)
    field, batch = model.field, _batch(data)
    assert isinstance(field, FastField)
    same = batch["reference_numbers"][:, 0]
    places = torch.zeros(1, 3, 4, 4)
    places[:, 1] = torch.linspace(-0.6, 0.4, 4)[:, None]
    ways = field.expression(same, places, batch)
    assert ways.shape == (1, 4, 4, 4)
    # the first reference has this very expression
    assert float(ways[:, :2].abs().max()) < 0.2
    other = field.expression(same + 2.0, places, batch)
    assert float((other - ways).abs().max()) > 1e-3
