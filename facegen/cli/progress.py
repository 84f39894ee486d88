"""The bar that a command shows in a terminal while it works."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[float, str], None]


@contextmanager
def progress_bar() -> Iterator[OnProgress | None]:
    """A bar with what is done and the time left; None where the output is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Starting", total=1.0)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)
