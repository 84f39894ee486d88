"""EDTalk behind the talk's protocol, with stand-ins of its tensors that show what arrived."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from facegen import hub, media
from facegen.errors import WeightsError
from facegen.faces import Face, FaceAnalyser
from facegen.talk import TalkOptions, TalkRequest, engines
from facegen.talk.pipeline import TalkPipeline
from facegen.talk.renderers.edtalk import EdTalkPerson
from tests.factories import moving_portrait, portrait_rgb, write_clip
from tests.onnx_graph import Graph, colour, number
from tests.reenact.stand_ins import write_other
from tests.talk.sounds import babble, write_wave

Write = Callable[[str], EdTalkPerson]
INPUTS: dict[str, tuple[int | str, ...]] = {"source": (1, 1, 80, 16), "target": (1, 3, 256, 256), "weight": (1,)}


@pytest.fixture
def person(tmp_path: Path) -> Write:
    """Makes a person of a stand-in: `seen` answers 1 - R, G, B / 2; `loud` the sound's mean / 8 + the weight as grey."""

    def write(kind: str) -> EdTalkPerson:
        graph = Graph()
        loudness = graph.node("Mul", graph.node("ReduceMean", "source", keepdims=0), number(0.125))
        condition = graph.node("Add", loudness, "weight")
        if kind == "loud":
            made = graph.node("Add", graph.node("Mul", "target", number(0)), condition)
        else:
            made = graph.node("Add", graph.node("Mul", "target", colour((-1.0, 1.0, 0.5))), colour((1.0, 0.0, 0.0)))
            made = graph.node("Add", made, graph.node("Mul", condition, number(0)))
        path = graph.save(tmp_path / f"{kind}.onnx", INPUTS, made, (1, 3, 256, 256))
        hub.use_custom(engines.LIPSYNC["edtalk"], path)
        return EdTalkPerson()

    return write


@pytest.fixture(scope="module")
def face() -> Face:
    (found,) = FaceAnalyser().detect(portrait_rgb())
    return found


def test_the_face_arrives_in_rgb_and_comes_back_in_its_place(person: Write, face: Face) -> None:
    picture = cv2.GaussianBlur(portrait_rgb(), (0, 0), 3)
    patch = person("seen").patch(picture, face, np.zeros((80, 17), np.float32))
    assert patch is not None
    x, y = face.points5[2].astype(int)
    expected = picture[y, x] * [-1, 1, 0.5] + [255, 0, 0]
    np.testing.assert_allclose(patch.image_rgb[y - patch.y, x - patch.x], expected, atol=4)
    assert patch.alpha[y - patch.y, x - patch.x] == 1
    assert patch.alpha[0].max() < 0.05


def test_the_sound_and_the_weight_arrive_unscaled(person: Write, face: Face) -> None:
    speaker = person("loud")
    x, y = face.points68[48:68].mean(axis=0).astype(int)
    for loud, weight in ((-2.0, 0.5), (2.0, 0.25)):
        mouth = np.full((80, 17), loud, np.float32)
        mouth[:, 16] = weight
        patch = speaker.patch(portrait_rgb(), face, mouth)
        assert patch is not None
        np.testing.assert_allclose(patch.image_rgb[y - patch.y, x - patch.x], 255 * (loud / 8 + weight), atol=1.5)


def test_a_video_speaks_by_it_from_sound_to_file(person: Write, tmp_path: Path) -> None:
    person("loud")
    clip = write_clip(tmp_path / "clip.mp4", moving_portrait(4))
    sound = write_wave(tmp_path / "said.wav", babble(0.3))
    options = TalkOptions(engine="edtalk", mouth=0.8)
    request = TalkRequest(portrait=str(clip), audio=str(sound), output=str(tmp_path / "out.mp4"), options=options)
    pipeline = TalkPipeline(on_line=lambda line: None)
    assert pipeline(request).frames == 4
    for new, old in zip(media.read_frames(request.output), media.read_frames(clip), strict=True):
        assert np.abs(new.image_rgb.astype(int) - old.image_rgb).max() > 40


def test_what_is_missing_or_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="facegen weights fetch edtalk"):
        EdTalkPerson()
    hub.use_custom(engines.LIPSYNC["edtalk"], write_other(tmp_path / "other.onnx"))
    with pytest.raises(WeightsError, match="Expected edtalk with the inputs"):
        EdTalkPerson()
