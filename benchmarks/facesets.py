"""Facesets: people told apart in photographs, faces a second cut out of clips, and work on ten thousand faces."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report import report

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CLIPS = ("clips/liveportrait_d10.mp4", "talking/synthetic/vasa_5.mp4")
FACES = 10_000


def main(arguments: list[str]) -> None:
    """Facesets: B-cubed F1 on photographs, extraction in images a second, and work on 10,000 faces."""
    options = argparse.ArgumentParser(prog="facesets")
    options.add_argument("--only", choices=("people", "extract", "large"), help="one part")
    only = options.parse_args(arguments).only
    rows: list[dict[str, object]] = []
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="facegen-facesets-") as folder:
        for name, part in (("people", _people), ("extract", _extract), ("large", _large)):
            if only in (None, name):
                part(Path(folder), rows, figures)
    report("facesets" if only is None else f"facesets_{only}", rows=rows, figures=figures)


def _people(folder: Path, rows: list[dict[str, object]], figures: dict[str, float]) -> None:
    from facegen.facesets import ExtractOptions, Faceset, cluster, extract

    started = time.perf_counter()
    extract([DATA / "identities"], folder / "people", ExtractOptions(max_faces=1))
    faceset = Faceset.open(folder / "people")
    person = {record.file_name: record.source.split("/")[0] for record in faceset.records}
    groups = [[record.file_name for record in group] for group in cluster.cluster(faceset)]
    precision, recall, f1 = cluster.bcubed(groups, person.__getitem__)
    seconds = time.perf_counter() - started
    rows.append({"what": f"{len(faceset)} photographs of 40 people", "result": f"{len(groups)} groups, F1 {f1:.4f}"})
    figures |= {"bcubed_precision": precision, "bcubed_recall": recall, "bcubed_f1": f1, "people_seconds": seconds}


def _extract(folder: Path, rows: list[dict[str, object]], figures: dict[str, float]) -> None:
    from facegen.facesets import ExtractOptions, extract

    for clip in CLIPS:
        for every in (1, 10):
            started = time.perf_counter()
            made = extract([DATA / clip], folder / f"{Path(clip).stem}-{every}", ExtractOptions(every=every))
            rate = made.looked_at / (time.perf_counter() - started)
            rows.append(
                {"what": f"extract {clip}, every {every}", "result": f"{rate:.1f} images/s, {made.faces} faces"}
            )
            figures[f"extract_{Path(clip).stem}_every{every}"] = rate


def _large(folder: Path, rows: list[dict[str, object]], figures: dict[str, float]) -> None:
    _make_large(folder)
    for name in ("sort blur", "sort hist", "sort hist-dissim", "sort difference", "sort identity", "sort final",
                 "cluster", "info", "clean duplicates"):  # fmt: skip
        seconds, megabytes = _apart(name, folder / "large")
        rows.append({"what": f"{FACES} faces: {name}", "result": f"{seconds:.1f} s, {megabytes:.0f} MB at most"})
        figures[f"large_{name.replace(' ', '_')}_seconds"] = seconds
        figures[f"large_{name.replace(' ', '_')}_mb"] = megabytes


def _make_large(folder: Path) -> None:
    """Ten thousand faces of twenty made-up people: pictures of a real clip under many names, each with a record."""
    from facegen.facesets import ExtractOptions, Faceset, extract

    extract([DATA / CLIPS[0]], folder / "few", ExtractOptions(every=4))
    few = Faceset.open(folder / "few")
    random = np.random.default_rng(0)
    people = random.normal(size=(20, 128)) * 0.07
    (folder / "large").mkdir()
    records = []
    for number in range(FACES):
        model = few.records[number % len(few)]
        name = f"face-{number}_0.jpg"
        os.link(few.path(model), folder / "large" / name)
        vector = people[number % 20] + random.normal(size=128) * 0.018
        records.append(
            model.replace(
                file_name=name,
                embedding=vector.astype(np.float32),
                yaw_deg=float(random.normal() * 25),
                pitch_deg=float(random.normal() * 10),
                sharpness=float(random.gamma(8, 2.5)),
                phash=f"{random.integers(0, 2**63):016x}",
            )
        )
    Faceset(folder / "large", records).write(records)


def _apart(name: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory of one piece of work in a process of its own, opening the faceset included."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, folder, sender))
    process.start()
    found: tuple[float, float] = receiver.recv()
    process.join()
    return found


def _work(name: str, folder: Path, sender: object) -> None:
    from facegen.facesets import CleanOptions, Faceset, cluster, info
    from facegen.facesets.clean import propose
    from facegen.facesets.sort import sort

    kind, _, key = name.partition(" ")
    jobs: dict[str, Callable[[Faceset], object]] = {
        "sort": lambda faceset: sort(faceset, key, count=2000),
        "cluster": cluster.cluster,
        "info": info.draw,
        "clean": lambda faceset: propose(faceset, CleanOptions(reasons=("duplicate",))),
    }
    started = time.perf_counter()
    jobs[kind](Faceset.open(folder))
    seconds = time.perf_counter() - started
    # the most memory since this program began; what getrusage says includes the parent's
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    sender.send((seconds, peak / 1024))  # type: ignore[attr-defined]
