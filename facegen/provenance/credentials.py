"""Content credentials (C2PA), a signed manifest in the file or beside it; and a plain notice in the file's metadata.

Nothing here uses the network: no timestamp authority, no revocation lookup, no remote manifests.
"""

import datetime
import hashlib
import json
import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import c2pa

from facegen import __version__
from facegen.errors import InputError, ResourceError
from facegen.guarded import run_guarded
from facegen.media import atomic_output, check_output
from facegen.media.apart import is_foreign
from facegen.media.source import display_name, translate_write_errors
from facegen.provenance.keys import ORGANISATION, InstallationKey, get_installation_key, read_key

_NOTICE_START = "Synthetic: made with facegen"
NOTICE = f"{_NOTICE_START} {__version__}"
"""Written into the comment of every picture and video, for readers that do not know C2PA."""

_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_SYNTHETIC, _COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
_BY_RULES = "algorithmicMedia"
_JOB_ASSERTION = "facegen.job"
MARK_ALGORITHM = "io.github.facegen.watermark.2"
"""Name of the invisible watermark in the soft binding of a manifest."""

JOBS: Mapping[str, str] = {
    "swap": _COMPOSITE,
    "talk": _COMPOSITE,
    "restore": _COMPOSITE,
    "generate": _SYNTHETIC,
    "speech": _BY_RULES,
}
"""Jobs of facegen, with the IPTC digital source type of their results."""

EMBEDDING = {
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".wav": "audio/wav",
    ".webp": "image/webp",
}
"""Suffixes of the containers that can embed a manifest, with their MIME type; every other file gets a side-car."""

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

_OFFLINE = {
    "core": {"allowed_network_hosts": []},
    "verify": {"ocsp_fetch": False, "remote_manifest_fetch": False, "verify_after_sign": False},
    # A thumbnail of the target would carry a face that the swap was meant to replace.
    "builder": {"thumbnail": {"enabled": False}},
}


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


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The claims of a file's manifest, and the result of its validation."""

    is_intact: bool
    """Whether the signature holds and the content is what was signed."""
    problem: str
    """Why it is not intact, in words; empty otherwise."""
    signer: Literal["this installation", "another facegen", "unknown"]
    """Whose certificate signed. Only «this installation» is checked against a key; the others say it of themselves."""
    signer_name: str
    """The common name in the signing certificate."""
    job: str
    """One of `JOBS`, or empty where the manifest is not facegen's."""
    engine: str
    """The engine named in the claim."""
    made_with: str
    """The program named in the manifest, with its version."""
    signed_at: str
    """When, by the clock of the signing machine (ISO 8601, UTC); no authority has confirmed it."""
    source_type: str
    """IPTC digital source type, its last word."""
    is_side_car: bool
    """Whether the manifest lies beside the file and not in it."""


def side_car_path(path: Path) -> Path:
    """Path of the manifest of a file whose container cannot embed one."""
    return path.with_name(path.name + ".c2pa")


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
        where, name = file.absolute(), "facegen.provenance.credentials:sign_apart"
        run_guarded(name, str(where), words, what=display_name(file), writes=where.parent)
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
        if holder == unsigned:
            os.replace(unsigned, target)
            return notices
        os.replace(holder, side_car_path(target))
        os.replace(unsigned, target)
    return (*notices, f"The content credentials are in {holder.name!r} beside the result, as its format holds none.")


def _sign_to(file: Path, temporary: Path, kind: str | None, claims: Claims, key: InstallationKey) -> bytes:
    """Writes the signed copy (or, where `kind` is None, nothing) and returns the manifest."""
    info = c2pa.C2paSignerInfo("es256", key.chain_pem.encode(), key.private_pem.encode(), None)
    with ExitStack() as stack:
        context = stack.enter_context(c2pa.Context.from_dict(_OFFLINE))
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
        "digitalSourceType": _SOURCE_TYPE + JOBS[claims.job],
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
            {"label": _JOB_ASSERTION, "data": job},
        ],
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_credentials(path: str | os.PathLike[str]) -> Credentials | None:
    """Reads and validates the credentials in a file or in its side-car; None where there are none.

    Raises:
        InputError: the file cannot be opened.
    """
    file = Path(path)
    key = read_key()
    # this installation's root is the only trust anchor, so «trusted» means «signed here»
    trust = {"trust": {"trust_anchors": key.root_pem}} if key else {}
    try:
        with ExitStack() as stack:
            context = stack.enter_context(c2pa.Context.from_dict({**_OFFLINE, **trust}))
            reader = _open_embedded(file, context, stack) or _open_side_car(file, context, stack)
            return None if reader is None else _parse_credentials(reader)
    except c2pa.C2paError as error:
        return _unreadable_credentials(str(error))
    except OSError as error:
        raise InputError(f"Expected a file, found {display_name(file)} ({error.strerror}): check its name.") from error


def _open_embedded(file: Path, context: c2pa.Context, stack: ExitStack) -> c2pa.Reader | None:
    stream = stack.enter_context(file.open("rb"))
    try:
        reader = c2pa.Reader.try_create(None, stream, context=context)
    except c2pa.C2paError.NotSupported:
        return None
    return None if reader is None else stack.enter_context(reader)


def _open_side_car(file: Path, context: c2pa.Context, stack: ExitStack) -> c2pa.Reader | None:
    manifest = side_car_path(file)
    if not manifest.is_file():
        return None
    stream = stack.enter_context(file.open("rb"))
    reader = c2pa.Reader("application/octet-stream", stream, manifest.read_bytes(), context=context)
    return stack.enter_context(reader)


def _parse_credentials(reader: c2pa.Reader) -> Credentials:
    manifest = reader.get_active_manifest() or {}
    results = (reader.get_validation_results() or {}).get("activeManifest") or {}
    passed = {entry.get("code") for entry in results.get("success", ())}
    is_intact = reader.get_validation_state() in ("Trusted", "Valid")
    data = {assertion["label"]: assertion.get("data", {}) for assertion in manifest.get("assertions", ())}
    job = data.get(_JOB_ASSERTION, {})
    actions = data.get("c2pa.actions.v2", data.get("c2pa.actions", {})).get("actions", ())
    types = [action["digitalSourceType"] for action in actions if action.get("digitalSourceType")]
    whens = [action["when"] for action in actions if action.get("when")]
    agent = (manifest.get("claim_generator_info") or [{}])[0]
    signature = manifest.get("signature_info") or {}
    is_facegen = agent.get("name") == "facegen" and signature.get("issuer") == ORGANISATION
    is_ours = is_facegen and "signingCredential.trusted" in passed and "claimSignature.validated" in passed
    return Credentials(
        is_intact=is_intact,
        problem="" if is_intact else _describe_problem(results),
        signer="this installation" if is_ours else "another facegen" if is_facegen else "unknown",
        signer_name=signature.get("common_name") or signature.get("issuer") or "",
        job=str(job.get("job", "")) if is_facegen else "",
        engine=str(job.get("engine", "")),
        made_with=f"{agent.get('name', '')} {agent.get('version', '')}".strip(),
        signed_at=signature.get("time") or (whens[-1] if whens else ""),
        source_type=types[-1].rsplit("/", 1)[-1] if types else "",
        is_side_car=not reader.is_embedded(),
    )


def _describe_problem(results: dict[str, Any]) -> str:
    """The first failure as a sentence; C2PA status codes that are not translated are quoted."""
    codes = [entry.get("code", "") for entry in results.get("failure", ())]
    if any(code.endswith("Hash.mismatch") for code in codes):
        return "the content was changed after it was signed"
    if any(code.startswith("claimSignature") for code in codes):
        return "the signature does not fit the claim"
    if any("hashedURI.mismatch" in code for code in codes):
        return "the claim was changed after it was signed"
    return f"it does not hold ({', '.join(codes) or 'no reason given'})"


def _unreadable_credentials(reason: str) -> Credentials:
    """Credentials that exist but cannot be parsed."""
    return Credentials(
        is_intact=False,
        problem=f"it is damaged and cannot be read ({reason[:120]})",
        signer="unknown",
        signer_name="",
        job="",
        engine="",
        made_with="",
        signed_at="",
        source_type="",
        is_side_car=False,
    )


def has_notice(path: Path) -> bool:
    """Whether the bytes of a file hold the notice.

    All containers that facegen writes keep their comment as plain text, so that no parser is needed. The notice is no
    evidence: anyone can write or remove it.
    """
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_NOTICE_START.encode()) >= 0
