"""What only a real PostgreSQL server shows; the whole ledger suite also runs on it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import psutil
import psycopg
import pytest

from mlstacks_dagster.errors import LedgerError
from mlstacks_dagster.ledger import Ledger
from tests.postgres import MISSING, PostgresServer, find_programs, postgres_server  # noqa: F401
from tests.unit.ledger.helpers import begin, make_plan

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:  # noqa: F811
    return postgres_server.new_database()


def test_a_server_that_is_gone_is_a_clear_error_without_the_password() -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open("postgresql://me:hunter2@127.0.0.1:1/ledger")
    assert "127.0.0.1" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "server" in caught.value.remedy


def test_a_wrong_password_says_what_to_check_and_does_not_repeat_it(
    url: str,
    postgres_server: PostgresServer,  # noqa: F811
) -> None:
    with pytest.raises(LedgerError, match="password authentication failed") as caught:
        Ledger.open(url.replace(postgres_server.password, "hunter2"))
    assert "hunter2" not in str(caught.value)
    assert "MLSTACKS_LEDGER_URL" in caught.value.remedy


def test_a_database_that_does_not_exist_is_a_clear_error(url: str) -> None:
    with pytest.raises(LedgerError, match="does not exist"):
        Ledger.open(url + "x")


def test_the_url_for_messages_has_no_password(
    url: str,
    postgres_server: PostgresServer,  # noqa: F811
) -> None:
    with Ledger.open(url) as ledger:
        assert postgres_server.password not in ledger.url
        assert postgres_server.password not in repr(ledger)


def test_a_database_shared_with_dagster_keeps_dagsters_own_revision(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('dagsters')")
        connection.execute("CREATE TABLE runs (id INT)")
        with Ledger.open(url) as ledger:
            assert ledger.stacks() == []
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("dagsters",)]


def test_a_connection_that_the_server_dropped_is_replaced(url: str) -> None:
    """A server restarted between two steps of a run must not fail the run."""
    with Ledger.open(url) as ledger:
        before = ledger.installation()
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert ledger.installation() == before


def test_threads_of_one_process_share_a_ledger(url: str) -> None:
    """An executor may run steps as threads of one process."""
    failures: list[BaseException] = []
    with Ledger.open(url) as ledger:
        stack_id = ledger.register_stack(make_plan(), target="cloud", expires_at=None).stack_id

        def work(number: int) -> None:
            try:
                operation = begin(ledger, stack_id, f"unit{number}")
                ledger.finish(operation.id, "ok", summary={})
            except BaseException as error:  # noqa: BLE001 - looked at below
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert {unit.status for unit in ledger.units(stack_id)} == {"applied"}


def test_two_ledgers_in_one_server_know_nothing_of_each_other(
    url: str,
    postgres_server: PostgresServer,  # noqa: F811
) -> None:
    with Ledger.open(url) as one, Ledger.open(postgres_server.new_database()) as two:
        one.register_stack(make_plan(), target="cloud", expires_at=None)
        assert two.stacks() == []
        assert one.installation() != two.installation()


def test_the_server_ends_and_leaves_nothing_behind() -> None:
    programs = find_programs()
    if programs is None:
        pytest.skip(MISSING)
    with PostgresServer(programs) as server:
        folder = server._folder
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        assert Path(f"/proc/{pid}").exists() or os.kill(pid, 0) is None
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_the_server_ends_when_the_test_run_is_killed() -> None:
    programs = find_programs()
    if programs is None:
        pytest.skip(MISSING)
    reader, writer = os.pipe()
    runner = os.fork()
    if runner == 0:
        try:
            with PostgresServer(programs) as server:
                pid = (server._folder / "data" / "postmaster.pid").read_text().split()[0]
                os.write(writer, f"{pid} {server._folder}".encode())
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    pid, folder = os.read(reader, 4096).decode().split()
    os.close(reader)
    os.kill(runner, signal.SIGKILL)
    os.waitpid(runner, 0)
    try:
        psutil.Process(int(pid)).wait(30)
    except psutil.NoSuchProcess:
        pass
    finally:
        shutil.rmtree(folder)
    assert not psutil.pid_exists(int(pid))
