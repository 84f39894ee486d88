"""Contact sheet of a swap: some frames before and after, without a run."""

from collections.abc import Sequence

import cv2
import numpy as np

from facegen import media
from facegen.errors import InputError
from facegen.jobs import OnProgress, Progress
from facegen.jobs.files import check_output_file
from facegen.swap.pipeline import PICTURES, SwapPipeline, write_picture
from facegen.swap.request import SwapRequest
from facegen.swap.timeline import read_timeline

MAX_FRAMES = 60
"""How many frames a sheet holds at most."""

_CELL_WIDTH = 480
_GAP = 8
_PAPER = 245


def contact_sheet(
    pipeline: SwapPipeline, request: SwapRequest, count: int, on_progress: OnProgress | None = None
) -> np.ndarray:
    """Swap `count` frames spread evenly over the target and lay them out, before beside after.

    Args:
        pipeline: what swaps.
        request: what to do; its output is not used.
        count: 1 to `MAX_FRAMES`; a picture as target gives one.
        on_progress: called at every frame.

    Returns:
        (H, W, 3) RGB uint8.

    Raises:
        InputError: the request cannot be done, or the count is out of bounds.
    """
    if not 1 <= count <= MAX_FRAMES:
        raise InputError(f"A preview shows 1 to {MAX_FRAMES} frames, but got {count}; choose a number between them.")
    progress = Progress(on_progress)
    if media.is_picture(request.target):
        return lay_out([(*pipeline.preview(request), "")])
    timeline = read_timeline(request.target, request.options)
    indices = np.linspace(timeline.first, timeline.last, 2 * min(count, timeline.frame_count) + 1)[1::2].astype(int)
    pairs = []
    for done, index in enumerate(indices):
        progress.report(done / len(indices), f"Preview {done + 1} of {len(indices)}")
        seconds = float(timeline.ticks[index - timeline.first] * timeline.time_base)
        pairs.append((*pipeline.preview(request, frame_index=int(index)), f"{seconds:.2f} s"))
    return lay_out(pairs)


def write_contact_sheet(
    pipeline: SwapPipeline, request: SwapRequest, count: int, on_progress: OnProgress | None = None
) -> None:
    """Write the sheet of `contact_sheet` to the request's output, marked and signed as everything that facegen makes.

    Raises:
        InputError: the request cannot be done, or its output is no picture.
        ResourceError: the output cannot be written.
    """
    check_output_file(request, PICTURES)
    sheet = contact_sheet(pipeline, request, count, on_progress)
    write_picture(request, sheet)


def _pair(before_rgb: np.ndarray, after_rgb: np.ndarray, label: str) -> np.ndarray:
    """Two pictures side by side, small, with a label under them."""
    height, width = before_rgb.shape[:2]
    scale = min(1.0, _CELL_WIDTH / width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    small = [cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA) for image in (before_rgb, after_rgb)]
    gap = np.full((size_wh[1], 2, 3), _PAPER, np.uint8)
    pair = np.hstack([small[0], gap, small[1]])
    if not label:
        return pair
    strip = np.full((22, pair.shape[1], 3), _PAPER, np.uint8)
    cv2.putText(strip, label, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    return np.vstack([pair, strip])


def lay_out(pairs: Sequence[tuple[np.ndarray, np.ndarray, str]]) -> np.ndarray:
    """Pairs of pictures in about as many columns as make the sheet square.

    Args:
        pairs: (before, after, label), the pictures (H, W, 3) RGB uint8 and all of one size.

    Returns:
        (H, W, 3) RGB uint8.
    """
    cells = [_pair(*pair) for pair in pairs]
    height, width = cells[0].shape[:2]
    columns = max(1, min(len(cells), round((len(cells) * height / width) ** 0.5)))
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        y, x = _GAP + row * (height + _GAP), _GAP + column * (width + _GAP)
        sheet[y : y + height, x : x + width] = cell
    return sheet
