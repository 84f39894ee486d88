"""`facegen studio`: everything in the browser."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from facegen.cli.command import Device, use_device
from facegen.errors import InputError
from facegen.system import replace_process


def studio(
    profile: Annotated[
        str,
        typer.Option(
            metavar="own|shared|space",
            help="Whom it is for: limits, tabs, host (default: own; space on a Space of Hugging Face).",
        ),
    ] = "",
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; 0.0.0.0 serves the whole network (default: the profile's, 127.0.0.1)."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 7860,
    shared: Annotated[
        bool | None,
        typer.Option(
            "--shared/--own", help="Whether each visitor sees only the own runs (default: when others can reach it)."
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Change a limit of the profile, such as clip_seconds=120, max_upload_mb=500, runs_at_once=2, keep_hours=48; "
            "may be repeated.",
        ),
    ] = None,
    auth_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Let only those sign in whose names and hashed passwords this file holds."),
    ] = None,
    add_user: Annotated[
        str, typer.Option(metavar="NAME", help="Add a name to --auth-file, ask for its password, and end.")
    ] = "",
    device: Device = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Say where it is as one line of JSON, for a program that starts it.")
    ] = False,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Serve agents too, at /mcp (Model Context Protocol; needs facegen[mcp]).")
    ] = False,
    mcp_folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The one folder whose files agents may name; it gets their results."),
    ] = None,
    mcp_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Let agents name https: URLs of this host; may be repeated (default: none)."),
    ] = None,
) -> None:
    """Serve the studio in the browser until it is stopped with Ctrl-C."""
    if add_user:
        if auth_file is None:
            raise InputError("Expected --auth-file with --add-user, found none; name the file of accounts.")
        replace_process([sys.executable, "-m", "facegen.ui.accounts", str(auth_file), add_user], os.environ)
    settings = {"GRADIO_SERVER_PORT": str(port)}
    if host is not None or not profile:
        settings["GRADIO_SERVER_NAME"] = host or "127.0.0.1"
    if profile:
        settings["FACEGEN_PROFILE"] = profile
    if limit:
        settings["FACEGEN_LIMITS"] = ";".join(limit)
    if auth_file is not None:
        settings["FACEGEN_AUTH_FILE"] = str(auth_file.absolute())
    if as_json:
        settings["FACEGEN_JSON"] = "1"
    use_device(device)
    if mcp:
        settings["FACEGEN_MCP"] = "1"
        settings["FACEGEN_MCP_FOLDER"] = str(mcp_folder or "")
        settings["FACEGEN_MCP_HOSTS"] = ",".join(mcp_host or [])
    if shared is not None:
        settings["FACEGEN_SHARED"] = str(int(shared))
    # The browser's room lies to the right of this one and may not be imported here: it takes over the process.
    replace_process([sys.executable, "-m", "facegen.ui"], {**os.environ, **settings})
