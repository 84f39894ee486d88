"""Named endpoint that verifies files."""

from pathlib import Path
from typing import Any, get_args

from facegen.provenance.report import Verdict
from facegen.ui.endpoints.parameters import TEXT, Endpoint, file, json_value, text
from facegen.ui.services import Services
from facegen.ui.tabs.verify import file_of_link, read_report


def endpoints(services: Services) -> list[Endpoint]:
    """`/verify`; a look at a file leaves nothing behind."""

    def verify(path: str | None, link: str) -> dict[str, Any]:
        """What a picture, video or sound says of its making; the keys are those of `facegen verify --json`."""
        report = read_report(services, path or (file_of_link(services, link) if link else None))
        return {**report, "file": Path(report["file"]).name}

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
            inputs=[
                file("file", "A picture, video or sound (WAV)."),
                text("link", "In place of a file, the link that this studio gave a result.", ""),
            ],
            outputs=[json_value("report", "The report: `facegen verify --json`.", report)],
            queue="verify",
        )
    ]
