"""What a swap engine is: the three steps between a frame with a face and the patch that covers it.

An engine keeps no state between frames. What has to be calm over time (lighting, colour, borders) is measured in
`draft` as small *cues*; the pipeline hands `settle` the cues of the same track in the frames around, and `render` uses
the settled ones. Because the window looks both ways nothing lags, and because it is the only memory, a clip that is
resumed in the middle comes out exactly like one that was never interrupted.

```
            any thread, any order          in order, light            any thread, any order
frame ──▶ draft(image, face, identity) ──▶ settle(cues around it) ──▶ render(draft, cues) ──▶ Patch
```
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from facegen.faces import Face
from facegen.media import Patch
from facegen.swap.options import SwapOptions


class Draft(Protocol):
    """One face of one frame on its way: whatever `render` needs, plus the cues."""

    @property
    def cues(self) -> Any:
        """What was measured and must be calm over time: small (some kilobytes) and never changed once made."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Puts one identity onto one face at a time.

    Every method is safe to call from several threads at once, and gives the same answer for the same arguments: noise
    comes from `seed` alone.
    """

    name: str
    """The word that `SwapOptions.engine` and `--engine` use."""

    look_around: int
    """How many frames before and after a frame `settle` wants to see (0: none)."""

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> Any:
        """Make an identity from one person's pictures.

        Args:
            pictures: (image (H, W, 3) RGB uint8, the face in it), at least one, the best first.

        Returns:
            The engine's own immutable identity object; it is passed back to `draft` untouched.

        Raises:
            InputError: the pictures cannot be used, in one sentence.
        """
        ...

    def draft(
        self, image_rgb: np.ndarray, face: Face, identity: Any, options: SwapOptions, before: Any = None
    ) -> Draft:
        """Do the heavy work on one face, and measure the cues.

        Args:
            image_rgb: the frame, (H, W, 3) uint8, upright. Read only.
            face: the face in it, with smoothed points.
            identity: from `prepare`.
            options: the strengths.
            before: the draft of the same track in the frame before, of which an engine may take over what hardly
                changes; every second frame has none, so that the answer depends on no more than these two frames.
        """
        ...

    def settle(self, window: Sequence[Any], centre: int, options: SwapOptions) -> Any:
        """Make the cues of one frame calm, knowing those of the same track around it.

        Args:
            window: the track's cues in up to `2 * look_around + 1` consecutive frames in order; shorter at the ends of
                a track, of the clip, and in a preview (where it has one entry).
            centre: index in `window` of the frame in question.
            options: `temporal_smoothing` says how calm.

        Returns:
            New cues; those in `window` stay as they are.
        """
        ...

    def render(self, draft: Any, cues: Any, options: SwapOptions, *, seed: int) -> Patch:
        """Finish the face: the patch to be pasted into the frame.

        Args:
            draft: from `draft`.
            cues: from `settle`.
            options: the strengths.
            seed: source of all noise (grain); the pipeline derives it from the frame and the track.
        """
        ...
