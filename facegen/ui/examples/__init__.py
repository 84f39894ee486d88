"""Examples that need no download: computer-made people, their talks and finished results, stored with the package.

`docs/make_examples.py` makes the files. A page may read no package's folder, so each is copied into the studio's own.
"""

import base64
import html
import io
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from facegen.config import to_dict
from facegen.errors import InputError
from facegen.facesets.jobs import EXTRACT
from facegen.facesets.options import ExtractRequest
from facegen.jobs import Job
from facegen.swap.jobs import SWAP as SWAP_JOB
from facegen.swap.request import SwapRequest
from facegen.system import link_or_copy
from facegen.talk.jobs import TALK
from facegen.talk.request import TalkRequest

FILES = Path(__file__).parent / "files"

PORTRAITS = {"ada": "Ada", "bea": "Bea", "carl": "Carl", "dan": "Dan"}
"""Name -> title of the people, none of whom exists."""
CLIPS = {"bea": ("bea",), "carl": ("carl",), "ada": ("ada",), "two": ("bea", "carl")}
"""Name of a clip -> who talks in it."""
SPEECH = "said.m4a"
SWAP = "swap.mp4"
"""Ada's face on the clip of Bea."""
FACESET = tuple(f"face-{number}.jpg" for number in range(8))
TRAINING = "training.jpg"
"""The last preview of a training."""
EXAMPLE_CLICK = (
    "element.addEventListener('click', (event) => { const button = event.target.closest('[data-example]');"
    " if (button) trigger('click', {example: button.dataset.example}); });"
)
"""What a gr.HTML with `example_cards` needs as `js_on_load`."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One click: a face and where it goes."""

    name: str
    title: str
    sources: tuple[str, ...]
    """Names of portraits."""
    target: str
    """A file."""
    people: tuple[str, ...]
    """Who is seen in the target."""

    @property
    def portraits(self) -> tuple[str, ...]:
        """The portraits on its button: the sources, then who is seen in the target."""
        return (*self.sources, *(name for name in self.people if name not in self.sources))


EXAMPLES = (
    Example(name="ada_to_bea", title="Ada → Bea, a clip", sources=("ada",), target="bea.mp4", people=("bea",)),
    Example(name="dan_to_carl", title="Dan → Carl, a clip", sources=("dan",), target="carl.mp4", people=("carl",)),
    Example(
        name="two_people",
        title="Two people, one clip",
        sources=("ada", "dan"),
        target="two.mp4",
        people=("bea", "carl"),
    ),
    Example(name="picture", title="Picture to picture", sources=("ada",), target="bea.jpg", people=("bea",)),
)


_FORMER_NAMES = {"collins_to_hopper": "ada_to_bea", "hopper_to_collins": "dan_to_carl"}
"""Names that `/example` had before, kept for one release."""


def portrait_path(name: str) -> Path:
    """The stored file of a portrait."""
    return FILES / f"{name}.jpg"


class Examples:
    """The examples of one studio, in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def files(self, name: str) -> tuple[list[str], str]:
        """Paths of an example's sources and of its target, inside the studio's temporary folder.

        Raises:
            InputError: there is no example of that name.
        """
        name = _FORMER_NAMES.get(name, name)
        found = next((example for example in EXAMPLES if example.name == name), None)
        if found is None:
            known = ", ".join(example.name for example in EXAMPLES)
            raise InputError(f"Expected the name of an example, found {name!r}; there are: {known}.")
        return [str(self.file(f"{source}.jpg")) for source in found.sources], str(self.file(found.target))

    def file(self, name: str) -> Path:
        """Path of a stored file inside the studio's temporary folder.

        Raises:
            InputError: there is no stored file of that name.
        """
        origin = FILES / Path(name).name
        if not name or not origin.is_file():
            raise InputError(f"Expected the name of an example, found {name!r}; choose one that is shown.")
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / origin.name
            if not path.exists():
                link_or_copy(origin, path)
            return path


@cache
def thumbnail(name: str, size: int = 72) -> str:
    """A small square of a portrait as a data URI."""
    with Image.open(portrait_path(name)) as portrait:
        small = portrait.convert("RGB").resize((size, size), Image.Resampling.BOX)
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def example_cards(cards: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """Buttons (HTML) of (value, title, names of portraits); `EXAMPLE_CLICK` makes a click an event with the value."""
    buttons = []
    for value, title, pictured in cards:
        faces = "".join(f'<img src="{thumbnail(name)}" alt="" width="36" height="36">' for name in pictured)
        words = f"<span>{html.escape(title)}</span>"
        buttons.append(f'<button type="button" data-example="{html.escape(value)}">{faces}{words}</button>')
    return f'<div class="fg-examples">{"".join(buttons)}</div>'


def training_rows() -> list[tuple[int, str, float]]:
    """(step, name of the loss, value) of the stored training."""
    found: dict[str, Any] = json.loads((FILES / "training.json").read_text(encoding="utf-8"))
    return [(int(step), str(name), float(value)) for step, name, value in found["rows"]]


_ADA, _BEA = str(FILES / "ada.jpg"), str(FILES / "bea.jpg")
FIRST_SWAP = SwapRequest(sources=(_ADA,), target=_BEA, output="")
"""A short swap."""
_REQUESTS: dict[str, tuple[Job[Any, Any], Any]] = {
    "Swap": (SWAP_JOB, FIRST_SWAP),
    "Talk": (TALK, TalkRequest(portrait=_BEA, audio=str(FILES / SPEECH), output="")),
    "Faceset": (EXTRACT, ExtractRequest(inputs=(_BEA,), output="")),
}


def example_request(tab: str) -> tuple[str, dict[str, Any]] | None:
    """The job of a tab and a short request of it, by which models are loaded while the visitor reads; None for other tabs."""
    if tab not in _REQUESTS:
        return None
    job, request = _REQUESTS[tab]
    return job.name, to_dict(request)
