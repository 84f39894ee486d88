"""Extraction on the machines of a cluster, one task per piece of an input; the faceset is the same as on one machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from facegen.faces import FaceAnalyser
from facegen.facesets.extraction import Extraction, Piece
from facegen.facesets.options import ExtractOptions
from facegen.facesets.record import FaceRecord
from facegen.jobs.cluster import Cluster, SharedFile


@dataclass(frozen=True, kw_only=True)
class SharedExtraction:
    """Inputs that are common to all tasks of an extraction."""

    options: ExtractOptions
    persons: list[np.ndarray]
    others: list[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class SharedPiece:
    """A piece with its files."""

    piece: Piece
    files: Sequence[tuple[SharedFile, str, str]]
    """File, name as a source, and what its faces' names begin with."""


@dataclass(frozen=True, kw_only=True)
class PieceFaces:
    """Result of a piece."""

    records: list[FaceRecord]
    pictures: Mapping[str, bytes]
    """By path relative to the faceset's folder."""
    looked_at: int
    left_out: Mapping[str, int]
    skipped: Sequence[str]
    tracks: int


def extract(work: Extraction, pieces: Sequence[Piece], cluster: Cluster, report: Callable[[int, str], None]) -> None:
    """Process pieces of an extraction; progress is recorded in order, so that an interrupted command can resume.

    Raises:
        InputError: an input cannot be read.
        ResourceError: workers died again and again.
    """
    finished = 0

    def tick() -> None:
        report(finished, f"{work.added} faces")

    items = (_share(work, piece, cluster) for piece in pieces)
    shared = SharedExtraction(options=work.options, persons=work.persons, others=work.others)
    for piece, faces in zip(pieces, cluster.map(extract_shared, shared, items, on_tick=tick), strict=True):
        for name, content in faces.pictures.items():
            path = work.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        records: list[FaceRecord] = []
        for record in faces.records:
            track = record.track
            work.add(record if track is None else record.replace(track=work.next_track + track), records)
        work.next_track += faces.tracks
        work.looked_at += faces.looked_at
        work.skipped += faces.skipped
        for reason, count in faces.left_out.items():
            work.count_rejected(reason, count)
        work.record_progress(records, piece)
        finished = piece.before + piece.last
        tick()


def _share(work: Extraction, piece: Piece, cluster: Cluster) -> SharedPiece:
    entry = piece.input
    paths = [entry.video] if entry.video else entry.pictures[piece.first : piece.last]
    names = [entry.source_name(path) for path in paths]
    files = [
        (cluster.share_file(str(path)), name, work.unique_name(path, name))
        for path, name in zip(paths, names, strict=True)
    ]
    return SharedPiece(piece=piece, files=files)


def extract_shared(shared: SharedExtraction, item: SharedPiece) -> PieceFaces:
    """The task of one piece."""
    piece = item.piece
    paths = [Path(file.local()) for file, _, _ in item.files]
    names = dict(zip(paths, (name for _, name, _ in item.files), strict=True))
    if piece.input.video:
        piece = replace(piece, input=replace(piece.input, video=paths[0], names=names))
    else:
        pictures = tuple(paths)
        entry = replace(piece.input, pictures=pictures, names=names)
        piece = replace(piece, input=entry, first=0, last=len(pictures))
    with tempfile.TemporaryDirectory(prefix="facegen-faces-") as folder:
        work = Extraction(
            Path(folder), shared.options, _analyser(shared.options.detector), shared.persons, shared.others
        )
        work.slugs = {str(path.resolve()): slug for path, (_, _, slug) in zip(paths, item.files, strict=True)}
        records = work.extract(piece, lambda _done, _words: None)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        return PieceFaces(
            records=records,
            pictures={path.relative_to(folder).as_posix(): path.read_bytes() for path in files},
            looked_at=work.looked_at,
            left_out=work.left_out,
            skipped=work.skipped,
            tracks=work.next_track,
        )


@lru_cache(maxsize=2)
def _analyser(detector: str) -> FaceAnalyser:
    return FaceAnalyser().with_detector(detector)
