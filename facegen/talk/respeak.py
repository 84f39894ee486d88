"""Speaking anew in a video: in every frame the mouth moves to other words, and nothing else changes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import ClipAnalysis, Face, align, mesh, parse
from facegen.media import Patch
from facegen.talk.finish.finisher import Finisher
from facegen.talk.portrait.expression import Expressions
from facegen.talk.portrait.interior import Mouth
from facegen.talk.portrait.renderer import Moment, Renderer
from facegen.talk.portrait.sitter import Sitter
from facegen.talk.portrait.stage import Stage
from facegen.talk.rig import MouthRig

Array = np.ndarray

_LOOKS = 9
_UNCOVERED = (*parse.FACE, parse.NECK, parse.HAIR)


@dataclass(frozen=True, eq=False, kw_only=True)
class Speaker:
    """One person of a clip, as far as it is the same in every frame.

    Attributes:
        rig: how mouths move.
        mouth: what is seen between open lips.
        unit: width of the mouth by that of the rig's.
        parser: tells what stands before the face, where it is there.
    """

    rig: MouthRig
    mouth: Mouth
    unit: float
    parser: parse.FaceParser | None

    @classmethod
    def of(cls, looks: list[tuple[np.ndarray, Face]], rig: MouthRig) -> Speaker:
        """From some frames of the clip in which the person is seen."""
        sitters = [Sitter.of(image_rgb, face, rig) for image_rgb, face in looks]
        white = np.median([sitter.mouth.white for sitter in sitters], 0).astype(np.float32)
        softness = float(np.median([sitter.mouth.softness_cm for sitter in sitters]))
        unit = float(np.median([sitter.expressions.unit for sitter in sitters]))
        parser = parse.FaceParser() if parse.parser_available() else None
        return cls(rig=rig, mouth=Mouth(white=white, own=None, softness_cm=softness), unit=unit, parser=parser)

    def patch(self, image_rgb: np.ndarray, face: Face, coefficients: Array) -> Patch | None:
        """The changed part of a frame in which the mouth is as (K,) coefficients say; None where nothing changes."""
        points = face.points478[: mesh.VERTEX_COUNT]
        stage = Stage.of(points)
        expressions = Expressions.of(stage.pose.to_canonical(points), self.rig, self.unit)
        sitter = Sitter.placed(image_rgb, stage, expressions, self.mouth)
        still = np.zeros(3, np.float32)
        moment = Moment(mouth=coefficients, turn_deg=still, shift_cm=still, lids=still[:2], brows=0.0, gaze=still[:2])
        renderer = Renderer(sitter, [Finisher.bundled().touch(sitter)])
        drawn, changed, box = renderer.draw_changed(moment)
        if not changed.any():
            return None
        alpha = cv2.GaussianBlur(cv2.dilate(changed.astype(np.float32), np.ones((5, 5), np.uint8)), (0, 0), 1.5)
        if self.parser is not None:
            alpha = alpha * (1 - self._hidden(image_rgb, face, self.parser)[box.region])
        return Patch(x=box.x0, y=box.y0, image_rgb=drawn, alpha=alpha)

    def _hidden(self, image_rgb: np.ndarray, face: Face, parser: parse.FaceParser) -> Array:
        """(H, W) 0..1: what stands before the face, such as a hand or a microphone; it stays in front."""
        matrix = align.parse_matrix(face, parse.SIZE)
        seen = parser.share(align.warp(image_rgb, matrix, parse.SIZE)[None], _UNCOVERED)[0]
        outline = face.points478[list(mesh.FACE_OVAL), :2] @ matrix[:, :2].T + matrix[:, 2]
        inside: Array = mesh.polygon_mask(outline, (parse.SIZE, parse.SIZE)).astype(np.float32) / 255
        # the outline itself is uncertain, and the open mouth is dark
        inside = cv2.erode(inside, np.ones((13, 13), np.uint8))
        hidden = np.clip((0.6 - cv2.GaussianBlur(seen, (0, 0), 2)) / 0.3, 0, 1) * inside
        solid = cv2.morphologyEx(hidden, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
        spread = cv2.GaussianBlur(cv2.dilate(solid, np.ones((7, 7), np.uint8)), (0, 0), 2)
        size = image_rgb.shape[1::-1]
        return cv2.warpAffine(spread, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def chosen_frames(analysis: ClipAnalysis, person_id: int) -> list[int]:
    """Some frames, evenly spread, in which a person is seen."""
    seen = [
        index
        for index in range(analysis.frame_count)
        if any(face.person_id == person_id for face in analysis.faces(index))
    ]
    return [seen[int(place)] for place in np.linspace(0, len(seen) - 1, min(_LOOKS, len(seen)))] if seen else []
