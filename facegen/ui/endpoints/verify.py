"""Verification for programs."""

from pathlib import Path
from typing import Any

import gradio as gr

from facegen.ui.endpoints.endpoint import Endpoint
from facegen.ui.services import Services
from facegen.ui.tabs.verify import verify_file


def endpoints(_services: Services) -> list[Endpoint]:
    """`/verify`; a look at a file leaves nothing behind."""

    def verify(path: str | None) -> dict[str, Any]:
        """What a picture or video says of its making; the keys are those of `facegen verify --json`."""
        report = verify_file(path)
        return {**report.as_dict(), "file": Path(report.path).name}

    return [Endpoint(function=verify, inputs=[gr.File(label="file")], outputs=[gr.JSON()], queue="verify")]
