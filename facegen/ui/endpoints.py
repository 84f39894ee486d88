"""The studio for programs: what the tabs do as named endpoints with plain arguments, for `gradio_client`.

The arguments come through components that are never seen, because gradio then checks that a file was uploaded by the
caller before it lets anybody read it. A refusal arrives at the caller's as an exception with its sentence.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from facegen.config import to_dict
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.swap.jobs import SWAP
from facegen.ui import swaps
from facegen.ui.handlers import answered
from facegen.ui.services import Services, Visitor, consented
from facegen.ui.train_endpoints import train_endpoints


def build(services: Services, visitor: gr.State) -> None:
    """Add the endpoints to the page that is being built."""
    with gr.Column(visible=False):
        _add(_swap_endpoints(services), visitor)
        _add(_run_endpoints(services), visitor)
        _add(train_endpoints(services), visitor)


def _files(label: str) -> gr.File:
    return gr.File(label=label, file_count="multiple")


def _swap_endpoints(services: Services) -> list[tuple[Callable[..., Any], list[Any], list[Any], str]]:
    def asked() -> list[Any]:
        people = gr.JSON(label="people: {person: [number of a source, ...]}")
        return [_files("sources"), gr.File(label="target"), gr.JSON(label="options: SwapOptions by name"), people]

    async def swap(
        visitor: Visitor, sources: Any, target: Any, options: Any, people: Any, consent: bool
    ) -> AsyncIterator[Any]:
        """Swap faces and wait: yields how the run stands, at the end with the file that it made."""
        consented(consent)
        run = services.start(visitor, SWAP, _request(sources, target, options, people))
        async for _ in services.watch(run):
            yield _standing(run), None
        made = services.output(run)
        yield _standing(run), services.publish(visitor, made) if made else None

    def swap_start(visitor: Visitor, sources: Any, target: Any, options: Any, people: Any, consent: bool) -> Any:
        """Put a swap into the queue and return at once; `/run_status` and `/run_result` take the run's name."""
        consented(consent)
        return _standing(services.start(visitor, SWAP, _request(sources, target, options, people)))

    def swap_preview(sources: Any, target: Any, options: Any, people: Any, frame: float, consent: bool) -> Any:
        """One frame of the target, before and after."""
        consented(consent)
        before, after, _ = swaps.preview(services, _request(sources, target, options, people), int(frame))
        return before, after

    def find_people(target: Any, consent: bool) -> Any:
        """The people of a clip, longest on screen first: pictures of them, and their numbers and shares of the clip."""
        consented(consent)
        found = swaps.find_people(services, target)
        people = [{"person": card.person_id, "share": round(card.share, 4)} for card in found]
        return [(card.thumbnail_rgb, f"Person {card.person_id}") for card in found], people

    def example(name: str) -> Any:
        """The files of an example: its sources and its target."""
        return services.examples.files(name)

    standing = [gr.JSON(), gr.File()]
    return [
        (swap, [*asked(), gr.Checkbox(label="consent")], standing, "swap"),
        (swap_start, [*asked(), gr.Checkbox(label="consent")], [gr.JSON()], "swap_start"),
        (
            swap_preview,
            [*asked(), gr.Number(0, label="frame"), gr.Checkbox(label="consent")],
            [gr.Image(format="png"), gr.Image(format="png")],
            "swap_preview",
        ),
        (
            find_people,
            [gr.File(label="target"), gr.Checkbox(label="consent")],
            [gr.Gallery(), gr.JSON()],
            "find_people",
        ),
        (example, [gr.Textbox(label="name")], [_files("sources"), gr.File()], "example"),
    ]


def _run_endpoints(services: Services) -> list[tuple[Callable[..., Any], list[Any], list[Any], str]]:
    def runs(visitor: Visitor) -> Any:
        """All runs that you may see, newest first."""
        return [_standing(run) for run in services.runs(visitor)]

    def run_status(visitor: Visitor, name: str) -> Any:
        """How a run stands, with the last lines of its log."""
        run = services.run(visitor, name)
        return {**_standing(run), "size_bytes": run.size_bytes(), "log": run.log_tail()}

    def run_result(visitor: Visitor, name: str) -> Any:
        """The files that a run made."""
        made = sorted(path for path in services.run(visitor, name).results.iterdir() if path.is_file())
        return [services.publish(visitor, path) for path in made]

    def run_cancel(visitor: Visitor, name: str) -> Any:
        """Stop a run and all its processes."""
        run = services.run(visitor, name)
        run.cancel()
        return _standing(run)

    def run_resume(visitor: Visitor, name: str) -> Any:
        """Let a run that was cut off go on where it was."""
        run = services.run(visitor, name)
        run.resume()
        return _standing(run)

    def run_delete(visitor: Visitor, name: str, confirm: bool) -> Any:
        """Delete a run with all its files; `confirm` must be true."""
        run = services.run(visitor, name)
        if confirm is not True:
            raise InputError(f"Expected confirm=True to delete {name}, found it missing; nothing was deleted.")
        run.delete()
        return [_standing(other) for other in services.runs(visitor)]

    def name() -> gr.Textbox:
        return gr.Textbox(label="name")

    return [
        (runs, [], [gr.JSON()], "runs"),
        (run_status, [name()], [gr.JSON()], "run_status"),
        (run_result, [name()], [_files("files")], "run_result"),
        (run_cancel, [name()], [gr.JSON()], "run_cancel"),
        (run_resume, [name()], [gr.JSON()], "run_resume"),
        (run_delete, [name(), gr.Checkbox(label="confirm")], [gr.JSON()], "run_delete"),
    ]


def _add(endpoints: list[tuple[Callable[..., Any], list[Any], list[Any], str]], visitor: gr.State) -> None:
    """Register each endpoint; those whose first argument is the visitor get the page's."""
    for function, inputs, outputs, name in endpoints:
        is_personal = function.__code__.co_varnames[:1] == ("visitor",)
        looks = name in ("swap_preview", "find_people")
        gr.Button(visible=False).click(
            answered(function),
            [visitor, *inputs] if is_personal else inputs,
            outputs,
            api_name=name,
            concurrency_limit=1 if looks else None,
            concurrency_id="look" if looks else None,
        )


def _request(sources: Any, target: Any, options: Any, people: Any) -> swaps.SwapRequest:
    if not isinstance(options or {}, dict) or not isinstance(people or {}, dict):
        raise InputError("Expected options and people as objects, found something else; pass a dict or nothing.")
    chosen: dict[int, list[str]] = {}
    for person, numbers in (people or {}).items():
        try:
            chosen[int(person)] = [sources[number] for number in numbers]
        except (ValueError, TypeError, IndexError):
            raise InputError(
                f"Expected people as {{person: [number of a source, ...]}}, found {person!r}: {numbers!r}; "
                "sources count from 0."
            ) from None
    return swaps.request(sources, target, options or {}, chosen)


def _standing(run: Run) -> dict[str, Any]:
    return {"run": run.name, "kind": run.kind, **to_dict(run.status())}
