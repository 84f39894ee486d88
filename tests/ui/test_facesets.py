"""What stands behind the Faceset tab: whose facesets, which names, what is asked of the command line."""

from pathlib import Path

import pytest

from facegen.errors import InputError
from facegen.facesets.jobs import EXTRACT
from facegen.ui.profile import Profile
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.faceset import facesets


def _faceset(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "metadata.jsonl").write_text("")


def test_visitors_of_a_shared_studio_see_their_own(facegen_home: Path) -> None:
    services = Services(Profile(shared=True))
    ann, bob = Visitor(), Visitor()
    _faceset(facesets.faceset_path(services, ann, "ann s faces"))
    assert facesets.names(services, ann) == ["ann s faces"]
    assert facesets.names(services, bob) == []
    with pytest.raises(InputError):
        facesets.open_faceset(services, bob, "ann s faces")


@pytest.mark.parametrize("name", ["", "..", "../other", "a/b", ".hidden", "a" * 80, "a\x00b"])
def test_names_lead_nowhere_else(name: str) -> None:
    services = Services()
    with pytest.raises(InputError, match="name"):
        facesets.faceset_path(services, Visitor(), name)


def test_files_of_one_name_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services()
    monkeypatch.setattr(services, "start_next", lambda: None)
    files = []
    for folder in ("a", "b"):
        files.append(tmp_path / folder / "00.jpg")
        files[-1].parent.mkdir()
        files[-1].write_text(folder)
    run = facesets.start(
        *(services, Visitor()), name="faces", files=[str(path) for path in files], persons=[], others=[], settings={}
    )
    assert [Path(path).read_text() for path in EXTRACT.read_request(run).inputs] == ["a", "b"]
    assert [path.read_text() for path in files] == ["a", "b"]


def test_an_extraction_is_one_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services()
    monkeypatch.setattr(services, "start_next", lambda: None)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    asked = {"size": 128.0, "face_type": "full", "every": 1}
    people = []
    for name in ("wanted", "unwanted"):
        people.append(tmp_path / f"{name}.png")
        people[-1].write_bytes(name.encode())
    run = facesets.start(
        *(services, Visitor()),
        name="faces",
        files=[str(clip)],
        persons=[str(people[0])],
        others=[str(people[1])],
        settings=asked,
    )
    request = EXTRACT.read_request(run)
    assert (request.options.size, request.options.face_type) == (128, "full")
    assert Path(request.inputs[0]).read_bytes() == b"x"
    assert Path(request.persons[0]).read_bytes() == b"wanted"
    assert Path(request.others[0]).read_bytes() == b"unwanted"
    assert Path(request.output).name == "faces"
    with pytest.raises(InputError, match="face_type"):
        facesets.start(
            *(services, Visitor()),
            name="x",
            files=[str(clip)],
            persons=[],
            others=[],
            settings={"face_type": "nose", "size": 64},
        )
