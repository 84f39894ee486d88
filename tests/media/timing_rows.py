"""Rows of docs/media.md, «Times, sound and damage»."""

from pathlib import Path

from tests.media.clips import named
from tests.media.reading import shown_times, sound_packets
from tests.media.table import Row


def _is_in_step(source: Path, output: Path) -> None:
    """Every frame is shown when it was, and so is every packet of sound."""
    assert shown_times(output) == shown_times(source)
    assert sound_packets(output) == sound_packets(source)


ROWS: tuple[Row, ...] = (
    Row(
        input="variable frame rate",
        result="every frame keeps its own time",
        make=lambda folder: named("variable_rate").write(folder),
        check=_is_in_step,
    ),
    Row(
        input="a picture that begins later than 0",
        result="begins as late",
        make=lambda folder: named("late_start").write(folder),
        check=_is_in_step,
    ),
)
