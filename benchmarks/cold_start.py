"""How long facegen takes from the start of a process to help, page, preview, face and talk, and which imports cost it."""

import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import psutil
from gradio_client import Client, handle_file

from benchmarks.report import report
from benchmarks.swap_clips import user_environment

MEASURES = ("facegen",)
_EMPTY_PAGE = """
import gradio
with gradio.Blocks(analytics_enabled=False) as page:
    gradio.Markdown("empty")
page.launch(server_name="127.0.0.1", server_port={port}, quiet=True)
"""
_STUDIO = """
import time
from facegen import catalog, hub
if {is_bare}:
    catalog.WEIGHTS = tuple(one for one in catalog.WEIGHTS if not isinstance(one.source, hub.Hub))
from facegen.ui.__main__ import serve
with serve(port={port}):
    time.sleep(600)
"""
_PAGE = "import facegen.ui.__main__; from facegen.ui.studio import build_studio; build_studio()"
EXAMPLES = Path(__file__).parents[1] / "facegen/ui/examples/files"
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")
_WAIT_SECONDS = 300
_SHOWN = 10
"""Packages of which the imports are shown for each command."""

Times = list[tuple[float, float]]
"""Seconds on the clock and seconds of CPU, one pair a round."""


def main(arguments: list[str]) -> None:
    """Time every start five times; with --quick twice."""
    rounds = 2 if "--quick" in arguments else 5
    with tempfile.TemporaryDirectory() as folder:
        environment = user_environment(folder)
        measured = measure(Path(folder), environment, rounds)
        catalog_ratio = compare_catalogs(environment, rounds)
        uncached = measure_uncached(_commands(Path(folder)), environment)
        imports = {
            "facegen --help": imports_of(["-m", "facegen", "--help"], environment),
            "the page": imports_of(["-c", _PAGE], environment),
            "facegen generate": imports_of(_face(Path(folder)), environment),
            "facegen talk": imports_of(_talk(Path(folder)), environment),
        }
    bare, empty = (statistics.median(cpu for _, cpu in measured[name]) for name in ("python", "Gradio's empty page"))
    rows = [
        {
            "from process start to": name,
            "median s": round(statistics.median(wall for wall, _ in times), 2),
            "slowest s": round(max(wall for wall, _ in times), 2),
            "median CPU s": round(cpu := statistics.median(cpu for _, cpu in times), 2),
            "times python": round(cpu / bare, 1),
            "times Gradio's empty page": round(cpu / empty, 2),
            "disk cache empty, s": uncached.get(name, "not measured"),
        }
        for name, times in measured.items()
    ]
    report(
        "cold_start",
        rows,
        figures={
            "page with the catalog, to page without its files of the Hub": catalog_ratio,
            "ms to import, by package": imports,
        },
        notes=[
            f"{rounds} rounds after one to warm up (modules compiled, files cached); ratios are of CPU seconds, which hardly "
            "feel what else the machine does. Aims on a quiet machine of 2 cores: help 0.3 s, page 5 s, first face 6 s.",
            "A page is there when its HTML has arrived; the preview is one frame of an example, asked for right after it.",
            "With the catalog and without: CPU seconds until the page has arrived, started in turn; median of the ratios of pairs.",
            "Disk cache empty: one start after all cached files were dropped (root alone may); of this machine's disk.",
            "Imports: time within each package's own modules (python -X importtime), the largest first.",
        ],
        measures=MEASURES,
    )


def _commands(folder: Path) -> dict[str, list[str]]:
    """Arguments of python for each start that is a command, by name."""
    facegen = ["-m", "facegen"]
    return {
        "python": ["-c", "pass"],
        "facegen --help": [*facegen, "--help"],
        "facegen swap --help": [*facegen, "swap", "--help"],
        "facegen runs list": [*facegen, "runs", "list"],
        "facegen weights list": [*facegen, "weights", "list"],
        "first face (facegen generate)": _face(folder),
        "first second of a talk (facegen talk)": _talk(folder),
    }


def measure(folder: Path, environment: dict[str, str], rounds: int) -> dict[str, Times]:
    """Times of each kind of start, by name."""
    measured: dict[str, Times] = {}
    for name, command in _commands(folder).items():
        measured[name] = [run_command(command, environment) for _ in range(rounds + 1)][1:]
    measured["Gradio's empty page"] = [empty_page(environment) for _ in range(rounds + 1)][1:]
    starts = [studio(environment) for _ in range(rounds + 1)][1:]
    measured["the studio's page"] = [page for page, _ in starts]
    measured["the studio's first preview"] = [preview for _, preview in starts]
    return measured


def _face(folder: Path) -> list[str]:
    return ["-m", "facegen", "generate", "--output", str(folder / "faces")]


def _talk(folder: Path) -> list[str]:
    portrait, sound = (str(EXAMPLES / name) for name in ("ada.jpg", "said.m4a"))
    options = ["--seconds", "1", "--consent", "--output", str(folder / "talk.mp4")]
    return ["-m", "facegen", "talk", "--portrait", portrait, "--audio", sound, *options]


def measure_uncached(commands: dict[str, list[str]], environment: dict[str, str]) -> dict[str, float]:
    """Seconds of each command with no file in the disk cache; empty where this user may not drop that."""
    seconds = {}
    for name, command in commands.items():
        subprocess.run(["sync"], check=True)
        try:
            _DROP_CACHES.write_text("3", encoding="ascii")
        except OSError:
            return {}
        seconds[name] = round(run_command(command, environment)[0], 2)
    return seconds


def run_command(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of a command from start to end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def empty_page(environment: dict[str, str]) -> tuple[float, float]:
    """Seconds until a page of gradio with one sentence has arrived."""
    return _page_of(_EMPTY_PAGE, environment)


def compare_catalogs(environment: dict[str, str], rounds: int) -> float:
    """How much more a studio's page takes with the files of the Hub in the catalog than without, as a ratio of CPU seconds."""
    pairs = [[_page_of(_STUDIO, environment, is_bare=bare)[1] for bare in (False, True)] for _ in range(rounds + 1)]
    return round(statistics.median(full / bare for full, bare in pairs[1:]), 3)


def _page_of(script: str, environment: dict[str, str], **choices: bool) -> tuple[float, float]:
    port = _free_port()
    command = [sys.executable, "-c", script.format(port=port, **choices)]
    started = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            return _wait_for_page(process, port, started)
        finally:
            process.kill()


def studio(environment: dict[str, str]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Seconds until the studio's page has arrived, and until one frame of an example's preview has."""
    port = _free_port()
    started = time.perf_counter()
    command = [sys.executable, "-m", "facegen", "studio", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            page = _wait_for_page(process, port, started)
            client = Client(f"http://127.0.0.1:{port}", verbose=False)
            sources, target = client.predict("ada_to_bea", api_name="/example")
            files = [handle_file(path) for path in sources], handle_file(target)
            client.predict(*files, None, None, 0, True, api_name="/swap_preview")
            return page, (time.perf_counter() - started, _cpu_seconds(process))
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for_page(process: "subprocess.Popen[bytes]", port: int, started: float) -> tuple[float, float]:
    while time.perf_counter() - started < _WAIT_SECONDS and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                answer.read()
                return time.perf_counter() - started, _cpu_seconds(process)
        except OSError:
            time.sleep(0.02)
    sys.exit(f"Expected a page on port {port} within {_WAIT_SECONDS} seconds, found none.")


def _cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def imports_of(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Milliseconds within the modules of each package that a command imports; rooms of facegen by their own names."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command], env=environment, capture_output=True, text=True, check=True
    )
    spent: dict[str, float] = defaultdict(float)
    for own, module in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", done.stderr, re.MULTILINE):
        first, _, rest = module.partition(".")
        spent[f"facegen.{rest.partition('.')[0]}" if first == "facegen" and rest else first] += int(own) / 1000
    largest = sorted(spent.items(), key=lambda item: -item[1])[:_SHOWN]
    return {"all": round(sum(spent.values()), 1), **{name: round(value, 1) for name, value in largest}}


if __name__ == "__main__":
    main(sys.argv[1:])
