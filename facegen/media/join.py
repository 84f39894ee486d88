"""Muxes segments, sound, subtitles and tags into one file, without encoding the picture again."""

import heapq
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import av.error
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from facegen.encoding import EncodeOptions
from facegen.errors import InputError
from facegen.media.animate import write_animation
from facegen.media.encoders import ANIMATIONS, CONTAINERS, SEQUENCE, encoding_notices, find_encoder
from facegen.media.extras import copy_extras
from facegen.media.frame import Frame
from facegen.media.info import VideoInfo, probe
from facegen.media.output import atomic_output, check_output
from facegen.media.packets import survey_picture
from facegen.media.picture import POSITION_NOTICE
from facegen.media.segments import SegmentWriter, check_encoder, read_segments
from facegen.media.sequence import SOUND_KIND, write_sequence
from facegen.media.source import display_name, local_url, main_video, open_input, translate_write_errors
from facegen.media.timeline import END, Excerpt, PacketTimeline, Span, excerpt_chapters, last_duration
from facegen.media.tracks import StreamMapping, container_accepts, copy_stream, open_tracks, plan_tracks, track_packets

# They describe the file they came from, not the one that is written.
_FILE_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate"}
# What mp4 keeps under names that every player knows; tags beyond these need the general way of QuickTime.
_ITUNES_TAGS = _FILE_TAGS | {
    *("title", "artist", "album_artist", "album", "composer", "date", "comment", "genre", "copyright", "grouping"),
    *("lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "track", "disc"),
    "creation_time",
}

_EARLY = Fraction(1, 2)
"""Seconds by which sound may end before the picture without a word."""


def check_video_output(
    path: str | os.PathLike[str],
    *,
    picture_from: str | os.PathLike[str] | None = None,
    sound_from: str | os.PathLike[str] | None = None,
    encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
) -> Path:
    """Returns `path` as a `Path` when a video can be written there. Call it before long work.

    A dry pass over the packets of both inputs finds out what they hold; what it finds is kept, and `join_segments` acts on it.

    Args:
        path: the output.
        picture_from: the video that frames come from.
        sound_from: the file that sound and subtitles come from.
        encode: how the picture will be encoded.

    Raises:
        InputError: its name has an ending that is not in `CONTAINERS`; or an input cannot be read, or not be encoded.
        ResourceError: the path cannot be written.
    """
    if Path(path).suffix.lower() not in CONTAINERS:
        raise InputError(
            f"Expected a name ending in {', '.join(CONTAINERS)}, found {display_name(path)}: change its ending."
        )
    target = check_output(path)
    if picture_from is not None:
        info = probe(picture_from)
        check_encoder(info, encode, find_encoder(encode, target, info))
        survey_picture(picture_from)
    kind = CONTAINERS[target.suffix.lower()]
    if sound_from is not None and kind == SEQUENCE:
        plan_tracks(sound_from, SOUND_KIND, "first sound")
    elif sound_from is not None and kind not in ANIMATIONS:
        plan_tracks(sound_from, kind)
    return target


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[Frame],
    like: VideoInfo,
    *,
    sound_from: str | os.PathLike[str] | None = None,
    encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
    is_trimmed: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Encodes `frames` with their own timestamps and adds all sound and subtitles of `sound_from`.

    Args:
        path: the output, its ending one of `CONTAINERS`; it appears whole or not at all.
        frames: in order of display.
        like: size, depth, colour tags, timing of the output.
        sound_from: the file whose sound, subtitles, chapters and tags are kept.
        encode: codec, quality, effort.
        is_trimmed: the frames are a piece of `sound_from`; see `join_segments`.
        metadata: tags added to those of `sound_from`.

    Returns:
        Notices: what could not be kept as it was, one sentence each.

    Raises:
        InputError: there are no frames, `sound_from` cannot be read, or the encoder does not fit the output.
        ResourceError: the disk is full or closed to writing.
    """
    target = check_video_output(path, picture_from=like.path or None, sound_from=sound_from, encode=encode)
    encoder = find_encoder(encode, target, like)
    with translate_write_errors(target):
        folder = Path(tempfile.mkdtemp(prefix=".facegen-", dir=target.absolute().parent))
    try:
        with SegmentWriter(folder, like=like, encode=encode, encoder=encoder, output=target) as writer:
            for frame in frames:
                writer.write(frame)
        return join_segments(
            writer.segments,
            path,
            like=like,
            sound_from=sound_from,
            encode=encode,
            is_trimmed=is_trimmed,
            metadata=metadata,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def join_segments(
    segments: Sequence[Path],
    output: str | os.PathLike[str],
    *,
    like: VideoInfo,
    sound_from: str | os.PathLike[str] | None = None,
    encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
    is_trimmed: bool = False,
    is_own_sound: bool = True,
    spans: Sequence[Span] = (),
    frame_count: int | None = None,
    metadata: Mapping[str, str] | None = None,
    keep_position: bool = True,
) -> tuple[str, ...]:
    """Puts segments together, packet for packet, and adds all sound and subtitles of `sound_from`.

    Args:
        segments: as `SegmentWriter` made them, in order.
        output: see `write_video`.
        like: the video that the frames came from.
        sound_from: the file whose sound, subtitles, chapters and tags are kept.
        encode: as the segments were encoded.
        is_trimmed: the frames are a piece of `sound_from`: the first one becomes time zero, and only packets of sound
            that begin between it and the end of the last frame are kept.
        is_own_sound: `sound_from` is what the frames came from, so that both share their times; otherwise the sound begins
            with the first frame, which becomes time zero.
        spans: what the frames show of `sound_from`, where parts between them were left out; sound, subtitles and chapters
            follow.
        frame_count: how many frames the segments should hold; a notice says when some could not be decoded.
        metadata: tags added to those of `sound_from`.
        keep_position: keep the tags of `sound_from` that say where it was recorded.

    Returns:
        Notices: what could not be kept as it was, one sentence each.

    Raises:
        InputError: there are no segments, or `sound_from` cannot be read.
        ResourceError: the disk is full or closed to writing.
    """
    target = check_video_output(output)
    if not segments:
        raise InputError(
            f"Expected at least one frame to write to {display_name(output)}, found none: widen the range of time."
        )
    kind = CONTAINERS[target.suffix.lower()]
    encoder = find_encoder(encode, target, like)
    if encoder.is_hardware or encoder.fall:
        _check_one_encoder(segments)
    notices = encoding_notices(kind, like, encode, encoder)
    like = encoder.output_info(like)
    notices += survey_picture(like.path).notices if like.path else ()
    comment = (metadata or {}).get("comment", "")
    if kind in ANIMATIONS:
        with atomic_output(output) as temporary:
            frames = partial(read_segments, segments, like)
            return (*notices, *write_animation(temporary, kind, frames, crf=encode.crf, comment=comment))
    timeline = PacketTimeline(segments, like)
    is_trimmed = is_trimmed or kind == SEQUENCE  # its first frame is shown at 0
    shift = timeline.start if is_trimmed or not is_own_sound else Fraction(0)
    sound_start, length = timeline.start if is_own_sound else Fraction(0), timeline.end - timeline.start
    excerpt = Excerpt(((sound_start, sound_start + length),)) if is_trimmed else None
    if spans:
        excerpt = Excerpt(tuple(spans), start=spans[0][0] - shift)
    if frame_count is not None and timeline.frame_count < frame_count:
        notices.append(
            f"{frame_count - timeline.frame_count:,} of {frame_count:,} frames could not be decoded; the frame before each "
            "is shown longer."
        )
    if kind == SEQUENCE:
        with atomic_output(output) as temporary:
            pictures = read_segments(segments, like)
            notices += write_sequence(
                temporary, pictures, length=length, sound_from=sound_from, excerpt=excerpt, comment=comment
            )
        return tuple(notices)
    with ExitStack() as stack, atomic_output(output) as temporary:
        container = av.open(local_url(temporary), "w", format=kind, container_options=_container_options(kind, like))
        stack.callback(_close_quietly, container)
        first = stack.enter_context(open_input(segments[0]))
        video = _copy_video_stream(
            container, first.streams.video[0], like, kind, is_clear=encode.transparency and like.has_alpha
        )
        streams: list[Iterator[tuple[Fraction, Packet]]] = [timeline.packets(video, shift)]
        tracks: list[StreamMapping] = []
        if like.path:
            origin = stack.enter_context(open_input(like.path))
            notices += copy_extras(
                origin,
                main_video(origin, like.path),
                container,
                video,
                kind=kind,
                like=like,
                start_seconds=timeline.start if shift else Fraction(0),
            )
        if sound_from is not None:
            source = stack.enter_context(open_input(sound_from, "a file with sound"))
            tags = {k: v for k, v in source.metadata.items() if k not in _FILE_TAGS}
            if not keep_position and (positions := [key for key in tags if _is_position(key)]):
                tags = {k: v for k, v in tags.items() if k not in positions}
                notices.append(POSITION_NOTICE)
            container.metadata.update(tags)
            container.set_chapters(excerpt_chapters(source, excerpt))
            tracks, track_notices = open_tracks(source, container, sound_from, kind)
            notices += track_notices
            streams.append(track_packets(source, tracks, sound_from, excerpt))
        container.metadata.update(metadata or {})
        refused, ends = _mux(container, streams, video)
        notices += _early_ends(tracks, ends, timeline.end - shift)
        container.close()
    if refused:
        notices.append(f"{refused:,} packets of sound or subtitles were refused by the container and left out.")
    if kind in ("matroska", "webm") and like.time_base % Fraction(1, 1000):
        notices.append(
            "Matroska keeps times in milliseconds: each frame is up to half a millisecond off; .mp4 is exact."
        )
    return tuple(notices)


def _is_position(tag: str) -> bool:
    """Whether a tag says where something was recorded: `location`, `com.apple.quicktime.location.ISO6709` and so on."""
    return "location" in tag.lower() or "gps" in tag.lower()


def _check_one_encoder(segments: Sequence[Path]) -> None:
    """Refuses segments of two encoders: a work that was interrupted went on where the graphics card was gone, or back.

    Raises:
        InputError: they cannot be joined.
    """
    headers = set()
    for segment in (segments[0], segments[-1]):
        with open_input(segment) as container:
            headers.add(container.streams.video[0].codec_context.extradata)
    if len(headers) > 1:
        raise InputError(
            "Expected segments of one encoder, found some of a graphics card and some of the CPU; begin anew, with --encoder "
            "h264, h265 or av1."
        )


def copy_with_sound(
    path: str | os.PathLike[str], sound_from: str | os.PathLike[str], output: str | os.PathLike[str]
) -> tuple[str, ...]:
    """Writes picture and subtitles of `path`, packet for packet, with the first sound track of another file.

    The sound begins with the first frame, and ends with the last one at the latest.

    Returns:
        Notices: what could not be kept as it was, one sentence each.

    Raises:
        InputError: a file cannot be read, or the container does not take the picture's codec.
        ResourceError: the output cannot be written.
    """
    target = check_video_output(output)
    kind = CONTAINERS[target.suffix.lower()]
    info, survey = probe(path), survey_picture(path)
    start = survey.times[0] * survey.time_base
    end = (survey.times[-1] + last_duration(survey.times, info)) * survey.time_base
    with ExitStack() as stack, atomic_output(output) as temporary:
        picture = stack.enter_context(open_input(path))
        source = main_video(picture, path)
        if not container_accepts(kind, source):
            codec = source.codec_context.codec.canonical_name
            raise InputError(
                f"Expected an output that takes {codec}, found {display_name(output)}: choose .mkv instead."
            )
        sound = stack.enter_context(open_input(sound_from, "a file with sound"))
        container = av.open(local_url(temporary), "w", format=kind, container_options=_container_options(kind, info))
        stack.callback(_close_quietly, container)
        container.metadata.update({k: v for k, v in picture.metadata.items() if k not in _FILE_TAGS})
        whole, heard = Excerpt(((start, END),)), Excerpt(((Fraction(0), end - start),))
        container.set_chapters(excerpt_chapters(picture, whole))
        copy = copy_stream(container, source)
        video = StreamMapping(source=source, target=copy, how="copy")
        tracks, notices = open_tracks(sound, container, sound_from, kind, "first sound")
        texts, text_notices = open_tracks(picture, container, path, kind, "subtitles")
        streams = (
            track_packets(picture, [video, *texts], path, whole),
            track_packets(sound, tracks, sound_from, heard),
        )
        _, ends = _mux(container, streams, copy)
        early = _early_ends(tracks, ends, end - start)
        container.close()
    return (*survey.notices, *notices, *text_notices, *early)


def _mux(
    container: OutputContainer, streams: Iterable[Iterator[tuple[Fraction, Packet]]], video: Stream
) -> tuple[int, dict[int, Fraction]]:
    """Writes packets in the order of their times.

    Returns:
        How many of other streams than the picture were refused; and when the last packet of each stream ends, in seconds.
    """
    refused, ends = 0, dict.fromkeys((stream.index for stream in container.streams), Fraction(0))
    for _, packet in heapq.merge(*streams, key=lambda item: item[0]):
        index, end = packet.stream.index, ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base
        try:
            container.mux_one(packet)
            ends[index] = end
        except (av.error.InvalidDataError, av.error.ArgumentError):
            if index == video.index:
                raise
            refused += 1
    return refused, ends


def _early_ends(tracks: Iterable[StreamMapping], ends: Mapping[int, Fraction], picture_end: Fraction) -> list[str]:
    """Says of each sound track that ends well before the picture by how much it does."""
    heard = [picture_end - ends[track.target.index] for track in tracks if track.source.type == "audio"]
    return [
        f"Sound track {number} ends {float(rest):.1f} s before the picture."
        for number, rest in enumerate(heard, 1)
        if rest > _EARLY
    ]


def _container_options(kind: str, like: VideoInfo) -> dict[str, str]:
    if kind in ("matroska", "webm"):
        return {"avoid_negative_ts": "disabled"}
    # Starts and ends of tracks are kept in the unit of the whole film: one in which all tracks have whole numbers.
    units = math.lcm(like.time_base.denominator, *(sound.sample_rate or 1 for sound in like.audio))
    return {
        "movflags": "+faststart" if _ITUNES_TAGS.issuperset(like.metadata) else "+faststart+use_metadata_tags",
        "video_track_timescale": str(like.time_base.denominator),
        "movie_timescale": str(units if units < 1 << 31 else like.time_base.denominator),
    }


def _copy_video_stream(
    container: OutputContainer, source: VideoStream, like: VideoInfo, kind: str, *, is_clear: bool
) -> VideoStream:
    stream = container.add_stream_from_template(source, opaque=True)
    stream.time_base = like.time_base
    context = stream.codec_context
    context.framerate, context.sample_aspect_ratio = like.frame_rate, like.pixel_aspect
    context.color_primaries, context.color_trc = like.color.primaries, like.color.transfer
    context.colorspace = like.color.matrix
    if context.name in ("hevc", "libx265") and kind in ("mp4", "mov"):
        context.codec_tag = "hvc1"
    if is_clear and context.name.startswith(("vp9", "libvpx")):
        stream.metadata["alpha_mode"] = "1"
    return stream


def _close_quietly(container: OutputContainer) -> None:
    """Closes an output that may have failed; the first error is already being raised."""
    with suppress(av.error.FFmpegError, OSError, ValueError):
        container.close()
