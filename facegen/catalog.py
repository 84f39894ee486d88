"""The lists of model files and of what can be trained, gathered from the rooms. Loads neither torch nor gradio."""

from facegen.errors import InputError
from facegen.faces.parse.weights import WEIGHTS as PARSER_WEIGHTS
from facegen.faces.tasks import TASKS as FACES_TASKS
from facegen.faces.weights import WEIGHTS as FACES_WEIGHTS
from facegen.facesets.tasks import TASKS as FACESETS_TASKS
from facegen.generate.tasks import TASKS as GENERATE_TASKS
from facegen.generate.weights import WEIGHTS as GENERATE_WEIGHTS
from facegen.hub import WeightFile
from facegen.restore.tasks import TASKS as RESTORE_TASKS
from facegen.restore.weights import WEIGHTS as RESTORE_WEIGHTS
from facegen.swap.tasks import TASKS as SWAP_TASKS
from facegen.swap.weights import WEIGHTS as SWAP_WEIGHTS
from facegen.talk.tasks import TASKS as TALK_TASKS
from facegen.talk.weights import WEIGHTS as TALK_WEIGHTS
from facegen.training.info import TaskInfo

TASKS: tuple[TaskInfo, ...] = (*FACES_TASKS, *FACESETS_TASKS, *RESTORE_TASKS, *SWAP_TASKS, *GENERATE_TASKS, *TALK_TASKS)
WEIGHTS: tuple[WeightFile, ...] = (
    *FACES_WEIGHTS,
    *PARSER_WEIGHTS,
    *RESTORE_WEIGHTS,
    *SWAP_WEIGHTS,
    *GENERATE_WEIGHTS,
    *TALK_WEIGHTS,
)


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
