"""The command line: help for everything there is, one sentence for what goes wrong, the right exit codes."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.testing

from facegen import __version__
from facegen.cli import COMMANDS, build_app
from facegen.cli.consent import ask_consent
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.swap.jobs import SWAP


def facegen(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "facegen", *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def test_help_lists_every_command() -> None:
    done = facegen("--help")
    assert done.returncode == 0
    assert [name for name in COMMANDS if f" {name} " not in done.stdout] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(name: str) -> None:
    done = facegen(name, "--help")
    assert done.returncode == 0
    assert f"facegen {name}" in done.stdout


def test_every_help_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    def check(command: Any, words: tuple[str, ...]) -> int:
        shown = typer.testing.CliRunner().invoke(app, [*words, "--help"]).stdout
        assert [line for line in shown.splitlines() if len(line) > 80] == [], words
        names = [name for option in command.params if option.param_type_name == "option" for name in option.opts]
        assert [name for name in names if name not in shown] == [], words
        commands = getattr(command, "commands", {})
        return 1 + sum(check(each, (*words, name)) for name, each in commands.items())

    app = build_app()
    assert check(typer.main.get_command(app), ()) > 40


def test_consent_is_asked_on_a_terminal_and_remembered_for_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACEGEN_HOME", str(tmp_path / "home"))
    file = tmp_path / "a.jpg"
    ask_consent(SWAP, False, [str(file)])
    assert "--consent" in capsys.readouterr().err
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    answers = [False, True, True]
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: answers.pop(0))
    with pytest.raises(InputError, match="consent"):
        ask_consent(SWAP, False, [str(file)])
    ask_consent(SWAP, False, [str(file)])
    # remembered: nobody is asked again
    ask_consent(SWAP, False, [str(file)])
    assert answers == []


def test_version() -> None:
    assert facegen("--version").stdout.strip() == f"facegen {__version__}"


def test_unknown_command_is_refused() -> None:
    assert facegen("dance").returncode == 2


def test_expected_errors_are_one_sentence_and_exit_code_2() -> None:
    done = facegen("runs", "show", "no-such-run")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "facegen runs list" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_command_with_130(number: signal.Signals) -> None:
    run = Run.create("swap", {})
    run.enqueue()
    (run.path / "log.txt").write_text("first line\n")
    command = [sys.executable, "-m", "facegen", "runs", "log", run.name, "--follow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "first line\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_weights_list_and_fetch() -> None:
    listed = json.loads(facegen("weights", "list", "--json").stdout)
    assert {"centerface", "face-landmarker"} <= {item["name"] for item in listed}
    done = facegen("weights", "fetch", "centerface", "--json")
    assert Path(json.loads(done.stdout)["centerface"]).is_file()
    assert facegen("weights", "fetch", "nothing").returncode == 2


def test_doctor_reports_what_it_tried() -> None:
    report = json.loads(facegen("doctor", "--device", "cpu", "--json").stdout)
    assert report["device"]["in use"].startswith("cpu")
    assert report["encoders"]["libx264"] == "yes"
    assert facegen("doctor", "--device", "toaster").returncode == 2
