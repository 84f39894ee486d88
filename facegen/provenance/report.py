"""The provenance report of a file: credentials, watermark and notice, and a verdict from all three."""

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from facegen.media import is_picture
from facegen.media.sequence import read_first_picture
from facegen.media.sound import stated_seconds
from facegen.provenance.credentials import Credentials, has_notice, read_credentials
from facegen.provenance.detection import FALSE_POSITIVE_RATE, MarkScore, MarkSearch, search_picture, search_video
from facegen.provenance.keys import OWN_NAME, read_key

Verdict = Literal["made here", "marked here", "marked", "signed elsewhere", "changed", "only says so", "nothing found"]

_VERDICTS: dict[Verdict, str] = {
    "made here": "Made by facegen on this installation: proven by its signature.",
    "marked here": "Made by facegen on this installation: it carries the watermark with this installation's secret; "
    "the signature is gone.",
    "marked": "It carries facegen's watermark. That pattern is published: it says what a file is, and proves no maker.",
    "signed elsewhere": "Signed by another facegen, and unchanged since; nothing here can check whose key that is.",
    "changed": "It carries facegen's credentials, but they no longer hold, and no watermark was found.",
    "only says so": "It says in its metadata that facegen made it; nothing proves it.",
    "nothing found": "No sign of facegen was found. That does not prove that the file is genuine.",
}

_JOBS = {
    "swap": "a face was swapped",
    "talk": "a portrait was made to talk",
    "restore": "faces were restored",
    "generate": "the face was generated",
    "speech": "a text was read aloud",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """All statements of one file about its origin."""

    path: str
    """The file."""
    kind: Literal["picture", "video", "sound"]
    """The kind of its content."""
    credentials: Credentials | None
    """The C2PA manifest, checked; None where there is none."""
    search: MarkSearch
    """Whether the watermark was found, and where; sounds carry none."""
    is_mark_ours: bool
    """Whether the watermark carries this installation's secret (in its first form, which had none, its id)."""
    has_notice: bool
    """Whether the metadata says «Synthetic: made with facegen»."""

    @property
    def verdict(self) -> Verdict:
        """The conclusion from credentials, watermark and notice."""
        credentials, mark = self.credentials, self.search.best
        is_facegen = credentials is not None and credentials.signer != "unknown"
        if credentials is not None and credentials.is_intact and credentials.signer == "this installation":
            return "made here"
        if mark is not None and mark.is_found:
            return "marked here" if self.is_mark_ours and mark.form == 2 else "marked"
        if credentials is not None and is_facegen:
            return "signed elsewhere" if credentials.is_intact else "changed"
        return "only says so" if self.has_notice else "nothing found"

    @property
    def is_proven(self) -> bool:
        """Whether this installation's own key signed it, and it was not changed since.

        Anybody can sign with a fresh key that calls itself facegen, or add the published pattern: neither proves anything.
        """
        return self.verdict == "made here"

    def lines(self) -> list[str]:
        """The report as sentences, the verdict first."""
        notice = "in the metadata: «Synthetic: made with facegen»." if self.has_notice else "none in the metadata."
        return [
            _VERDICTS[self.verdict],
            *_describe_credentials(self.credentials),
            f"Watermark: {self._describe_mark()}",
            f"Notice: {notice}",
        ]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        mark, watermark = self.search.best, None
        if mark is not None:
            watermark = {
                "is_found": mark.is_found,
                "score": round(mark.score, 2),
                "threshold": mark.threshold,
                "false_positive_rate": FALSE_POSITIVE_RATE,
                "orientation": mark.orientation,
                "scale": round(mark.scale, 3),
                "turn_degrees": round(mark.turn, 1),
                "form": mark.form,
                "installation": None if mark.payload is None else f"{mark.payload:06x}",
                "is_this_installation": self.is_mark_ours,
                "places": self.search.positions,
                "marked_places": self.search.marked_positions,
            }
        return {
            "file": self.path,
            "kind": self.kind,
            "verdict": self.verdict,
            "is_proven": self.is_proven,
            "credentials": None if self.credentials is None else asdict(self.credentials),
            "watermark": watermark,
            "has_notice": self.has_notice,
            "lines": self.lines(),
        }

    def _describe_mark(self) -> str:
        mark = self.search.best
        if self.kind == "sound":
            return "sounds carry none."
        if mark is None:
            return "the picture is too small to carry one."
        measure = f"score {mark.score:.1f}, threshold {mark.threshold:g}"
        if not mark.is_found:
            return f"not found ({measure})."
        words = [f"found ({measure}; of a million unmarked files less than one would score as high)"]
        if self.search.positions > 1:
            words.append(f"in {self.search.marked_positions} of {self.search.positions} places")
        words.extend(_describe_geometry(mark))
        if self.is_mark_ours:
            words.append(f"this installation, {mark.payload:06x}")
        elif mark.payload is None:
            words.append("too faint to read which installation")
        else:
            words.append(f"it names the installation {mark.payload:06x}, without a secret that could be checked here")
        return "; ".join(words) + "."


def _describe_geometry(mark: MarkScore) -> list[str]:
    """How the marked picture lies in this one, where it does not fill it upright."""
    words = [] if mark.orientation == "upright" else [f"the picture is {mark.orientation}"]
    if mark.scale > 1.02:
        words.append(f"about {100 / mark.scale:.0f} % of its shorter side are left")
    elif mark.scale < 0.98:
        words.append(f"it takes up about {100 * mark.scale:.0f} % of the shorter side")
    if abs(mark.turn) > 0.5:
        words.append(f"turned by {abs(mark.turn):.0f} degrees")
    return words


def verify(path: str | os.PathLike[str]) -> Report:
    """Checks a picture, video, sound (WAV) or sequence of pictures (its first one) for credentials, watermark and notice.

    Raises:
        InputError: it is no picture, video or sound, or it is damaged.
    """
    key = read_key()
    mark_key = None if key is None else key.mark_key
    is_sound = Path(path).suffix.lower() == ".wav"
    is_still = not is_sound and is_picture(path)
    if is_sound:
        stated_seconds(path)  # refuses what is none
        search = MarkSearch(best=None, positions=0, marked_positions=0)
    elif Path(path).suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory() as folder:
            first = Path(folder) / "first.png"
            first.write_bytes(read_first_picture(path))
            search = search_picture(first, mark_key)
    else:
        search = search_picture(path, mark_key) if is_still else search_video(path, mark_key)
    best = search.best
    is_ours = (
        best is not None
        and mark_key is not None
        and (best.is_secret if best.form == 2 else best.payload == mark_key.installation_id)
    )
    return Report(
        path=os.fspath(path),
        kind="sound" if is_sound else "picture" if is_still else "video",
        credentials=read_credentials(path),
        search=search,
        is_mark_ours=is_ours,
        has_notice=has_notice(Path(path)),
    )


def describe(path: str) -> dict[str, Any]:
    """The report of a file as JSON values, as a process with limits hands it over.

    Raises:
        InputError: it is no picture, video or sound, or it is damaged.
    """
    return verify(path).as_dict()


def _describe_credentials(credentials: Credentials | None) -> list[str]:
    if credentials is None:
        return ["Content credentials: none."]
    place = "beside the file (.c2pa)" if credentials.is_side_car else "in the file"
    state = "intact" if credentials.is_intact else f"broken: {credentials.problem}"
    signers = {
        "this installation": "signed by this installation, whose certificate is on no public trust list"
        if credentials.signer_name.startswith(OWN_NAME)
        else "signed by this installation with its operator's certificate",
        "another facegen": "signed, but not by this installation; the certificate calls itself facegen and is on no trust list here",
        "unknown": "signed; the signer is on no trust list here, which says nothing about the signature itself",
    }
    name = f" ({credentials.signer_name})" if credentials.signer_name else ""
    lines = [f"Content credentials {place}: {state}; {signers[credentials.signer]}{name}."]
    done = _JOBS.get(credentials.job, "")
    facts = [fact for fact in (done, credentials.made_with) if fact]
    if credentials.engine:
        facts.append(f"engine {credentials.engine}")
    if credentials.signed_at:
        when = credentials.signed_at.replace("T", " ").replace("Z", " UTC")
        by = credentials.timestamped_by
        facts.append(f"{when}, confirmed by the time stamp of «{by}»" if by else f"{when} by the clock of that machine")
    return [*lines, f"They claim: {', '.join(facts)}."] if facts else lines
