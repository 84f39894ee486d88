"""The studio: a page with a tab for each job, and how it is served."""

import atexit
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from facegen.errors import ResourceError
from facegen.system import lock_file
from facegen.ui import endpoints, hosts, languages, page, theme, visitors, zero_gpu
from facegen.ui.accounts import Accounts
from facegen.ui.agents.files import AgentSettings
from facegen.ui.handlers import CONSENT, Shell, note_list
from facegen.ui.missing import HubOptions
from facegen.ui.profile import TABS, Profile, choose_profile, for_host
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs import faceset, generate, live, models, runs, swap, talk, train, verify
from facegen.ui.tabs.train.trainings import is_limited

FOLDER_PREFIX, FOLDER_LOCK = "facegen-studio-", ".lock"
_GUARDED_PREFIX = "facegen-guarded-"
_UNLOCKED_SECONDS = 86_400
_held: list[Callable[[], None]] = []
"""Locks on this process's temporary folder, which the system releases however the process ends."""

_SWITCH_SECONDS = 0.0005
"""How long a thread may keep Python to itself: the server's own has many short things to do beside those that compute."""
_SESSIONS = 1000
"""How many sessions are kept, those last used. Gradio makes one for each page that is opened and each call of a program that names none, of
1.6 MB for this page, and would keep 10,000."""
_CACHE_SECONDS = (3600, 86400)
"""How often the temporary files are looked through, and how old they may become."""


def build_studio(settings: Profile | None = None) -> gr.Blocks:
    """The page with all its tabs; needs neither weights nor network."""
    create_temporary_folder()
    return _page(Services(settings))


def _page(services: Services) -> gr.Blocks:
    with gr.Blocks(title=page.TITLE, analytics_enabled=False, delete_cache=_CACHE_SECONDS) as studio:
        visitor = gr.State(Visitor(), delete_callback=services.end_visit)
        gr.HTML(theme.header(shared=services.settings.shared))
        consent = gr.Checkbox(label=CONSENT, value=False, elem_id="consent", elem_classes="fg-consent")
        shell = Shell(visitor=visitor, consent=consent, hub_options=HubOptions())
        if limits := services.settings.limits():
            gr.HTML(note_list("Limits of this studio:", limits), elem_id="limits")
        is_there = {tab: tab in services.settings.tabs for tab in TABS}
        with gr.Tabs(overflow_behavior="wrap") as tabs:
            with gr.Tab("Swap", id="swap", visible=is_there["swap"]):
                swap.build(services, shell)
            with gr.Tab("Generate", id="generate", visible=is_there["generate"]) as generate_tab:
                faces = generate.build(services, shell, generate_tab)
            with gr.Tab("Talk", id="talk", visible=is_there["talk"]):
                talk.build(services, shell)
            if is_there["live"] and not is_limited(services):
                with gr.Tab("Live", id="live"):
                    live.build(services, shell)
            with gr.Tab("Faceset", id="faceset", visible=is_there["faceset"]):
                faceset_timer = faceset.build(services, shell)
            with gr.Tab("Train", id="train", visible=is_there["train"]):
                train_timer = train.build(services, shell)
            with gr.Tab("Runs", id="runs", visible=is_there["runs"]) as runs_tab:
                runs_timer = runs.build(services, shell, runs_tab)
            with gr.Tab("Models", id="models", visible=is_there["models"]) as models_tab:
                models_timer = models.build(services, models_tab)
            with gr.Tab("Verify", id="verify", visible=is_there["verify"]) as verify_tab:
                verify.build(services, verify_tab)
        timers = [faceset_timer, train_timer, runs_timer, models_timer]

        def open_tab(event: gr.SelectData) -> list[gr.Timer]:
            services.open_tab(event.value)
            return [gr.Timer(active=event.value == label) for label in ("Faceset", "Train", "Runs", "Models")]

        def warm_up() -> None:
            services.open_tab("Swap")
            services.warm_up()
            faces.warm_up()

        tabs.select(open_tab, None, timers, show_progress="hidden", api_visibility="private")
        shell.hub_options.wire(services, visitor, [studio.load, tabs.select])
        endpoints.build(services, visitor)

        def identify_visitor(visit: Visitor, request: gr.Request) -> Visitor:
            known = visitors.recognise(visit, request.cookies, request.username) if services.settings.shared else visit
            services.begin_visit(known)
            return known

        studio.load(identify_visitor, visitor, visitor, show_progress="hidden", api_visibility="private")
        # once the page is there: at the start of the studio it would delay it
        studio.load(warm_up, None, None, show_progress="hidden", api_visibility="private")
    return studio


@contextmanager
def serve(
    host: str = "",
    port: int = 7860,
    *,
    shared: bool | None = None,
    profile: Profile | None = None,
    agents: AgentSettings | None = None,
    as_json: bool = False,
) -> Iterator[gr.Blocks]:
    """Serve the studio as long as the body lasts.

    Args:
        host: the address to listen on, the profile's where there is none; on another than this machine's own, the studio counts
            as shared.
        port: the port; 0 takes a free one.
        shared: whether each visitor sees only the own runs; None decides by the profile and by `host`.
        profile: limits and tabs.
        agents: what agents may reach, where they are served too.
        as_json: print where it is as a line of JSON.

    Raises:
        ResourceError: the port is taken.
    """
    profile = profile or choose_profile()
    host = host or profile.host
    create_temporary_folder()
    zero_gpu.default_to_cpu()
    sys.setswitchinterval(_SWITCH_SECONDS)
    services = Services(for_host(profile, host, shared))
    services.decode_apart()
    zero_gpu.face_drawer(services.models)
    studio = _page(services)
    port = port or _free_port(host)
    studio.queue(default_concurrency_limit=4, max_size=64)
    try:
        studio.launch(**_serving(host, port, services, studio, agents), prevent_thread_lock=True)
    except OSError as error:
        raise ResourceError(f"Expected port {port} to be free, but {error}; choose another with --port.") from error
    print(address_line(str(studio.local_url), as_json=as_json), flush=True)
    services.keep_queue()
    try:
        yield studio
    finally:
        services.close()
        studio.close(verbose=False)


def _waiting_events(studio: gr.Blocks, address: str) -> int:
    """How many events of an address wait or are at work."""
    queue = studio._queue
    waiting = [event for events in queue.event_queue_per_concurrency_id.values() for event in events.queue]
    at_work = [event for job in queue.active_jobs if job for event in job]
    return sum(visitors.address_of(event.request.scope) == address for event in (*waiting, *at_work))


def address_line(url: str, *, as_json: bool) -> str:
    """What a studio prints once it serves: a sentence, or `{"url": ..., "pid": ...}` for a program."""
    if as_json:
        return json.dumps({"url": url, "pid": os.getpid()})
    return f"The studio is at {url} (stop it with Ctrl-C)."


def _serving(
    host: str, port: int, services: Services, studio: gr.Blocks, agents: AgentSettings | None
) -> dict[str, Any]:
    own = [
        *hosts.middleware(services.settings),
        *visitors.middleware(services.settings, partial(_waiting_events, studio)),
        *page.middleware(),
    ]
    if agents is not None:
        from facegen.ui.agents.server import middleware

        own.append(middleware(services, agents))
    return {
        "server_name": host,
        "auth": Accounts(Path(accounts)) if (accounts := os.environ.get("FACEGEN_AUTH_FILE")) else None,
        "server_port": port,
        "share": services.settings.share,
        "allowed_paths": [],
        "max_file_size": f"{services.settings.max_upload_mb}mb",
        "theme": theme.studio_theme(),
        "css": theme.CSS,
        "head": languages.LANGUAGE + page.HEAD,
        "i18n": languages.translations(),
        "favicon_path": page.ICON,
        "app_kwargs": {"middleware": own},
        "footer_links": ["api"],
        "run_history": False,
        "state_session_capacity": _SESSIONS,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "show_error": True,
        # else Gradio looks at its own page for three seconds first, and ends a studio that starts while runs work
        "_frontend": False,
        "quiet": True,
    }


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


def create_temporary_folder() -> None:
    """Create the temporary folder of this process for uploads and results, and remove those of killed studios."""
    if "GRADIO_TEMP_DIR" not in os.environ:
        sweep_orphans(Path(tempfile.gettempdir()))
        folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
        os.environ["GRADIO_TEMP_DIR"] = folder
        _held.append(lock_file(Path(folder) / FOLDER_LOCK, waits=False))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def sweep_orphans(root: Path) -> None:
    """Remove the temporary folders of studios that have ended: their locks went with their processes.

    Args:
        root: the folder of temporary folders.
    """
    for folder in (*root.glob(f"{FOLDER_PREFIX}*"), *root.glob(f"{_GUARDED_PREFIX}*")):
        with suppress(OSError):  # held, or somebody else's
            if (folder / FOLDER_LOCK).is_file():
                release = lock_file(folder / FOLDER_LOCK, waits=False)
                shutil.rmtree(folder, ignore_errors=True)
                release()
            elif (
                time.time() - folder.stat().st_mtime > _UNLOCKED_SECONDS
            ):  # of a process with limits, or an older facegen
                shutil.rmtree(folder, ignore_errors=True)
