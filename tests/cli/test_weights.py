"""`facegen weights` with a Hub file in the catalog and a small Hub that has it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from facegen import catalog, hub
from facegen.cli import build_app
from facegen.errors import InputError, WeightsError
from tests.small_hub import SmallHub, hub_with, make_weights

CONTENT = bytes(range(256)) * 64


FREE, STRICT = make_weights(CONTENT)


@pytest.fixture(autouse=True)
def small_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SmallHub]:
    monkeypatch.setattr(catalog, "WEIGHTS", (*catalog.WEIGHTS, FREE, STRICT))
    with hub_with((FREE, STRICT), CONTENT, monkeypatch, tmp_path) as server:
        yield server


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(build_app(("weights",)), ["weights", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def listed(*words: str) -> dict[str, dict[str, object]]:
    return {item["name"]: item for item in json.loads(run("list", "--json", *words).stdout)}


def test_the_list_is_filtered() -> None:
    assert {"free", "strict"} < set(listed())
    assert set(listed("--set", "fast", "--job", "talk", "--permissive")) >= {"free"}
    assert "strict" not in listed("--permissive")
    assert "parser" not in listed("--permissive")
    assert "free" not in listed("--job", "generate")
    with pytest.raises(InputError, match="best-permissive, best, fast"):
        run("list", "--set", "slow")
    assert listed()["free"]["licence_url"] == "https://spdx.org/licenses/MIT.html"


def test_the_list_names_licence_and_revision_in_columns() -> None:
    lines = run("list", "--job", "talk").stdout.splitlines()
    assert len({re.match(r"\S+ +", line).end() for line in lines if " absent" in line}) == 1  # type: ignore[union-attr]
    (line,) = (line for line in lines if line.startswith("live-portrait-stitcher "))
    assert "MIT (https://spdx.org/licenses/MIT.html); Hub, facefusion/models-3.0.0@728b9659bd96" in line


def test_sets_say_what_is_missing_and_what_is_to_be_accepted(
    small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "WEIGHTS", (FREE, STRICT))
    fast = json.loads(run("sets", "--json").stdout)["fast"]
    assert (fast["names"], fast["missing"], fast["to_accept"]) == (["free", "strict"], ["free", "strict"], ["strict"])
    assert fast["missing_bytes"] == FREE.size + STRICT.size  # type: ignore[operator]
    assert "first: facegen weights accept strict" in run("sets").stdout
    run("accept", "strict")
    run("fetch", "--set", "fast")
    assert "all of it is here" in run("sets").stdout


def test_a_file_is_fetched_verified_and_removed(small_hub: SmallHub) -> None:
    assert listed()["free"]["state"] == "absent"
    run("fetch", "free")
    assert listed()["free"]["state"] == "present"
    assert "as it should be" in run("verify", "free").stdout
    hub.locate(FREE).write_bytes(CONTENT[::-1])
    assert "Expected SHA-256" in run("verify", code=1).stdout
    assert json.loads(run("remove", "free", "--json").stdout) == {"free": len(CONTENT)}
    assert listed()["free"]["state"] == "absent"
    with pytest.raises(InputError, match="stays"):
        run("remove", "parser")


def test_a_set_waits_for_its_licences_accepted_by_name(small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "WEIGHTS", (FREE, STRICT))
    with pytest.raises(WeightsError, match="strict: research only. Its author allows research alone") as refusal:
        run("fetch", "--set", "fast")
    assert str(refusal.value).endswith("run: facegen weights accept strict")
    assert small_hub.requests == []
    assert "research alone" in run("accept", "strict").stdout
    run("fetch", "--set", "fast")
    assert small_hub.downloads == 2


def test_a_licence_is_not_accepted_for_what_is_not_named() -> None:
    for words in ([], ["--accept-licence"], ["--set", "fast", "--accept-licence"]):
        with pytest.raises(InputError, match="names of model files"):
            run("fetch", *words)
    run("fetch", "strict", "--accept-licence")
    assert hub.is_accepted(STRICT)
