"""The lists of jobs, of model files and of what can be trained, gathered from the rooms. Loads neither torch nor gradio."""

from typing import TYPE_CHECKING, Any

from facegen.errors import InputError
from facegen.faces.tasks import TASKS as FACES_TASKS
from facegen.faces.weights import WEIGHTS as FACES_WEIGHTS
from facegen.facesets.jobs import JOBS as FACESETS_JOBS
from facegen.facesets.tasks import TASKS as FACESETS_TASKS
from facegen.generate.jobs import JOBS as GENERATE_JOBS
from facegen.generate.tasks import TASKS as GENERATE_TASKS
from facegen.generate.weights import WEIGHTS as GENERATE_WEIGHTS
from facegen.hub import JOBS as JOB_NAMES
from facegen.hub import SETS, WeightFile
from facegen.jobs.cache import Cache
from facegen.jobs.cluster import CACHES as CLUSTER_CACHES
from facegen.jobs.job import Job
from facegen.reenact.weights import WEIGHTS as REENACT_WEIGHTS
from facegen.restore.tasks import TASKS as RESTORE_TASKS
from facegen.restore.weights import WEIGHTS as RESTORE_WEIGHTS
from facegen.swap.jobs import CACHES as SWAP_CACHES
from facegen.swap.jobs import JOBS as SWAP_JOBS
from facegen.swap.tasks import TASKS as SWAP_TASKS
from facegen.swap.weights import WEIGHTS as SWAP_WEIGHTS
from facegen.talk.jobs import CACHES as TALK_CACHES
from facegen.talk.jobs import JOBS as TALK_JOBS
from facegen.talk.tasks import TASKS as TALK_TASKS
from facegen.talk.weights import WEIGHTS as TALK_WEIGHTS
from facegen.training.info import TaskInfo
from facegen.training.jobs import JOBS as TRAINING_JOBS

if TYPE_CHECKING:
    from facegen.training.pipeline import TrainPipeline

JOBS: tuple[Job[Any, Any], ...] = (
    *SWAP_JOBS,
    *GENERATE_JOBS,
    *TALK_JOBS,
    *FACESETS_JOBS,
    *TRAINING_JOBS,
)
_COMPILED = Cache(name="accelerators", summary="Networks as an accelerator compiled them.", most_bytes=20_000_000_000)
"""The folder of `inference.accelerators.engine_cache`, whose room stands left of caches and imports numpy."""
CACHES: tuple[Cache, ...] = (*CLUSTER_CACHES, *SWAP_CACHES, *TALK_CACHES, _COMPILED)
TASKS: tuple[TaskInfo, ...] = (*FACES_TASKS, *FACESETS_TASKS, *RESTORE_TASKS, *SWAP_TASKS, *GENERATE_TASKS, *TALK_TASKS)
WEIGHTS: tuple[WeightFile, ...] = (
    *FACES_WEIGHTS,
    *RESTORE_WEIGHTS,
    *REENACT_WEIGHTS,
    *SWAP_WEIGHTS,
    *GENERATE_WEIGHTS,
    *TALK_WEIGHTS,
)


def find_job(name: str) -> Job[Any, Any]:
    """The job whose runs are called `name`, today or by an earlier facegen.

    Raises:
        InputError: there is none of that name.
    """
    for job in JOBS:
        if name in (job.name, *job.old_names):
            return job
    names = ", ".join(job.name for job in JOBS)
    raise InputError(f"Expected a run of one of {names}, found {name!r}; it can be listed and deleted.")


def find_weight(name: str) -> WeightFile:
    """The model file called `name`.

    Raises:
        InputError: there is none of that name; the sentence lists those there are.
    """
    for weight in WEIGHTS:
        if weight.name == name:
            return weight
    names = ", ".join(weight.name for weight in WEIGHTS)
    raise InputError(f"Expected the name of a model file, found {name!r}; choose from {names}.")


def find_weights(
    *, job: str | None = None, set_name: str | None = None, permissive_only: bool = False
) -> tuple[WeightFile, ...]:
    """The model files that a job can use, that belong to a set, that everybody may use for anything.

    Raises:
        InputError: there is no such job or set.
    """
    for kind, name, known in (("a job", job, JOB_NAMES), ("a set", set_name, tuple(SETS))):
        if name is not None and name not in known:
            raise InputError(f"Expected {kind} of {', '.join(known)}, found {name!r}; choose one of these.")
    return tuple(
        weight
        for weight in WEIGHTS
        if (job is None or job in weight.jobs)
        and (set_name is None or set_name in weight.sets)
        and (weight.is_permissive or not permissive_only)
    )


def find_task(name: str) -> TaskInfo:
    """The task called `name`.

    Raises:
        InputError: there is none of that name; the sentence lists those there are.
    """
    for task in TASKS:
        if task.name == name:
            return task
    names = ", ".join(task.name for task in TASKS)
    raise InputError(f"Expected the name of something to train, found {name!r}; choose from {names}.")


def make_train_pipeline(**options: Any) -> "TrainPipeline":
    """The pipeline of trainings, which finds its tasks here; options as `Pipeline` takes them."""
    from facegen.training.pipeline import TrainPipeline

    return TrainPipeline(find_task=find_task, **options)


def from_pretrained(repo: str, revision: str = "main") -> Any:
    """The model of a training that «facegen weights publish» put on the Hub, or into a folder.

    Args:
        repo: «owner/name» on the Hub, or a folder.
        revision: commit, branch or tag.

    Returns:
        A generator as a `FacePipeline` of diffusers, a swap as its model and options, else the task's torch module.

    Raises:
        InputError: it is no published training.
        WeightsError: the Hub cannot be reached, or has other bytes than were published.
    """
    from pathlib import Path

    from facegen import hub
    from facegen.json_file import read_object
    from facegen.training.publishing import load_published

    folder = Path(repo)
    if (folder / hub.INDEX).is_file():
        return load_published(folder, read_object(folder / hub.INDEX), find_task)
    return load_published(*hub.fetch_repository(repo, revision), find_task)
