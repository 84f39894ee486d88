"""Options of a swap: command line, endpoints and page read their bounds and defaults here."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from facegen.encoding import EncodeOptions, LabelLanguage
from facegen.errors import InputError
from facegen.faces.mask_models import MASK_MODELS, parse_masks
from facegen.faces.weights import DETECTORS, RECOGNISERS, DetectorName, RecogniserName
from facegen.jobs.files import model_of, settings_of
from facegen.reenact.editing import SLIDERS, parse_sliders
from facegen.restore.enhancers import ENHANCER_NAMES, parse_chain
from facegen.restore.frame_chain import FRAME_MODELS, parse_colour, parse_frame_chain
from facegen.swap.oneshot.models import ENGINES, MOST_PIXELS, find_model

Faces = Literal["all", "largest", "person"]
NoFace = Literal["keep", "hold", "skip"]

TRAINED = ("autoencoder:", "dfm:")
"""How the names of engines begin that were trained for two people."""
LIVE_PORTRAIT = "live-portrait"
"""The engine that moves the target's own face by sliders."""


def _strength(default: float) -> Any:
    return field(default=default, metadata={"min": 0.0, "max": 1.0, "step": 0.05})


@dataclass(frozen=True, kw_only=True)
class SwapOptions(EncodeOptions):
    """How a swap is done. Strengths run from 0 (off) to 1 (full)."""

    faces: Faces = field(default="all", metadata={"choices": get_args(Faces)})
    """Which faces get the source: `all`, the `largest` of each frame, or one `person` of the clip."""

    person: int = field(default=0, metadata={"min": 0, "max": 999, "step": 1})
    """Which person, counted as «find people» shows them (0: on screen the longest), when `faces` is `person`."""

    source_face: int | None = field(default=None, metadata={"min": 0, "max": 999, "step": 1})
    """Which face of a source picture that shows several, counted from the left, 0 first."""

    face_shape: float = _strength(0.9)
    """How far eyes, nose, mouth and chin take the source's proportions."""

    mask_feather: float = _strength(0.1)
    """How soft the border of the new face is."""

    colour: float = _strength(1.0)
    """How closely skin tone and lighting follow the clip."""

    finish: float = _strength(1.0)
    """How far the learned harmonization changes the new face's light, shine and detail to those of the clip."""

    restore: float = _strength(0.0)
    """How far the embedded restorer redraws the details of the new face: for small and soft faces; slow."""

    expression: float = _strength(0.0)
    """How far the target's own expression is put back onto the new face by LivePortrait, once it is fetched; slow."""

    enhance: str = field(default="", metadata={"several": ENHANCER_NAMES})
    """Face enhancers that redraw the new face one after another, with their strengths: «gfpgan-1-4=0.8, restorer=0.3»."""

    frame_chain: str = field(default="", metadata={"several": tuple(FRAME_MODELS)})
    """Fetched models that enlarge the whole frame or take its background away, in order: «modnet, real-esrgan-x2=0.8»."""

    background: str = "#00b140"
    """Colour in the place of a background that was taken away; with `transparency` nothing is put there."""

    sharpness_match: float = _strength(1.0)
    """How closely the sharpness of the new face follows the clip (focus and motion blur)."""

    grain_match: float = _strength(0.5)
    """How much of the clip's noise is given to the new face."""

    temporal_smoothing: float = _strength(0.5)
    """How calm lighting and borders are from frame to frame."""

    occlusion: bool = True
    """Leave hands, hair, glasses and microphones in front of the face."""

    masks: str = field(default="", metadata={"several": tuple(model.name for model in MASK_MODELS)})
    """Fetched models that tell, beside the embedded parser, what covers the face: «xseg-3, bisenet-34»."""

    when_no_face: NoFace = field(default="keep", metadata={"choices": get_args(NoFace)})
    """A frame without a face to swap: `keep` it, `hold` the last swapped picture, or `skip` it with its sound."""

    start_seconds: float = field(default=0.0, metadata={"min": 0.0, "max": 86400.0, "step": 0.04})
    """Where the result begins in the target."""

    end_seconds: float | None = field(default=None, metadata={"min": 0.0, "max": 86400.0, "step": 0.04})
    """Where it ends (nothing: at the end of the target)."""

    engine: str = field(
        default="mesh",
        metadata={"choices": ("mesh", *ENGINES, LIVE_PORTRAIT), "metavar": "NAME", **model_of(*TRAINED)},
    )
    """What makes the new face: `mesh` is built in and needs a source; so do one-shot models such as `hyperswap-1a-256` once
    they are fetched; `autoencoder:RUN` (a training of «saehd») and `dfm:FILE` draw whom they were trained for; `live-portrait`
    moves the target's own face by `sliders`."""

    sliders: str = field(default="", metadata={"several": SLIDERS})
    """How the engine `live-portrait` changes the target's own face, -1 to 1 each, 0.5 where no value is given:
    «mouth-smile, head-yaw=-0.3»."""

    identity_strength: float = _strength(0.5)
    """How strongly a one-shot model follows the source's identity: below 0.5 mixed with the target's, above exaggerated."""

    pixel_boost: int = field(default=1, metadata={"min": 1, "max": 8, "step": 1})
    """How many times larger the crop of a one-shot model is than what it was made for: sharper, at the square of the time."""

    detector: DetectorName = field(default="embedded", metadata={"choices": DETECTORS})
    """Face detector: `embedded`, one whose weights were fetched, or `auto`: facexlib if its weights are present."""

    recogniser: RecogniserName = field(default="embedded", metadata={"choices": RECOGNISERS})
    """What tells people apart: `embedded` (dlib), or `arcface` or `auraface` once it is fetched."""

    merge: str = field(default="", metadata=settings_of("own_mask"))
    """How a trained face is merged into the frame, as «mode=overlay, mask=hull, blur=40»; see docs/trained.md."""

    keep_position: bool = False
    """Keep where the target was recorded (GPS); date and camera are always kept."""

    label: LabelLanguage = field(default="auto", metadata={"choices": get_args(LabelLanguage)})
    """Words in a corner that say that AI made it, in this language; `auto` writes them where the studio's profile says so."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for item in fields(self):
            choices, value = item.metadata.get("choices"), getattr(self, item.name)
            if choices and value not in choices and not (item.name == "engine" and self.is_trained):
                raise InputError(f"SwapOptions.{item.name} must be one of {', '.join(choices)}, but got {value!r}.")
        if parse_sliders(self.sliders) and self.engine != LIVE_PORTRAIT:
            raise InputError(
                f"Expected sliders with the engine {LIVE_PORTRAIT} alone, found them with {self.engine}; choose that engine, "
                "or leave them out."
            )
        parse_chain(self.enhance)
        parse_masks(self.masks)
        parse_frame_chain(self.frame_chain)
        parse_colour(self.background)
        model = find_model(self.engine)
        if model is not None and model.size * self.pixel_boost > MOST_PIXELS:
            raise InputError(
                f"Expected a pixel boost of at most {MOST_PIXELS // model.size} for the engine {model.name}, which draws "
                f"{model.size} pixels, found {self.pixel_boost}; choose a smaller one."
            )
        if self.end_seconds is not None and self.end_seconds <= self.start_seconds:
            raise InputError(
                f"The end must come after the start, but got {self.start_seconds:g} to {self.end_seconds:g} seconds; "
                "choose a later end."
            )

    @property
    def is_trained(self) -> bool:
        """Whether the engine is a model that knows its own person."""
        return self.engine.startswith(TRAINED)

    @property
    def needs_source(self) -> bool:
        """Whether the new face is that of a source."""
        return not self.is_trained and self.engine != LIVE_PORTRAIT
