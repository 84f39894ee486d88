"""What a tab needs is loaded while its visitor reads: in the studio for previews, in the waiting worker for its next run."""

from typing import Any

from facegen.config import to_dict
from facegen.facesets.jobs import EXTRACT
from facegen.facesets.options import ExtractRequest
from facegen.jobs import Job
from facegen.swap.jobs import SWAP
from facegen.swap.request import SwapRequest
from facegen.talk.jobs import TALK
from facegen.talk.request import TalkRequest
from facegen.ui.examples import FILES, SPEECH

_ADA, _BEA = str(FILES / "ada.jpg"), str(FILES / "bea.jpg")
FIRST = SwapRequest(sources=(_ADA,), target=_BEA, output="")
"""A swap that takes a moment."""
_REQUESTS: dict[str, tuple[Job[Any, Any], Any]] = {
    "Swap": (SWAP, FIRST),
    "Talk": (TALK, TalkRequest(portrait=_BEA, audio=str(FILES / SPEECH), output="")),
    "Faceset": (EXTRACT, ExtractRequest(inputs=(_BEA,), output="")),
}


def usual_request(tab: str) -> tuple[str, dict[str, Any]] | None:
    """The job of a tab and a short request of it, as `SpareWorker.prepare` takes them; None for a tab that begins no short runs."""
    if tab not in _REQUESTS:
        return None
    job, request = _REQUESTS[tab]
    return job.name, to_dict(request)
