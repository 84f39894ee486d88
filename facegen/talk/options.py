"""Options of a talk: command line, endpoints and page read their bounds and defaults here."""

from dataclasses import dataclass, field
from typing import Any, get_args

from facegen.encoding import EncodeOptions, LabelLanguage, check_label
from facegen.jobs.files import model_of
from facegen.talk.engines import EngineName


def _strength(default: float, high: float = 1.0) -> Any:
    return field(default=default, metadata={"min": 0.0, "max": high, "step": 0.05})


@dataclass(frozen=True, kw_only=True)
class TalkOptions(EncodeOptions):
    """How a portrait talks. Strengths run from 0 (off) to 1 (full)."""

    mouth: float = _strength(1.0, 1.5)
    """How widely the mouth opens; 1 is clear speech."""

    head: float = _strength(0.7)
    """How far the head turns, nods and sways."""

    eyes: float = _strength(0.7)
    """How much the eyes look about and the brows rise; blinking is not part of it."""

    still: bool = False
    """Keep the head where it is; mouth and eyes still move."""

    blink: bool = True
    """Let the eyes blink, 10 to 25 times a minute, mostly at pauses."""

    seed: int = field(default=0, metadata={"min": 0, "max": 2**31 - 1, "step": 1})
    """Another number gives other movements of head and eyes; the same number the same ones."""

    restore: float = _strength(0.0)
    """How far the face restorer sharpens the result; for portraits that are small, blurred or compressed. Slower."""

    face: int | None = field(default=None, metadata={"min": 0, "max": 999, "step": 1})
    """Which face of a portrait that shows several, counted from the left, 0 first (nothing: the largest one that looks at the camera)."""

    frame: float | None = field(default=None, metadata={"min": 0.0, "max": 86400.0, "step": 0.1})
    """Of a video, only the picture at this second speaks (nothing: the video itself gets other words)."""

    seconds: float | None = field(default=None, metadata={"min": 0.2, "max": 86400.0, "step": 0.1})
    """Only the first so many seconds (nothing: all of the sound)."""

    longest_side: int = field(default=2160, metadata={"min": 64, "max": 8192, "step": 2})
    """A larger portrait is made smaller to this many pixels."""

    engine: str = field(default="portrait", metadata=model_of("dfrf:"))
    """What draws the speaker: `portrait` is built in and needs one picture; `dfrf:RUN` is a person's own field;
    `live-portrait` moves one picture, and `wav2lip`, `wav2lip-gan` and `edtalk` the lips of a video, once they are fetched."""

    motion: str = field(default="", metadata=model_of(""))
    """A run of «train motion» whose network says how the mouth moves (nothing: the one that is built in)."""

    keep_position: bool = False
    """Keep where the sound was recorded (GPS), as files of phones say it."""

    label: LabelLanguage = field(default="auto", metadata={"choices": get_args(LabelLanguage)})
    """Words in a corner that say that AI made it, in this language; `auto` writes them where the studio's profile says so."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_label(self)
        EngineName.parse(self.engine)
