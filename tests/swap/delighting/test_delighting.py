"""The delighting of sources: its graph, its random light, its training, its effect on a texture."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facegen import media
from facegen.device import onnx_session
from facegen.errors import InputError, WeightsError
from facegen.faces import Face, FaceAnalyser, light, mesh
from facegen.swap.delighting.atlas import Atlas, plain_skin, unwrap
from facegen.swap.delighting.data import pack_atlas, target_field, unevenness, unpack_atlas
from facegen.swap.delighting.delighter import Delighter, delighting_graph
from facegen.swap.delighting.inputs import MAPS, enlarge_field
from facegen.swap.delighting.lights import relight_at_random
from facegen.swap.delighting.network import DelightingNet
from facegen.swap.delighting.task import DelightingTask, field_errors
from facegen.swap.fields.graph import FIELD, SIDE
from facegen.swap.tasks import DELIGHTING
from facegen.training.launch import train_in_folder
from facegen.training.request import make_request
from tests.factories import portrait_rgb

Shown = tuple[np.ndarray, Face]


@pytest.fixture(scope="module")
def astronaut(analyser: FaceAnalyser) -> Shown:
    image = portrait_rgb()
    return image, analyser.detect(image, max_faces=1)[0]


def unwrapped(shown: Shown, image_rgb: np.ndarray | None = None, size: int = SIDE) -> Atlas:
    image, face = shown
    return unwrap(image if image_rgb is None else image_rgb, face.points478[: mesh.VERTEX_COUNT], None, size)


def random_net() -> DelightingNet:
    torch.manual_seed(0)
    network = DelightingNet().eval()
    torch.nn.init.normal_(network.head.weight, std=0.05)
    return network


def test_graph_equals_network() -> None:
    network = random_net()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    session = onnx_session(delighting_graph(weights), threads=1)
    picture, maps = torch.randn(1, 3, SIDE, SIDE), torch.randn(1, MAPS, FIELD, FIELD)
    with torch.no_grad():
        expected = network(picture, maps).numpy()
    fields = session.run(None, {"picture": picture.numpy(), "maps": maps.numpy()})[0]
    assert np.abs(fields - expected).max() < 1e-3
    assert fields.std() > 0.01


def test_a_field_gets_the_picture_s_edges() -> None:
    size, edge = 768, 390
    picture = np.zeros((size, size, 3), np.float32)
    picture[:, edge:] = -0.8
    picture += np.random.default_rng(0).normal(0, 0.02, (size, size, 1)).astype(np.float32)
    coarse = cv2.resize(picture, (FIELD, FIELD), interpolation=cv2.INTER_AREA)
    field = enlarge_field(coarse, picture)
    left = np.abs(picture - field)[:, edge - 12 : edge + 12].mean()
    blurred = np.abs(picture - cv2.resize(coarse, (size, size)))[:, edge - 12 : edge + 12].mean()
    assert left < 0.7 * blurred
    # a mark on the skin that the field knows nothing of stays
    picture[300:310, 200:210] = -1
    field = enlarge_field(coarse, picture)
    assert np.abs(field[300:310, 200:210]).max() < 0.15


def test_random_light_is_what_the_target_says(astronaut: Shown) -> None:
    atlas = unwrapped(astronaut)
    random = np.random.default_rng(1)
    strengths = []
    for _ in range(12):
        seen, lit = relight_at_random(atlas.picture_rgb, atlas.normals, random)
        assert np.isfinite(seen).all()
        assert np.isfinite(lit).all()
        assert seen.min() >= np.log(light.FLOOR) - 1e-3
        # but for noise, blur and a darker skin the picture is the face in that light
        error = (seen - light.to_log(atlas.picture_rgb) - lit)[atlas.weight > 0.5]
        assert np.median(np.abs(error - np.median(error))) < 0.12
        target = target_field(lit, atlas.weight)
        skin = cv2.resize(atlas.weight * plain_skin(SIDE), (FIELD, FIELD), interpolation=cv2.INTER_AREA)
        assert np.abs(np.tensordot(skin, target[..., :3], 2) / skin.sum()).max() < 0.2
        strengths.append(float(np.abs(target[..., :3])[skin > 0.5].mean()))
    assert max(strengths) > 0.15


def test_atlases_are_packed_without_loss_that_counts(astronaut: Shown) -> None:
    atlas = unwrapped(astronaut)
    back = unpack_atlas(pack_atlas(atlas))
    assert (back.picture_rgb == atlas.picture_rgb).all()
    assert np.abs(back.weight - atlas.weight).max() < 0.01
    turned = (back.normals * atlas.normals).sum(2)[atlas.weight > 0.5]
    assert turned.min() > 0.99


def test_a_shadow_is_uneven(astronaut: Shown) -> None:
    image, _ = astronaut
    assert unevenness(unwrapped(astronaut, _with_shadow(astronaut))) > unevenness(unwrapped(astronaut)) + 0.1
    assert image.shape == _with_shadow(astronaut).shape


def _with_shadow(shown: Shown) -> np.ndarray:
    """A hard shadow on one half of the face, and shine on its nose."""
    image, face = shown
    points = face.points478
    width = float(np.ptp(points[:, 0]))
    x = np.arange(image.shape[1], dtype=np.float32)[None]
    y = np.arange(image.shape[0], dtype=np.float32)[:, None]
    shadow = 1 - 0.55 / (1 + np.exp(-(x - points[1, 0]) / (0.03 * width)))
    shine = 90 * np.exp(-((x - points[4, 0]) ** 2 + (y - points[4, 1]) ** 2) / (2 * (0.05 * width) ** 2))
    return np.clip(image * shadow[..., None] + shine[..., None], 0, 255).astype(np.uint8)


def test_shipped_weights_take_a_shadow_and_shine_away(astronaut: Shown) -> None:
    delighter = Delighter.load()
    even, uneven = (unwrapped(astronaut, picture, 768) for picture in (None, _with_shadow(astronaut)))
    skin = even.weight * plain_skin(768)

    def differ(first: np.ndarray, second: np.ndarray) -> float:
        difference = first - second
        difference = difference - np.tensordot(skin, difference, 2) / skin.sum()
        return float(np.tensordot(skin, np.abs(difference), 2).mean() / skin.sum())

    logs = [light.to_log(atlas.picture_rgb) for atlas in (even, uneven)]
    delit = [log - delighter.predict(atlas) for log, atlas in zip(logs, (even, uneven), strict=True)]
    assert differ(delit[0], delit[1]) < 0.5 * differ(logs[0], logs[1])


def test_a_constant_is_no_error() -> None:
    target = torch.cat([torch.randn(2, 3, FIELD, FIELD), torch.ones(2, 1, FIELD, FIELD)], 1)
    assert sum(float(error) for error in field_errors(target[:, :3] + 0.5, target)) < 1e-4
    assert float(field_errors(target[:, :3] * 0, target)[0]) > 0.1


def test_other_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"head.weight": np.zeros((4, 8, 3, 3), np.float32)}, tmp_path / "delighting.safetensors")
    with pytest.raises(WeightsError, match="delighting network"):
        Delighter(tmp_path / "delighting.safetensors")


def test_training_learns_and_exports(tmp_path: Path, astronaut: Shown) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        media.write_picture(folder / f"{number}.png", np.roll(portrait_rgb(), 8 * number, axis=1))
    run = tmp_path / "run"
    train_in_folder(run, DELIGHTING, make_request(DELIGHTING, preset="tiny", data=str(folder)), on_line=lambda _: None)
    assert (run / "checkpoints").exists()
    task = DelightingTask(even=1.0)
    data = task.build_data(folder, torch.device("cpu"))
    assert (len(data), data.held_back_count) == (2, 1)
    assert task.measure(DelightingNet(), data)["share of error left"] == pytest.approx(1)
    sheet = task.preview(random_net(), data)
    assert sheet is not None
    assert sheet.shape == (3 * SIDE, SIDE, 3)
    exported = task.export(random_net(), tmp_path)
    assert Delighter(exported["delighting"]).predict(unwrapped(astronaut)).shape == (SIDE, SIDE, 3)


def test_a_folder_without_faces_is_refused(tmp_path: Path) -> None:
    media.write_picture(tmp_path / "grey.png", np.full((64, 64, 3), 128, np.uint8))
    with pytest.raises(InputError, match="found none that can be used"):
        DelightingTask().build_data(tmp_path, torch.device("cpu"))
