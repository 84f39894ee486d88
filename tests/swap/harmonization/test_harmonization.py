"""The harmonization of drawn faces: its fields, its graph, its training pairs, its effect on a swap."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facegen import media
from facegen.device import onnx_session
from facegen.errors import WeightsError
from facegen.faces import Face, FaceAnalyser, light, mesh
from facegen.swap import SwapOptions
from facegen.swap.delighting.atlas import Atlas
from facegen.swap.delighting.delighter import Delighter
from facegen.swap.engines.mesh import MeshEngine, relight
from facegen.swap.fields.graph import FIELD, SIDE
from facegen.swap.harmonization.data import albedo_variation, draw_pairs, target_fields
from facegen.swap.harmonization.harmonizer import Harmonizer, harmonization_graph
from facegen.swap.harmonization.inputs import MAPS, HarmonizationInput, Square, apply_fields, fine_detail
from facegen.swap.harmonization.network import HarmonizationNet
from facegen.swap.harmonization.task import HarmonizationTask
from facegen.swap.tasks import HARMONIZATION
from facegen.training.launch import train_in_folder
from facegen.training.request import make_request
from tests.factories import portrait_rgb

Shown = tuple[np.ndarray, Face]


@pytest.fixture(scope="module")
def engine() -> MeshEngine:
    return MeshEngine()


@pytest.fixture(scope="module")
def astronaut(analyser: FaceAnalyser) -> Shown:
    image = portrait_rgb()
    return image, analyser.detect(image, max_faces=1)[0]


def random_net() -> HarmonizationNet:
    torch.manual_seed(0)
    network = HarmonizationNet().eval()
    torch.nn.init.normal_(network.head.weight, std=0.05)
    return network


def test_graph_equals_network() -> None:
    network = random_net()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    session = onnx_session(harmonization_graph(weights), threads=1)
    drawn, maps = torch.randn(1, 3, SIDE, SIDE), torch.randn(1, MAPS, FIELD, FIELD)
    with torch.no_grad():
        expected = network(drawn, maps).numpy()
    fields = session.run(None, {"picture": drawn.numpy(), "maps": maps.numpy()})[0]
    assert np.abs(fields - expected).max() < 1e-3
    assert fields.std() > 0.01


def test_untrained_network_changes_nothing() -> None:
    with torch.no_grad():
        fields = HarmonizationNet()(torch.randn(1, 3, SIDE, SIDE), torch.randn(1, MAPS, FIELD, FIELD))
    assert not fields.any()


@pytest.mark.parametrize("size_hw", [(400, 300), (120, 190), (192, 192)])
def test_fields_lie_where_the_crop_lies(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack([x / width, y / height, np.ones_like(x)], 2)
    square = Square.of(size_hw)
    field = cv2.resize(square.shrink(picture), (FIELD, FIELD), interpolation=cv2.INTER_AREA)
    back = square.enlarge(np.ascontiguousarray(field), size_hw)
    assert np.abs(back - picture)[8:-8, 8:-8].max() < 0.02


def test_fields_scale_fine_detail_and_add_light() -> None:
    drawn = np.random.default_rng(0).normal(4, 0.1, (200, 160, 3)).astype(np.float32)
    fields = np.zeros((FIELD, FIELD, 4), np.float32)
    square = Square.of((200, 160))
    assert np.allclose(apply_fields(drawn, fields, square, 120), drawn)
    fields[..., :3], fields[..., 3] = 0.3, np.log(0.5)
    changed = apply_fields(drawn, fields, square, 120)
    assert abs(float((changed - drawn).mean()) - 0.3) < 1e-3
    before, after = (np.abs(fine_detail(picture, 1.8)).mean() for picture in (drawn, changed))
    assert 0.4 < after / before < 0.65


def test_target_fields_make_the_truth_of_a_drawing() -> None:
    random = np.random.default_rng(0)
    slow = cv2.resize(random.normal(0, 0.4, (5, 5, 3)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    fine = random.normal(0, 0.05, (SIDE, SIDE, 1)).astype(np.float32)
    drawn, truth = np.repeat(fine * 2, 3, 2), slow + fine
    fields = target_fields(drawn, truth, np.ones((SIDE, SIDE), np.float32), 2.0)
    assert (fields[..., 4] == 1).all()
    harmonized = apply_fields(drawn, fields[..., :4], Square.of((SIDE, SIDE)), 2.0 / 0.015)
    error, before = (np.abs(cv2.blur(picture - truth, (9, 9))).mean() for picture in (harmonized, drawn))
    assert error < 0.15 * before
    assert abs(float(np.median(fields[..., 3])) - np.log(0.5)) < 0.1


def test_pairs_show_a_face_in_two_lights(astronaut: Shown, engine: MeshEngine) -> None:
    image, face = astronaut
    other = albedo_variation(image[:, ::-1].copy(), face) * 0.5
    pairs = list(draw_pairs(image, face, [other, other], engine, np.random.default_rng(3)))
    assert len(pairs) == 2
    for pair in pairs:
        assert pair.inputs.drawn.shape == (SIDE, SIDE, 3)
        assert pair.inputs.maps.shape == (FIELD, FIELD, MAPS)
        assert np.isfinite(pair.inputs.maps).all()
        assert np.isfinite(pair.target).all()
        shown = pair.target[..., 4] > 0.5
        assert 0.15 < shown.mean() < 0.8
        # the drawing is of the same face: its light differs, not by an order of magnitude
        assert np.abs(pair.target[shown, :3]).mean() < 0.6
    assert np.abs(pairs[0].target - pairs[1].target).max() > 0.05


class _NoDelighter:
    """Leaves the light of a source where it is."""

    def predict(self, atlas: Atlas) -> np.ndarray:
        return np.zeros(atlas.picture_rgb.shape, np.float32)


def test_harmonized_swap_stands_in_the_frame_s_light(astronaut: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Delighter, "load", _NoDelighter)
    engine = MeshEngine()
    image, face = astronaut
    points = face.points478[: mesh.VERTEX_COUNT]
    # a source with a hard shadow on one half, which the engine's own light cannot take away whole
    middle = float(points[1, 0])
    x = np.arange(image.shape[1], dtype=np.float32)
    shadow = 1 - 0.6 / (1 + np.exp(-(x - middle) / (0.04 * np.ptp(points[:, 0]))))
    source = np.clip(image * shadow[None, :, None], 0, 255).astype(np.uint8)
    identity = engine.prepare([(source, face)])
    errors = []
    for finish in (0.0, 1.0):
        options = SwapOptions(finish=finish)
        prediction = engine.predict(image, face, identity, options)
        patch = engine.composite(prediction, engine.smooth([prediction.statistics], 0, options), options, seed=1)
        result = media.paste_picture(image, [patch])
        inside = mesh.polygon_mask(points[list(mesh.FACE_OVAL), :2], image.shape[:2]) > 0
        error = cv2.GaussianBlur(light.to_log(result) - light.to_log(image), (0, 0), 0.05 * np.ptp(points[:, 0]))
        errors.append(float(np.abs(error)[inside].mean()))
    assert errors[1] < 0.8 * errors[0]


def test_finish_of_half_strength_lies_between(astronaut: Shown, engine: MeshEngine) -> None:
    image, face = astronaut
    identity = engine.prepare([(image[..., ::-1].copy(), face)])
    fields = [engine.predict(image, face, identity, SwapOptions(finish=f)).statistics.fields for f in (0.0, 0.5, 1.0)]
    assert fields[0] is None
    assert np.allclose(fields[1] * 2, fields[2], atol=1e-5)


def test_input_does_not_see_what_lies_beneath_but_its_coarse_light(astronaut: Shown, engine: MeshEngine) -> None:
    image, face = astronaut
    prediction = engine.predict(image, face, engine.prepare([(image, face)]), SwapOptions(finish=0))
    crop = prediction.crop
    drawn = relight(prediction, prediction.statistics, SwapOptions())
    points = crop.points[: mesh.VERTEX_COUNT]

    def maps(picture: np.ndarray) -> np.ndarray:
        shape = prediction.shape[: mesh.VERTEX_COUNT]
        return HarmonizationInput.of(drawn, prediction.depth > 0, picture, points, shape, None).maps

    hidden = crop.image_rgb.copy()
    eye = points[list(mesh.EYE_LEFT), :2].astype(int)
    hidden[eye[:, 1].min() : eye[:, 1].max(), eye[:, 0].min() : eye[:, 0].max()] = 0
    assert np.abs(maps(hidden)[..., :3] - maps(crop.image_rgb)[..., :3]).max() < 0.05


def test_other_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"head.weight": np.zeros((4, 8, 3, 3), np.float32)}, tmp_path / "harmonization.safetensors")
    with pytest.raises(WeightsError, match="harmonization network"):
        Harmonizer(tmp_path / "harmonization.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(WeightsError, match="harmonization network"):
        Harmonizer(tmp_path / "text.safetensors")


def test_training_learns_and_exports(tmp_path: Path, analyser: FaceAnalyser) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        shifted = np.roll(portrait_rgb(), 8 * number, axis=1)
        media.write_picture(folder / f"{number}.png", shifted)
    run = tmp_path / "run"
    train_in_folder(
        run, HARMONIZATION, make_request(HARMONIZATION, preset="tiny", data=str(folder)), on_line=lambda _: None
    )
    data = HarmonizationTask(per_picture=1).build_data(folder, torch.device("cpu"))
    assert len(data) == 3
    exported = HarmonizationTask().export(random_net(), tmp_path)
    fields = Harmonizer(exported["harmonization"]).predict(
        HarmonizationInput(
            drawn=np.zeros((SIDE, SIDE, 3), np.float32),
            maps=np.zeros((FIELD, FIELD, MAPS), np.float32),
            plain=np.ones((FIELD, FIELD), np.float32),
            tone=np.zeros(3, np.float32),
            square=Square.of((SIDE, SIDE)),
            fine_px=2.0,
        )
    )
    assert fields.shape == (FIELD, FIELD, 4)
    assert (run / "checkpoints").exists()
