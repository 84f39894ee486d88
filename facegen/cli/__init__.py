"""The command line: one list of commands, one file a job.

Each module below holds either a function of the module's name, which becomes a command, or a `typer.Typer` called
`app`, which becomes a group of commands. They import torch and the like inside their functions, so that help is quick.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from facegen import __version__

SUMMARIES = {
    "swap": "Put a face into a video or a picture.",
    "generate": "Draw faces that do not exist, or edit one in a photograph.",
    "talk": "Make a portrait speak, or give a person in a video other words.",
    "video": "Look at clips, cut, join and denoise them; stills out of a clip and back.",
    "faceset": "Faces out of videos and pictures: extract, sort, clean, mask.",
    "train": "Train a model, and go on, compare and export.",
    "runs": "List, watch, cancel, resume and delete runs.",
    "weights": "List, fetch, verify and remove model files.",
    "verify": "Say whether facegen made pictures, videos or sounds.",
    "studio": "Serve everything in the browser.",
    "doctor": "Report versions, device, memory, disk, encoders and model files.",
}
"""What each command does, for the help of them all, which loads none of them."""
COMMANDS = tuple(SUMMARIES)


class _InOrder(TyperGroup):
    """Lists the commands in the order above, which typer would sort by whether they are groups."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in COMMANDS if name in self.commands]


def build_app(arguments: Sequence[str] | None = None) -> typer.Typer:
    """The command line.

    Args:
        arguments: what was typed: where the first one names a command, that one is loaded, else none, as only help and what is
            wrong can be said. None loads every one.
    """
    app = typer.Typer(
        cls=_InOrder,
        help="A studio for synthetic faces: swap, talk, train, and look after what they need.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # its boxes cut names of options on narrow terminals
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    typed = tuple(arguments or ())
    for name, summary in SUMMARIES.items():
        if arguments is not None and typed[:1] != (name,):
            app.command(name, help=summary)(_name_alone)
            continue
        module = import_module(f"facegen.cli.{name}")
        # `facegen swap` and `facegen talk` take options themselves, so their «train» is a group of its own
        group = "train_app" if typed[1:2] == ("train",) and hasattr(module, "train_app") else "app"
        if hasattr(module, group):
            app.add_typer(getattr(module, group), name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def _name_alone() -> None:
    """Stands for a command that was not typed."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facegen {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass
