"""The file that a swap leaves: where it may go, and what it says of itself."""

from pathlib import Path

from facegen import media, provenance
from facegen.errors import InputError
from facegen.media.join import CONTAINERS
from facegen.swap.request import SwapRequest

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of a picture's name."""

VIDEOS = tuple(CONTAINERS)
"""Endings of a video's name."""


def check_paths(request: SwapRequest, endings: tuple[str, ...]) -> None:
    """Refuse an output that cannot become the result, before any work.

    Raises:
        InputError: it has another ending, or is one of the inputs.
        ResourceError: it cannot be written.
    """
    output = Path(request.output)
    inputs = [Path(path) for path in (request.target, *(path for group in request.all_sources() for path in group))]
    if any(path.exists() and output.resolve() == path.resolve() for path in inputs):
        raise InputError(f"Expected a new file as output, but {output.name!r} is an input; choose another name.")
    if output.suffix.lower() not in endings:
        raise InputError(f"Expected an output ending in {', '.join(endings)}, but got {output.name!r}; change it.")
    media.check_output(output)


def sign(request: SwapRequest) -> tuple[str, ...]:
    """Attach the content credentials to the output; returns what the user should know about them.

    Raises:
        ResourceError: they cannot be written.
    """
    claims = provenance.Claims(
        job="swap",
        engine=request.options.engine.partition(":")[0],
        parent=request.target,
        sources=tuple(path for group in request.all_sources() for path in group if not Path(path).is_dir()),
    )
    holder = Path(provenance.sign(request.output, claims))
    if holder.resolve() == Path(request.output).resolve():
        return ()
    return (f"The content credentials are in {holder.name!r} beside the result, as its format holds none.",)
