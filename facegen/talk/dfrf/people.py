"""One or several prepared people for training: a person's own field, or a base that many people's fields start from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from torch import Tensor

from facegen.talk.dfrf.scene import SceneData
from facegen.training.task import BatchSpec


class PeopleData:
    """Frames of several scenes; every batch is of one person.

    What tells people apart (references, cameras, relief, how the face moves) is in the batch, so one field learns them all.

    Args:
        people: one or more.
    """

    def __init__(self, people: Sequence[SceneData]) -> None:
        self.people = list(people)
        self.skipped: tuple[str, ...] = ()
        self._starts = [0, *accumulate(len(person) for person in self.people)]

    def __len__(self) -> int:
        return self._starts[-1]

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """A batch of `SceneData`, of the person whom the first place falls on; the other places are brought to theirs."""
        number = bisect_right(self._starts, int(spec.indices[0])) - 1
        person = self.people[number]
        return person.batch(replace(spec, indices=(spec.indices - self._starts[number]) % len(person)))
