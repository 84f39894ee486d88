"""Text to speech by espeak-ng, where it is installed."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

from facegen.errors import InputError, ResourceError
from facegen.provenance import Claims, sign
from facegen.talk.jobs import SPOKEN_TEXTS

LONGEST_TEXT = 5000
_SECONDS = 60


def can_synthesize() -> bool:
    """Whether espeak-ng is installed."""
    return shutil.which("espeak-ng") is not None


@functools.cache
def _languages() -> frozenset[str]:
    listed = subprocess.run(["espeak-ng", "--voices"], capture_output=True, text=True, timeout=_SECONDS, check=False)
    names = [row.split()[1] for row in listed.stdout.splitlines()[1:] if len(row.split()) > 1]
    return frozenset([*names, *(name.partition("-")[0] for name in names)])


def synthesize_speech(text: str, voice: str = "en") -> Path:
    """Synthesises a text as a signed WAV file, cached in facegen's home: the same text in the same voice is the same file.

    Args:
        text: what to say.
        voice: as espeak-ng names it: `en`, `de`, `fr`, `en-us+f3`.

    Raises:
        InputError: espeak-ng is not installed, knows no such voice, or there is nothing to read.
        ResourceError: it failed.
    """
    if not can_synthesize():
        raise InputError(
            "Expected espeak-ng to read the text aloud, found none; install it (apt-get install espeak-ng) or give a "
            "recording."
        )
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise InputError(f"Expected a text of 1 to {LONGEST_TEXT} letters, found {len(text.strip())}; change it.")
    # an unknown voice is not refused by espeak-ng, which then speaks English
    if not re.fullmatch(r"[a-z0-9-]+(\+[a-z0-9]+)?", voice) or voice.partition("+")[0] not in _languages():
        raise InputError(f"Expected the name of a voice such as en, de or en-us+f3, found {voice!r}.")

    def make(temporary: Path) -> None:
        spoken = temporary.with_suffix(".wav")
        command = ["espeak-ng", "-v", voice, "-s", "150", "-b", "1", "-w", str(spoken), "--stdin"]
        try:
            done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise ResourceError(f"espeak-ng did not finish in {_SECONDS} s; give a shorter text.") from error
        try:
            if done.returncode or not spoken.exists():
                lines = done.stderr.decode(errors="replace").strip().splitlines()
                raise InputError(f"espeak-ng could not read the text ({lines[-1] if lines else 'no reason given'}).")
            sign(spoken, Claims(job="speech", engine="espeak-ng"))
            spoken.replace(temporary)
        finally:
            spoken.unlink(missing_ok=True)

    return SPOKEN_TEXTS.get(SPOKEN_TEXTS.path("signed", voice, text, suffix=".wav"), make)
