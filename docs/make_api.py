"""Writes what follows from the declarations of jobs: `facegen/api.pyi`, and the tables in `docs/api.md`.

python docs/make_api.py
"""

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from facegen import api
from facegen.api import REPEATED
from facegen.facesets.jobs import EXTRACT
from facegen.generate.jobs import GENERATE
from facegen.jobs.fields import Field, fields_of
from facegen.jobs.job import Job
from facegen.swap.jobs import SWAP
from facegen.talk.jobs import TALK

REPOSITORY = Path(__file__).parents[1]
FUNCTIONS: tuple[tuple[Callable[..., Any], Job[Any, Any]], ...] = (
    (api.swap, SWAP),
    (api.generate, GENERATE),
    (api.talk, TALK),
    (api.extract, EXTRACT),
)
ENDPOINTS = r"(<!-- endpoints -->\n).*?(<!-- end -->)"
"""Where the endpoints stand in the page."""
_HEAD = '''"""Types of facegen/api.py for editors and type checkers. Written by docs/make_api.py from the declarations of jobs."""

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from PIL import Image

from facegen.facesets.options import ExtractResult
from facegen.jobs.progress import OnProgress
from facegen.swap.request import SwapResult
from facegen.talk.request import TalkResult

AnyPath: TypeAlias = str | os.PathLike[str]
'''


def stub() -> str:
    """The text of `facegen/api.pyi`."""
    return _HEAD + "\n" + "\n".join(_stub_of(function, job) for function, job in FUNCTIONS)


def tables() -> dict[str, str]:
    """The table of keyword arguments of each function, by its name."""
    return {function.__name__: _table(function, job) for function, job in FUNCTIONS}


def with_tables(page: str) -> str:
    """The page with its tables, which stand between «<!-- NAME -->» and «<!-- end -->», written anew."""
    for name, table in tables().items():
        page = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=table: m[1] + t + m[2], page, flags=re.S)
    return page


def endpoint_table(info: Mapping[str, Any]) -> str:
    """The named endpoints of the studio, from what `view_api` shows.

    Args:
        info: `named_endpoints` of `gradio.Blocks.get_api_info`.
    """
    rows = []
    for name, endpoint in sorted(info.items()):
        rows += [f"**{name}**: {endpoint['description']}", "", "| argument | type | what |", "|---|---|---|"]
        for item in endpoint["parameters"]:
            optional = f" Default `{item['parameter_default']!r}`." if item["parameter_has_default"] else ""
            about = item["type"].get("additional_description", "") + optional
            rows.append(f"| `{item['parameter_name']}` | {_kind(item)} | {about} |")
        rows += [f"| answers | {_kind(item)} | {item['type'].get('description', '')} |" for item in endpoint["returns"]]
        rows.append("")
    return "\n".join(rows)


def _kind(item: Mapping[str, Any]) -> str:
    schema = item["type"]
    if item["component"] == "Json" and schema.get("properties"):
        return "object: " + ", ".join(f"`{name}`" for name in schema["properties"])
    return f"`{item['python_type']['type']}`".replace("|", "\\|")


def _keywords(function: Callable[..., Any], job: Job[Any, Any]) -> Iterator[Field]:
    parameters = inspect.signature(function).parameters.values()
    keywords = {item.name for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY}
    return (item for item in fields_of(job.request) if item.name in keywords)


def _stub_of(function: Callable[..., Any], job: Job[Any, Any]) -> str:
    source = inspect.getsource(function)
    own = source[source.index("(", source.index("\ndef ")) + 1 : source.index("**fields")].strip()
    returns = re.findall(r"-> (.+):\n", source)[0]
    lines = [line.strip() for line in re.split(r",\s+(?![^\[]*\])", own.rstrip(", "))]
    lines += [f"{item.name}: {_type(item.hint, item)} = ..." for item in _keywords(function, job)]
    lines = [re.sub(r"= (None|False)$", "= ...", line) for line in lines]
    about = "\n".join(f"    {line}".rstrip() for line in str(inspect.getdoc(function)).splitlines())
    parameters = "".join(f"    {line},\n" for line in lines)
    return f'def {function.__name__}(\n{parameters}) -> {returns}:\n    """{about.strip()}\n    """\n'


def _type(hint: Any, item: Field) -> str:
    origin, of = get_origin(hint), get_args(hint)
    if hint is str and item.metadata.get("file") in ("input", "output"):
        return "AnyPath"
    if hint is type(None):
        return "None"
    if origin in (types.UnionType, typing.Union):
        return " | ".join(_type(one, item) for one in of)
    if origin is Literal:
        return f"Literal[{', '.join(repr(one) for one in of)}]".replace("'", '"')
    if origin is tuple:
        inner = _type(of[0], item)
        return f"{inner} | Sequence[{inner}]"
    if origin is Mapping:
        return f"Mapping[{', '.join(_type(one, item) for one in of)}]"
    return str(hint.__name__)


def _table(function: Callable[..., Any], job: Job[Any, Any]) -> str:
    rows = ["| argument | default | what |", "|---|---|---|"]
    for item in _keywords(function, job):
        low, high = item.metadata.get("min"), item.metadata.get("max")
        choices = item.metadata.get("choices", ())
        bounds = f" {low} to {high}." if high is not None else ""
        bounds = f" One of {', '.join(f'`{one}`' for one in choices)}." if len(choices) > 1 else bounds
        about = item.help.replace("|", "\\|").replace(REPEATED, "")
        rows.append(f"| `{item.name}` | `{item.default!r}` | {about}{bounds} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Writes both files."""
    (REPOSITORY / "facegen" / "api.pyi").write_text(stub(), encoding="utf-8")
    page = REPOSITORY / "docs" / "api.md"
    from facegen.ui.studio import build_studio

    text = with_tables(page.read_text(encoding="utf-8"))
    table = endpoint_table(build_studio().get_api_info()["named_endpoints"])
    page.write_text(re.sub(ENDPOINTS, lambda found: found[1] + table + found[2], text, flags=re.S), encoding="utf-8")


if __name__ == "__main__":
    main()
