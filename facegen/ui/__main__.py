"""`python -m facegen.ui`: serves the studio as the environment says; `app.py` and `facegen studio` end here.

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it listens (this machine only, port 7860), FACEGEN_PROFILE (own, shared,
space) and FACEGEN_LIMITS (key=value, separated by semicolons) which limits it has (`facegen/ui/profile.py`), and FACEGEN_SHARED (1 or
0) whether each visitor sees only the own runs (by default: when others can reach it). With FACEGEN_MCP=1 it serves agents too, who may
name files of FACEGEN_MCP_FOLDER and URLs of FACEGEN_MCP_HOSTS (separated by commas).
"""

import os
from pathlib import Path

from facegen.device import limit_malloc_arenas
from facegen.errors import InputError
from facegen.ui import import_of_gradio
from facegen.ui.profile import choose_profile
from facegen.worker import exit_codes

with import_of_gradio():
    from facegen.ui.agents.files import AgentSettings
    from facegen.ui.studio import serve


def main() -> None:
    """Serve until stopped; see `exit_codes` for how it ends."""
    limit_malloc_arenas()
    host = os.environ.get("GRADIO_SERVER_NAME", "")
    port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    shared = {"1": True, "0": False}.get(os.environ.get("FACEGEN_SHARED", ""))
    with exit_codes():
        settings = [one for one in os.environ.get("FACEGEN_LIMITS", "").split(";") if one.strip()]
        profile = choose_profile(os.environ.get("FACEGEN_PROFILE", ""), settings)
        as_json = os.environ.get("FACEGEN_JSON") == "1"
        with serve(host, port, shared=shared, profile=profile, agents=_agents(), as_json=as_json) as studio:
            studio.block_thread()


def _agents() -> AgentSettings | None:
    if os.environ.get("FACEGEN_MCP") != "1":
        return None
    folder = os.environ.get("FACEGEN_MCP_FOLDER", "")
    if folder and not Path(folder).is_dir():
        raise InputError(f"Expected a folder for agents at {folder}, found none; make it or choose another.")
    hosts = [host.strip().lower() for host in os.environ.get("FACEGEN_MCP_HOSTS", "").split(",") if host.strip()]
    return AgentSettings(folder=Path(folder).absolute() if folder else None, hosts=hosts)


if __name__ == "__main__":
    main()
