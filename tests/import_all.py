"""Builds the page, imports every module of facegen and says with which versions: `python tests/import_all.py`."""

import importlib
import pkgutil
from importlib import metadata

import facegen

EXTRAS = ("mcp", "ray", "spaces")
"""Libraries that requirements.txt leaves to extras."""


def main() -> None:
    """Ends with an exception where a module does not import."""
    from facegen.ui.studio import build_studio

    # first, as in a studio: with torch 2.8 and each module loaded, the first frame of a video was never decoded
    build_studio()
    for _, name, _ in pkgutil.walk_packages(facegen.__path__, "facegen."):
        if "__main__" in name:
            continue
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
    print(
        "page built and modules imported with",
        *(f"{name} {metadata.version(name)}" for name in ("torch", "gradio", "numpy")),
    )


if __name__ == "__main__":
    main()
