"""What a file says of its making, and how far each statement can be believed."""

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from facegen.media import Frame, frame_times, is_picture, probe, read_frames, read_picture
from facegen.provenance.credentials import Credentials, read_credentials
from facegen.provenance.detection import THRESHOLD, MarkScore, find_mark, mean_canonical
from facegen.provenance.keys import read_key
from facegen.provenance.notice import has_notice
from facegen.provenance.watermark import has_room

FALSE_POSITIVE_RATE = 1e-7
"""Unmarked files taken for marked ones: at most 8 orientations x 7 looks at 1e-9 each, by the normal law."""

_PARTS = 6
_FRAMES_A_PART = 8
_EVERY = 3

Verdict = Literal["made here", "marked", "signed elsewhere", "changed", "only says so", "nothing found"]

_VERDICTS: dict[Verdict, str] = {
    "made here": "Made by facegen on this installation: proven by its signature.",
    "marked": "Made by facegen: it carries facegen's watermark.",
    "signed elsewhere": "Signed by facegen on another installation, and unchanged since.",
    "changed": "It carries facegen's credentials, but they no longer hold, and no watermark was found.",
    "only says so": "It says in its metadata that facegen made it; nothing proves it.",
    "nothing found": "No sign of facegen was found. That does not prove that the file is genuine.",
}

_JOBS = {
    "swap": "a face was swapped",
    "talk": "a portrait was made to talk",
    "restore": "faces were restored",
    "generate": "the face was generated",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that was found in one file."""

    path: str
    """The file."""
    kind: Literal["picture", "video"]
    """What it is, by its content."""
    credentials: Credentials | None
    """The C2PA manifest, checked; None where there is none."""
    mark: MarkScore | None
    """The best look for the watermark; None where the picture is too small to carry one."""
    parts_marked: int
    """Parts of the video with the watermark."""
    parts: int
    """Parts of the video that were looked at; 1 for a picture."""
    is_mark_ours: bool
    """Whether the watermark carries this installation's id."""
    has_notice: bool
    """Whether the metadata says «Synthetic: made with facegen»."""

    @property
    def verdict(self) -> Verdict:
        """The whole in one phrase."""
        credentials, is_marked = self.credentials, self.mark is not None and self.mark.is_found
        is_facegen = credentials is not None and credentials.signer != "unknown"
        if credentials is not None and credentials.is_intact and credentials.signer == "this installation":
            return "made here"
        if is_marked:
            return "marked"
        if credentials is not None and is_facegen:
            return "signed elsewhere" if credentials.is_intact else "changed"
        return "only says so" if self.has_notice else "nothing found"

    @property
    def is_proven(self) -> bool:
        """Whether an intact signature of facegen or the watermark says that facegen made it."""
        return self.verdict in ("made here", "marked", "signed elsewhere")

    def lines(self) -> list[str]:
        """The report in plain words, the verdict first."""
        notice = "in the metadata: «Synthetic: made with facegen»." if self.has_notice else "none in the metadata."
        return [
            _VERDICTS[self.verdict],
            *_credential_lines(self.credentials),
            f"Watermark: {self._mark_words()}",
            f"Notice: {notice}",
        ]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        mark = None
        if self.mark is not None:
            mark = {
                "is_found": self.mark.is_found,
                "score": round(self.mark.score, 2),
                "threshold": THRESHOLD,
                "false_positive_rate": FALSE_POSITIVE_RATE,
                "orientation": self.mark.orientation,
                "installation": None if self.mark.payload is None else f"{self.mark.payload:06x}",
                "is_this_installation": self.is_mark_ours,
                "parts_marked": self.parts_marked,
                "parts": self.parts,
            }
        return {
            "file": self.path,
            "kind": self.kind,
            "verdict": self.verdict,
            "is_proven": self.is_proven,
            "credentials": None if self.credentials is None else asdict(self.credentials),
            "watermark": mark,
            "has_notice": self.has_notice,
        }

    def _mark_words(self) -> str:
        mark = self.mark
        if mark is None:
            return "the picture is too small to carry one."
        measure = f"score {mark.score:.1f}, threshold {THRESHOLD:g}"
        if not mark.is_found:
            return f"not found ({measure})."
        words = [f"found ({measure}; of ten million unmarked files about one would score as high)"]
        if self.parts > 1:
            words.append(f"in {self.parts_marked} of {self.parts} parts")
        if mark.orientation != "upright":
            words.append(f"the picture is {mark.orientation}")
        if mark.payload is None:
            words.append("too faint to read which installation")
        else:
            words.append(f"{'this' if self.is_mark_ours else 'another'} installation, {mark.payload:06x}")
        return "; ".join(words) + "."


def verify(path: str | os.PathLike[str]) -> Report:
    """Look at a picture or video for all that facegen leaves in its outputs.

    Raises:
        InputError: it is no picture or video, or it is damaged.
    """
    if is_picture(path):
        kind: Literal["picture", "video"] = "picture"
        image = read_picture(path)
        looks = [mean_canonical([image])] if has_room((image.shape[0], image.shape[1])) else []
    else:
        kind = "video"
        looks = list(_video_parts(path))
    scores = [find_mark(luma) for luma, _ in looks]
    whole = [find_mark(_mean(looks))] if len(looks) > 1 else []
    mark = max(scores + whole, key=lambda score: score.score, default=None)
    key = read_key()
    return Report(
        path=os.fspath(path),
        kind=kind,
        credentials=read_credentials(path),
        mark=mark,
        parts_marked=sum(score.is_found for score in scores),
        parts=len(scores),
        is_mark_ours=mark is not None and key is not None and mark.payload == key.installation_id,
        has_notice=has_notice(Path(path)),
    )


def _video_parts(path: str | os.PathLike[str]) -> Iterator[tuple[np.ndarray, int]]:
    """The mean frame of up to six parts spread over a video: a marked scene among others is found by its own part."""
    info = probe(path)
    if not has_room(info.size_hw):
        return
    frames = len(frame_times(path)[0])
    parts = _PARTS if frames > _PARTS * _FRAMES_A_PART * _EVERY else 1
    for part in range(parts):
        reading = cast(Generator[Frame], read_frames(path, start_index=part * frames // parts, every=_EVERY))
        with closing(reading):
            yield mean_canonical(frame.image_rgb for frame in islice(reading, _FRAMES_A_PART))


def _mean(looks: list[tuple[np.ndarray, int]]) -> np.ndarray:
    return np.average([luma for luma, _ in looks], axis=0, weights=[count for _, count in looks])


def _credential_lines(credentials: Credentials | None) -> list[str]:
    if credentials is None:
        return ["Content credentials: none."]
    place = "beside the file (.c2pa)" if credentials.is_side_car else "in the file"
    state = "intact" if credentials.is_intact else f"broken: {credentials.problem}"
    signers = {
        "this installation": "signed by this installation",
        "another facegen": "signed with another facegen's own key, which cannot be checked here",
        "unknown": "the signer is unknown here",
    }
    name = f" ({credentials.signer_name})" if credentials.signer_name else ""
    lines = [f"Content credentials {place}: {state}; {signers[credentials.signer]}{name}."]
    done = _JOBS.get(credentials.job, "")
    facts = [fact for fact in (done, credentials.made_with) if fact]
    if credentials.engine:
        facts.append(f"engine {credentials.engine}")
    if credentials.signed_at:
        when = credentials.signed_at.replace("T", " ").replace("Z", " UTC")
        facts.append(f"{when} by the clock of that machine")
    return [*lines, f"They claim: {', '.join(facts)}."] if facts else lines
