"""What a faceset holds: figures, and one picture of its spread."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facegen.facesets import cluster, trash
from facegen.facesets.faceset import Faceset, resize_picture

YAW_EDGES = np.arange(-75, 76, 10)
PITCH_EDGES = np.arange(-45, 46, 10)
_INK, _FAINT, _PAPER, _BAR = (32, 36, 44), (130, 136, 148), (250, 250, 252), (82, 110, 220)
_MAX_PEOPLE = 8


@dataclass(frozen=True, kw_only=True)
class FacesetInfo:
    """Figures of a faceset."""

    folder: str
    faces: int
    face_type: str
    size: int
    sources: dict[str, int]
    """Faces by source, most first."""
    people: tuple[int, ...]
    """Faces of each person, most first."""
    sharpness: dict[str, float]
    """Quantiles: 5 %, 50 %, 95 %."""
    brightness: dict[str, float]
    yaw_deg: dict[str, float]
    pitch_deg: dict[str, float]
    spread: tuple[tuple[int, ...], ...]
    """Faces by pitch (rows, looking up first) and yaw (columns, image's left first), in steps of 10 degrees."""
    masks: dict[str, int]
    """Faces by kind of mask."""
    trash: int
    """Faces in the trash."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def describe(faceset: Faceset) -> FacesetInfo:
    """Counts and quantiles; reads no picture."""
    records = faceset.records
    labels = cluster.cluster_embeddings(cluster.stack_embeddings(records)) if records else np.zeros(0, int)
    yaw, pitch = np.array([r.yaw_deg for r in records]), np.array([r.pitch_deg for r in records])
    spread = np.histogram2d(
        np.clip(pitch, PITCH_EDGES[0], PITCH_EDGES[-1] - 1e-3),
        np.clip(yaw, YAW_EDGES[0], YAW_EDGES[-1] - 1e-3),
        (PITCH_EDGES, YAW_EDGES),
    )[0][::-1].astype(int)
    return FacesetInfo(
        folder=str(faceset.folder),
        faces=len(records),
        face_type=faceset.face_type,
        size=records[0].size if records else 0,
        sources=dict(Counter(r.source for r in records).most_common()),
        people=tuple(int(count) for count in np.bincount(labels)) if records else (),
        sharpness=_quantiles([r.sharpness for r in records]),
        brightness=_quantiles([r.brightness for r in records]),
        yaw_deg=_quantiles(yaw),
        pitch_deg=_quantiles(pitch),
        spread=tuple(tuple(int(v) for v in row) for row in spread),
        masks=dict(Counter(r.mask_kind for r in records if r.mask_kind)),
        trash=len(trash.list_trash(faceset.folder)),
    )


def _quantiles(values: Any) -> dict[str, float]:
    if not len(values):
        return {}
    low, middle, high = np.quantile(np.asarray(values, float), [0.05, 0.5, 0.95])
    return {"5%": round(float(low), 2), "50%": round(float(middle), 2), "95%": round(float(high), 2)}


def draw(faceset: Faceset) -> np.ndarray:
    """(H, W, 3) uint8 RGB: spread over yaw and pitch, sharpness, brightness, and the people with their counts."""
    info, records = describe(faceset), faceset.records
    canvas = Image.new("RGB", (1200, 760), _PAPER)
    pen = ImageDraw.Draw(canvas)
    title = f"{info.faces} faces, {info.face_type.replace('_', ' ')}, {info.size} px, {_count_people(len(info.people))}"
    pen.text((40, 24), title, _INK, _font(26))
    _heat(pen, info, (40, 84, 560, 330))
    _bars(pen, "Sharpness", [r.sharpness for r in records], (650, 84, 510, 130))
    _bars(pen, "Brightness", [r.brightness for r in records], (650, 274, 510, 130), limits=(0, 255))
    _people(canvas, pen, faceset, (40, 500))
    return np.asarray(canvas)


def _count_people(people: int) -> str:
    return "1 person" if people == 1 else f"{people} people"


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _heat(pen: ImageDraw.ImageDraw, info: FacesetInfo, box: tuple[int, int, int, int]) -> None:
    x0, y0, width, height = box
    spread = np.array(info.spread)
    rows, columns = spread.shape
    pen.text((x0, y0), "Where the faces look (degrees)", _INK, _font(17))
    x0, y0, width, height = x0 + 50, y0 + 30, width - 50, height - 30
    cell_w, cell_h = width / columns, height / rows
    most = max(int(spread.max()), 1)
    for row in range(rows):
        for column in range(columns):
            share = np.sqrt(spread[row, column] / most)
            colour = tuple(int(a + (b - a) * share) for a, b in zip((238, 240, 246), (40, 60, 170), strict=True))
            left, top = x0 + column * cell_w, y0 + row * cell_h
            pen.rectangle((left + 1, top + 1, left + cell_w - 1, top + cell_h - 1), fill=colour)
            if spread[row, column]:
                ink = (255, 255, 255) if share > 0.45 else _INK
                centre = (left + cell_w / 2, top + cell_h / 2)
                pen.text(centre, str(spread[row, column]), ink, _font(12), anchor="mm")
    for row, pitch in enumerate((PITCH_EDGES[:-1] + 5)[::-1]):
        pen.text((x0 - 8, y0 + (row + 0.5) * cell_h), f"{pitch:+d}" if pitch else "0", _FAINT, _font(12), anchor="rm")
    for column, yaw in enumerate(YAW_EDGES[:-1] + 5):
        position = (x0 + (column + 0.5) * cell_w, y0 + height + 10)
        pen.text(position, f"{yaw:+d}" if yaw else "0", _FAINT, _font(12), anchor="mm")
    pen.text((x0 + width / 2, y0 + height + 30), "yaw: image's left to right", _FAINT, _font(13), anchor="mm")
    pen.text((x0 - 50, y0 - 2), "up", _FAINT, _font(13))
    pen.text((x0 - 50, y0 + height - 14), "down", _FAINT, _font(13))


def _bars(
    pen: ImageDraw.ImageDraw,
    title: str,
    values: list[float],
    box: tuple[int, int, int, int],
    limits: tuple[float, float] | None = None,
) -> None:
    x0, y0, width, height = box
    pen.text((x0, y0), title, _INK, _font(17))
    if not values:
        return
    low, high = limits or (0.0, max(float(np.quantile(values, 0.99)) * 1.15, 1.0))
    counts, edges = np.histogram(np.clip(values, low, high), 40, (low, high))
    base, step = y0 + height, width / len(counts)
    for number, count in enumerate(counts):
        top = base - (height - 34) * count / max(int(counts.max()), 1)
        if count:
            pen.rectangle((x0 + number * step + 1, min(top, base - 1), x0 + (number + 1) * step - 1, base), fill=_BAR)
    pen.line((x0, base + 1, x0 + width, base + 1), fill=_FAINT)
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = edges[0] + (edges[-1] - edges[0]) * share
        pen.text((x0 + width * share, base + 12), f"{value:.0f}", _FAINT, _font(12), anchor="mm")


def _people(canvas: Image.Image, pen: ImageDraw.ImageDraw, faceset: Faceset, origin: tuple[int, int]) -> None:
    x0, y0 = origin
    pen.text((x0, y0), "People (faces of each)", _INK, _font(17))
    if not faceset.records:
        return
    groups = cluster.cluster(faceset)
    for number, group in enumerate(groups[:_MAX_PEOPLE]):
        # the sharpest of the frontal half shows best who it is
        frontal = sorted(group, key=lambda r: abs(r.yaw_deg) + abs(r.pitch_deg))[: max(1, len(group) // 2)]
        best = max(frontal, key=lambda r: r.sharpness)
        left = x0 + number * 142
        canvas.paste(Image.fromarray(resize_picture(faceset.picture(best), 128)), (left, y0 + 30))
        pen.text((left + 64, y0 + 172), str(len(group)), _INK, _font(15), anchor="mm")
    if len(groups) > _MAX_PEOPLE:
        pen.text((x0, y0 + 196), f"and {len(groups) - _MAX_PEOPLE} more", _FAINT, _font(14))


def sheet(faceset: Faceset, count: int = 24, side: int = 128, columns: int = 8) -> np.ndarray:
    """(H, W, 3) uint8 RGB contact sheet of faces taken evenly over the order; masks are drawn in where there are any."""
    from facegen.facesets.mask import overlay

    indices = np.unique(np.linspace(0, len(faceset) - 1, min(count, len(faceset))).round().astype(int))
    tiles = []
    for index in indices:
        record = faceset.records[index]
        image, mask = faceset.picture(record), faceset.mask(record)
        tiles.append(resize_picture(overlay(image, mask) if mask is not None else image, side))
    blank = np.full((side, side, 3), 255, np.uint8)
    tiles += [blank] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])
