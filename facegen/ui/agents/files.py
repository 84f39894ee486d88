"""Input files that agents may name, and published results."""

import base64
import binascii
import hashlib
import secrets
import shutil
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from facegen.errors import InputError, ResourceError
from facegen.jobs.files import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from facegen.system import link_or_copy
from facegen.ui.services import Services, Visitor

RESULTS = "facegen-results"
"""Folder of what was made, in the folder that is shared with agents."""
REFERENCE = (
    "a path in the folder that is shared with agents; the path that POST /gradio_api/upload returned; a data: URL; or an "
    "https: URL, where the studio allows its host"
)
_SUFFIXES = (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES, *SOUND_SUFFIXES)
_URL_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """What agents may reach."""

    folder: Path | None = None
    """The one folder whose files they may name, and which gets their results; None for none."""
    hosts: Sequence[str] = ()
    """Hosts whose files they may name by https: URLs."""


class AgentFiles:
    """The files of the agents of a studio."""

    def __init__(self, services: Services, settings: AgentSettings) -> None:
        self._services, self._settings = services, settings
        self._published: dict[str, Path] = {}

    def fetch(self, visitor: Visitor, reference: str) -> str:
        """A path to what an agent names, in the visitor's own folder.

        Raises:
            InputError: it may not name that (the sentence does not tell whether it exists), or it is too large.
        """
        scheme = reference.partition(":")[0].lower()
        if scheme == "data":
            return self._keep(visitor, self._decode_data_url(reference), _suffix_of_data(reference))
        if scheme in ("http", "https", "file", "ftp"):
            return self._download(visitor, reference)
        if "\0" in reference:
            raise InputError("Expected the name of a file, found a zero character in it; write it anew.")
        folder = self._settings.folder
        path = Path(reference)
        if path.is_absolute() and self._services.owns(visitor, path):
            return str(path)
        if folder is not None:
            place = (folder / path).resolve()
            if place.is_relative_to(folder.resolve()) and place.is_file():
                return self._own(visitor, place)
        shared = f"in {folder}" if folder is not None else "that was uploaded (no folder is shared: --mcp-folder)"
        raise InputError(f"Expected a file {shared}, found {reference[:200]!r}; give {REFERENCE}.")

    def publish(self, visitor: Visitor, path: Path, base_url: str) -> dict[str, str]:
        """Where an agent finds what was made: an address with a name that cannot be guessed, and a file in the shared folder."""
        token = secrets.token_urlsafe(18)
        shown = Path(self._services.publish(visitor, path))
        self._published[token] = shown
        found = {"url": f"{base_url.rstrip('/')}/mcp/files/{token}/{path.name}"}
        if self._settings.folder is not None:
            place = self._settings.folder / RESULTS / token[:8] / path.name
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
            except OSError as error:
                raise ResourceError(f"Cannot write {place}: {error.strerror}; free some space.") from error
            found["file"] = str(place.relative_to(self._settings.folder))
        return found

    def find_published(self, token: str) -> Path | None:
        """The file of an address of `publish`; None where there is none, or its visit is over."""
        path = self._published.get(token)
        return path if path is not None and path.is_file() else None

    def _own(self, visitor: Visitor, path: Path) -> str:
        status = path.stat()
        digest = hashlib.sha256(f"{path} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
        place = self._services.visitor_folder(visitor) / "agent" / digest / path.name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, place)
        return str(place)

    def _keep(self, visitor: Visitor, content: bytes, suffix: str) -> str:
        digest = hashlib.sha256(content).hexdigest()[:16]
        place = self._services.visitor_folder(visitor) / "agent" / f"{digest}{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return str(place)

    @property
    def _most_bytes(self) -> int:
        return self._services.settings.max_upload_mb * 1_000_000

    def _decode_data_url(self, reference: str) -> bytes:
        head, comma, body = reference.partition(",")
        try:
            if not comma:
                raise ValueError
            content = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
        except (ValueError, binascii.Error):
            raise InputError(
                "Expected a data: URL with base64, found another form; write data:image/png;base64,..."
            ) from None
        if len(content) > self._most_bytes:
            raise self._too_large()
        return content

    def _download(self, visitor: Visitor, reference: str) -> str:
        parts = urlsplit(reference)
        allowed = ", ".join(self._settings.hosts) or "none"
        if parts.scheme.lower() != "https" or (parts.hostname or "") not in self._settings.hosts or parts.port:
            raise InputError(
                f"Expected an https: URL of an allowed host ({allowed}; --mcp-host adds one), found {reference[:200]!r}; upload "
                "the file."
            )
        try:
            with _opener().open(reference, timeout=_URL_SECONDS) as answer:
                content = answer.read(self._most_bytes + 1)
        except OSError as error:
            raise InputError(f"Expected a file at {reference[:200]}, but {error}; upload it.") from error
        if len(content) > self._most_bytes:
            raise self._too_large()
        return self._keep(visitor, content, _known_suffix(Path(parts.path).suffix))

    def _too_large(self) -> InputError:
        return InputError(
            f"Expected at most {self._services.settings.max_upload_mb} MB a file on this studio, found more; make it smaller."
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An allowed host must not lead to another one."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirects)


def _suffix_of_data(reference: str) -> str:
    import mimetypes

    kind = reference[5:].partition(",")[0].partition(";")[0]
    return _known_suffix({"audio/wav": ".wav"}.get(kind) or mimetypes.guess_extension(kind) or "")


def _known_suffix(suffix: str) -> str:
    return suffix.lower() if suffix.lower() in _SUFFIXES else ""
