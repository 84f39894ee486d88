"""A small Hugging Face Hub on 127.0.0.1: resolve URLs with redirects, ranges and digests, commits, and ways of going wrong."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facegen.hub import Hub, WeightFile

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class SmallHub(ThreadingHTTPServer):
    """Serves `files` («owner/name/path» to bytes) at its `revisions`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.small_files: set[str] = set()
        """Paths that state git's SHA-1, as the Hub does for what is not in large-file storage."""
        self.revisions = {COMMIT, "main"}
        """Commits and branches that every repository has."""
        self.gated: set[str] = set()
        """Repositories that answer «ask for access»."""
        self.wrong_answers = 0
        """How many of the next downloads send other bytes of the same length."""
        self.broken_answers = 0
        """How many of the next downloads break off in the middle."""
        self.sends_half = False
        """Whether every download politely sends half of the file."""
        self.failing_answers = 0
        """How many of the next requests are answered «service unavailable»."""
        self.token = ""
        """Without it in its header, a request is answered 401."""
        self.redirects_to = ""
        """Address of the server to which files are redirected, as the Hub's large files are; its paths are the same."""
        self.gate: threading.Event | None = None
        """Downloads wait for it in the middle."""
        self.tokens: list[str | None] = []
        """The authorisation of each request."""
        self.requests: list[tuple[str, str, str | None]] = []
        """Method, path and Range of everything asked."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def downloads(self) -> int:
        return sum(method == "GET" for method, _, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SmallHub

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        return self._tell() if self.path.startswith("/api/models/") else self._answer(with_body=True)

    def do_POST(self) -> None:
        """Creates a repository, says that every file goes along with its commit, and takes commits."""
        self.server.requests.append((self.command, self.path, None))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, _, kind, *repo = self.path.split("/")
        if kind != "validate-yaml" and self.server.token not in (self.headers.get("Authorization") or ""):
            return self._refuse(401, "")
        if kind == "repos":
            said = json.loads(body)
            return self._say({"url": f"{self.server.endpoint}/{said['organization']}/{said['name']}"})
        if kind == "validate-yaml":
            return self._say({"errors": [], "warnings": []})
        owner, name, verb = repo[:3]
        if verb == "preupload":
            files = json.loads(body)["files"]
            return self._say(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
            )
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.files[f"{owner}/{name}/{line['value']['path']}"] = base64.b64decode(
                    line["value"]["content"]
                )
        return self._say({"commitUrl": f"{self.server.endpoint}/{owner}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def _tell(self) -> None:
        owner, name = self.path.split("/")[3:5]
        repo = f"{owner}/{name.split('?')[0]}"
        paths = [path.removeprefix(f"{repo}/") for path in self.server.files if path.startswith(f"{repo}/")]
        if not paths:
            return self._refuse(404, "RepoNotFound")
        return self._say({"id": repo, "sha": COMMIT, "siblings": [{"rfilename": path} for path in paths]})

    def _say(self, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, with_body: bool) -> None:
        self.server.requests.append((self.command, self.path, self.headers.get("Range")))
        self.server.tokens.append(self.headers.get("Authorization"))
        if self.server.failing_answers:
            self.server.failing_answers -= 1
            return self._refuse(503, "")
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self._refuse(401, "RepoNotFound")
        owner, name, verb, revision, *rest = [*self.path.lstrip("/").split("/"), "", "", "", ""]
        repo = f"{owner}/{name}"
        path = f"{repo}/{'/'.join(part for part in rest if part)}"
        if repo in self.server.gated:
            return self._refuse(403, "GatedRepo")
        if not any(known.startswith(repo + "/") for known in self.server.files) or verb != "resolve":
            return self._refuse(404, "RepoNotFound")
        if revision not in self.server.revisions:
            return self._refuse(404, "RevisionNotFound")
        if path not in self.server.files:
            return self._refuse(404, "EntryNotFound")
        return self._send(path, self.server.files[path], with_body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: str, content: bytes, with_body: bool) -> None:
        if path in self.server.small_files:
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        else:
            etag = hashlib.sha256(content).hexdigest()
        size = len(content)
        if self.server.redirects_to:
            self.send_response(302)
            self.send_header("Location", self.server.redirects_to + self.path)
            self.send_header("X-Linked-ETag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(size))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if with_body and self.server.wrong_answers:
            self.server.wrong_answers -= 1
            content = bytes(byte ^ 0xFF for byte in content)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        body = content[start:]
        if with_body and self.server.sends_half:
            body = body[: len(body) // 2]
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Linked-Size", str(size))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        if not with_body:
            return
        if self.server.broken_answers:
            self.server.broken_answers -= 1
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True
            return
        if self.server.gate is not None:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.server.gate.wait(20)
            body = body[len(body) // 2 :]
        self.wfile.write(body)


@contextmanager
def running_hub() -> Iterator[SmallHub]:
    """A hub that answers while the body runs."""
    hub = SmallHub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


def make_weight(name: str, content: bytes, licence: str = "MIT", terms: str = "") -> WeightFile:
    """The record of a file of `somebody/models`."""
    return WeightFile(
        name=name,
        source=Hub("somebody/models", COMMIT),
        filename=f"{name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        licence=licence,
        card="https://huggingface.co/somebody/models",
        purpose="does something",
        jobs=("talk",),
        terms=terms,
        sets=("fast",),
    )


def make_weights(content: bytes) -> tuple[WeightFile, WeightFile]:
    """One that everybody may use, and one whose licence is to be accepted."""
    return make_weight("free", content), make_weight(
        "strict", content, "research only", "Its author allows research alone."
    )


@contextmanager
def hub_with(
    weights: tuple[WeightFile, ...], content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SmallHub]:
    """A hub that has these files and is the one that facegen asks."""
    with running_hub() as server:
        server.files |= {f"somebody/models/{weight.filename}": content for weight in weights}
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "no-cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server
