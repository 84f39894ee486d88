"""The studio in the browser: the only room that knows gradio."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

# Gradio reads this when it is imported, which this room's modules do next: nothing leaves the machine unasked.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


@contextmanager
def import_of_gradio() -> Iterator[None]:
    """While gradio is imported: it compares no type stubs with the sources of its components, which takes nearly half of its import.

    Gradio (`gradio/component_meta.py`, create_or_modify_pyi) does so for every component class, unless the class comes from no file;
    its wheel has the stubs.
    """
    get_file = inspect.getfile

    def get_file_of_others(found: Any) -> str:
        if isinstance(found, type) and found.__module__.startswith("gradio."):
            raise OSError("The stubs of gradio are in its wheel.")
        return get_file(found)

    with mock.patch.object(inspect, "getfile", get_file_of_others):
        yield
