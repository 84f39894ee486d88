"""Wav2Lip behind the talk's protocol, with stand-ins of its tensors that show what arrived: window, scale, halves, crop."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import scipy.signal
from onnx import helper, numpy_helper

from facegen import hub, media
from facegen.errors import InputError, WeightsError
from facegen.faces import Face, FaceAnalyser
from facegen.talk import TalkOptions, TalkRequest, engines
from facegen.talk.pipeline import TalkPipeline
from facegen.talk.renderers import choose_renderer
from facegen.talk.renderers.lipsync import COLUMN_RATE, SIDE, LipSyncPerson, compute_spectrogram, cut_windows
from tests.factories import moving_portrait, portrait_rgb, write_clip, write_portrait
from tests.talk.sounds import babble, write_wave

Write = Callable[[str], LipSyncPerson]


def stand_in(kind: str) -> bytes:
    """A network with Wav2Lip's tensors.

    `seen` gives back the face as it came, `hidden` the one whose lower half is hidden, `loud` the mean of the sound as grey.
    """
    constants = {
        "three": np.array([3]),
        "six": np.array([6]),
        "zero": np.array([0]),
        "one": np.array([1]),
        "shape": np.array([1, 3, SIDE, SIDE]),
        "eighth": np.array(0.125, np.float32),
        "half": np.array(0.5, np.float32),
    }
    if kind == "loud":
        nodes = [
            helper.make_node("ReduceMean", ["source"], ["mean"], keepdims=1),
            helper.make_node("Mul", ["mean", "eighth"], ["small"]),
            helper.make_node("Add", ["small", "half"], ["grey"]),
            helper.make_node("Expand", ["grey", "shape"], ["output"]),
        ]
    else:
        first, last = ("three", "six") if kind == "seen" else ("zero", "three")
        nodes = [helper.make_node("Slice", ["target", first, last, "one"], ["output"])]
    graph = helper.make_graph(
        nodes,
        kind,
        [
            helper.make_tensor_value_info("source", onnx.TensorProto.FLOAT, [1, 1, 80, 16]),
            helper.make_tensor_value_info("target", onnx.TensorProto.FLOAT, [1, 6, SIDE, SIDE]),
        ],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """Makes a person of a stand-in, whose file takes the place of the model's."""

    def write(kind: str) -> LipSyncPerson:
        path = tmp_path / f"{kind}.onnx"
        path.write_bytes(stand_in(kind))
        hub.use_custom(engines.LIPSYNC["wav2lip"], path)
        return LipSyncPerson("wav2lip")

    return write


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return cv2.GaussianBlur(portrait_rgb(), (0, 0), 2.5)


@pytest.fixture(scope="module")
def face(picture: np.ndarray) -> Face:
    (found,) = FaceAnalyser().detect(portrait_rgb())
    return found


def paste(person: LipSyncPerson, picture: np.ndarray, face: Face, sound: np.ndarray) -> np.ndarray:
    patch = person.patch(picture, face, sound)
    assert patch is not None
    pasted, height, width = picture.astype(np.float32), *patch.alpha.shape
    under = pasted[patch.y : patch.y + height, patch.x : patch.x + width]
    under += patch.alpha[..., None] * (patch.image_rgb - under)
    return pasted


def test_the_spectrogram_is_that_of_the_models_publisher() -> None:
    rng = np.random.default_rng(0)
    sound = (0.3 * rng.normal(size=16000)).astype(np.float32)
    peak = sound / np.abs(sound).max()
    emphasised = np.append(peak[:1], peak[1:] - 0.97 * peak[:-1])
    spectrum = np.abs(scipy.signal.stft(emphasised, nperseg=800, nfft=800, noverlap=600)[2])
    low, high = 2595 * np.log10(1 + np.array([55.0, 7600.0]) / 700)
    mel = np.linspace(low, high, 82)
    edges = np.floor(801 * (700 * (10 ** (mel / 2595) - 1)) / 16000).astype(int)
    expected = np.zeros((80, spectrum.shape[1]))
    for band in range(80):
        first, last = edges[band], edges[band + 1]
        expected[band] = scipy.signal.windows.triang(last - first) @ spectrum[first:last]
    found = compute_spectrogram([sound[:7000], sound[7000:]])
    assert found.shape == expected.shape
    assert np.allclose(found, expected, atol=1e-5)


def test_a_window_begins_with_its_frame_and_stays_within_four() -> None:
    spectrogram = np.repeat(np.arange(100, dtype=np.float32)[None] / 1000, 80, axis=0)
    windows = cut_windows(spectrogram, np.array([0.0, 0.5, 9.0]), 1.0)
    assert windows.shape == (3, 80, 16)
    expected = np.log10(spectrogram[:, 40:56]) * 1.6 + 3.2
    assert np.allclose(windows[1], expected, atol=1e-5)
    assert np.array_equal(windows[2], cut_windows(spectrogram, np.array([84 / COLUMN_RATE]), 1.0)[0])
    assert windows[0, 0, 0] == -4
    assert cut_windows(1e9 * spectrogram + 1e9, np.zeros(1), 1.0).max() == 4
    assert np.allclose(cut_windows(spectrogram, np.array([0.5]), 0.5)[0], expected / 2, atol=1e-5)


def test_a_network_that_gives_the_face_back_changes_nothing(person: Write, picture: np.ndarray, face: Face) -> None:
    pasted = paste(person("seen"), picture, face, np.zeros((80, 16), np.float32))
    error = np.square(pasted.astype(float) - picture).mean()
    assert 10 * np.log10(255**2 / error) > 45


def test_the_lower_half_is_hidden_and_only_the_lower_face_is_drawn(
    person: Write, picture: np.ndarray, face: Face
) -> None:
    pasted = paste(person("hidden"), picture, face, np.zeros((80, 16), np.float32)).astype(int)
    changed = np.abs(pasted - picture).max(axis=2) > 30
    points = face.points68
    mouth, nose, chin = points[48:68].mean(axis=0), points[27:31].mean(axis=0), points[8]
    assert changed[int(mouth[1]), int(mouth[0])]
    assert pasted[int(mouth[1]), int(mouth[0])].max() < 30
    assert not changed[: int(nose[1])].any()
    assert not changed[int(chin[1]) + 12 :].any()


def test_the_sound_arrives_with_its_scale(person: Write, picture: np.ndarray, face: Face) -> None:
    x, y = face.points68[48:68].mean(axis=0).astype(int)
    for value in (-2.0, 2.0):
        pasted = paste(person("loud"), picture, face, np.full((80, 16), value, np.float32))
        assert np.allclose(pasted[y, x], 255 * (0.5 + value / 8), atol=3)


def test_a_video_speaks_by_it_from_sound_to_file(person: Write, tmp_path: Path) -> None:
    person("loud")
    clip = write_clip(tmp_path / "clip.mp4", moving_portrait(8))
    sound = write_wave(tmp_path / "said.wav", babble(0.5))
    request = TalkRequest(
        portrait=str(clip), audio=str(sound), output=str(tmp_path / "out.mp4"), options=TalkOptions(engine="wav2lip")
    )
    lines: list[str] = []
    result = TalkPipeline(on_line=lines.append)(request)
    assert result.frames == 8
    assert any(line.startswith("wav2lip runs on") for line in lines)
    differences = [
        np.abs(new.image_rgb.astype(int) - old.image_rgb).max()
        for new, old in zip(media.read_frames(request.output), media.read_frames(clip), strict=True)
    ]
    assert min(differences) > 40


def test_what_it_cannot_do_is_one_sentence(tmp_path: Path) -> None:
    picture = write_portrait(tmp_path / "face.png")
    request = TalkRequest(portrait=str(picture), audio="said.wav", output="", options=TalkOptions(engine="wav2lip"))
    with pytest.raises(InputError, match="Expected a video as portrait"):
        choose_renderer(request)
    with pytest.raises(WeightsError, match="facegen weights fetch wav2lip-gan"):
        LipSyncPerson("wav2lip-gan")
    assert replace(request, options=TalkOptions(engine="wav2lip-gan")).options.engine == "wav2lip-gan"
    path = tmp_path / "other.onnx"
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    hub.use_custom(engines.LIPSYNC["wav2lip-gan"], path)
    with pytest.raises(WeightsError, match="Expected wav2lip-gan with the inputs"):
        LipSyncPerson("wav2lip-gan")
