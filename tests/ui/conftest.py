"""What the studio's tests share: served studios, which start once a session."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.studio_process import StudioProcess, studio_process


@pytest.fixture(autouse=True, scope="session")
def closed_loops() -> Iterator[None]:
    """Gradio makes an event loop for every lock of a page and closes none, which Python warns of; close them here."""
    made, make = [], asyncio.new_event_loop

    def remember() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", remember)
        yield
    for loop in made:
        loop.close()


@pytest.fixture(scope="session")
def shared_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    """A studio for several visitors, each of whom sees the own runs."""
    with studio_process(tmp_path_factory.mktemp("studio"), "--shared") as served:
        yield served
