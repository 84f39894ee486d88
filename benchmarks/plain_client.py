"""A program that calls the studio's named endpoints over HTTP, and takes little of the machine that it measures.

Gradio's own client asks for the state of each call twenty times a second, by two threads; twenty of them take half a core. Here a call
is one request that waits for its answer.
"""

import json
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx

_FILE = {"_type": "gradio.FileData"}
_API = "/gradio_api"


class RefusedError(Exception):
    """The studio's own sentence on why it does not do what it was asked for."""


class PlainClient:
    """One visitor of a studio.

    Args:
        url: the studio's.
        folder: where files of answers are kept.
        headers: of every request.
        timeout: seconds that a request may take, or a call keep silent.
    """

    def __init__(self, url: str, folder: Path, headers: dict[str, str], timeout: float) -> None:
        self._http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout)
        self._http.get("/config").raise_for_status()  # brings the cookie of a visit
        self._folder, self._number = folder, count()
        self._calls = ThreadPoolExecutor(max_workers=4)

    def close(self) -> None:
        """End the calls and the connections."""
        self._calls.shutdown(cancel_futures=True)
        self._http.close()

    def submit(self, endpoint: str, **parameters: Any) -> "Future[Any]":
        """`call`, in the background."""
        return self._calls.submit(self.call, endpoint, **parameters)

    def call(self, endpoint: str, **parameters: Any) -> Any:
        """The answer of a named endpoint.

        Args:
            endpoint: its name, as `/swap`.
            parameters: its own; files are `Path`s.

        Returns:
            Its output, or a list of them where there are several; files are `Path`s.

        Raises:
            RefusedError: it refused.
        """
        asked = self._http.post(f"{_API}/call/v2{endpoint}", json=self._to_json(parameters))
        if asked.status_code != httpx.codes.OK:
            raise RefusedError(asked.text)
        with self._http.stream("GET", f"{_API}/call/v2{endpoint}/{asked.json()['event_id']}") as answer:
            outputs = _last_message(answer.iter_lines())
        found = [self._from_json(output) for output in outputs]
        return found[0] if len(found) == 1 else found

    def _to_json(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._to_json(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._to_json(one) for one in value]
        if not isinstance(value, Path):
            return value
        with value.open("rb") as file:
            sent = self._http.post(f"{_API}/upload", files={"files": (value.name, file)})
        sent.raise_for_status()
        return {"path": sent.json()[0], "orig_name": value.name, "meta": _FILE}

    def _from_json(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._from_json(one) for one in value]
        if not isinstance(value, dict):
            return value
        if value.get("meta") != _FILE:
            return {key: self._from_json(one) for key, one in value.items()}
        kept = self._folder / f"{next(self._number)}-{Path(value['path']).name}"
        with self._http.stream("GET", value["url"]) as answer:
            answer.raise_for_status()
            with kept.open("wb") as file:
                for part in answer.iter_bytes():
                    file.write(part)
        return kept


def _last_message(lines: Iterable[str]) -> list[Any]:
    """The outputs in a stream of events; `RefusedError` if it ends otherwise."""
    event = ""
    for line in lines:
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: ") and event in ("complete", "error"):
            data = json.loads(line.removeprefix("data: "))
            if event == "complete":
                outputs: list[Any] = data
                return outputs
            raise RefusedError(data["error"] if isinstance(data, dict) and data.get("error") else str(data))
    raise ConnectionError("the stream of a call ended without its answer")
