"""The figures that README and docs/figures.md state, out of benchmarks/results: `python -m benchmarks.claims` writes both anew.

A figure stands there with its 95 % interval where it was measured on several clips or people, the part of the material that
it is of, the machine, the day, and whether its code is still what was measured (`freshness`).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.freshness import REPOSITORY, find_changed
from benchmarks.report import RESULTS
from facegen.json_file import read_json

PAGES = (REPOSITORY / "README.md", REPOSITORY / "docs/figures.md")
SINCE = "code since"
"""The column that becomes untrue when code changes; `make bench CHECK=1` says how it is now."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of the table."""

    text: str
    result: str
    """The file in benchmarks/results."""
    find: Callable[[dict[str, Any]], Sequence[Any]]
    """The values: numbers, what `report.estimate` returns, or words."""
    unit: str = ""
    tuning: Callable[[dict[str, Any]], Sequence[Any]] | None = None
    """The same on the part that constants were chosen on."""
    aim: str = ""
    is_in_readme: bool = False


def _figures(part: str, *names: str) -> Callable[[dict[str, Any]], Sequence[Any]]:
    return lambda result: [result["figures"][part][name] for name in names]


def _swap(text: str, result: str, *names: str, aim: str, unit: str = "", is_in_readme: bool = False) -> Claim:
    return Claim(
        text=text,
        result=result,
        find=_figures("proving", *names),
        tuning=_figures("tuning", *names),
        aim=aim,
        unit=unit,
        is_in_readme=is_in_readme,
    )


def _iou(column: str) -> Callable[[dict[str, Any]], Sequence[Any]]:
    names = ("skin", "hair", "background", "left_eye", "right_eye")
    return lambda result: [
        next(row.get(column, "not measured") for row in result["rows"] if row["class"] == name) for name in names
    ]


def _restored(part: str) -> Callable[[dict[str, Any]], Sequence[Any]]:
    def find(result: dict[str, Any]) -> list[Any]:
        rows = {(row["size"], row["damage"]): row for row in result["rows"] if row["part"] == part}
        wanted = [rows[512, "half"], rows[512, "a quarter"], rows[256, "half"]]
        return [{"measured": row["distance, restored"], "interval": row["interval, restored"]} for row in wanted]

    return find


def _edited(part: str) -> Callable[[dict[str, Any]], Sequence[Any]]:
    def find(result: dict[str, Any]) -> list[Any]:
        rows = {row["edit"]: row for row in result["rows"] if row["part"] == part}
        return [rows["mouth 0.8"], rows["head 0.9"]]

    return find


_LIGHT_ERRORS = tuple(f"{region}{how}, mean" for region in ("skin", "mouth", "eyes") for how in ("", " with"))

CLAIMS = (
    Claim(
        text="a swap of 512x512, from file to file",
        result="swap_speed",
        find=lambda r: [r["figures"]["512x512, end to end (frames/s)"]],
        unit="frames/s",
        aim="25",
        is_in_readme=True,
    ),
    Claim(
        text="a swap of 1280x720",
        result="swap_speed",
        find=lambda r: [r["figures"]["1280x720, end to end (frames/s)"]],
        unit="frames/s",
        aim="15",
        is_in_readme=True,
    ),
    Claim(
        text="its frame pipeline alone, 512x512",
        result="swap_speed",
        find=lambda r: [r["figures"]["frame pipeline alone, 512x512 (frames/s)"]],
        unit="frames/s",
        aim="100",
    ),
    Claim(
        text="memory of a swap of 3 minutes of 720p, and of 10 seconds",
        result="swap_memory",
        find=lambda r: [row["peak (MB)"] for row in reversed(r["rows"])],
        unit="MB",
        aim="10 % more",
    ),
    _swap(
        "distance of a swapped face to its source (dlib; another person is 0.6 away), median",
        "swap_quality",
        "distance to source",
        aim="0.38",
        is_in_readme=True,
    ),
    _swap("nearer to the source than to the original person, share", "swap_quality", "nearer to source", aim="0.98"),
    _swap(
        "error of jawOpen, of eyeBlink, of pose in degrees",
        "swap_quality",
        *("jawOpen error", "eyeBlink error", "pose error (deg)"),
        aim="0.05, 0.05, 3",
    ),
    _swap(
        "outside of the face in dB, flicker inside it by the original's",
        "swap_quality",
        *("PSNR outside (dB)", "flicker ratio"),
        aim="45, 1.3",
    ),
    _swap(
        "a swap in the clip's light: correlation of slow light, in the worst tenth, its contrast",
        "swap_tone",
        *("light correlation", "light correlation, worst tenth", "contrast"),
        aim="0.90, 0.75, 0.8 to 1.25",
    ),
    _swap(
        "the same: fine detail by the original's, at nine of ten, tone in Lab",
        "swap_tone",
        *("fine detail", "fine detail, nine of ten", "tone"),
        aim="0.8 to 1.4, 1.7, 4",
    ),
    Claim(
        text="people told apart in photographs, B-cubed F1",
        result="facesets_people",
        find=_figures("proving", "bcubed_f1"),
        tuning=_figures("tuning", "bcubed_f1"),
        aim="0.95",
        is_in_readme=True,
    ),
    Claim(
        text="the same in 20 other divisions of these people, limit chosen on the other half: mean, least",
        result="facesets_people",
        find=_figures("other divisions", "bcubed_f1_mean", "least"),
        aim="0.95",
    ),
    Claim(
        text="clips equal in frames, times, size, orientation, sound",
        result="media_fidelity",
        find=lambda r: [f"{min(value for value in r['figures'].values())} of {r['figures']['clips']}"],
        aim="all",
    ),
    Claim(
        text="parser, IoU of skin, hair, background, left and right eye",
        result="parser",
        find=_iou("IoU"),
        tuning=_iou("tuning"),
        aim="0.90, 0.85, 0.90, 0.70, 0.70",
    ),
    Claim(
        text="a training killed 20 times: checkpoints lost, curves equal",
        result="training_resume",
        find=lambda r: [r["figures"]["checkpoints lost"], "yes" if r["figures"]["loss curves equal"] else "no"],
        aim="0, yes",
    ),
    Claim(
        text="talking: correlation of lips with the real ones, of loudness alone; medians",
        result="talk_sync",
        find=_figures("proving", "correlation, median", "loudness, median"),
        tuning=_figures("tuning", "correlation, median", "loudness, median"),
        aim="0.60",
    ),
    Claim(
        text="a talking portrait of 512x512",
        result="talk_speed",
        find=lambda r: [r["figures"]["frames/s drawn, marked and encoded"]],
        unit="frames/s",
        aim="25",
        is_in_readme=True,
    ),
    Claim(
        text="light on a talking face, error in grey levels: skin, mouth, lids; before and after",
        result="talk_finish",
        find=_figures("proving", *_LIGHT_ERRORS),
        tuning=_figures("tuning", *_LIGHT_ERRORS),
    ),
    Claim(
        text="sliders, 32 faces of 512 pixels: least rank correlation, worst leak",
        result="generate_control",
        find=lambda r: [r["figures"]["least rank correlation"], r["figures"]["worst leak"]],
        aim="0.90, 0.15",
    ),
    Claim(
        text="a slider, from hand to picture: while it moves, and retouched",
        result="generate_speed",
        find=lambda r: [r["figures"]["slider, 128 px (ms)"], r["figures"]["slider, retouched (ms)"]],
        unit="ms",
        aim="50",
        is_in_readme=True,
    ),
    Claim(
        text="the face on a camera's picture of 640x480: the Live tab's own steps; in a browser, which sends 12.5 at most",
        result="live_speed",
        find=lambda r: [r["figures"]["the tab's steps alone, frames/s"], r["figures"]["in a browser, frames/s"]],
        unit="frames/s",
        aim="10",
    ),
    Claim(
        text="another face, retouched",
        result="generate_speed",
        find=lambda r: [r["figures"]["another face, retouched (ms)"]],
        unit="ms",
        aim="1500",
    ),
    Claim(
        text="realism of drawn faces, 0 to 1, by a classifier that never saw a retouch: before, after, photographs",
        result="generate_quality",
        find=lambda r: [
            r["figures"][f"realism: {name}"] for name in ("drawn, 128 px", "drawn, retouched", "real (held back)")
        ],
    ),
    Claim(
        text="drawn faces of 256 pixels: precision, recall in CenterFace's maps; in dlib's numbers",
        result="generate_quality",
        find=lambda r: [
            row[f"{name}, {features}"]
            for row in r["rows"]
            if row["pictures"] == "drawn, retouched, 256 px"
            for features in ("CenterFace", "dlib")
            for name in ("precision", "recall")
        ],
    ),
    Claim(
        text="a photograph edited by sliders, distance to the photograph: mouth opened, head turned",
        result="generate_edit",
        find=_edited("proving"),
        tuning=_edited("tuning"),
        aim="0.5",
    ),
    Claim(
        text="a restored face, distance to itself undamaged (dlib): 512 pixels shrunk to a half, to a quarter; 256 to a half",
        result="restore",
        find=_restored("proving"),
        tuning=_restored("tuning"),
        aim="0.15",
    ),
    Claim(
        text="a person's own radiance field, head on frames held back",
        result="dfrf_quality",
        find=lambda r: [r["figures"]["head PSNR, dB"]],
        unit="dB",
        aim="30",
    ),
    Claim(
        text="a 512x512 frame of it",
        result="dfrf_speed",
        find=lambda r: [r["figures"]["fast, s a frame"]],
        unit="s",
        aim="2",
    ),
    Claim(
        text="a swap trained for 45 minutes: nearer to B, errors of jawOpen, eyeBlink, pose in degrees; one pair of clips",
        result="train_swap",
        find=lambda r: [
            r["rows"][0][name] for name in ("nearer to B", "jawOpen error", "eyeBlink error", "pose error (deg)")
        ],
        aim="0.95, 0.05, 0.05, 3",
    ),
    Claim(
        text="training swaps, times the peers' speed: liae-ud, original, dfaker, villain",
        result="train_swap_speed",
        find=lambda r: [
            r["figures"][f"{name}_times_the_peer"] for name in ("default", "original", "dfaker", "villain")
        ],
        aim="1.5",
    ),
)


def rows(*, of_readme: bool = False) -> list[dict[str, str]]:
    """The lines of the table; README has some of them."""
    return [_row(claim) for claim in CLAIMS if claim.is_in_readme or not of_readme]


def _row(claim: Claim) -> dict[str, str]:
    result = read_json(RESULTS / f"{claim.result}.json")
    changed = find_changed(result["code"])
    measured = " ".join(filter(None, (_values(claim.find(result)), claim.unit)))
    return {
        "figure": f"{claim.text} (`{claim.result}`)",
        "measured (95 %)": measured,
        "tuning part": _values(claim.tuning(result)) if claim.tuning else "",
        "aim": claim.aim,
        "machine, day": f"{machine(result)}, {result['measured'].split()[0]}",
        SINCE: "changed" if changed else "the same",
    }


def machine(result: dict[str, Any]) -> str:
    """The processor and its cores, in short."""
    name = result["machine"]["processor"].replace("(R)", "").replace(" Processor", "")
    return f"{name}, {result['machine']['cores']} cores"


def _values(values: Sequence[Any]) -> str:
    return "; ".join(_value(value) for value in values)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        low, high = value["interval"]
        return f"{_value(value['measured'])} ({_value(low)} to {_value(high)})"
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else str(round(value) if isinstance(value, float) else value)
    )


def thresholds() -> list[dict[str, Any]]:
    """The lines of the table of thresholds."""
    validated = read_json(RESULTS / "thresholds.json")["rows"]
    return [{**row, "spread": " to ".join(f"{value:g}" for value in row["spread"])} for row in validated]


def write(page: Path) -> None:
    """Replaces the tables between the marks of a page."""
    text = _between(page.read_text(encoding="utf-8"), "figures", rows(of_readme=page.name == "README.md"))
    if _mark("thresholds") in text:
        text = _between(text, "thresholds", thresholds())
    page.write_text(text, encoding="utf-8")


def _mark(name: str) -> str:
    return f"<!-- {name} -->"


def _between(text: str, name: str, lines: Sequence[dict[str, Any]]) -> str:
    cells = [list(lines[0]), ["---"] * len(lines[0]), *(list(map(str, line.values())) for line in lines)]
    written = "\n".join(f"| {' | '.join(line)} |" for line in cells)
    before, rest = text.split(_mark(name))
    _, after = rest.split(_mark(f"/{name}"))
    return f"{before}{_mark(name)}\n{written}\n{_mark(f'/{name}')}{after}"


def main(arguments: list[str]) -> None:
    """Write both pages."""
    if arguments:
        sys.exit("benchmarks.claims takes no arguments")
    for page in PAGES:
        write(page)


if __name__ == "__main__":
    main(sys.argv[1:])
