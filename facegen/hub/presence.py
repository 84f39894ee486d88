"""What a choice of the user's needs: files of the Hub that were fetched before, since nothing is downloaded unasked."""

from collections.abc import Iterable

from facegen.errors import WeightsError
from facegen.hub.fetch import is_present
from facegen.hub.weight_file import WeightFile


def require(weights: Iterable[WeightFile], wanted: str, instead: str) -> None:
    """Refuse a choice whose files are not on this machine.

    Args:
        weights: the files.
        wanted: what they are for: «the engine ghost-1-256».
        instead: what can be chosen without them: «the engine mesh».

    Raises:
        WeightsError: some are missing; the sentence names them and the command that fetches them.
    """
    if missing := [weight.name for weight in weights if not is_present(weight)]:
        raise WeightsError(
            f"Expected the weights {' and '.join(missing)} for {wanted}, found none; fetch them in the tab Models or with "
            f"«facegen weights fetch {missing[0]}», or choose {instead}."
        )
