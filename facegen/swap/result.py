"""The file that a swap makes: its suffixes, and the credentials that it gets."""

from pathlib import Path

from facegen import provenance
from facegen.jobs.files import paths
from facegen.media.join import CONTAINERS
from facegen.swap.request import SwapRequest

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of a picture's name."""

VIDEOS = tuple(CONTAINERS)
"""Endings of a video's name."""


def sign(request: SwapRequest) -> tuple[str, ...]:
    """Attach the content credentials to the output; returns what the user should know about them.

    Raises:
        ResourceError: they cannot be written.
    """
    claims = provenance.Claims(
        job="swap",
        engine=request.options.engine.partition(":")[0],
        parent=request.target,
        sources=tuple(path for path in paths(request) if path != request.target and not Path(path).is_dir()),
    )
    return provenance.sign_output(request.output, claims)
