"""Tools of the Model Context Protocol: their parameters are the fields of the jobs' requests."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import anyio
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from pydantic import Field as Described

from facegen.config import to_dict
from facegen.errors import FacegenError, InputError
from facegen.generate.jobs import GENERATE
from facegen.generate.request import GenerateOptions
from facegen.generate.sliders import NAMES, Sliders
from facegen.jobs import Job
from facegen.jobs.fields import Field, fields_of, make_request
from facegen.swap.jobs import SWAP
from facegen.talk.jobs import TALK
from facegen.ui.agents.files import REFERENCE, AgentFiles
from facegen.ui.handlers import require_consent
from facegen.ui.messages import to_browser_message
from facegen.ui.options import parse
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.generate.faces import FaceEditor, FaceSpec
from facegen.ui.tabs.verify import read_report

Own = Mapping[str, tuple[Any, str]]
"""Parameters of a tool's own: type and description by name."""
_CONSENT = (
    bool,
    "Whether everyone whose face or voice is used agreed to it; must be true. Ask your user, do not assume it.",
)
_FILM = "film"


class Tools:
    """The tools of one studio; each session of an agent is a visitor of its own."""

    def __init__(self, services: Services, files: AgentFiles) -> None:
        self._services, self._files = services, files
        self._visitors: WeakKeyDictionary[Any, Visitor] = WeakKeyDictionary()
        self._editor = FaceEditor(services.models)
        self._drawing = anyio.CapacityLimiter(1)

    def add_to(self, server: FastMCP) -> None:
        """Add the four tools to a server."""
        sources = (list[str], f"Pictures of the face that is put in; each is {REFERENCE}.")
        target = (str, f"The video or picture that gets the face: {REFERENCE}.")
        portrait = (str, f"A picture of the speaker, or a video in which then only the mouth changes: {REFERENCE}.")
        audio = (str, f"What is said, a sound file or a video with sound: {REFERENCE}.")
        file = (str, f"The picture or video: {REFERENCE}.")
        not_offered = ("output", "people", "patches", "given", "sweep", "edit", "driving")
        tools: list[tuple[Callable[..., Any], str, Own, Sequence[Field]]] = [
            (
                self.swap,
                SWAP.summary,
                {"sources": sources, "target": target, "consent": _CONSENT},
                [item for item in fields_of(SWAP.request) if item.name not in ("sources", "target", *not_offered)],
            ),
            (
                self.generate,
                GENERATE.summary,
                {},
                [item for item in fields_of(GENERATE.request) if not item.name.startswith((_FILM, *not_offered))],
            ),
            (
                self.talk,
                TALK.summary,
                {"portrait": portrait, "audio": audio, "consent": _CONSENT},
                [item for item in fields_of(TALK.request) if item.name not in ("portrait", "audio", *not_offered)],
            ),
            (
                self.verify,
                "Say what a picture or video tells of its making: signature, watermark, metadata.",
                {"file": file},
                [],
            ),
        ]
        for function, summary, own, fields in tools:
            described = _describe(function, own, fields)
            server.add_tool(described, name=function.__name__, description=summary, structured_output=False)

    async def swap(self, context: Context[Any, Any, Any], **values: Any) -> dict[str, Any]:
        """Swap and wait."""
        return await self._run(context, SWAP, values, ("sources", "target"))

    async def talk(self, context: Context[Any, Any, Any], **values: Any) -> dict[str, Any]:
        """Talk and wait."""
        return await self._run(context, TALK, values, ("portrait", "audio"))

    async def generate(self, context: Context[Any, Any, Any], **values: Any) -> dict[str, Any]:
        """Draw faces."""
        more = values.pop("more")
        sliders = {name: values.pop(name) for name in NAMES}
        options = parse(GenerateOptions, values)
        face = FaceSpec(sliders=parse(Sliders, sliders), options=options, more=dict(more))
        visitor = self._visitor(context)
        draw = functools.partial(self._editor.write, self._services, visitor, face, count=options.count)
        made = await anyio.to_thread.run_sync(draw, limiter=self._drawing)
        return {"faces": [self._publish(context, visitor, Path(path)) for path in made]}

    async def verify(self, context: Context[Any, Any, Any], **values: Any) -> dict[str, Any]:
        """Look at a file."""
        path = await anyio.to_thread.run_sync(self._files.fetch, self._visitor(context), values["file"])
        report = await anyio.to_thread.run_sync(read_report, self._services, path)
        return {**report, "file": Path(path).name}

    async def _run(
        self, context: Context[Any, Any, Any], job: Job[Any, Any], values: dict[str, Any], files: Sequence[str]
    ) -> dict[str, Any]:
        """Put a request into the queue, wait for its end, and say where the result is."""
        require_consent(values.pop("consent"))
        visitor = self._visitor(context)
        for name in files:
            given = values[name]
            fetched = [
                await anyio.to_thread.run_sync(self._files.fetch, visitor, one)
                for one in (given if isinstance(given, list) else [given])
            ]
            values[name] = fetched if isinstance(given, list) else fetched[0]
        run = self._services.start(visitor, job, make_request(job, {**values, "output": ""}))
        async for status in self._services.watch(run):
            await context.report_progress(status.progress, 1.0, to_browser_message(status.text))
        status, output = run.status(), self._services.output(run)
        if status.state != "done" or output is None:
            raise InputError(status.text or "The run was cancelled.")
        notices = run.result().get("notices", ())
        return {
            "run": run.name,
            "summary": status.text,
            "notices": list(notices),
            **self._publish(context, visitor, output),
        }

    def _publish(self, context: Context[Any, Any, Any], visitor: Visitor, path: Path) -> dict[str, str]:
        request = context.request_context.request
        return self._files.publish(visitor, path, str(request.base_url) if request is not None else "")

    def _visitor(self, context: Context[Any, Any, Any]) -> Visitor:
        return self._visitors.setdefault(context.session, Visitor())


def _describe(function: Callable[..., Any], own: Own, fields: Sequence[Field]) -> Callable[..., Any]:
    """The function with parameters that are typed, bounded and described, and errors that are one sentence."""

    @functools.wraps(function)
    async def call(**values: Any) -> Any:
        try:
            return await function(**values)
        except FacegenError as error:
            raise ToolError(to_browser_message(str(error))) from error

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("context", keyword, annotation=Context)]
    for name, (hint, about) in own.items():
        parameters.append(inspect.Parameter(name, keyword, annotation=Annotated[hint, Described(description=about)]))
    for item in fields:
        low, high = item.metadata.get("min"), item.metadata.get("max")
        about = Described(
            description=item.help,
            **({"ge": low} if low is not None else {}),
            **({"le": high} if high is not None else {}),
        )
        default = to_dict(item.default) if hasattr(item.default, "__dataclass_fields__") else item.default
        parameters.append(
            inspect.Parameter(item.name, keyword, default=default, annotation=Annotated[item.hint, about])
        )
    call.__signature__ = inspect.Signature(parameters, return_annotation=dict[str, Any])  # type: ignore[attr-defined]
    call.__annotations__ = {item.name: item.annotation for item in parameters}
    return call
