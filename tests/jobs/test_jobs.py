"""Every job's request goes to JSON and back, to a command and back, and into a run and out of it."""

import json
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from facegen import config
from facegen.catalog import JOBS, find_job, find_task
from facegen.cli import build_app
from facegen.cli.command import render
from facegen.encoding import EncodeOptions
from facegen.errors import Cancelled, InputError
from facegen.facesets.options import ExtractOptions, ExtractRequest
from facegen.generate.request import DatasetRequest, GenerateOptions, GenerateRequest
from facegen.generate.sliders import Sliders
from facegen.jobs import INPUT, OUTPUT, Job, Progress, Result, Run, list_runs, model_of
from facegen.jobs.files import absolute, map_paths, paths
from facegen.jobs.pipeline import Models, Pipeline
from facegen.swap.options import SwapOptions
from facegen.swap.request import SwapRequest, SwapTrainRequest
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest, TalkTrainRequest
from facegen.training.request import make_request

FILE = str(Path(__file__).absolute())
OUTPUT_FOLDER = str(Path(FILE).parent / "made")
HOSTILE = "a b'\"$(x);\n=é"
REQUESTS: tuple[tuple[str, Any], ...] = (
    ("swap", SwapRequest(sources=(FILE, HOSTILE), target=FILE, output="made.mp4")),
    (
        "swap",
        SwapRequest(
            people={0: (FILE, HOSTILE), 12: (FILE,)},
            target=HOSTILE,
            output="made.mp4",
            options=SwapOptions(
                faces="largest", source_face=1, face_shape=0.25, occlusion=False, crf=20, preset="fast", end_seconds=2.5
            ),
        ),
    ),
    ("swap", SwapRequest(sources=(FILE,), target=FILE, output="m.mp4", options=SwapOptions(faces="person", person=3))),
    (
        "swap",
        SwapRequest(
            target=FILE, output="made", patches=True, options=SwapOptions(engine="dfm:model.dfm", merge="mode=overlay")
        ),
    ),
    (
        "swap-train",
        SwapTrainRequest(
            person_a=(FILE,),
            person_b=(HOSTILE, FILE),
            target=FILE,
            fresh=True,
            changes=("lr=1e-4",),
            encode=EncodeOptions(encoder="h265", crf=12, preset="slow"),
        ),
    ),
    (
        "talk",
        TalkRequest(
            portrait=HOSTILE,
            audio=FILE,
            output="made.mp4",
            driving=FILE,
            options=TalkOptions(mouth=0.5, blink=False, face=2, seconds=1.5),
        ),
    ),
    ("talk", TalkRequest(audio=FILE, output="made.mp4", options=TalkOptions(engine="dfrf:anna"))),
    ("talk-train", TalkTrainRequest(video=FILE, preset="reference", seconds=4.0, changes=("steps=3", "lr=1e-4"))),
    ("generate", GenerateRequest(output="faces")),
    (
        "generate",
        GenerateRequest(
            output="faces",
            sliders=Sliders(eyes=0.1, head=0.9),
            options=GenerateOptions(seed=7, count=4, retouch=False),
            more={"smile": 1.5, "age": -0.25},
            sweep=("mouth",),
            film=True,
            encode=EncodeOptions(file_type="gif", crf=30),
        ),
    ),
    ("generate", GenerateRequest(output="faces", edit=FILE, given=("eyes",))),
    ("dataset", DatasetRequest(photographs="photographs", output="dataset", keep="female>=0.9999", augment=False)),
    (
        "faceset-extract",
        ExtractRequest(
            inputs=(FILE, HOSTILE),
            output="people/a",
            persons=(FILE,),
            others=(HOSTILE,),
            options=ExtractOptions(face_type="head", size=512, debug=True),
        ),
    ),
    (
        "train",
        make_request(
            find_task("autoencoder"),
            preset="tiny",
            data="people",
            changes=["lr=1e-4", "task.code=9", "steps=7", "optimiser.schedule=cosine"],
        ),
    ),
    (
        "train",
        replace(make_request(find_task("saehd"), data="people"), search=("lr=1e-4,1e-5", "batch=4,8"), trials=3),
    ),
)

IDS = [f"{name}-{number}" for number, (name, _) in enumerate(REQUESTS)]


def parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The request that a command makes of its arguments."""
    caught: list[Any] = []

    def catch(_job: object, request: Any, *_rest: object) -> Any:
        caught.append(request)
        raise Cancelled("caught")

    for module in ("batch", "swap", "talk", "generate", "faceset"):
        monkeypatch.setattr(f"facegen.cli.{module}.run_job", catch)
    monkeypatch.setattr("facegen.cli.train._train", lambda info, request, *_a, **_k: catch(info, request))
    monkeypatch.setattr("facegen.cli.train._search", lambda request, *_a, **_k: catch(None, request))
    CliRunner().invoke(build_app(words[1:]), words[1:])
    (request,) = caught
    return request


def test_every_job_has_a_request_here() -> None:
    assert {name for name, _ in REQUESTS} == {job.name for job in JOBS}


@pytest.mark.parametrize(("name", "request_"), REQUESTS, ids=IDS)
def test_a_request_goes_to_json_and_back(name: str, request_: Any) -> None:
    data = json.loads(json.dumps(config.to_dict(request_)))
    assert config.from_dict(find_job(name).request, data) == request_


@pytest.mark.parametrize(("name", "request_"), REQUESTS, ids=IDS)
def test_a_rendered_command_is_parsed_into_the_same_request(
    name: str, request_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_ = replace(request_, data=str(Path("people").absolute())) if name == "train" else request_
    assert parse(render(find_job(name), request_), monkeypatch) == request_


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_the_example_of_a_job_is_one_of_its_commands(job: Job[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    words = job.example.split()
    assert " ".join(words[1:]).startswith(job.command)
    assert isinstance(parse(words, monkeypatch), job.request)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_declared_name_exists(job: Job[Any, Any]) -> None:
    assert not job.subject or job.subject in {item.name for item in fields(job.request)}
    assert issubclass(job.result, Result)
    assert isinstance(job.load_pipeline()(), Pipeline)


@dataclass(frozen=True, kw_only=True)
class _Inner:
    engine: str = field(default="mesh", metadata=model_of("dfm:"))


@dataclass(frozen=True, kw_only=True)
class _Request:
    target: str = field(metadata=INPUT)
    people: dict[int, tuple[str, ...]] = field(default_factory=dict, metadata=INPUT)
    output: str = field(default="", metadata=OUTPUT)
    inner: _Inner = field(default_factory=_Inner)


@dataclass(frozen=True, kw_only=True)
class _Made(Result):
    output: str = field(metadata=OUTPUT)
    count: int = 0


TRY = Job(
    name="try",
    command="try",
    summary="Try.",
    request=_Request,
    result=_Made,
    pipeline=f"{__name__}:_Try",
    result_name=lambda request: f"{Path(request.target).stem}-made.txt",
    key=lambda request: f"{Path(request.target).name:x<16}",
    subject="target",
)


class _Try(Pipeline[_Request, _Made]):
    job = TRY
    calls: list[Path]

    def work(self, request: _Request, run: Run | None, progress: Progress) -> _Made:
        assert run is not None
        if not hasattr(self, "calls"):
            self.calls = []
        self.calls.append(run.path)
        progress.report(0.5, "Working")
        if len(self.calls) == 1:
            raise Cancelled("Cancelled.")
        return _Made(output=request.output, count=3, notices=("Mind this.",))


def test_a_request_finds_its_own_run_again_until_it_is_done(tmp_path: Path) -> None:
    pipeline, request = _Try(), _Request(target="clip.mp4", output="made.txt")
    with pytest.raises(Cancelled):
        pipeline(request)
    assert pipeline.calls[0].exists()
    made = pipeline(request)
    assert (made.count, made.run) == (3, None)
    assert pipeline.calls[1] == pipeline.calls[0]
    assert not pipeline.calls[0].exists()
    kept = pipeline(request, TRY.create_run(request, path=tmp_path / "kept"))
    run = Run.open(tmp_path / "kept")
    assert kept.run == str(run.path)
    assert TRY.read_result(run) == absolute(kept)  # to be found from every folder
    assert run.status().text == kept.summary


def test_a_run_is_taken_up_again_by_its_own_job_and_by_one_process(tmp_path: Path) -> None:
    run = TRY.create_run(_Request(target="clip.mp4"), path=tmp_path / "run")
    before = run.request
    other = _Request(target="other.mp4")
    with pytest.raises(InputError, match="a run of trial in .*, found one of try"):
        replace(TRY, name="trial").open_run(other, run.path)
    with run.lock(), pytest.raises(InputError, match="another process"):
        TRY.open_run(other, run.path)
    assert run.request == before
    assert replace(TRY, name="trial", old_names=("try",)).open_run(other, run.path).request != before


def test_files_of_a_visitor_are_staged_into_the_run(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4"
    for path, content in ((first, "first"), (second, "second")):
        path.parent.mkdir()
        path.write_text(content)
    request = _Request(target=str(first), people={1: (str(second), str(first))})
    run = TRY.create_run(request, owner="me", is_staged=True)
    first.unlink()
    second.unlink()
    (listed,) = list_runs()
    assert (listed.owner, listed.kind) == ("me", "try")
    staged = TRY.read_request(listed)
    assert all(Path(path).is_relative_to(run.path) for path in paths(staged))
    assert [Path(path).read_text() for path in staged.people[1]] == ["second", "first"]
    assert Path(staged.target).name == "clip.mp4"
    assert staged.output == str(run.results / "clip-made.txt")
    assert TRY.describe(listed.request) == "try clip.mp4"


def test_paths_become_absolute_and_names_of_runs_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.dfm").touch()
    request = _Request(target="clip.mp4", output="made.txt", inner=_Inner(engine="dfm:model.dfm"))
    found = absolute(request)
    assert (found.target, found.output) == (str(tmp_path / "clip.mp4"), str(tmp_path / "made.txt"))
    assert found.inner.engine == f"dfm:{tmp_path / 'model.dfm'}"
    named = replace(request, inner=_Inner(engine="dfm:a-run"))
    assert absolute(named).inner.engine == "dfm:a-run"
    assert map_paths(request, lambda path, _role: path) is request


def test_models_are_loaded_once_until_they_are_renewed() -> None:
    made: list[int] = []
    models = Models()

    def make() -> int:
        made.append(len(made))
        return made[-1]

    assert [models.get(make), models.get(make)] == [0, 0]
    models.renew()
    assert models.get(make) == 1
    assert isinstance(models.pipeline(TRY), _Try)
    assert models.pipeline(TRY) is models.pipeline(TRY)


def test_every_field_of_a_request_says_what_it_is() -> None:
    for job in JOBS:
        about = config.field_help(job.request)
        for item in fields(job.request):
            assert about.get(item.name), f"{job.request.__name__}.{item.name} has no docstring"
            assert (
                item.default is not MISSING
                or item.metadata.get("file")
                or item.default_factory is not MISSING
                or (job.name == "train")
            )


def test_a_run_is_shown_with_the_command_that_makes_it() -> None:
    run = find_job("swap").create_run(SwapRequest(people={0: ("/my faces/a.jpg",)}, target="/c.mp4", output="/r.mp4"))
    shown = CliRunner().invoke(build_app(["runs"]), ["runs", "show", run.name]).output
    words = f"facegen swap --target /c.mp4 --output /r.mp4 --person '0=/my faces/a.jpg' --run {run.path} --consent"
    assert shown.splitlines()[-1].split(maxsplit=1) == ["command", words]


def test_an_unknown_kind_of_run_is_said() -> None:
    with pytest.raises(InputError, match="listed and deleted"):
        find_job("dance")
    assert find_job("faceset").name == "faceset-extract"
