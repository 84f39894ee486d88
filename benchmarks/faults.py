"""Kills, full and read-only disks, a clock that is set, a device out of memory: what becomes of runs that were accepted.

Everything goes through a real studio over HTTP. After each fault the run must have ended with a sentence that says why, or go
on; asked to resume, it must end well, and what is presented in between must be whole and signed. The same swap without a fault
is the measure: what comes out after a fault is equal to it, picture by picture.
"""

import argparse
import os
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.fault_bench import FRAMES, Bench, Row, has_ended, pictures_of, wait_until
from benchmarks.fault_disks import can_mount, fill, read_only, small_disk
from benchmarks.report import report
from facegen import media
from facegen.errors import FacegenError
from facegen.jobs import Run
from facegen.provenance import read_credentials
from facegen.ui.examples import FILES
from tests.studio_process import studio_process

MEASURES = ("facegen/ui", "facegen/jobs", "facegen/worker.py")
_SITE = Path(__file__).with_name("fault_site.py")
_WORDS = {
    "worker": ("without a word",),
    "full": ("disk", "space"),
    "read-only": ("written", "write", "Read-only"),
    "memory": ("memory",),
}
"""What a sentence about each fault speaks of: one of these."""


_MORE_TRIES = 7
"""A single fault may come too late several times in a row, where the machine was slower when a run was measured."""


class Faults:
    """All kinds of faults, one after another."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.pictures = folder / "pictures"
        self.pictures.mkdir(parents=True)
        for index in range(4):
            (self.pictures / f"{index}.jpg").write_bytes((FILES / f"face-{index}.jpg").read_bytes())
        self._whole = ""
        self._seconds = 5.0

    # -- kills -------------------------------------------------------------------------------------------------------

    def kill_workers(self, count: int, *, encoding: bool) -> Row:
        """Kill the process of a swap, at any moment or while it draws and encodes frames; then resume it."""
        row = Row("encoder killed" if encoding else "worker killed")
        with self._bench("workers") as bench:
            self._measure(bench)
            for _ in self._tries(row, count):
                run = bench.swap()
                if encoding:
                    wait_until(run, lambda status: has_ended(status) or status.text.startswith("Swapping"))
                    time.sleep(self.random.uniform(0, 0.5))
                else:
                    wait_until(run, lambda status: status.state != "queued")
                    time.sleep(self.random.uniform(0, self._seconds))
                if _kill(run):
                    row.times += 1
                    self._judge(bench, run, row, "worker")
        return row

    def kill_trainings(self, count: int) -> Row:
        """Kill a training at any moment after its start; then resume it."""
        row = Row("training killed")
        with self._bench("trainings") as bench:
            for _ in self._tries(row, count):
                run = bench.train(self.pictures, 40)
                wait_until(run, lambda status: has_ended(status) or status.progress > 0)
                time.sleep(self.random.uniform(0, 1.0))
                if _kill(run):
                    row.times += 1
                    self._judge(bench, run, row, "worker")
        return row

    def kill_studios(self, count: int) -> Row:
        """Kill the studio with one run at work and one that waits; the next studio must list both, and end both."""
        row = Row("studio killed")
        home = self.folder / "studios"
        for number in range(count):
            with studio_process(home) as studio:
                bench = Bench(studio, self.folder)
                runs = [bench.swap(0.5 + 0.001 * number), bench.swap(0.8 + 0.001 * number)]
                wait_until(runs[0], lambda status: status.state != "queued")
                time.sleep(self.random.uniform(0, self._seconds))
                studio.process.kill()
                studio.process.wait()
                row.times += 1
                with studio_process(home) as later:
                    bench = Bench(later, self.folder)
                    if missing := {run.name for run in runs} - bench.names():
                        row.wrong.append(f"not listed after the kill: {missing}")
                    for run in runs:
                        self._judge(bench, run, row, "worker")
        return row

    # -- places and devices ------------------------------------------------------------------------------------------

    def fill_disk(self, count: int) -> Row:
        """Fill the disk at any moment of a swap, free it again, resume."""
        row = Row("disk full")
        with small_disk(self.folder / "full") as home, self._bench("", home=home) as bench:
            self._measure(bench)
            for _ in self._tries(row, count):
                run = bench.swap()
                wait_until(run, lambda status: status.state != "queued")
                time.sleep(self.random.uniform(0, self._seconds))
                if not run.status().is_active:
                    continue
                row.times += 1
                fill(home / "filler")
                bench.wait(run)
                self._check_presented(bench, run, row)
                (home / "filler").unlink()
                bench.state(run)
                self._judge(bench, run, row, "full")
        return row

    def close_disk(self, count: int) -> Row:
        """Make the disk read-only at any moment of a swap, open it again, resume."""
        row = Row("disk read-only")
        with small_disk(self.folder / "closed") as home, self._bench("", home=home) as bench:
            self._measure(bench)
            for _ in self._tries(row, count):
                run = bench.swap()
                wait_until(run, lambda status: status.state != "queued")
                time.sleep(self.random.uniform(0, self._seconds))
                with read_only(home):
                    row.times += run.status().is_active
                    bench.wait(run)
                bench.state(run)
                self._judge(bench, run, row, "read-only")
        return row

    def set_clock(self, count: int) -> Row:
        """Set the clock a day on and back while a swap works and another waits."""
        row = Row("clock set")
        with self._bench("clock", faults=True) as bench:
            for number in range(count):
                runs = [bench.swap(0.3 + 0.001 * number), bench.swap(0.4 + 0.001 * number)]
                for offset in (86400.0, -86400.0, 0.0):
                    wait_until(runs[0], lambda status: status.state != "queued")
                    time.sleep(self.random.uniform(0, self._seconds / 3))
                    (self.folder / "faults" / "clock").write_text(str(offset))
                row.times += 1
                for run in runs:
                    self._judge(bench, run, row, "worker", must_finish=True)
        return row

    def exhaust_device(self, count: int) -> Row:
        """Let the device's memory be at its end for a training, then resume it; a swap of the embedded engine needs no device."""
        row = Row("device out of memory (simulated)")
        full = self.folder / "faults" / "memory"
        with self._bench("memory", faults=True) as bench:
            for _ in range(count):
                full.touch()
                run = bench.train(self.pictures, 10)
                wait_until(run, has_ended)
                row.times += 1
                full.unlink()
                self._judge(bench, run, row, "memory", must_fail=True)
        return row

    def _tries(self, row: Row, count: int) -> Iterator[None]:
        """Until a fault has come so often while a run was at work; a run may end before it comes."""
        for _ in range(3 * count + _MORE_TRIES):
            if row.times < count:
                yield
        if row.times < count:
            row.wrong.append(f"only {row.times} of {count} came while a run was at work")

    # -- judgement ---------------------------------------------------------------------------------------------------

    def _judge(
        self, bench: Bench, run: Run, row: Row, fault: str, *, must_finish: bool = False, must_fail: bool = False
    ) -> None:
        """Hold a run that met a fault against what it owes."""
        row.runs += 1
        status = wait_until(run, has_ended)
        self._check_presented(bench, run, row)
        if status.state == "done":
            row.finished += 1
            if must_fail:
                row.wrong.append(f"{run.name} ended well without memory")
            return
        if must_finish or status.state != "failed":
            row.wrong.append(f"{run.name} is {status.state}: {status.text}")
        elif not any(word in status.text for word in _WORDS[fault]):
            row.wrong.append(f"{run.name} does not say why: {status.text}")
        if status.is_active:
            return  # it hangs, which was said
        bench.resume(run)
        status = wait_until(run, has_ended)
        if status.state != "done":
            row.wrong.append(f"{run.name} was resumed and is {status.state}: {status.text}")
            return
        row.explained += 1
        self._check_presented(bench, run, row)

    def _check_presented(self, bench: Bench, run: Run, row: Row) -> None:
        """What the studio hands out is whole, signed, and, of the measured swap, equal to it."""
        for path in bench.presented(run):
            if path.suffix == ".mp4":
                row.wrong += [f"{run.name}: {words}" for words in self._faults_of(path, run)]

    def _faults_of(self, path: Path, run: Run) -> Iterator[str]:
        try:
            frames, credentials = media.probe(path).frame_count, read_credentials(path)
            digest = pictures_of(path)
        except FacegenError as error:
            yield f"presented, and cannot be read: {error}"
            return
        if frames != FRAMES:
            yield f"presented with {frames} of {FRAMES} frames"
        if credentials is None or not credentials.is_intact:
            yield "presented without intact credentials"
        if self._whole and run.request["options"].get("colour") == 1.0 and digest != self._whole:
            yield "other pictures than without a fault"

    def _measure(self, bench: Bench) -> None:
        """The swap without a fault: its pictures, which carry the mark of this home's key, and how long a worker needs for it."""
        for _ in range(2):  # the first waits for models that later ones find loaded
            run = bench.swap()
            wait_until(run, lambda status: status.state != "queued")
            began = time.monotonic()
            assert wait_until(run, has_ended).state == "done", run.status().text
            self._seconds = time.monotonic() - began
        (made,) = (path for path in bench.presented(run) if path.suffix == ".mp4")
        self._whole = pictures_of(made)

    # -- surroundings ------------------------------------------------------------------------------------------------

    @contextmanager
    def _bench(self, name: str, *, home: Path | None = None, faults: bool = False) -> Iterator[Bench]:
        site = self.folder / "faults"
        before = {key: os.environ.get(key) for key in ("PYTHONPATH", "FACEGEN_FAULTS")}
        if faults:
            site.mkdir(exist_ok=True)
            shutil.copy(_SITE, site / "sitecustomize.py")
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), before["PYTHONPATH"])))
            os.environ["FACEGEN_FAULTS"] = str(site)
        try:
            with studio_process(home or self.folder / name) as studio:
                yield Bench(studio, self.folder)
        finally:
            for key, value in before.items():
                os.environ.pop(key, None) if value is None else os.environ.update({key: value})


def _kill(run: Run) -> bool:
    """Kill the process of a run; False where it has ended already."""
    status = run.status()
    if not status.is_active or status.pid is None:
        return False
    try:
        psutil.Process(status.pid).kill()
    except psutil.NoSuchProcess:
        return False
    return True


def run_faults(folder: Path, *, kills: int, others: int) -> list[Row]:
    """All faults.

    Args:
        folder: an empty one.
        kills: how many, in all, of studio, worker, encoder and training.
        others: how often each other fault.
    """
    faults = Faults(folder)
    share = max(1, kills // 4)
    kinds: list[Callable[[], Row]] = [
        lambda: faults.kill_workers(share, encoding=False),
        lambda: faults.kill_workers(share, encoding=True),
        lambda: faults.kill_trainings(share),
        lambda: faults.kill_studios(max(1, kills - 3 * share)),
        lambda: faults.set_clock(others),
        lambda: faults.exhaust_device(others),
    ]
    if can_mount():
        kinds += [lambda: faults.fill_disk(others), lambda: faults.close_disk(others)]
    rows = []
    for kind in kinds:
        try:
            rows.append(kind())
        except Exception as error:  # the other kinds are measured all the same
            traceback.print_exc()
            rows.append(Row(f"number {len(rows) + 1} broke off", wrong=[repr(error)]))
        print(rows[-1].as_dict(), *rows[-1].wrong, sep="\n", flush=True)
    return rows


def main(arguments: list[str]) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of studio, worker, encoder and training, in all")
    parser.add_argument("--others", type=int, default=5, help="how often each other fault")
    known = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="facegen-faults-") as folder:
        rows = run_faults(Path(folder), kills=known.kills, others=known.others)
    report(
        "faults",
        [row.as_dict() for row in rows],
        measures=MEASURES,
        figures={"wrong": [words for row in rows for words in row.wrong]},
        notes=["The encoder works in the worker's process: it is killed while frames are drawn and encoded."],
    )
