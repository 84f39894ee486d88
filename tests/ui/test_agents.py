"""Agents: the four tools as the reference client of the protocol sees and calls them."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from facegen.errors import InputError
from facegen.jobs.fields import fields_of
from facegen.swap.options import SwapOptions
from facegen.ui.agents.files import AgentFiles, AgentSettings
from facegen.ui.examples import FILES
from facegen.ui.services import Services, Visitor
from facegen.ui.studio import serve

pytest.importorskip("mcp")
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that agents may name files of."""
    folder = tmp_path_factory.mktemp("agents") / "shared"
    folder.mkdir()
    for name in ("ada.jpg", "bea.mp4", "swap.mp4"):
        (folder / name).write_bytes((FILES / name).read_bytes())
    (folder.parent / "secret.png").write_bytes((FILES / "ada.jpg").read_bytes())
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    return folder


@pytest.fixture(scope="module")
def address(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("shown")))
        with serve(port=0, agents=AgentSettings(folder=shared)) as studio:
            yield f"{studio.local_url}mcp"


def talk_to(address: str, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """The tools, and the answers to some calls of one session, as text and whether it is an error."""
    answers: list[Any] = []

    async def session() -> None:
        async with streamablehttp_client(address) as (read, write, _), ClientSession(read, write) as client:
            await client.initialize()
            answers.append((await client.list_tools()).tools)
            for name, arguments in calls:
                heard: list[float] = []

                async def hear(done: float, total: float | None, message: str | None) -> None:
                    heard.append(done)  # noqa: B023  # called before the next round

                answer = await client.call_tool(name, arguments, progress_callback=hear)  # type: ignore[arg-type]
                answers.append((answer.content[0].text, answer.isError, heard))  # type: ignore[union-attr]

    anyio.run(session)
    return answers


def test_tools_have_typed_described_parameters(address: str) -> None:
    (tools,) = talk_to(address)
    schemas = {tool.name: tool.inputSchema for tool in tools}
    assert set(schemas) == {"swap", "generate", "talk", "verify"}
    for name, schema in schemas.items():
        for parameter, said in schema["properties"].items():
            assert said.get("description"), f"{name}.{parameter}"
            assert {"type", "anyOf", "enum"} & set(said), f"{name}.{parameter}"
    assert {"sources", "target", "consent"} == set(schemas["swap"]["required"])
    assert {"portrait", "audio", "consent"} == set(schemas["talk"]["required"])
    swap = schemas["swap"]["properties"]
    assert {item.name for item in fields_of(SwapOptions)} <= set(swap)
    assert (swap["restore"]["minimum"], swap["restore"]["maximum"], swap["restore"]["default"]) == (0.0, 1.0, 0.0)


def test_what_may_not_be_done_is_a_sentence(address: str) -> None:
    files = {"sources": ["ada.jpg"], "target": "bea.mp4"}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("swap", {**files, "consent": False}),
        ("swap", files),
        ("verify", {"file": "../secret.png"}),
        ("verify", {"file": "link.png"}),
        ("verify", {"file": "/etc/hostname"}),
        ("verify", {"file": "https://example.org/face.png"}),
        ("verify", {"file": "file:///etc/hostname"}),
        ("swap", {**files, "consent": True, "restore": 7}),
    ]
    _, *answers = talk_to(address, *calls)
    assert all(is_error for _, is_error, _ in answers)
    words = [text for text, _, _ in answers]
    assert "Expected your consent" in words[0]
    assert "consent" in words[1]
    assert all("Expected a file in" in text for text in words[2:5])
    assert all("Expected an https: URL of an allowed host (none" in text for text in words[5:7])
    assert "less than or equal to 1" in words[7]


def test_files_of_the_folder_and_of_the_message_are_verified(address: str) -> None:
    picture = base64.b64encode((FILES / "ada.jpg").read_bytes()).decode()
    _, clip, sent = talk_to(
        address, ("verify", {"file": "swap.mp4"}), ("verify", {"file": f"data:image/jpeg;base64,{picture}"})
    )
    assert json.loads(clip[0])["file"] == "swap.mp4"
    assert json.loads(sent[0])["verdict"] == json.loads(clip[0])["verdict"]


@pytest.mark.slow
def test_a_face_is_drawn_and_swapped(address: str, shared: Path) -> None:
    _, drawn = talk_to(address, ("generate", {"seed": 7, "eyes": 0.9, "retouch": False}))
    (face,) = json.loads(drawn[0])["faces"]
    assert urllib.request.urlopen(face["url"], timeout=20).read(4) == b"\x89PNG"
    assert (shared / face["file"]).is_file()
    _, swapped = talk_to(
        address, ("swap", {"sources": ["ada.jpg"], "target": face["file"], "face_shape": 0.5, "consent": True})
    )
    assert not swapped[1], swapped[0]
    answer = json.loads(swapped[0])
    assert "1 frame" in answer["summary"]
    assert swapped[2][-1] == 1.0
    assert (shared / answer["file"]).is_file()
    assert urllib.request.urlopen(answer["url"], timeout=20).read(4) == b"\x89PNG"


def test_urls_are_fetched_from_allowed_hosts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    fetched: list[str] = []

    class Opener:
        def open(self, address: str, timeout: float) -> io.BytesIO:
            fetched.append(address)
            return io.BytesIO(b"x" * 20)

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("facegen.ui.agents.files._opener", Opener)
    files, visitor = AgentFiles(Services(), AgentSettings(hosts=["files.example"])), Visitor()
    assert Path(files.fetch(visitor, "https://files.example/a/face.PNG?size=1")).suffix == ".png"
    for refused in (
        "http://files.example/face.png",
        "https://files.example:8443/face.png",
        "https://files.example.evil/face.png",
        "https://files.example@evil/face.png",
        "HTTPS://evil/face.png",
    ):
        with pytest.raises(InputError, match="Expected an https: URL of an allowed host"):
            files.fetch(visitor, refused)
    assert fetched == ["https://files.example/a/face.PNG?size=1"]
    monkeypatch.setattr(AgentFiles, "_most_bytes", 10)
    with pytest.raises(InputError, match="Expected at most"):
        files.fetch(visitor, "https://files.example/a/face.png")
