"""The command line: one list of commands, one file a job.

Each module below holds either a function of the module's name, which becomes a command, or a `typer.Typer` called
`app`, which becomes a group of commands. They import torch and the like inside their functions, so that help is quick.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from facegen import __version__

COMMANDS = ("swap", "generate", "talk", "video", "faceset", "train", "runs", "weights", "verify", "studio", "doctor")


class _InOrder(TyperGroup):
    """Lists the commands in the order above, which typer would sort by whether they are groups."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in COMMANDS if name in self.commands]


def build_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line; where the first argument names a command, only that one is loaded."""
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
    named = [name for name in COMMANDS if arguments and name == arguments[0]]
    for name in named or COMMANDS:
        if find_spec(f"facegen.cli.{name}") is None:
            continue
        module = import_module(f"facegen.cli.{name}")
        # `facegen swap` and `facegen talk` take options themselves, so their «train» is a group of its own
        group = "train_app" if tuple(arguments[1:2]) == ("train",) and hasattr(module, "train_app") else "app"
        if hasattr(module, group):
            app.add_typer(getattr(module, group), name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


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
