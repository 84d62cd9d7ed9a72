"""A stack whose ledger is on a PostgreSQL server, deployed and destroyed from the command line."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import Sandbox
from tests.integration.stacks import write_stack
from tests.postgres import PostgresServer, postgres_server  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

SMALL = (("artifact_store", "s3"), ("container_registry", "aws"))
UNITS = {"artifact_store_s3", "container_registry_ecr"}


def test_a_stack_lives_and_ends_in_a_ledger_on_postgresql(
    sandbox: Sandbox,
    postgres_server: PostgresServer,  # noqa: F811
) -> None:
    url = postgres_server.new_database()
    file = write_stack(sandbox.stacks / "s", "shared", SMALL)
    empty = sandbox.account.everything()
    deploy = ("deploy", "-f", str(file), "--sandbox", "--json")

    def run(*args: str) -> Any:
        return json.loads(sandbox.cli.run(*args, MLSTACKS_LEDGER_URL=url).stdout)

    first, again = run(*deploy), run(*deploy)
    assert {n: u["outcome"] for n, u in first["units"].items()} == dict.fromkeys(UNITS, "applied")
    assert {u["outcome"] for u in again["units"].values()} == {"unchanged"}
    assert not list(sandbox.home.rglob("ledger.db*")), "a second ledger was made"

    [stack] = run("status", "--json")
    made = {i for i in sandbox.account.of_stack(stack["stack_id"]) if ":[" not in i}
    names = _rows(url, "SELECT resource_id FROM mlstacks_resources WHERE gone_at IS NULL")
    assert {i.split(":", 1)[1] for i in made} <= {name for (name,) in names}
    generations = "SELECT run_id FROM mlstacks_generations ORDER BY generation"
    assert _rows(url, generations) == [(first["run_id"],), (again["run_id"],)]
    _nobody_else_reads(postgres_server.password, sandbox.home)

    ended = run("destroy", "shared", "-y", "--json")
    assert {u["outcome"] for u in ended["units"].values()} == {"destroyed"}
    assert sandbox.account.everything() == empty
    assert run("status", "--json") == []
    assert _rows(url, "SELECT name, status FROM mlstacks_stacks") == [("shared", "destroyed")]
    assert _rows(url, "SELECT 1 FROM mlstacks_resources WHERE gone_at IS NULL") == []
    assert _rows(url, "SELECT 1 FROM mlstacks_operations WHERE finished_at IS NULL") == []


def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Ask the server itself, past our own code."""
    with psycopg.connect(url) as connection:
        return list(connection.execute(query))


def _nobody_else_reads(password: str, home: Path) -> None:
    """Dagster stores no password of the ledger, and no file that others can read has it."""
    for path in home.rglob("*"):
        if "mirror" in path.parts or not path.is_file():
            continue
        if password.encode() in path.read_bytes():
            assert "dagster" not in path.relative_to(home).parts, path
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
