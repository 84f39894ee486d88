"""Twenty visitors with mixed work in one shared studio, over HTTP: wrong deliveries, lost work, memory, fairness, waiting times.

Each visitor has files, lengths and seeds of their own, by which whatever arrives is recognised. A quarter of them are greedy and
keep three runs waiting where the others keep one. Small things are first timed while the studio is quiet, by one visitor.
"""

import argparse
import hashlib
import random
import statistics
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from gradio_client import Client, handle_file
from gradio_client.client import Job
from gradio_client.exceptions import AppError

from benchmarks.report import report
from facegen import media
from facegen.jobs import Run, list_runs
from facegen.ui.examples import FILES
from tests.studio_process import StudioProcess, studio_process

MEASURES = ("facegen/ui", "facegen/jobs", "facegen/worker.py")
PEOPLE = ("ada", "bea", "carl", "dan")
SMALL = ("slider", "preview", "status", "verify")
SHARES = (0.4, 0.15, 0.4, 0.05)
"""How often each small thing is chosen."""
_QUIET_ROUNDS = 8
_DRAIN_SECONDS = 900.0
_PATIENCE_SECONDS = 120.0
"""How long a client waits for one answer over HTTP."""
_TRAINING = {"steps": 3, "minutes": 1, "device": "cpu", "save_every": 100}


@dataclass
class Ledger:
    """What happened, of all visitors; its methods may be called by several threads."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of each small thing."""
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, text: str) -> None:
        """A wrong delivery («wrong») or something that broke («errors»)."""
        with self.lock:
            getattr(self, kind).append(text)
            print(f"{kind}: {text}", flush=True)

    def refuse(self, sentence: str) -> None:
        """A refusal by a limit, which is an answer, too."""
        with self.lock:
            self.refused[sentence[:100]] += 1

    def time(self, what: str, seconds: float) -> None:
        """How long a small thing took."""
        with self.lock:
            self.seconds[what].append(seconds)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One run that was asked for and has not been looked at yet."""

    kind: str
    job: Job
    check: Callable[[Any], str]
    """Says what is wrong with the answer; nothing where it is this visitor's."""


class Visitor:
    """One of them: an address, files, lengths and a seed that nobody else has."""

    def __init__(
        self, number: int, studio: StudioProcess, folder: Path, ledger: Ledger, *, think_seconds: float
    ) -> None:
        self.number, self.ledger, self.think_seconds = number, ledger, think_seconds
        self.folder = folder / f"visitor-{number}"
        self.folder.mkdir(parents=True)
        self.greedy = number % 4 == 0
        self.random = random.Random(number)
        self.side = 200 + 4 * number
        self.picture = str(self.folder / f"visitor-{number}.jpg")
        face = cv2.imread(str(FILES / f"{PEOPLE[number % 4]}.jpg"))
        cv2.imwrite(self.picture, cv2.resize(face, (self.side, self.side), interpolation=cv2.INTER_AREA))
        self.source = str(FILES / f"{PEOPLE[(number + 1) % 4]}.jpg")
        self.done: Counter[str] = Counter()
        self.small = 0
        self.names: set[str] = set()
        self._asks: list[Ask] = []
        self._face = ""
        self._client = Client(
            studio.url,
            verbose=False,
            analytics_enabled=False,
            download_files=str(self.folder),
            headers={"x-forwarded-for": f"203.0.113.{number + 1}"},
            httpx_kwargs={"timeout": _PATIENCE_SECONDS},
        )

    # -- small things ------------------------------------------------------------------------------------------------

    def do_small(self, what: str) -> None:
        """One small thing, timed and checked."""
        began = time.perf_counter()
        try:
            wrong = getattr(self, f"_{what}")()
        except AppError as error:
            self.ledger.refuse(str(error))
            return
        except Exception as error:
            self.ledger.note("errors", f"visitor {self.number}, {what}: {type(error).__name__}: {error}")
            return
        self.ledger.time(what, time.perf_counter() - began)
        self.small += 1
        if wrong:
            self.ledger.note("wrong", f"visitor {self.number}, {what}: {wrong}")

    def _slider(self) -> str:
        options = {"seed": 1000 + self.number, "count": 1, "retouch": False}
        (face,) = self._client.predict(sliders={}, options=options, more={}, api_name="/generate")
        digest = hashlib.sha256(media.read_picture(face).tobytes()).hexdigest()
        self._face = self._face or digest
        return "" if digest == self._face else "another face than before of the same seed"

    def _preview(self) -> str:
        asked = {**self._swap(self.picture, {}), "frame": 0}
        before, after = self._client.predict(**asked, api_name="/swap_preview")
        sizes = {media.read_picture(path).shape[:2] for path in (before, after)}
        return "" if sizes == {(self.side, self.side)} else f"a picture of {sizes}"

    def _status(self) -> str:
        found = {run["run"] for run in self._client.predict(api_name="/runs")}
        with self.ledger.lock:
            self.names |= found
        return ""

    def _verify(self) -> str:
        said = self._client.predict(path=handle_file(self.picture), api_name="/verify")
        return "" if said["file"] == Path(self.picture).name else f"the report of {said['file']}"

    # -- runs --------------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask for a run, of a kind drawn anew each time."""
        kind = self.random.choices(("picture", "clip", "talk", "train"), (0.45, 0.3, 0.15, 0.1))[0]
        self._asks.append(getattr(self, f"_ask_{kind}")())

    def _ask_picture(self) -> Ask:
        # another strength each time: nobody is refused for having asked for the same before
        options = {"colour": round(self.random.random(), 4)}
        job = self._client.submit(**self._swap(self.picture, options), api_name="/swap")

        def check(answer: Any) -> str:
            shape = media.read_picture(answer[1]).shape[:2]
            return "" if shape == (self.side, self.side) else f"a picture of {shape}"

        return Ask(kind="picture", job=job, check=check)

    def _ask_clip(self) -> Ask:
        frames = 3 + self.number
        options = {"end_seconds": frames / 25, "preset": "ultrafast", "colour": round(self.random.random(), 4)}
        job = self._client.submit(**self._swap(str(FILES / "bea.mp4"), options), api_name="/swap")

        def check(answer: Any) -> str:
            found = media.probe(answer[1]).frame_count
            return "" if found == frames else f"{found} frames in place of {frames}"

        return Ask(kind="clip", job=job, check=check)

    def _ask_talk(self) -> Ask:
        seconds = round(0.4 + 0.04 * self.number, 2)
        asked = {
            "portrait": handle_file(self.picture),
            "audio": handle_file(str(FILES / "said.m4a")),
            "driving": None,
            "options": {"seconds": seconds, "seed": self.random.randrange(1 << 20)},
            "consent": True,
        }
        job = self._client.submit(**asked, api_name="/talk")

        def check(answer: Any) -> str:
            found = media.probe(answer[1]).duration_seconds
            return "" if abs(found - seconds) < 0.03 else f"{found:.2f} seconds in place of {seconds}"

        return Ask(kind="talk", job=job, check=check)

    def _ask_train(self) -> Ask:
        asked = {
            "task": "autoencoder",
            "preset": "tiny",
            "data": [handle_file(str(FILES / f"face-{index}.jpg")) for index in range(4)],
            "folder": "",
            "settings": {**_TRAINING, "seed": self.random.randrange(1 << 20)},
            "consent": True,
        }
        job = self._client.submit(**asked, api_name="/train_start")
        return Ask(kind="train", job=job, check=lambda answer: "" if answer["task"] == "autoencoder" else str(answer))

    def _swap(self, target: str, options: Mapping[str, Any]) -> dict[str, Any]:
        sources, shown = [handle_file(self.source)], handle_file(target)
        return {"sources": sources, "target": shown, "options": dict(options), "people": None, "consent": True}

    def collect(self) -> None:
        """Look at the answers that have come."""
        for ask in [one for one in self._asks if one.job.done()]:
            self._asks.remove(ask)
            try:
                answer = ask.job.result()
                wrong = ask.check(answer)
            except AppError as error:
                self.ledger.refuse(str(error))
                continue
            except Exception as error:
                self.ledger.note("errors", f"visitor {self.number}, {ask.kind}: {type(error).__name__}: {error}")
                continue
            status = answer[0] if isinstance(answer, (list, tuple)) else answer
            with self.ledger.lock:
                self.names.add(status["run"])
            self.done[ask.kind] += 1
            if wrong:
                self.ledger.note("wrong", f"visitor {self.number}, {ask.kind}: {wrong}")

    def live(self, until: float) -> None:
        """Ask, look about and collect until a time (monotonic seconds), then wait for what was asked for."""
        time.sleep(self.random.uniform(0, self.think_seconds))
        while time.monotonic() < until:
            if len(self._asks) < (3 if self.greedy else 1):
                self.ask()
            self.do_small(self.random.choices(SMALL, SHARES)[0])
            time.sleep(self.random.uniform(0.5, 1.5) * self.think_seconds)
            self.collect()

    def drain(self) -> None:
        """Wait for what is left."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._asks and time.monotonic() < deadline:
            self.collect()
            time.sleep(0.5)
        for ask in self._asks:
            self.ledger.note("errors", f"visitor {self.number}, {ask.kind}: no answer")
        self.do_small("status")

    def check_foreign(self, others: "list[Visitor]") -> None:
        """None of the runs that this visitor saw may be seen by another, and none is opened by its name."""
        foreign = set().union(*(other.names for other in others if other is not self))
        if both := self.names & foreign:
            self.ledger.note("wrong", f"visitor {self.number} sees runs of others: {sorted(both)}")
        for name in sorted(foreign)[:2]:
            with suppress(AppError):
                self._client.predict(name=name, api_name="/run_result")
                self.ledger.note("wrong", f"visitor {self.number} opened {name}")


class Memory(threading.Thread):
    """Samples the memory of the studio itself, twice a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process, self._end = psutil.Process(pid), threading.Event()
        self.samples: list[tuple[float, float]] = []
        """Seconds since the beginning, megabytes."""
        self._began = time.monotonic()

    def run(self) -> None:
        """Sample until `stop`."""
        with suppress(psutil.NoSuchProcess):
            while not self._end.wait(0.5):
                used = self._process.memory_info().rss / 1e6
                self.samples.append((time.monotonic() - self._began, used))

    def stop(self) -> list[float]:
        """Megabytes at the ends of six equal parts of the time: the median of each part."""
        self._end.set()
        self.join()
        parts = np.array_split(np.array([used for _, used in self.samples]), 6)
        return [round(float(np.median(part)), 1) for part in parts if len(part)]


def soak(folder: Path, *, visitors: int, minutes: float, think_seconds: float) -> dict[str, Any]:
    """Run it in a new studio.

    Args:
        folder: an empty one, for the studio's home and all files.
        visitors: how many.
        minutes: how long they ask for things; what is accepted then is waited for.
        think_seconds: mean pause of a visitor between two small things.

    Returns:
        The figures, and `rows`: one for each small thing.
    """
    quiet, busy = Ledger(), Ledger()
    with studio_process(folder / "home", "--profile", "shared") as studio:
        first = Visitor(99, studio, folder, quiet, think_seconds=0)
        for what in SMALL * _QUIET_ROUNDS:
            first.do_small(what)
        everybody = [Visitor(n, studio, folder, busy, think_seconds=think_seconds) for n in range(visitors)]
        memory = Memory(studio.process.pid)
        memory.start()
        until = time.monotonic() + minutes * 60
        with ThreadPoolExecutor(visitors) as pool:
            list(pool.map(lambda visitor: visitor.live(until), everybody))
            served = {visitor.number: _count_finished(studio, visitor) for visitor in everybody}
            list(pool.map(Visitor.drain, everybody))
        used = memory.stop()
        for visitor in everybody:
            visitor.check_foreign(everybody)
        _wait_for_runs(studio)
        return _figures(studio, everybody, quiet, busy, served, used)


def _count_finished(studio: StudioProcess, visitor: Visitor) -> int:
    visitor.do_small("status")
    return sum(Run(studio.home / "runs" / name).status().state == "done" for name in visitor.names)


def _wait_for_runs(studio: StudioProcess) -> None:
    deadline = time.monotonic() + _DRAIN_SECONDS
    while time.monotonic() < deadline and any(run.status().is_active for run in list_runs(studio.home / "runs")):
        time.sleep(0.5)


def _figures(
    studio: StudioProcess,
    everybody: list[Visitor],
    quiet: Ledger,
    busy: Ledger,
    served: Mapping[int, int],
    used: list[float],
) -> dict[str, Any]:
    rows = []
    for what in SMALL:
        before, under = quiet.seconds[what], busy.seconds[what]
        if not before or not under:
            continue
        calm = statistics.median(before)
        p95 = float(np.percentile(under, 95))
        rows.append(
            {
                "small thing": what,
                "times": len(under),
                "quiet median (s)": round(calm, 3),
                "median (s)": round(statistics.median(under), 3),
                "p95 (s)": round(p95, 3),
                "p95 / quiet": round(p95 / calm, 2),
            }
        )
    standing = {run.name: run.status() for run in list_runs(studio.home / "runs")}
    named = set().union(*(visitor.names for visitor in everybody))
    mean = statistics.mean(served.values())
    return {
        "rows": rows,
        "visitors": len(everybody),
        "runs": len(standing),
        "runs done": sum(status.state == "done" for status in standing.values()),
        "failed": [f"{name}: {one.text}" for name, one in standing.items() if one.state != "done"],
        "lost": sorted(named - set(standing)) + [name for name, one in standing.items() if one.is_active],
        "wrong deliveries": busy.wrong + quiet.wrong,
        "errors": busy.errors + quiet.errors,
        "refused": dict(busy.refused),
        "small things": sum(visitor.small for visitor in everybody),
        "runs served in time": dict(served),
        "least served / mean": round(min(served.values()) / mean, 2) if mean else 0.0,
        "memory of the studio (MB)": used,
    }


def main(arguments: list[str]) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the visitors ask for things")
    parser.add_argument("--visitors", type=int, default=20, help="how many there are")
    parser.add_argument("--think", type=float, default=6.0, help="mean seconds between two small things of a visitor")
    known = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="facegen-soak-") as folder:
        figures = soak(Path(folder), visitors=known.visitors, minutes=known.minutes, think_seconds=known.think)
    rows = figures.pop("rows")
    report("soak", rows, measures=MEASURES, figures={"minutes": known.minutes, **figures})
