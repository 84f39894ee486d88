"""Licences that a user accepted, each once and by the name of its file, in weights/accepted.json of facegen's home."""

import time

from facegen.config import write_json
from facegen.hub.digest import hold_lock
from facegen.hub.weight_file import WeightFile, weights_home
from facegen.json_file import read_object


def is_accepted(weight: WeightFile) -> bool:
    """Whether the licence needs no acceptance, or was accepted in the wording it has now."""
    if not weight.needs_acceptance:
        return True
    path = weights_home() / "accepted.json"
    entry = read_object(path, is_optional=True).get(weight.name)
    return isinstance(entry, dict) and entry.get("licence") == weight.licence


def accept_licence(weight: WeightFile) -> None:
    """Remember that the user accepted the licence of this file."""
    with hold_lock(weights_home() / ".locks" / "accepted.json"):
        path = weights_home() / "accepted.json"
        accepted = read_object(path, is_optional=True)
        accepted[weight.name] = {"licence": weight.licence, "accepted": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        write_json(path, accepted)
