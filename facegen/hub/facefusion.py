"""Files of the repositories in which FaceFusion publishes ONNX models, with what their authors say of their use."""

from dataclasses import dataclass

from facegen.hub.weight_file import MAIN, Hub, JobName, SetName, WeightFile

_REVISIONS = {
    "3.0.0": "728b9659bd9691bf32cbf7f61af478d94b7ba81e",
    "3.1.0": "c9e3a503d8e84e91c5cd89ee2d510fe5e793e570",
    "3.3.0": "6271ab1c4619ceb2e534d65e0ec973f22a9aec38",
}


@dataclass(frozen=True)
class Terms:
    """A licence as a file's author or publisher names it."""

    licence: str
    """`WeightFile.licence`."""
    sentence: str = ""
    """`WeightFile.terms`."""
    url: str = ""
    """`WeightFile.licence_url`."""


APACHE = Terms("Apache-2.0")
MIT = Terms("MIT")
NON_COMMERCIAL = Terms("non-commercial", "The author, as FaceFusion states it, allows non-commercial use alone.")
NONE_STATED = Terms("none stated", "No licence is stated, so nothing is allowed beyond what your law allows anyway.")
INSIGHTFACE = Terms(
    "InsightFace, non-commercial",
    "InsightFace gives its models for non-commercial research alone.",
    "https://github.com/deepinsight/insightface#license",
)


def facefusion_file(
    release: str,
    filename: str,
    terms: Terms,
    *,
    purpose: str,
    name: str = "",
    jobs: tuple[JobName, ...] = ("swap",),
    sha256: str | None = None,
    size: int | None = None,
    sets: tuple[SetName, ...] = (),
) -> WeightFile:
    """A file of facefusion/models-RELEASE; of a release whose commit is not known the bytes alone are held.

    Args:
        release: such as «3.0.0».
        filename: in the repository.
        terms: its licence.
        purpose: `WeightFile.purpose`.
        name: `WeightFile.name`; that of the file, without its suffix and with hyphens, where it is not given.
        jobs: `WeightFile.jobs`.
        sha256: its digest, where one is known from two places.
        size: in bytes, where known.
        sets: `WeightFile.sets`.
    """
    repository = f"facefusion/models-{release}"
    return WeightFile(
        name=name or filename.rpartition(".")[0].replace("_", "-").replace(".", "-"),
        source=Hub(repository, _REVISIONS.get(release, MAIN)),
        filename=filename,
        sha256=sha256,
        size=size,
        licence=terms.licence,
        card=f"https://huggingface.co/{repository}",
        purpose=purpose,
        jobs=jobs,
        terms=terms.sentence,
        licence_url=terms.url,
        sets=sets,
    )
