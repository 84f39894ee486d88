"""Signs what facegen makes: the manifest of its content credentials (C2PA) is built, and put into the file or beside it.

Nothing here uses the network, but for the time stamp of an authority that the operator names in FACEGEN_TIMESTAMP_URL.
"""

import datetime
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa

from facegen import __version__
from facegen.errors import InputError, ResourceError
from facegen.guarded import Limits, run_guarded
from facegen.media import atomic_output, check_output
from facegen.media.apart import is_foreign
from facegen.media.source import display_name, translate_write_errors
from facegen.provenance.credentials import (
    EMBEDDING,
    JOB_ASSERTION,
    JOBS,
    MARK_ALGORITHM,
    OFFLINE,
    SOURCE_TYPE,
    read_credentials,
    side_car_path,
)
from facegen.provenance.keys import InstallationKey, get_installation_key, read_operator_key

TIMESTAMP_URL = "FACEGEN_TIMESTAMP_URL"
"""Names a time-stamp authority (RFC 3161), which is told the hash of each claim and confirms when it was made."""

_SIGNATURES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"RIFF....WEBP": "image/webp",
    b"RIFF....WAVE": "audio/wav",
    b"GIF8": "image/gif",
    b"II\\*\x00|MM\x00\\*": "image/tiff",
    b"....(moov|mdat|wide|free)": "video/quicktime",
}
"""MIME types of parents by how their files begin."""
_BRANDS = {b"heic": "image/heic", b"mif1": "image/heif", b"avif": "image/avif", b"avis": "image/avif"}
"""The same for files of ISO boxes, by their brand; others are films."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Claims of a signed file."""

    job: str
    """One of `JOBS`."""
    engine: str
    """The engine or model that did it, such as «mesh»."""
    parent: str | os.PathLike[str] | None = None
    """The picture or video that was changed; None where nothing was."""
    sources: tuple[str | os.PathLike[str], ...] = ()
    """Further files that went in. Of these and the parent the SHA-256 is kept, never the name."""

    def __post_init__(self) -> None:
        if self.job not in JOBS:
            raise ValueError(f"Expected a job of {', '.join(JOBS)}, found {self.job!r}.")


def sign(path: str | os.PathLike[str], claims: Claims) -> Path:
    """Signs a finished file with this installation's key; audio and video packets stay as they are.

    The file is replaced in one step: a crash leaves the unsigned file or the signed one. Where the container holds no
    manifest (Matroska, WebM ...), the file stays and a side-car `NAME.c2pa` is written beside it.

    Returns:
        The file that now holds the manifest: `path`, or the side-car.

    Raises:
        InputError: the file cannot be signed because it is damaged or not what its name says.
        ResourceError: the disk is full, or the place or the key folder cannot be written.
    """
    file = Path(path)
    kind = EMBEDDING.get(file.suffix.lower())
    holder = file if kind else side_car_path(file)
    key = get_installation_key()
    parents = [os.path.abspath(claims.parent)] if claims.parent else []
    sources = [os.path.abspath(one) for one in claims.sources]
    if any(map(is_foreign, [*parents, *sources])):
        words = json.dumps([claims.job, claims.engine, parents, sources])
        where, name = file.absolute(), "facegen.provenance.signing:sign_apart"
        limits = Limits(connects=bool(os.environ.get(TIMESTAMP_URL)))
        run_guarded(name, str(where), words, what=display_name(file), limits=limits, writes=where.parent)
        return holder
    with atomic_output(holder) as temporary:
        try:
            manifest = _sign_to(file, temporary, kind, claims, key)
        except c2pa.C2paError.Io as error:
            raise ResourceError(f"Cannot sign {display_name(file)}: {error}; free some space on the disk.") from error
        except c2pa.C2paError as error:
            raise InputError(
                f"Expected a whole picture or video to sign, found {display_name(file)}, which is none ({error})."
            ) from error
        if kind is None:
            temporary.write_bytes(manifest)
        shutil.copymode(file, temporary)
    return holder


def sign_apart(path: str, claims: str) -> None:
    """`sign` for a process with limits (`facegen.guarded`), as it reads the credentials of what went in."""
    job, engine, parents, sources = json.loads(claims)
    sign(path, Claims(job=job, engine=engine, parent=parents[0] if parents else None, sources=tuple(sources)))


def write_signed(
    path: str | os.PathLike[str], claims: Claims, write: Callable[[Path], Iterable[str] | None]
) -> tuple[str, ...]:
    """Writes the output of a job and signs it; at `path` either the signed file appears, or nothing.

    Args:
        path: the output.
        claims: what is stated of it.
        write: writes it to the path that it is given, which has the name of the output, and may return notices.

    Returns:
        The notices of `write`, and what the user should know about the credentials, a sentence each.

    Raises:
        ResourceError: the output or its credentials cannot be written.
    """
    target = check_output(path)
    with translate_write_errors(target), tempfile.TemporaryDirectory(prefix=".facegen-", dir=target.parent) as folder:
        unsigned = Path(folder) / target.name
        notices = tuple(write(unsigned) or ())
        holder = sign(unsigned, claims)
        notices += tuple(_missing_time_stamp(unsigned))
        if holder == unsigned:
            os.replace(unsigned, target)
            return notices
        os.replace(holder, side_car_path(target))
        os.replace(unsigned, target)
    return (*notices, f"The content credentials are in {holder.name!r} beside the result, as its format holds none.")


def _missing_time_stamp(signed: Path) -> Iterator[str]:
    authority = os.environ.get(TIMESTAMP_URL)
    if not authority:
        return
    credentials = read_credentials(signed)
    if credentials is None or not credentials.timestamped_by:
        yield f"No time stamp: {authority} ({TIMESTAMP_URL}) gave none; the time of the credentials is this machine's own."


def _sign_to(file: Path, temporary: Path, kind: str | None, claims: Claims, key: InstallationKey) -> bytes:
    """Writes the signed copy (or, where `kind` is None, nothing) and returns the manifest; without a time stamp where none is to be had."""
    private, chain = key.private_pem, key.chain_pem
    algorithm = "es256"
    if operator := read_operator_key():
        private, chain, algorithm = operator.private_pem, operator.chain_pem, operator.algorithm

    def sign_with(authority: str | None) -> bytes:
        url = authority and authority.encode()
        info = c2pa.C2paSignerInfo(algorithm, chain.encode(), private.encode(), url)
        with ExitStack() as stack:
            context = stack.enter_context(c2pa.Context.from_dict(OFFLINE))
            builder = stack.enter_context(_make_builder(file, claims, context, key.installation_id))
            signer = stack.enter_context(c2pa.Signer.from_info(info))
            source = stack.enter_context(file.open("rb"))
            if kind is None:
                builder.set_no_embed()
            target = stack.enter_context(temporary.open("w+b"))
            manifest = builder.sign(signer, kind or "application/octet-stream", source, target)
            if kind is None:
                target.truncate(0)
            return manifest

    if authority := os.environ.get(TIMESTAMP_URL):
        with suppress(c2pa.C2paError.Signature):
            return sign_with(authority)
    return sign_with(None)


def _make_builder(file: Path, claims: Claims, context: c2pa.Context, installation_id: int) -> c2pa.Builder:
    """The manifest of a file, with the edited file as parent ingredient (with its own credentials, if it has some).

    Sources that have credentials of their own are ingredients, too.

    A parent whose container or credentials cannot be read is no ingredient; its SHA-256 is kept all the same.
    """
    builder = _add_parent(file, claims, context, installation_id)
    if builder is None:
        builder = c2pa.Builder(_manifest(file, claims, "created", installation_id), context)
    for source in claims.sources:
        _add_source(builder, Path(source), context)
    return builder


def _add_parent(file: Path, claims: Claims, context: c2pa.Context, installation_id: int) -> c2pa.Builder | None:
    kind = None if claims.parent is None else _content_type(Path(claims.parent))
    if claims.parent is None or kind is None:
        return None
    builder = c2pa.Builder(_manifest(file, claims, "edited", installation_id), context)
    builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
    try:
        with Path(claims.parent).open("rb") as stream:
            builder.add_ingredient_from_stream({"title": "target", "relationship": "parentOf"}, kind, stream)
        return builder
    except c2pa.C2paError:
        builder.close()
        return None


def _add_source(builder: c2pa.Builder, source: Path, context: c2pa.Context) -> None:
    """Keeps the credentials of a source, if it has some that can be read."""
    kind = _content_type(source) if source.is_file() else None
    if kind is None:
        return
    with source.open("rb") as stream, suppress(c2pa.C2paError):
        reader = c2pa.Reader.try_create(kind, stream, context=context)
        if reader is not None:
            reader.close()
            stream.seek(0)
            builder.add_ingredient_from_stream({"title": "source", "relationship": "componentOf"}, kind, stream)


def _content_type(file: Path) -> str | None:
    """MIME type of a file by its content, whatever its name; None where such files hold no manifest."""
    with file.open("rb") as stream:
        start = stream.read(12)
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], "video/mp4")
    return next((kind for sign, kind in _SIGNATURES.items() if re.match(sign, start, re.DOTALL)), None)


def _manifest(file: Path, claims: Claims, action: str, installation_id: int) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    agent = {"name": "facegen", "version": __version__}
    done = {
        "action": f"c2pa.{action}",
        "when": now,
        "softwareAgent": agent,
        "digitalSourceType": SOURCE_TYPE + JOBS[claims.job],
    }
    parents = () if claims.parent is None else (claims.parent,)
    inputs = [
        {"role": role, "sha256": _sha256(Path(one))}
        for role, group in (("target", parents), ("source", claims.sources))
        for one in group
    ]
    job = {"job": claims.job, "engine": claims.engine, "when": now, "inputs": inputs}
    marked = {"action": "c2pa.watermarked.bound", "when": now, "softwareAgent": agent}
    # by this a manifest that was stripped can be found again: it names the mark that the picture itself carries
    binding = {"alg": MARK_ALGORITHM, "blocks": [{"scope": {}, "value": f"{installation_id:06x}"}]}
    is_sound = EMBEDDING.get(file.suffix.lower(), "").startswith("audio/")
    bound = [] if is_sound else [{"label": "c2pa.soft-binding", "data": binding}]
    return {
        "claim_generator_info": [agent],
        "title": file.name.encode("utf-8", "replace").decode(),
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [done] if is_sound else [done, marked]}},
            *bound,
            {"label": JOB_ASSERTION, "data": job},
        ],
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
