"""Named endpoints for runs."""

from typing import Any

from facegen.errors import InputError
from facegen.ui.endpoints.parameters import (
    NUMBER,
    STATUS,
    TEXT,
    Endpoint,
    describe_run,
    files,
    flag,
    json_value,
    run_name,
    status,
)
from facegen.ui.messages import strip_paths
from facegen.ui.services import Services, Visitor


def endpoints(services: Services) -> list[Endpoint]:
    """List, look at, cancel, resume and delete runs; fetch their results."""

    def runs(visitor: Visitor) -> Any:
        """All runs that you may see, newest first."""
        return [describe_run(run) for run in services.runs(visitor)]

    def run_status(visitor: Visitor, name: str) -> Any:
        """How a run stands, with the last lines of its log."""
        run = services.run(visitor, name)
        return {**describe_run(run), "size_bytes": run.size_bytes(), "log": strip_paths(run.log_tail())}

    def run_result(visitor: Visitor, name: str) -> Any:
        """The files that a run made."""
        return [services.publish(visitor, path) for path in services.results(services.run(visitor, name))]

    def run_cancel(visitor: Visitor, name: str) -> Any:
        """Stop a run and all its processes."""
        run = services.run(visitor, name)
        run.cancel()
        return describe_run(run)

    def run_resume(visitor: Visitor, name: str) -> Any:
        """Let a run that was cut off go on where it was, once it is its turn."""
        run = services.run(visitor, name)
        services.resume(run)
        return describe_run(run)

    def run_delete(visitor: Visitor, name: str, confirm: bool) -> Any:
        """Delete a run with all its files; `confirm` must be true."""
        run = services.run(visitor, name)
        if confirm is not True:
            raise InputError(f"Expected confirm=True to delete {name}, found it missing; nothing was deleted.")
        run.delete()
        return [describe_run(other) for other in services.runs(visitor)]

    def listed() -> Any:
        return json_value("runs", "Your runs, newest first.", {"type": "array", "items": STATUS})

    def delete_everything(visitor: Visitor, confirm: bool) -> Any:
        """Cancel and delete all that is yours on this studio: runs, uploads, facesets; `confirm` must be true."""
        if confirm is not True:
            raise InputError(
                "Expected confirm=True to delete everything of yours, found it missing; nothing was deleted."
            )
        services.delete_everything(visitor)
        return [describe_run(run) for run in services.runs(visitor)]

    return [
        Endpoint(function=runs, outputs=[listed()]),
        Endpoint(
            function=run_status,
            inputs=[run_name()],
            outputs=[status("How it stands, its size and the end of its log.", size_bytes=NUMBER, log=TEXT)],
        ),
        Endpoint(function=run_result, inputs=[run_name()], outputs=[files("files", "What the run made.")]),
        Endpoint(function=run_cancel, inputs=[run_name()], outputs=[status()]),
        Endpoint(function=run_resume, inputs=[run_name()], outputs=[status()]),
        Endpoint(function=delete_everything, inputs=[flag("confirm", "Must be true.")], outputs=[listed()]),
        Endpoint(function=run_delete, inputs=[run_name(), flag("confirm", "Must be true.")], outputs=[listed()]),
    ]
