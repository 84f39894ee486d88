"""`facegen video`: look at clips, take them apart, put them together."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from facegen.cli.command import Values, progress_bar, with_options
from facegen.encoding import EncodeOptions

encoded = with_options(EncodeOptions, without=("file_type",))
"""Gives a command the options of the encoder."""

app = typer.Typer(
    help="Look at clips, cut, join and denoise them; stills out of a clip and back.", no_args_is_help=True
)

Clip = Annotated[Path, typer.Argument(help="A video.")]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="The result: .mp4, .m4v, .mov, .mkv, .webm, .gif, .webp or .zip (pictures)."),
]
Start = Annotated[float, typer.Option(min=0.0, help="Seconds to leave out at the start.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def info(clip: Clip, as_json: AsJson = False) -> None:
    """Say what a clip is: size, timing, colour, streams."""
    from facegen.media import frame_times, probe
    from facegen.media.packets import survey_picture

    clip_info = probe(clip)
    times, time_base = frame_times(clip)
    steps = {after - before for before, after in pairwise(times)}
    described: dict[str, Any] = {
        "file": clip_info.path,
        "size": f"{clip_info.width} x {clip_info.height}",
        "rotation": f"{clip_info.rotation_deg} degrees{', mirrored' if clip_info.is_mirrored else ''}",
        "pixel aspect": str(clip_info.pixel_aspect),
        "shown as": f"{clip_info.size_hw[1]} x {clip_info.size_hw[0]}{', interlaced' if clip_info.is_interlaced else ''}",
        "frames": len(times),
        "seconds": round(clip_info.duration_seconds, 3),
        "frame rate": f"{float(clip_info.frame_rate):.3f} a second, {'variable' if len(steps) > 1 else 'constant'}",
        "first frame": f"{float(times[0] * time_base):.4f} s",
        "codec": f"{clip_info.codec}, {clip_info.pix_fmt}, {clip_info.bit_depth} bit",
        "colour": f"matrix {clip_info.color.matrix}, primaries {clip_info.color.primaries}, transfer {clip_info.color.transfer}, "
        f"{'full' if clip_info.color.is_full_range else 'limited'} range",
        "sound": [
            f"{s.codec}, {s.sample_rate} Hz, {s.channels} channels, {s.language or 'und'}" for s in clip_info.audio
        ],
        "subtitles": [f"{s.codec}, {s.language or 'und'}" for s in clip_info.subtitles],
        "tags": clip_info.metadata,
        "notices": [*clip_info.notices, *survey_picture(clip).notices],
    }
    if as_json:
        typer.echo(json.dumps(described, indent=2, ensure_ascii=False))
        return
    for key, value in described.items():
        if isinstance(value, dict):
            value = [f"{name}: {text}" for name, text in value.items()]
        lines = value if isinstance(value, list) else [value]
        for number, line in enumerate(lines):
            typer.echo(f"{key if number == 0 else '':14} {line}")


@app.command()
def frames(
    clip: Clip,
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for the stills; made when missing.")],
    rate: Annotated[float | None, typer.Option(help="Stills a second. Default: every frame.")] = None,
    size: Annotated[int | None, typer.Option(help="Longest side in pixels. Default: as it is.")] = None,
    kind: Annotated[str, typer.Option(help="png, jpg or webp.")] = "png",
    start: Start = 0.0,
    end: Annotated[float | None, typer.Option(help="Second to stop at. Default: the end.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write frames of a clip as pictures into a folder."""
    from facegen.media import frames_to_folder

    with progress_bar() as on_progress:
        count = frames_to_folder(
            clip,
            output,
            rate=rate,
            longest_side=size,
            suffix=f".{kind}",
            start_seconds=start,
            end_seconds=end,
            on_progress=on_progress,
        )
    _report(output, (), as_json, {"stills": count})


@app.command()
@encoded
def assemble(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures.")],
    output: Output,
    rate: Annotated[
        float | None, typer.Option(help="Frames a second. Default: the times that «frames» noted, else 25.")
    ] = None,
    sound: Annotated[Path | None, typer.Option(help="A file whose sound is added.")] = None,
    *,
    options: Any,
    as_json: AsJson = False,
) -> None:
    """Make a clip of the pictures in a folder, in the order of their names."""
    from facegen.media import folder_to_video

    with progress_bar() as on_progress:
        notices = folder_to_video(
            folder, output, rate=rate, sound_from=sound, encode=_encode(options), on_progress=on_progress
        )
    _report(output, notices, as_json)


@app.command()
@encoded
def cut(
    clip: Clip,
    output: Output,
    start: Start = 0.0,
    end: Annotated[float | None, typer.Option(help="Second to stop at. Default: the end.")] = None,
    *,
    options: Any,
    as_json: AsJson = False,
) -> None:
    """Write the piece of a clip between two times."""
    from facegen.media import probe, trim

    stop = probe(clip).duration_seconds if end is None else end
    with progress_bar() as on_progress:
        notices = trim(
            clip, output, start_seconds=start, end_seconds=stop, encode=_encode(options), on_progress=on_progress
        )
    _report(output, notices, as_json)


@app.command()
@encoded
def denoise(
    clip: Clip,
    output: Output,
    strength: Annotated[float, typer.Option(help="1 (hardly) to 20 (much).")] = 4.0,
    *,
    options: Any,
    as_json: AsJson = False,
) -> None:
    """Take noise out of a clip."""
    from facegen import media

    with progress_bar() as on_progress:
        notices = media.denoise(clip, output, strength=strength, encode=_encode(options), on_progress=on_progress)
    _report(output, notices, as_json)


@app.command()
@encoded
def sidebyside(
    clips: Annotated[list[Path], typer.Argument(help="Two clips or more.")],
    output: Output,
    stacked: Annotated[bool, typer.Option("--stacked", help="One above the other.")] = False,
    *,
    options: Any,
    as_json: AsJson = False,
) -> None:
    """Show clips next to each other, with the sound of the first."""
    from facegen.media import side_by_side

    with progress_bar() as on_progress:
        notices = side_by_side(clips, output, is_stacked=stacked, encode=_encode(options), on_progress=on_progress)
    _report(output, notices, as_json)


@app.command()
@encoded
def join(
    clips: Annotated[list[Path], typer.Argument(help="Two clips or more, in order.")],
    output: Output,
    *,
    options: Any,
    as_json: AsJson = False,
) -> None:
    """Put clips one after the other."""
    from facegen import media

    with progress_bar() as on_progress:
        notices = media.join(clips, output, encode=_encode(options), on_progress=on_progress)
    _report(output, notices, as_json)


@app.command("replace-sound")
def replace_sound(
    clip: Clip,
    sound: Annotated[Path, typer.Argument(help="A file with sound.")],
    output: Output,
    as_json: AsJson = False,
) -> None:
    """Give a clip another sound; the picture is copied as it is."""
    from facegen import media

    _report(output, media.replace_sound(clip, sound, output), as_json)


def _encode(options: Values) -> EncodeOptions:
    return EncodeOptions(**options)


def _report(output: Path, notices: tuple[str, ...], as_json: bool, more: dict[str, Any] | None = None) -> None:
    if as_json:
        typer.echo(json.dumps({"output": str(output), "notices": list(notices), **(more or {})}, ensure_ascii=False))
        return
    for notice in notices:
        typer.echo(notice, err=True)
    counted = "".join(f" ({value} {key})" for key, value in (more or {}).items())
    typer.echo(f"Wrote {output}{counted}.", err=True)
