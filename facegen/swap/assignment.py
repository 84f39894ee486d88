"""Assignment of sources to people: which faces of a frame are swapped, and the identity that each gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facegen.errors import InputError, NoFaceError
from facegen.faces import ClipAnalysis, Face
from facegen.swap.options import Faces
from facegen.swap.request import SwapRequest


@dataclass(frozen=True, kw_only=True)
class FaceAssignment:
    """One face of one frame that is swapped."""

    face: Face
    """The face in the target."""

    identity: Any
    """The engine's identity for this person, see `Engine.prepare`."""

    track: int
    """The track it belongs to; frame statistics are smoothed within it."""


@dataclass(frozen=True, kw_only=True)
class SourceAssignment:
    """Which people of a clip are swapped, and with which identity."""

    faces: Faces
    """As in `SwapOptions.faces`; not used where people have identities of their own."""

    person: int
    """As in `SwapOptions.person`."""

    identity: Any
    """For everybody who is selected by `faces`."""

    people: Mapping[int, Any]
    """Identity by person; where there are any, everybody else is left alone."""

    notices: tuple[str, ...] = ()
    """What the user should know about the sources, a sentence each."""

    def assign(self, faces: Sequence[Face]) -> list[FaceAssignment]:
        """Select the faces of one frame to be swapped, largest last, so that nearer faces cover those behind them."""
        selected = faces
        if self.people:
            selected = [face for face in faces if face.person_id in self.people]
        elif self.faces == "person":
            selected = [face for face in faces if face.person_id == self.person]
        elif self.faces == "largest":
            selected = sorted(faces, key=lambda face: face.size_px)[-1:]
        return [
            FaceAssignment(
                face=face,
                identity=self.people[face.person_id] if self.people and face.person_id is not None else self.identity,
                track=face.track_id if face.track_id is not None else -1 - index,
            )
            for index, face in enumerate(sorted(selected, key=lambda face: face.size_px))
        ]


def check_people(request: SwapRequest, analysis: ClipAnalysis) -> None:
    """Check the people that a request names against those in the clip.

    Raises:
        NoFaceError: the clip shows no face at all.
        InputError: a person is named whom the clip does not show.
    """
    count = len(analysis.people)
    if count == 0:
        raise NoFaceError(
            f"Expected a face in the target, but found none in its {analysis.frame_count} frames; choose another clip "
            "or another part of it."
        )
    named = sorted(request.people) or ([request.options.person] if request.options.faces == "person" else [])
    for person in named:
        if person not in {known.person_id for known in analysis.people}:
            raise InputError(
                f"Expected a person of the clip, but got {person}; it shows {count}, counted from 0 in the order of time on "
                "screen."
            )
