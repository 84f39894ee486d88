"""`facegen verify`: its words, its JSON and its exit codes."""

import functools
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facegen.__main__ import main
from facegen.media import write_picture
from facegen.provenance import Claims, sign
from tests.factories import noise_rgb


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["facegen", "verify", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    write_picture(path, noise_rgb(128, 128))
    return path


def test_a_signed_file_ends_with_0(
    picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(picture, Claims(job="generate", engine="nvae"))
    assert run(monkeypatch, str(picture)) == 0
    assert capsys.readouterr().out.startswith("Made by facegen on this installation")


def test_an_unmarked_file_ends_with_1(
    picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(picture), "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["is_proven"], report["credentials"]) == ("nothing found", False, None)
    assert report["watermark"]["score"] < report["watermark"]["threshold"]


def test_a_bad_file_ends_with_2_and_one_sentence(
    picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture.write_text("no picture")
    assert run(monkeypatch, str(picture)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Expected")
    assert shown.err.count("\n") == 1


def test_a_folder_is_reported_file_by_file(
    picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(picture, Claims(job="generate", engine="nvae"))
    assert run(monkeypatch, str(picture.parent)) == 0
    (picture.parent / "deep").mkdir()
    (picture.parent / "deep" / "no.jpg").write_text("no picture")
    capsys.readouterr()
    assert run(monkeypatch, str(picture.parent), "--json") == 2
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["error"].startswith("Expected")
    assert second["is_proven"]


def test_an_empty_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, str(tmp_path)) == 2


def test_a_url_is_fetched_and_verified(
    picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(picture, Claims(job="generate", engine="nvae"))
    handler = functools.partial(QuietHandler, directory=str(picture.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{picture.name}"
        assert run(monkeypatch, url, "--json") == 0
        assert json.loads(capsys.readouterr().out)["file"] == url
        assert run(monkeypatch, url.replace("picture", "missing")) == 2
        assert "404" in capsys.readouterr().err
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass
