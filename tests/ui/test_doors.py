"""No door of a shared studio decodes a visitor's file in the studio's own process."""

import base64
import inspect
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import c2pa
import cv2
import gradio as gr
import numpy as np
import PIL.Image
import pytest
from gradio.components.image_editor import AcceptBlobs, EditorData
from gradio.data_classes import FileData, ImageData
from starlette.exceptions import HTTPException

from facegen.facesets import ExtractOptions, Faceset, extract
from facegen.facesets.exchange import export_faces
from facegen.generate.request import GenerateOptions
from facegen.media import apart, read_picture
from facegen.swap.options import SwapOptions
from facegen.swap.request import SwapRequest
from facegen.talk.options import TalkOptions
from facegen.ui.pictures import Camera, Painting, Picture
from facegen.ui.profile import Profile, check_size
from facegen.ui.services import Services, Visitor
from facegen.ui.studio import build_studio
from facegen.ui.tabs.faceset import copies, mask_drawing
from facegen.ui.tabs.faceset import facesets as work
from facegen.ui.tabs.generate.faces import FaceEditor, FaceSpec
from facegen.ui.tabs.live import LiveSwaps
from facegen.ui.tabs.swap import requests as swaps
from facegen.ui.tabs.talk import requests as talks
from facegen.ui.tabs.verify import read_report
from tests.factories import moving_portrait, write_clip, write_portrait
from tests.talk.sounds import babble, write_wave


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A visitor of a shared studio, with uploads."""

    services: Services
    visitor: Visitor = field(default_factory=Visitor)
    portrait: str
    other: str
    clip: str
    sound: str
    pak: str

    def swap(self) -> SwapRequest:
        return SwapRequest(sources=(self.portrait,), target=self.clip, output="", options=SwapOptions())

    def talk(self) -> Any:
        return talks.make_request(self.portrait, self.sound, vars(TalkOptions()))

    def take_over(self) -> Faceset:
        copies.import_faceset(self.services, self.visitor, "taken", [self.pak])
        return work.open_faceset(self.services, self.visitor, "taken")


def _edit(visit: Visit) -> None:
    editor = FaceEditor(visit.services.models)
    encoded = editor.encode(visit.portrait)
    face = FaceSpec(sliders=encoded.sliders, options=GenerateOptions(), encoded=encoded, photo=visit.portrait)
    (made,) = editor.write(visit.services, visit.visitor, face)
    assert read_report(visit.services, made)["verdict"] == "made here"


def _camera(visit: Visit) -> None:
    image_rgb = read_picture(visit.other)
    live = LiveSwaps(visit.services).prepare(visit.visitor, visit.portrait).result(120)
    assert live(image_rgb).shape == image_rgb.shape


def _people(visit: Visit) -> None:
    assert len(swaps.find_people(visit.services, visit.clip)) == 1
    assert len(swaps.find_people(visit.services, visit.portrait)) == 1


def _mask(visit: Visit) -> None:
    layer = np.zeros((8, 8, 4), np.uint8)
    layer[2:6, 2:6] = 255
    png = cv2.imencode(".png", layer)[1].tobytes()
    drawn = mask_drawing.painted_mask([mask_drawing.read_layer(visit.services, visit.visitor, png)], 8)
    assert int(drawn[4, 4]) == 255


def _trial(visit: Visit) -> None:
    assert Path(talks.trial(visit.services, visit.visitor, visit.talk()).audio).is_file()


DOORS: dict[str, Callable[[Visit], Any]] = {
    "a target is chosen": lambda visit: swaps.describe(visit.clip),
    "a target that is a picture": lambda visit: swaps.describe(visit.portrait),
    "sources are chosen": lambda visit: swaps.describe_sources(visit.services, [visit.portrait, visit.other]),
    "a TIFF is shown": lambda visit: visit.services.browser_picture(visit.visitor, visit.other),
    "people are found": _people,
    "a frame of a swap": lambda visit: swaps.preview(visit.services, visit.swap(), 5),
    "a request enters": lambda visit: visit.services.admit(visit.visitor, visit.swap()),
    "its size is looked at": lambda visit: check_size(Profile(clip_seconds=5, megapixels=1), visit.swap()),
    "a result beside its target": lambda visit: swaps.result_frames(visit.clip, visit.portrait, 3),
    "a portrait is chosen": lambda visit: talks.load_poster(visit.portrait, ""),
    "a video that is to speak": lambda visit: talks.load_poster(visit.clip, "0.2"),
    "two seconds are tried": _trial,
    "a moment of a talk": lambda visit: talks.draw_preview(visit.services, visit.visitor, visit.talk(), 0.5),
    "a photograph is edited and kept": _edit,
    "the camera": _camera,
    "a mask is drawn": _mask,
    "a faceset of others": lambda visit: work.page(visit.take_over(), 0),
    "Verify": lambda visit: read_report(visit.services, visit.clip),
}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploads")
    write_portrait(folder / "face.png")
    PIL.Image.open(folder / "face.png").save(folder / "other.tiff")
    write_clip(folder / "clip.mp4", moving_portrait(8))
    write_wave(folder / "said.wav", babble(1))
    extract([folder / "clip.mp4"], folder / "faces", ExtractOptions(size=96, format="jpg"))
    export_faces(Faceset.open(folder / "faces"), folder / "faceset.pak", "dfl-pak")
    return folder


@pytest.fixture
def visit(uploads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visit]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    services = Services(Profile(shared=True))
    files: dict[str, Any] = {}
    for name, file in (
        *(("portrait", "face.png"), ("other", "other.tiff"), ("clip", "clip.mp4")),
        *(("sound", "said.wav"), ("pak", "faceset.pak")),
    ):
        folder = services.folder / name  # each upload has a folder of its own
        folder.mkdir(parents=True)
        files[name] = shutil.copy(uploads / file, folder)
    yield Visit(services=services, **files)
    services.close()


@pytest.fixture
def decoded(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What decoders of this process were given, facegen's own files left out."""
    found: list[str] = []

    def watch(place: Any, name: str, position: int = 0) -> None:
        function = getattr(place, name)

        def call(*arguments: Any, **options: Any) -> Any:
            given = arguments[position] if len(arguments) > position else ""
            named = str(getattr(given, "name", given)).removeprefix("file:")
            is_written = name == "open" and (options.get("mode") or (*arguments, "r", "r")[1]) == "w"
            if (not is_written and apart.is_foreign(named)) or named.startswith("<"):
                found.append(f"{name} {named}")
            return function(*arguments, **options)

        monkeypatch.setattr(place, name, staticmethod(call) if inspect.isclass(place) else call)

    watch(av, "open")
    watch(PIL.Image, "open")
    watch(cv2, "imread")
    watch(c2pa.Reader, "try_create", 1)
    ingredient = c2pa.Builder.add_ingredient_from_stream

    def add(self: Any, about: Any, kind: str, stream: Any) -> Any:
        found.append(f"ingredient {stream.name}")
        return ingredient(self, about, kind, stream)

    monkeypatch.setattr(c2pa.Builder, "add_ingredient_from_stream", add)
    return found


@pytest.mark.parametrize("door", DOORS)
def test_a_visitor_s_file_is_decoded_apart(door: str, visit: Visit, decoded: list[str]) -> None:
    visit.services.decode_apart()
    DOORS[door](visit)
    assert decoded == []


@pytest.mark.parametrize("door", [door for door in DOORS if door != "Verify"])
def test_the_walk_would_notice(door: str, visit: Visit, decoded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "is_foreign", lambda path: True)
    DOORS[door](visit)
    assert decoded


def test_components_hand_over_what_came(tmp_path: Path) -> None:
    file = write_portrait(tmp_path / "face.png")
    content = file.read_bytes()
    url = "data:image/png;base64," + base64.b64encode(content).decode()
    with gr.Blocks():
        assert Picture().preprocess(ImageData(path=str(file))) == str(file)
        assert Picture().preprocess(None) is None
        assert Camera().preprocess(ImageData(url=url)) == Camera().preprocess(ImageData(path=str(file))) == content
        painting = Painting()
        assert painting.preprocess(EditorData(layers=[FileData(path=str(file))])) == [content]
        assert painting.preprocess(EditorData(id="gone")) == painting.preprocess(None) == []


def test_layers_that_nobody_takes_are_bounded() -> None:
    def send(index: str, size: int, name: str) -> None:
        about: Any = {"type": "layer", "index": index, "id": name}
        painting.accept_blobs(AcceptBlobs.model_construct(data=about, files=[("file", bytes(size))]))

    with gr.Blocks():
        painting = Painting()
    assert [function.__name__ for function in painting.server_fns] == ["accept_blobs"]
    for index in ("60000000", "-1", "x"):
        with pytest.raises(HTTPException, match="at most 8 layers"):
            send(index, 1, "a")
    for number in range(5):
        send("0", 20_000_000, str(number))
    assert set(painting.blob_storage) == {"2", "3", "4"}
    assert painting.preprocess(EditorData(id="4")) == [bytes(20_000_000)]


def test_no_component_of_the_page_decodes() -> None:
    page = build_studio(Profile(shared=True))
    given = {block for function in page.fns.values() for block in function.inputs}
    pictures = [block for block in given if isinstance(block, (gr.Image, gr.ImageEditor, gr.ImageSlider, gr.Video))]
    assert {type(block) for block in pictures} >= {Picture, Painting}  # a camera where there is a GPU
    assert all(isinstance(block, (Picture, Camera, Painting)) for block in pictures)
    for block in given:
        if isinstance(block, gr.Gallery):
            assert block.type == "filepath"
        if isinstance(block, gr.Audio):
            assert (block.type, block.format) == ("filepath", None)
