"""Names of talk engines (`TalkOptions.engine`), lip-sync models and trainings. Imports no torch.

The lip-sync models follow FaceFusion 3.8 (lip_syncer), which publishes the files; none of them was run here with its real
weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facegen.errors import InputError
from facegen.hub import WeightFile
from facegen.hub.facefusion import APACHE, Terms, facefusion_file
from facegen.jobs import find_run

_TERMS = Terms(
    "Wav2Lip, non-commercial",
    "The authors of Wav2Lip allow research and personal use alone, as it was trained on LRS2.",
    "https://github.com/Rudrabha/Wav2Lip#license-and-citation",
)
LIPSYNC: dict[str, WeightFile] = {
    "wav2lip": facefusion_file(
        "3.0.0", "wav2lip_96.onnx", _TERMS, name="wav2lip", purpose="moves lips to sound, exactly", jobs=("talk",)
    ),
    "wav2lip-gan": facefusion_file(
        "3.0.0",
        "wav2lip_gan_96.onnx",
        _TERMS,
        name="wav2lip-gan",
        purpose="moves lips to sound, with sharper teeth",
        jobs=("talk",),
        sets=("best",),
    ),
    "edtalk": facefusion_file(
        "3.3.0",
        "edtalk_256.onnx",
        APACHE,
        name="edtalk",
        purpose="moves lips to sound, and the cheeks with them",
        jobs=("talk",),
        sets=("best-permissive",),
    ),
}


PORTRAIT = "portrait"
"""Draws from one picture, or changes the mouth of a person in a video; it is built in."""
LIVE_PORTRAIT = "live-portrait"
"""Draws from one picture by a network (`facegen.reenact`)."""
FIELD = "dfrf"
"""Draws a person's own radiance field."""

FIELD_FOLDERS = ("field", "exports/final")
"""Where a run of «talk train», or of «train dfrf», keeps the trained field."""
MOTION_FILE = "motion.safetensors"
"""Name of the weights where a run of «train motion» keeps its network."""
_MOTION_FOLDER = "exports/final"


@dataclass(frozen=True)
class EngineName:
    """The parts of an engine's name, `KIND` or `KIND:RUN`."""

    kind: str
    """`PORTRAIT`, `LIVE_PORTRAIT`, `FIELD`, or a name of `LIPSYNC`."""
    run: str = ""
    """The training that it draws with, by the path of its run folder or by the run's name; empty for a built-in engine."""

    @classmethod
    def parse(cls, text: str) -> EngineName:
        """Takes a name apart.

        Raises:
            InputError: there is no such engine.
        """
        kind, _, run = text.partition(":")
        if text not in (PORTRAIT, LIVE_PORTRAIT, *LIPSYNC) and not (kind == FIELD and run):
            raise InputError(
                f"Expected the engine portrait, live-portrait or dfrf:RUN, or for a video {', '.join(LIPSYNC)}, found {text!r}; choose one "
                "of these."
            )
        return cls(kind, run)

    def __str__(self) -> str:
        return f"{self.kind}:{self.run}" if self.run else self.kind

    @property
    def needs_portrait(self) -> bool:
        """Whether it draws from the picture or video of a request; else it brings its own person."""
        return self.kind != FIELD

    def weights(self) -> list[Path]:
        """The files of a training that decide what is drawn; none for a built-in engine.

        Raises:
            InputError: there is no run of that name.
        """
        if not self.run:
            return []
        run = find_training(self.run)
        return [path for folder in FIELD_FOLDERS for path in sorted((run / folder).glob("field.*"))]


def has_field(run: Path) -> bool:
    """Whether a run folder holds a trained field."""
    return any((run / folder / "field.json").exists() for folder in FIELD_FOLDERS)


def has_motion(run: Path) -> bool:
    """Whether a run folder holds a finished motion network."""
    return (run / _MOTION_FOLDER / MOTION_FILE).exists()


def find_motion(name: str) -> Path:
    """The folder in which a run of «train motion», given by its path or by its name, keeps its network.

    Raises:
        InputError: there is no such run, or it has none.
    """
    run = find_training(name)
    if not has_motion(run):
        raise InputError(f"Expected a finished training of a motion network, found none in {name!r}; train it first.")
    return run / _MOTION_FOLDER


def find_training(name: str) -> Path:
    """The folder of a run, given by its path, by its name among the runs, or as the engine «dfrf:RUN».

    Raises:
        InputError: there is none.
    """
    name = name.removeprefix(f"{FIELD}:")
    return Path(name) if Path(name).is_dir() else find_run(name).path
