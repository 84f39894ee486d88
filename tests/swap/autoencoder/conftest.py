"""Trainings for two people: their clip is a short one."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def clip(short_clip: Path) -> Path:
    return short_clip
