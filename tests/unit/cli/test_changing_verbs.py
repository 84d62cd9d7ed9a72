"""``deploy`` and ``destroy``: what they ask, refuse, launch and print."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from mlstacks_dagster.catalog.loading import load_plan
from mlstacks_dagster.cli.running import ProgressPrinter
from mlstacks_dagster.ledger.store import Ledger
from mlstacks_dagster.lifecycle.models import Progress
from tests.unit.cli.conftest import Terminal

S3 = ("artifact_store", "s3")
ECR = ("container_registry", "aws")


def test_deploy_launches_every_unit(terminal: Terminal) -> None:
    said = terminal.run("deploy", "-f", terminal.stack("demo", S3, ECR))
    assert said.code == 0
    (request,) = terminal.launch.requests
    assert (request.kind, request.target, request.replan) == ("deploy", "cloud", False)
    assert request.units == ("artifact_store_s3", "container_registry_ecr")
    assert said.out.splitlines()[:2] == [
        "UNIT                    RESULT",
        "artifact_store_s3       applied",
    ]
    assert "ZenML stack file: " in said.out


@pytest.mark.parametrize(
    "word", ["container_registry_ecr", "my_container_registry", "container_registry"]
)
def test_only_takes_a_unit_a_component_or_a_type(terminal: Terminal, word: str) -> None:
    path = terminal.stack("demo", S3, ECR)
    terminal.run("deploy", "-f", path, "--only", word, "--only", word)
    assert terminal.launch.requests[0].units == ("container_registry_ecr",)


def test_an_unknown_word_after_only_is_refused_with_the_known_ones(terminal: Terminal) -> None:
    said = terminal.run("deploy", "-f", terminal.stack(), "--only", "nobody")
    assert said.code == 2
    assert "no component or unit 'nobody'" in said.err
    assert "artifact_store_s3" in said.err
    assert terminal.launch.requests == []


def test_deploy_leaves_retired_units_alone_and_says_so(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack("demo", S3, ECR))
    said = terminal.run("deploy", "-f", terminal.stack("demo", S3))
    assert terminal.launch.requests[0].units == ("artifact_store_s3",)
    assert "no longer in the stack file: container_registry_ecr" in said.out
    assert "mlstacks-dagster destroy demo --only container_registry_ecr" in said.out


def test_deploy_passes_replan_on(terminal: Terminal) -> None:
    terminal.run("deploy", "-f", terminal.stack(), "--replan")
    assert terminal.launch.requests[0].replan is True


def test_a_failed_run_is_exit_code_1_with_the_reason_and_the_next_step(terminal: Terminal) -> None:
    terminal.launch.outcome, terminal.launch.error = "failed", "no quota left"
    said = terminal.run("deploy", "-f", terminal.stack())
    assert said.code == 1
    assert "artifact_store_s3: no quota left" in said.err
    assert "run run-1 failed; run the same command again to go on" in said.err


def test_an_error_that_no_unit_can_be_blamed_for_is_printed_too(terminal: Terminal) -> None:
    terminal.launch.run_error = "the disk is full"
    said = terminal.run("deploy", "-f", terminal.stack())
    assert said.code == 1
    assert "the disk is full" in said.err


def test_deploy_as_json_prints_json_only(terminal: Terminal) -> None:
    said = terminal.run("deploy", "-f", terminal.stack(), "--json")
    assert json.loads(said.out) == {
        "run_id": "run-1",
        "success": True,
        "error": "",
        "units": {"artifact_store_s3": {"outcome": "applied", "error": ""}},
    }


@pytest.mark.parametrize(
    ("there", "flags", "remedy"),
    [("sandbox", [], "add --sandbox"), ("cloud", ["--sandbox"], "leave out --sandbox")],
)
def test_a_stack_that_is_deployed_elsewhere_is_refused(
    terminal: Terminal, there: str, flags: list[str], remedy: str
) -> None:
    path = terminal.stack()
    terminal.deployed(path, target=there)
    said = terminal.run("deploy", "-f", path, *flags)
    assert said.code == 3
    assert f"stack demo is deployed in the {there}" in said.err
    assert remedy in said.err
    assert terminal.launch.requests == []
    assert not terminal.settings.sandbox_dir.exists()


def test_a_broken_file_is_refused_before_anything_is_started(terminal: Terminal) -> None:
    path = terminal.stack(provider="cloud9")
    assert terminal.run("deploy", "-f", path, "--sandbox").code == 2
    assert not terminal.settings.sandbox_dir.exists()


def test_destroy_asks_for_the_name_and_goes_on_when_it_is_right(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack())
    said = terminal.run("destroy", "demo", typed="demo\n")
    assert said.code == 0
    assert "This destroys everything of stack demo in the cloud, data included." in said.err
    (request,) = terminal.launch.requests
    assert (request.kind, request.units, request.target) == ("destroy", None, "cloud")


@pytest.mark.parametrize("typed", ["\n", "y\n", "yes\n", "Demo\n", "dem\n"])
def test_destroy_refuses_another_answer(terminal: Terminal, typed: str) -> None:
    terminal.deployed(terminal.stack())
    said = terminal.run("destroy", "demo", typed=typed)
    assert said.code == 3
    assert "not confirmed; nothing was destroyed" in said.err
    assert terminal.launch.requests == []


def test_destroy_without_an_answer_is_aborted(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack())
    said = terminal.run("destroy", "demo")
    assert said.code == 1
    assert "aborted" in said.err
    assert terminal.launch.requests == []


def test_destroy_with_yes_asks_nothing(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack())
    said = terminal.run("destroy", "demo", "-y")
    assert said.code == 0
    assert "Type" not in said.err + said.out
    assert len(terminal.launch.requests) == 1


def test_destroy_by_file_of_some_units(terminal: Terminal) -> None:
    path = terminal.stack("demo", S3, ECR)
    terminal.deployed(path)
    said = terminal.run("destroy", "-f", path, "--only", "artifact_store", typed="demo\n")
    assert "This destroys artifact_store_s3 of stack demo" in said.err
    assert terminal.launch.requests[0].units == ("artifact_store_s3",)


def test_destroy_as_json_keeps_the_question_out_of_it(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack())
    said = terminal.run("destroy", "demo", "--json", typed="demo\n")
    assert json.loads(said.out)["run_id"] == "run-1"


def test_a_stack_whose_file_is_gone_can_be_destroyed(terminal: Terminal) -> None:
    path = terminal.stack()
    terminal.deployed(path)
    path.unlink()
    assert terminal.run("destroy", "demo", "-y").code == 0


def test_an_expired_stack_can_be_destroyed_by_its_file(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack())
    path = terminal.stack(expires_at="2020-01-01T00:00:00Z")
    assert terminal.run("deploy", "-f", path).code == 2
    assert terminal.run("destroy", "-f", path, "-y").code == 0


def test_an_unknown_name_suggests_the_nearest(terminal: Terminal) -> None:
    terminal.stack("quickstart")
    said = terminal.run("destroy", "quikcstart", "-y")
    assert said.code == 2
    assert "did you mean quickstart?" in said.err
    assert "see: mlstacks-dagster status" in terminal.run("destroy", "zzz", "-y").err


def test_destroying_what_is_not_deployed_is_done_already(terminal: Terminal) -> None:
    path = terminal.stack()
    said = terminal.run("destroy", "-f", path)
    assert (said.code, said.out) == (0, "demo is not deployed; nothing to destroy\n")
    assert json.loads(terminal.run("destroy", "demo", "--json").out) == {
        "run_id": None,
        "success": True,
        "error": "",
        "units": {},
    }
    assert terminal.launch.requests == []


def test_a_protected_stack_is_refused_before_anything_is_asked(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack(protect=True))
    for path in (terminal.folder / "demo.yaml", terminal.stack(protect=False)):
        said = terminal.run("destroy", "-f", path, "-y")
        assert said.code == 3
        assert "stack demo is protected" in said.err
    assert terminal.launch.requests == []


def test_insisting_on_the_sandbox_refuses_a_stack_in_the_cloud(terminal: Terminal) -> None:
    terminal.deployed(terminal.stack())
    said = terminal.run("destroy", "demo", "--sandbox", "-y")
    assert said.code == 3
    assert "in the cloud, not in the sandbox" in said.err


def test_a_record_that_can_not_be_read_is_not_taken_for_nothing(terminal: Terminal) -> None:
    path = terminal.stack()
    terminal.deployed(path)
    path.unlink()
    with sqlite3.connect(terminal.settings.home / "ledger.db") as database:
        database.execute("UPDATE mlstacks_stacks SET plan = '{}'")
    said = terminal.run("destroy", "demo", "-y")
    assert said.code == 1
    assert "written by another version" in said.err
    assert "nothing to destroy" not in said.out


def test_progress_is_printed_when_it_says_something_new(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show = ProgressPrinter()
    working = Progress(unit="network", phase="apply", done=1, total=3, seconds=1.25)
    for progress in (
        working,
        working.model_copy(update={"seconds": 2.0}),
        working.model_copy(update={"done": 2}),
        working.model_copy(update={"unit": "cluster"}),
        working.model_copy(update={"state": "done", "done": 0, "total": 0}),
    ):
        show(progress)
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line.split() for line in said.err.splitlines()]
    assert lines == [
        ["1.2s", "network", "apply", "1/3"],
        ["1.2s", "network", "apply", "2/3"],
        ["1.2s", "cluster", "apply", "1/3"],
        ["1.2s", "network", "done"],
    ]


def rename(terminal: Terminal, component: str, name: str) -> None:
    file = terminal.folder / f"demo-{component}.yaml"
    file.write_text(file.read_text().replace(f"name: my_{component}", f"name: {name}"))


@pytest.mark.parametrize("verb", ["deploy", "destroy"])
def test_a_word_that_means_different_things_is_refused_until_it_says_which(
    terminal: Terminal, verb: str
) -> None:
    path = terminal.stack("demo", S3, ECR)
    rename(terminal, "artifact_store", "container_registry")
    terminal.deployed(path)
    more = ["-y"] if verb == "destroy" else []
    said = terminal.run(verb, "-f", path, "--only", "container_registry", *more)
    assert said.code == 2
    assert "as a name: artifact_store_s3; as a type: container_registry_ecr" in said.err
    assert "write name:container_registry or type:container_registry" in said.err
    assert terminal.launch.requests == []
    for word, unit in (("name", "artifact_store_s3"), ("type", "container_registry_ecr")):
        terminal.run(verb, "-f", path, "--only", f"{word}:container_registry", *more)
        assert terminal.launch.requests.pop().units == (unit,)


def test_a_component_s_name_that_is_another_s_unit_is_refused(terminal: Terminal) -> None:
    path = terminal.stack("demo", S3, ECR)
    rename(terminal, "artifact_store", "container_registry_ecr")
    said = terminal.run("deploy", "-f", path, "--only", "container_registry_ecr")
    assert said.code == 2
    assert "write unit:container_registry_ecr or name:container_registry_ecr" in said.err
    terminal.run("deploy", "-f", path, "--only", "unit:container_registry_ecr")
    assert terminal.launch.requests.pop().units == ("container_registry_ecr",)


def test_a_name_that_is_also_its_own_type_means_one_thing(terminal: Terminal) -> None:
    path = terminal.stack("demo", S3, ECR)
    rename(terminal, "container_registry", "container_registry")
    terminal.run("deploy", "-f", path, "--only", "container_registry")
    assert terminal.launch.requests[0].units == ("container_registry_ecr",)


def test_a_deploy_after_the_ttl_is_over_is_refused_before_a_run(terminal: Terminal) -> None:
    path = terminal.stack("demo", S3, ttl="1h")
    terminal.deployed(path)  # in January 2027, by its clock
    with Ledger.open(terminal.settings.ledger_url, clock=lambda: 0) as ledger:
        ledger.register_stack(
            load_plan(terminal.stack("old", S3, ttl="1h"), terminal.settings),
            target="cloud",
            expires_at=3600,
        )
    assert terminal.run("deploy", "-f", path).code == 0
    said = terminal.run("deploy", "-f", terminal.folder / "old.yaml")
    assert said.code == 2
    assert "stack old has come to its end" in said.err
    assert [r.entry.name for r in terminal.launch.requests] == ["demo"]


@pytest.mark.parametrize("verb", ["deploy", "destroy"])
def test_the_server_for_steps_is_started_before_dagster_is_imported(
    terminal: Terminal, verb: str
) -> None:
    path = terminal.stack()
    terminal.deployed(path)
    program = """
        import sys
        from mlstacks_dagster.engines import forkserver
        from mlstacks_dagster.cli.main import main

        def warm(preload):
            sys.exit(str("dagster" in sys.modules))

        forkserver.warm = warm
        main()
    """
    argv = [sys.executable, "-c", textwrap.dedent(program), verb, "-f", str(path)]
    argv += ["-y"] if verb == "destroy" else []
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (done.stderr.strip(), done.stdout) == ("False", "")
