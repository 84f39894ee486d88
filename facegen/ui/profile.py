"""`Profile`: limits, tabs and host of a studio for one person, for several, or as a Space; checked when runs start."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast, get_args

from facegen.config import check, override
from facegen.encoding import LabelLanguage, check_label
from facegen.errors import InputError
from facegen.jobs.files import SOUND_SUFFIXES, VIDEO_SUFFIXES, paths

Q = TypeVar("Q")
ProfileName = Literal["own", "shared", "space"]
TABS = ("swap", "generate", "talk", "live", "faceset", "train", "runs", "models", "verify")


def _limit(default: float, about: Mapping[str, Any] | None = None) -> Any:
    return field(default=default, metadata={"min": 0, "max": 1e9, **(about or {})})


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How a studio is served. A limit of 0 is none."""

    shared: bool = False
    """Whether several people use it: each then sees only the runs that were begun in the own browser."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    hosts: tuple[str, ...] = ()
    """Names by which browsers reach it beside this machine's own, as a proxy has one; `*` lets pages of every site in."""
    share: bool = False
    """Whether Gradio makes a public link to it."""
    max_upload_mb: int = field(default=2000, metadata={"min": 1, "max": 1_000_000})
    """The largest file that can be uploaded, in megabytes."""
    max_faces: int = field(default=100, metadata={"min": 1, "max": 10_000})
    """The most faces that one request to a shared studio draws: they hold up everybody's faces meanwhile."""
    clip_seconds: float = _limit(0.0)
    """The longest part of a clip, or of a sound, that one run works on."""
    megapixels: float = _limit(0.0)
    """The largest frame of a clip, in millions of pixels."""
    runs_at_once: int = field(default=1, metadata={"min": 1, "max": 64})
    """Runs that work at the same time; the others wait."""
    queue_length: int = field(default=0, metadata={"min": 0, "max": 100_000})
    """Runs of everybody that wait or work."""
    runs_per_visitor: int = field(default=0, metadata={"min": 0, "max": 100_000})
    """Runs of one visitor that wait or work."""
    spare_worker: bool = True
    """Whether a process waits for the next run with its models loaded (about 1 GB), so that a short run begins at once."""
    events_per_visitor: int = field(default=0, metadata={"min": 0, "max": 100_000})
    """Buttons, sliders and previews of one visitor that wait or are at work: 64 of everybody have room."""
    uploads_per_visitor_mb: int = field(default=0, metadata={"min": 0, "max": 100_000_000})
    """What one visitor may upload within `keep_hours` (a day where there are none), in megabytes."""
    upload_files_per_visitor: int = field(default=0, metadata={"min": 0, "max": 10_000_000})
    """How many uploads that may be."""
    unload_minutes: float = _limit(30.0)
    """How long models of previews and slider faces stay loaded while nobody uses them."""
    label: LabelLanguage = field(default="none", metadata={"choices": get_args(LabelLanguage)})
    """Language of the visible label of results whose request does not choose."""
    keep_hours: float = _limit(0.0)
    """How long the ended runs of visitors are kept, with their files."""
    tabs: tuple[str, ...] = TABS
    """The tabs that are there."""

    def __post_init__(self) -> None:
        check(self)
        check_label(self)
        for tab in self.tabs:
            if tab not in TABS:
                raise InputError(f"Expected tabs of {', '.join(TABS)}, found {tab!r}; choose some of these.")

    def limits(self) -> tuple[str, ...]:
        """The limits in words, those that are none left out."""
        said = (
            (self.clip_seconds, f"{self.clip_seconds:g} seconds of a clip or a sound"),
            (self.megapixels, f"{self.megapixels:g} megapixels a frame"),
            (self.shared, f"{self.max_upload_mb} MB a file"),
            (self.shared, f"{self.max_faces} faces at a time"),
            (self.uploads_per_visitor_mb, f"{self.uploads_per_visitor_mb} MB of uploads of yours in all"),
            (self.runs_per_visitor, f"{self.runs_per_visitor} runs of yours at a time"),
            (self.queue_length, f"{self.queue_length} runs of everybody"),
            (self.keep_hours, f"results are deleted {self.keep_hours:g} hours after their end"),
        )
        return tuple(words for limit, words in said if limit)


PROFILES: Mapping[ProfileName, Profile] = {
    "own": Profile(),
    "shared": Profile(
        shared=True,
        host="0.0.0.0",
        clip_seconds=600,
        megapixels=8.9,
        queue_length=100,
        runs_per_visitor=10,
        events_per_visitor=16,
        uploads_per_visitor_mb=20_000,
        upload_files_per_visitor=5000,
        keep_hours=168,
    ),
    "space": Profile(
        shared=True,
        host="0.0.0.0",
        hosts=("*",),
        label="en",
        max_upload_mb=200,
        clip_seconds=60,
        megapixels=2.1,
        queue_length=30,
        runs_per_visitor=3,
        events_per_visitor=12,
        unload_minutes=10,
        uploads_per_visitor_mb=1000,
        upload_files_per_visitor=300,
        keep_hours=24,
        tabs=tuple(tab for tab in TABS if tab not in ("live", "faceset")),
    ),
}


def choose_profile(name: str = "", settings: Iterable[str] = ()) -> Profile:
    """The profile of a name, with «key=value» settings put in; of no name «space» on a Space, else «own».

    Raises:
        InputError: there is none of that name, or a setting does not fit.
    """
    name = name or ("space" if "SPACE_ID" in os.environ else "own")
    for known, profile in PROFILES.items():
        if known == name:
            return override(profile, settings)
    raise InputError(f"Expected a profile of {', '.join(PROFILES)}, found {name!r}; choose one of these.")


def for_host(profile: Profile, host: str, shared: bool | None) -> Profile:
    """The profile at an address; others' reach makes it shared, unless it is said whether it is."""
    is_open = host not in ("127.0.0.1", "localhost", "::1")
    return replace(profile, host=host, shared=(profile.shared or is_open) if shared is None else shared)


def label_results(profile: Profile, request: Q) -> Q:
    """The request with the profile's visible label, where it has one and does not choose for itself."""
    options: Any = getattr(request, "options", None)
    if getattr(options, "label", "") != "auto":
        return request
    labelled: Any = replace(request, options=replace(options, label=profile.label))  # type: ignore[type-var]
    return cast("Q", labelled)


def check_load(profile: Profile, own: int, everybody: int) -> None:
    """Refuse a run that would be one too many.

    Args:
        profile: of the studio.
        own: runs of the visitor that wait or work.
        everybody: those of all.

    Raises:
        InputError: it would.
    """
    if profile.runs_per_visitor and own >= profile.runs_per_visitor:
        raise InputError(
            f"Expected at most {profile.runs_per_visitor} runs of yours at a time on this studio, found {own} that wait or "
            "work; wait for one or cancel it."
        )
    if profile.queue_length and everybody >= profile.queue_length:
        raise InputError(
            f"Expected at most {profile.queue_length} runs at a time on this studio, found {everybody}; come back later."
        )


def check_size(profile: Profile, request: Any) -> None:
    """Refuse a request whose clips or sounds are longer or larger than the profile lets through.

    Raises:
        InputError: one is.
    """
    from facegen import media

    options = getattr(request, "options", None)
    start, end = getattr(options, "start_seconds", 0.0), getattr(options, "end_seconds", None)
    end = getattr(options, "seconds", None) if end is None else end
    for path in paths(request):
        is_clip = path.lower().endswith(VIDEO_SUFFIXES)
        if not is_clip and not path.lower().endswith(SOUND_SUFFIXES):
            continue
        name = os.path.basename(path)
        length = media.stated_seconds(path) if profile.clip_seconds else 0.0
        seconds = min(length, end if end is not None else length) - start
        if profile.clip_seconds and seconds > profile.clip_seconds + 0.05:
            raise InputError(
                f"Expected at most {profile.clip_seconds:g} seconds of a clip or a sound on this studio, found {seconds:.1f} in "
                f"{name!r}; trim it."
            )
        if not is_clip or not profile.megapixels:
            continue
        try:
            info = media.probe(path)
        except InputError:
            continue  # said where it is read: a film may hold sound alone
        if info.width * info.height > profile.megapixels * 1e6:
            raise InputError(
                f"Expected at most {profile.megapixels:g} megapixels a frame on this studio, found {info.width} x "
                f"{info.height} in {name!r}; make it smaller."
            )
