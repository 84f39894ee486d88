"""The error tree: everything facegen raises on purpose.

```
FacegenError
├── InputError          what the user gave cannot be used
│   └── NoFaceError     a face was needed and none was found
├── WeightsError        a model file is missing, changed or not accepted
├── ResourceError       disk, memory or device ran out
├── TrainingError       a training cannot start or go on
├── Cancelled           the user stopped the work
└── OutOfTime           what was lent for the work is due; it goes on at its next turn
```

Each message is one sentence (or two short ones): what was expected, what was found, what to do about it. Anything that
is not a `FacegenError` is a bug and surfaces as such.
"""


class FacegenError(Exception):
    """Root of the tree; its message can be shown to a user as it is."""


class InputError(FacegenError):
    """What the user gave cannot be used."""


class NoFaceError(InputError):
    """A face was needed and none was found."""


class WeightsError(FacegenError):
    """A model file is missing, was changed, or its licence was not accepted."""


class ResourceError(FacegenError):
    """Disk, memory or device ran out, or a place cannot be written."""


class TrainingError(FacegenError):
    """A training cannot start or go on."""


class Cancelled(FacegenError):
    """The user stopped the work."""


class OutOfTime(FacegenError):
    """What was lent for the work is due; it goes on at its next turn."""
