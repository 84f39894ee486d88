"""facexlib's real networks, filled through our path from stand-in weights of the real names and shapes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facegen import hub
from facegen.errors import InputError, WeightsError
from facegen.faces import AnalyserConfig, FaceAnalyser, weights
from facegen.faces import facexlib_backend as backend
from tests.factories import portrait_rgb
from tests.small_hub import COMMIT, running_hub


def _saved(network: torch.nn.Module, path: Path, wrap: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    torch.save(wrap(network.state_dict()), path)
    return path


@pytest.fixture(scope="module")
def retinaface_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("facexlib") / "detection_Resnet50_Final.pth"
    network = backend.retinaface_network()
    for head in [*network.BboxHead, *network.LandmarkHead]:
        # random heads would give boxes beyond all numbers; these leave the anchors as they are
        torch.nn.init.zeros_(head.conv1x1.weight)
        torch.nn.init.zeros_(head.conv1x1.bias)
    # the published file was saved from DataParallel
    return _saved(network, path, lambda state: {f"module.{name}": value for name, value in state.items()})


def test_retinaface_loads_and_gives_boxes_in_image_pixels(retinaface_path: Path) -> None:
    detector = backend.RetinaFaceDetector(retinaface_path, min_score=0.0, device="cpu")
    found = detector.detect(portrait_rgb(), 128)
    assert found
    assert all(detection.points5.shape == (5, 2) for detection in found)
    centers = np.array([(d.box_xyxy[:2] + d.box_xyxy[2:]) / 2 for d in found])
    # heads of zeros: the boxes are the anchors, which cover the picture
    assert 0 < centers.min() < 64
    assert 512 - 64 < centers.max() < 512


def test_anchors_are_those_of_facexlib() -> None:
    from facexlib.detection.retinaface import generate_config
    from facexlib.detection.retinaface_utils import PriorBox

    prior = PriorBox(generate_config("resnet50"), image_size=(96, 72)).forward().numpy()
    np.testing.assert_allclose(backend._anchors(96, 72), prior * [72, 96, 72, 96], rtol=1e-5)


def test_fan_adds_68_points_of_its_own(tmp_path: Path, facegen_home: Path) -> None:
    torch.manual_seed(0)
    path = _saved(backend.fan_network(), tmp_path / "fan.pth", lambda state: {"state_dict": state})
    image = portrait_rgb()
    face = FaceAnalyser().detect(image, max_faces=1)[0]
    refined = backend.FanLandmarks(path, device="cpu").refine(image, face)
    assert refined.landmarks68 is not None
    assert refined.points68 is refined.landmarks68
    assert refined.points68.shape == (68, 2)
    np.testing.assert_array_equal(refined.points478, face.points478)


def test_heatmap_points_lean_towards_the_higher_neighbour() -> None:
    heatmaps = np.zeros((2, 8, 8), np.float32)
    heatmaps[0, 3, 5], heatmaps[0, 3, 6] = 1.0, 0.5
    heatmaps[1, 0, 0] = 1.0
    np.testing.assert_allclose(backend.heatmap_points(heatmaps), [[5.75, 3.5], [0.25, 0.25]])


def test_parsenet_gives_probabilities_at_the_size_of_the_crop(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = _saved(backend.parsenet_network(), tmp_path / "parsenet.pth", lambda state: state)
    found = backend.ParseNetParser(path, device="cpu").parse(portrait_rgb()[None, :64, :64])
    assert found.shape == (1, 19, 64, 64)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-4)


def test_wrong_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="fetch them again"):
        backend.ParseNetParser(path, device="cpu")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": Path("/tmp")}, path)
    with pytest.raises(WeightsError):
        backend.ParseNetParser(path, device="cpu")


def test_missing_weights_are_named_with_the_command_that_fetches_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for config in (AnalyserConfig(detector="facexlib"), AnalyserConfig()):
        with pytest.raises(WeightsError, match="facegen weights fetch facexlib-retinaface"):
            FaceAnalyser(config).with_detector("facexlib")
    with pytest.raises(WeightsError, match="facegen weights fetch facexlib-retinaface"):
        FaceAnalyser(AnalyserConfig(detector="facexlib")).detect(portrait_rgb())
    with pytest.raises(InputError, match="auto, embedded, facexlib"):
        FaceAnalyser().with_detector("dlib")


def test_auto_uses_facexlib_once_its_weights_are_fetched(
    facegen_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    detector = backend.retinaface_network()
    for head in [*detector.BboxHead, *detector.LandmarkHead, *detector.ClassHead]:
        torch.nn.init.zeros_(head.conv1x1.weight)
        torch.nn.init.zeros_(head.conv1x1.bias)
    for head, scores in zip(detector.ClassHead, ([5, -5, 5, -5], [5, -5, 5, -5], [5, -5, -5, 5]), strict=True):
        # background and face for each of two anchors: the largest of all are faces
        head.conv1x1.bias.data = torch.tensor(scores, dtype=torch.float32)
    image, analyser = portrait_rgb(), FaceAnalyser(AnalyserConfig(is_any_angle=False, small_faces_px=0))
    assert analyser.with_detector("auto") is analyser
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        for name, network in (("FACEXLIB_RETINAFACE", detector), ("FACEXLIB_FAN", backend.fan_network())):
            path = _saved(network, tmp_path / f"{name}.pth", lambda state: state)
            changes = {"source": hub.Hub("somebody/facexlib", COMMIT), "filename": path.name}
            weight = dataclasses.replace(getattr(weights, name), sha256=None, size=None, **changes)
            monkeypatch.setattr(weights, name, weight)
            server.files[f"somebody/facexlib/{path.name}"] = path.read_bytes()
            hub.fetch(weight)
    facexlib = analyser.with_detector("auto")
    assert facexlib is analyser.with_detector("facexlib")
    assert facexlib.with_detector("embedded").is_facexlib is False
    assert facexlib.mesh_finder is analyser.mesh_finder
    (face,) = facexlib.detect(image, 1)
    (embedded,) = analyser.detect(image, 1)
    assert face.landmarks68 is not None
    assert embedded.landmarks68 is None
    np.testing.assert_allclose(face.points478, embedded.points478, atol=0.1 * embedded.size_px)
