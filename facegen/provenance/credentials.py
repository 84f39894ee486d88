"""Content credentials (C2PA), a signed manifest in the file or beside it; and a plain notice in the file's metadata.

Reading them uses no network: no revocation lookup, no remote manifests. `facegen/provenance/signing.py` writes them.
"""

import mmap
import os
from collections.abc import Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import c2pa

from facegen import __version__
from facegen.errors import InputError
from facegen.media.source import display_name
from facegen.provenance.keys import ORGANISATION, read_key, read_operator_key

_NOTICE_START = "Synthetic: made with facegen"
NOTICE = f"{_NOTICE_START} {__version__}"
"""Written into the comment of every picture and video, for readers that do not know C2PA."""

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_SYNTHETIC, _COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
_BY_RULES = "algorithmicMedia"
JOB_ASSERTION = "facegen.job"
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

OFFLINE = {
    "core": {"allowed_network_hosts": []},
    "verify": {"ocsp_fetch": False, "remote_manifest_fetch": False, "verify_after_sign": False},
    # A thumbnail of the target would carry a face that the swap was meant to replace.
    "builder": {"thumbnail": {"enabled": False}},
}


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
    """When (ISO 8601, UTC): by the time stamp if there is one, else by the clock of the signing machine."""
    timestamped_by: str
    """Name of the authority whose time stamp confirms that; empty where none does."""
    source_type: str
    """IPTC digital source type, its last word."""
    is_side_car: bool
    """Whether the manifest lies beside the file and not in it."""


def side_car_path(path: Path) -> Path:
    """Path of the manifest of a file whose container cannot embed one."""
    return path.with_name(path.name + ".c2pa")


def read_credentials(path: str | os.PathLike[str]) -> Credentials | None:
    """Reads and validates the credentials in a file or in its side-car; None where there are none.

    Raises:
        InputError: the file cannot be opened.
    """
    file = Path(path)
    key, operator = read_key(), read_operator_key()
    # nobody else is trusted, so «trusted» means «signed here», unless the operator's authority vouches for others, too
    anchors = "".join(one.root_pem for one in (key, operator) if one)
    serial_numbers = {one.serial_number for one in (key, operator) if one} if operator else set()
    trust = {"trust": {"trust_anchors": anchors}} if anchors else {}
    try:
        with ExitStack() as stack:
            context = stack.enter_context(c2pa.Context.from_dict({**OFFLINE, **trust}))
            reader = _open_embedded(file, context, stack) or _open_side_car(file, context, stack)
            return None if reader is None else _parse_credentials(reader, serial_numbers)
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


def _parse_credentials(reader: c2pa.Reader, serial_numbers: Set[str]) -> Credentials:
    """What a manifest says; where there are serial numbers, this installation's certificates are those alone."""
    manifest = reader.get_active_manifest() or {}
    results = (reader.get_validation_results() or {}).get("activeManifest") or {}
    passed = {entry.get("code") for entry in results.get("success", ())}
    is_intact = reader.get_validation_state() in ("Trusted", "Valid")
    data = {assertion["label"]: assertion.get("data", {}) for assertion in manifest.get("assertions", ())}
    job = data.get(JOB_ASSERTION, {})
    actions = data.get("c2pa.actions.v2", data.get("c2pa.actions", {})).get("actions", ())
    types = [action["digitalSourceType"] for action in actions if action.get("digitalSourceType")]
    whens = [action["when"] for action in actions if action.get("when")]
    agent = (manifest.get("claim_generator_info") or [{}])[0]
    signature = manifest.get("signature_info") or {}
    is_known = signature.get("cert_serial_number") in serial_numbers
    is_facegen = agent.get("name") == "facegen" and (is_known or signature.get("issuer") == ORGANISATION)
    is_trusted = "signingCredential.trusted" in passed and "claimSignature.validated" in passed
    is_ours = is_facegen and is_trusted and (is_known or not serial_numbers)
    stamps = [
        str(entry.get("explanation", "")).rpartition(": ")[2]
        for entry in results.get("success", ())
        if entry.get("code") == "timeStamp.validated"
    ]
    return Credentials(
        is_intact=is_intact,
        problem="" if is_intact else _describe_problem(results),
        signer="this installation" if is_ours else "another facegen" if is_facegen else "unknown",
        signer_name=signature.get("common_name") or signature.get("issuer") or "",
        job=str(job.get("job", "")) if is_facegen else "",
        engine=str(job.get("engine", "")),
        made_with=f"{agent.get('name', '')} {agent.get('version', '')}".strip(),
        signed_at=signature.get("time") or (whens[-1] if whens else ""),
        timestamped_by=stamps[0] if stamps else "",
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
        timestamped_by="",
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
