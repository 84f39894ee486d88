"""Verification for programs."""

from pathlib import Path
from typing import Any, get_args

from facegen.provenance.report import Verdict
from facegen.ui.endpoints.endpoint import Endpoint
from facegen.ui.endpoints.parameters import TEXT, file, typed
from facegen.ui.services import Services
from facegen.ui.tabs.verify import verify_file


def endpoints(_services: Services) -> list[Endpoint]:
    """`/verify`; a look at a file leaves nothing behind."""

    def verify(path: str | None) -> dict[str, Any]:
        """What a picture or video says of its making; the keys are those of `facegen verify --json`."""
        report = verify_file(path)
        return {**report.as_dict(), "file": Path(report.path).name}

    sentences = {"type": "array", "items": TEXT}
    report = {
        "type": "object",
        "properties": {
            "verdict": {"enum": list(get_args(Verdict))},
            "is_proven": {"type": "boolean"},
            "lines": sentences,
        },
        "additionalProperties": {},
    }
    return [
        Endpoint(
            function=verify,
            inputs=[file("file", "A picture or video.")],
            outputs=[typed("report", "The report: `facegen verify --json`.", report)],
            queue="verify",
        )
    ]
