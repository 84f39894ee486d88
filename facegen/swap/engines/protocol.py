"""The protocol of a swap engine: the three steps between a frame with a face and the patch that replaces it.

An engine keeps no state between frames. What has to be temporally stable (lighting, colour, borders) is measured in
`predict` as small *frame statistics*; the pipeline passes `smooth` those of the same track in the frames around, and
`composite` uses the smoothed ones. Because the window is centred nothing lags, and because it is the only memory, a clip
that is resumed in the middle comes out exactly like one that was never interrupted.

```
            any thread, any order          in order, light           any thread, any order
frame ──▶ predict(image, face, identity) ──▶ smooth(window) ──▶ composite(prediction, statistics) ──▶ Patch
```
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from facegen.faces import Face
from facegen.media import Patch
from facegen.swap.options import SwapOptions

GROUP_FRAMES = 4
"""Consecutive frames that are predicted one after another, so that the later ones may reuse of the one before."""


class Prediction(Protocol):
    """One face of one frame before it is composited: whatever `composite` needs, and the frame statistics."""

    @property
    def statistics(self) -> Any:
        """What was measured and must be temporally stable: small (some kilobytes), immutable."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Puts one identity onto one face at a time.

    Every method is safe to call from several threads at once and deterministic: noise comes from `seed` alone.
    """

    name: str
    """The word that `SwapOptions.engine` and `--engine` use."""

    window_radius: int
    """How many frames before and after a frame `smooth` gets (0: none)."""

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> Any:
        """Compute an identity from one person's pictures.

        Args:
            pictures: (image (H, W, 3) RGB uint8, the face in it), at least one, the best first.

        Returns:
            The engine's own immutable identity object, which is passed to `predict`.

        Raises:
            InputError: the pictures cannot be used, in one sentence.
        """
        ...

    def predict(
        self, image_rgb: np.ndarray, face: Face, identity: Any, options: SwapOptions, previous: Any = None
    ) -> Prediction:
        """Compute the new face (the heavy step) and measure the frame statistics.

        Args:
            image_rgb: the frame, (H, W, 3) uint8, upright. Read only.
            face: the face in it, with smoothed points.
            identity: from `prepare`.
            options: the strengths.
            previous: the prediction of the same track in the frame before, of which an engine may reuse what hardly
                changes; the first of `GROUP_FRAMES` frames has none, so that the result depends on these frames alone.
        """
        ...

    def smooth(self, window: Sequence[Any], centre: int, options: SwapOptions) -> Any:
        """Smooth the statistics of one frame over time.

        Args:
            window: the track's statistics in up to `2 * window_radius + 1` consecutive frames in order; shorter at the
                ends of a track, of the clip, and in a preview (where it has one entry).
            centre: index in `window` of the frame in question.
            options: `temporal_smoothing` says how strongly.

        Returns:
            New statistics; those in `window` stay as they are.
        """
        ...

    def composite(self, prediction: Any, statistics: Any, options: SwapOptions, *, seed: int) -> Patch:
        """Render the patch to be pasted into the frame.

        Args:
            prediction: from `predict`.
            statistics: from `smooth`.
            options: the strengths.
            seed: of all noise (grain); the pipeline derives it from the frame and the track.
        """
        ...


@runtime_checkable
class BatchEngine(Engine, Protocol):
    """An engine whose network takes the faces of a frame together."""

    def predict_faces(
        self, image_rgb: np.ndarray, faces: Sequence[tuple[Face, Any, Any]], options: SwapOptions
    ) -> Sequence[Prediction]:
        """What `predict` computes for each of several faces of a frame.

        Args:
            image_rgb: the frame, (H, W, 3) uint8.
            faces: face, identity and previous prediction of each, as `predict` takes them.
            options: the strengths.
        """
        ...
