"""Facesets: people told apart in photographs, faces a second cut out of clips, and work on ten thousand faces."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import people
from benchmarks.division import DATA, PARTS, lay_out
from benchmarks.report import estimate, report

MEASURES = ("facegen/faces", "facegen/facesets")
CLIPS = ("clips/liveportrait_d10.mp4", "talking/synthetic/vasa_5.mp4")
FACES = 10_000
DIVISIONS = 20


def main(arguments: list[str]) -> None:
    """Facesets: B-cubed F1 on photographs, extraction in images a second, and work on 10,000 faces."""
    options = argparse.ArgumentParser(prog="facesets")
    options.add_argument("--only", choices=("people", "extract", "large"), help="one part")
    only = options.parse_args(arguments).only
    with tempfile.TemporaryDirectory(prefix="facegen-facesets-") as folder:
        for name, part in (("people", _people), ("extract", _extract), ("large", _large)):
            if only in (None, name):
                rows: list[dict[str, object]] = []
                figures: dict[str, Any] = {}
                part(Path(folder), rows, figures)
                measures = people.RECOGNITION_CODE if name == "people" else MEASURES
                report(f"facesets_{name}", rows=rows, figures=figures, measures=measures)


def _people(folder: Path, rows: list[dict[str, object]], figures: dict[str, Any]) -> None:
    """B-cubed of both parts, and of halves of all people when the limit is chosen on the other half."""
    from facegen.facesets.cluster import cluster_embeddings, stack_embeddings

    vectors: list[np.ndarray] = []
    names: list[str] = []
    for part in PARTS:
        lay_out(folder / part, part)
        records = people.named_faces(folder / part, folder / f"{part}-faces")
        own = [people.person_of(record) for record in records]
        labels = cluster_embeddings(stack_embeddings(records))
        by_face = people.bcubed_by_face(labels, own)
        groups = [by_face[np.array(own) == person] for person in sorted(set(own))]
        figures[part] = {
            "bcubed_f1": estimate(groups, people.f1),
            "bcubed_precision": estimate([group[:, 0] for group in groups]),
            "bcubed_recall": estimate([group[:, 1] for group in groups]),
        }
        what = f"{part}: {len(own)} photographs of {len(groups)} people"
        rows.append({"what": what, "result": f"{labels.max() + 1} groups, F1 {people.f1(by_face):.4f}"})
        vectors.append(stack_embeddings(records))
        names += own
    found = _cross_validate(np.concatenate(vectors), np.array(names))
    figures["other divisions"] = {"divisions": DIVISIONS, "bcubed_f1_mean": float(np.mean(found)), "least": min(found)}
    result = f"F1 {np.mean(found):.4f}, {min(found):.4f} at least"
    rows.append(
        {"what": f"limit chosen on half of all people, used on the others, {DIVISIONS} times", "result": result}
    )


def _cross_validate(vectors: np.ndarray, names: np.ndarray) -> list[float]:
    """F1 on one half of the people with the limit that is best on the other, by other seeds."""
    from facegen.facesets.cluster import cluster_embeddings

    found = []
    for seed in range(DIVISIONS):
        order = np.random.default_rng(seed).permutation(np.unique(names))
        is_first = np.isin(names, order[: len(order) // 2])
        limit = people.choose_limit(vectors[is_first], names[is_first].tolist())
        labels = cluster_embeddings(vectors[~is_first], limit)
        found.append(people.f1(people.bcubed_by_face(labels, names[~is_first].tolist())))
    return found


def _extract(folder: Path, rows: list[dict[str, object]], figures: dict[str, Any]) -> None:
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


def _large(folder: Path, rows: list[dict[str, object]], figures: dict[str, Any]) -> None:
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
