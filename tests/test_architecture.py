"""The house holds itself: who may import whom, what may stand where, how large a file may grow."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROOMS = (
    {"errors"},
    {"system"},
    {"json_file", "archive", "array_file", "forks"},
    {"guarded"},
    {"config", "device", "graph"},
    {"encoding", "inference"},
    {"hub", "media"},
    {"jobs"},
    {"training"},
    {"faces", "provenance"},
    {"restore", "reenact"},
    {"facesets"},
    {"swap", "generate", "talk"},
    {"catalog"},
    {"api", "worker"},
    {"cli"},
    {"ui"},
    {"app"},
)
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
ONLY_IN = {
    "gradio": {"ui"},
    "huggingface_hub": {"hub"},
    "ray": {"jobs"},
    "typer": {"cli"},
    "click": {"cli"},
    "argparse": {"cli"},
}
# The two ends of the package: the name and version that all may read, and the door that calls the command line.
OUTSIDE = {"__init__", "__main__"}
NAMELESS = {"utils", "util", "helper", "helpers", "common", "misc", "manager", "core"}
MOST_LINES = 420

MODULES = sorted((REPOSITORY / "facegen").rglob("*.py"))
ALL_SOURCES = [
    REPOSITORY / "app.py",
    *MODULES,
    *sorted((REPOSITORY / "tests").rglob("*.py")),
    *sorted((REPOSITORY / "benchmarks").rglob("*.py")),
]


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def room_of(path: Path) -> str:
    first = path.relative_to(REPOSITORY / "facegen").parts[0]
    return first.removesuffix(".py")


def nodes_of(path: Path, *, is_typing_included: bool = True) -> Iterator[ast.AST]:
    """Every node of a module; on demand without those that only type checkers run."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if is_typing_included or not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def imports_of(path: Path, *, is_typing_included: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a module imports, inside its functions too."""
    package = path.relative_to(REPOSITORY).with_suffix("").parts[:-1]
    for node in nodes_of(path, is_typing_included=is_typing_included):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_import_only_leftwards(path: Path) -> None:
    room = room_of(path)
    if room in OUTSIDE:
        return
    assert room in RANK, f"{room} is no room of DESIGN.md"
    wrong = []
    for line, name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "app" or (parts[0] == "facegen" and len(parts) > 1 and parts[1] in RANK):
            target = parts[0] if parts[0] == "app" else parts[1]
            if target != room and RANK[target] >= RANK[room]:
                wrong.append(f"line {line}: {room} may not import {target}")
    assert not wrong


def test_the_index_of_the_docs_shows_the_rooms_as_they_are() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^errors -> .+$", index, re.MULTILINE)
    assert [set(rooms.split(", ")) for rooms in line.split(" -> ")] == list(ROOMS)


def test_modules_import_each_other_in_no_circle() -> None:
    paths = {dotted_name(path): path for path in MODULES}
    graph = {
        name: {
            target
            for _, imported in imports_of(path, is_typing_included=False)
            for target in (imported if imported in paths else imported.rpartition(".")[0],)
            if target in paths and target != name
        }
        for name, path in paths.items()
    }
    reached = {name: reachable(graph, name) for name in graph}
    circles = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph}
    assert [sorted(circle) for circle in circles - {frozenset()}] == []


def dotted_name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Every module that `start` imports, and what those import; itself where it lies on a circle."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_some_packages_have_one_room(path: Path) -> None:
    room = room_of(path)
    wrong = [
        f"line {line}: {name} belongs into {', '.join(ONLY_IN[name.split('.')[0]])}"
        for line, name in imports_of(path)
        if name.split(".")[0] in ONLY_IN and room not in ONLY_IN[name.split(".")[0]]
    ]
    assert not wrong


@pytest.mark.parametrize("path", ALL_SOURCES, ids=name_of)
def test_no_shell_no_pickle_no_eval(path: Path) -> None:
    wrong = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in {"eval", "exec", "os.system", "os.popen"}:
                wrong.append(f"line {node.lineno}: {called}")
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False":
                wrong.append(f"line {node.lineno}: {called} with shell or pickle")
            if called == "torch.load" and given.get("weights_only") != "True":
                wrong.append(f"line {node.lineno}: torch.load without weights_only=True")
    wrong += [f"line {line}: {name}" for line, name in imports_of(path) if name.split(".")[0] in {"pickle", "dill"}]
    assert not wrong


@pytest.mark.parametrize("path", ALL_SOURCES, ids=name_of)
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    assert path.stem not in NAMELESS


def test_app_is_a_page_long() -> None:
    assert len((REPOSITORY / "app.py").read_text(encoding="utf-8").splitlines()) <= 30


@pytest.mark.parametrize("path", [*MODULES, REPOSITORY / "app.py"], ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def loaded_by(module: str) -> set[str]:
    """Top-level packages in memory after importing `module` in a fresh process."""
    program = f"import sys, {module}; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_catalog_loads_neither_torch_nor_gradio() -> None:
    assert not loaded_by("facegen.catalog") & {"torch", "gradio", "numpy", "cv2", "av", "mediapipe", "huggingface_hub"}


def test_help_loads_nothing_heavy() -> None:
    program = "import sys, facegen.cli; facegen.cli.build_app(); print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {
        "torch",
        "gradio",
        "numpy",
        "cv2",
        "av",
        "mediapipe",
        "huggingface_hub",
        "scipy",
        "onnxruntime",
    }
