"""Opening the ledger: URLs, files, errors, many at once."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from sqlalchemy import inspect

from mlstacks_dagster.errors import LedgerError, SettingError
from mlstacks_dagster.ledger import Ledger, database
from mlstacks_dagster.ledger.database import connect_engine, parse_url
from tests.unit.ledger.helpers import PROCESSES, in_processes


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_postgresql_url_gets_the_psycopg_3_driver(scheme: str) -> None:
    assert parse_url(f"{scheme}://u:p@h/d").drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://h/d",
        "postgresql+psycopg2://h/d",
        "not a url",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x.db?uri=true",
        "sqlite:////tmp/x.db?mode=ro",
    ],
)
def test_a_url_that_cannot_hold_a_ledger_is_bad_input_with_a_remedy(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        Ledger.open(url)
    assert "MLSTACKS_LEDGER_URL" in caught.value.remedy


def test_an_unreadable_url_is_not_repeated_since_it_may_hold_a_password() -> None:
    with pytest.raises(SettingError) as caught:
        Ledger.open("postgresql:/user:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_the_file_and_its_folder_are_for_their_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    old = os.umask(0)
    try:
        with Ledger.open(f"sqlite:///{home / 'ledger.db'}") as ledger:
            ledger.installation()
            files = {path.name: mode(path) for path in home.iterdir()}
    finally:
        os.umask(old)
    assert mode(home) == 0o700
    assert files["ledger.db"] == 0o600
    assert set(files.values()) == {0o600}, files


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    path.chmod(0o644)
    Ledger.open(f"sqlite:///{path}").close()
    assert mode(path) == 0o600


def test_sqlite_uses_the_write_ahead_log_foreign_keys_and_full_sync(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger.open(url).close()
    with connect_engine(parse_url(url)).connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "synchronous": 2,
        "busy_timeout": 60_000,
    }


def test_a_file_that_is_no_database_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("these are not the bytes you are looking for" * 100)
    with pytest.raises(LedgerError, match="not a database") as caught:
        Ledger.open(f"sqlite:///{path}")
    assert "backup" in caught.value.remedy
    assert path.read_text().startswith("these are not")


def test_a_folder_that_is_a_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(LedgerError) as caught:
        Ledger.open(f"sqlite:///{tmp_path / 'home' / 'ledger.db'}")
    assert caught.value.remedy


def test_a_ledger_that_another_database_user_holds_is_a_ledger_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{path}")
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE mlstacks_stacks")
    with pytest.raises(LedgerError, match="no such table"):
        ledger.live_stack("demo")


def test_the_installation_is_named_once_and_kept(ledger_url: str) -> None:
    with Ledger.open(ledger_url, lambda: 100.9) as ledger:
        first = ledger.installation()
    with Ledger.open(ledger_url, lambda: 200.0) as ledger:
        assert ledger.installation() == first
    assert re.fullmatch(r"[a-z0-9]{12}", first.install_id)
    assert first.created_at == 100


def test_a_lost_installation_id_is_never_replaced_by_a_new_one(tmp_path: Path) -> None:
    """With a new id, everything in the cloud would look like somebody else's."""
    path = tmp_path / "ledger.db"
    with Ledger.open(f"sqlite:///{path}"), sqlite3.connect(path) as raw:
        raw.execute("DELETE FROM mlstacks_installation")
    raw.close()
    with Ledger.open(f"sqlite:///{path}") as ledger, pytest.raises(LedgerError, match="lost"):
        ledger.installation()


def _install_id(url: str, _number: int) -> str:
    with Ledger.open(url) as ledger:
        return ledger.installation().install_id


def test_eight_processes_that_open_a_fresh_ledger_agree_on_it(ledger_url: str) -> None:
    found = in_processes(_install_id, ledger_url)
    assert len(found) == PROCESSES
    assert len(set(found)) == 1, found
    assert re.fullmatch(r"[a-z0-9]{12}", found[0])


def test_a_fresh_sqlite_ledger_is_made_by_one_opener_at_a_time(tmp_path: Path) -> None:
    """Turning the write-ahead log on fails at once, without waiting, when others do it too."""
    path = tmp_path / "ledger.db"
    opener = threading.Thread(target=lambda: Ledger.open(f"sqlite:///{path}").close())
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opener.start()
        opener.join(1)
        assert opener.is_alive()
        assert path.read_bytes() == b""
    opener.join()
    assert path.read_bytes() != b""


def test_a_file_in_a_folder_that_cannot_be_written_to_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.db.lock").mkdir()
    with pytest.raises(LedgerError) as caught:
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert "folder" in caught.value.remedy


def test_a_database_that_somebody_holds_at_the_first_open_is_a_ledger_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="locked") as caught:
        Ledger.open(f"sqlite:///{path}")
    holder.close()
    assert "another process" in caught.value.remedy


def test_an_up_to_date_ledger_opens_without_alembic_and_with_one_query(tmp_path: Path) -> None:
    """Each step of a run opens the ledger: what a migration needs must not be paid then."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger.open(url).close()
    code = (
        "import sys\n"
        "from sqlalchemy import Engine, event\n"
        "from mlstacks_dagster.ledger import Ledger\n"
        "seen = []\n"
        "event.listen(Engine, 'before_cursor_execute', lambda *a: seen.append(a[2]))\n"
        "Ledger.open(sys.argv[1]).close()\n"
        "queries = [s for s in seen if not s.startswith('BEGIN')]\n"
        "print(len(queries), 'alembic' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "False"]


def test_opening_leaves_no_file_open(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        ledger.installation()
        ledger.stacks()
        files = [opened.path for opened in psutil.Process().open_files()]
    assert not [path for path in files if path.startswith(str(folder))]


def test_a_forked_child_and_its_parent_both_keep_working(ledger: Ledger) -> None:
    """A forked child must not talk on its parent's connection."""
    expected = ledger.installation().install_id
    found = in_processes(_use_inherited, ledger, count=4)
    assert found == [expected] * 4
    assert ledger.installation().install_id == expected


def _use_inherited(ledger: Ledger, _number: int) -> str:
    found = ledger.installation().install_id
    ledger.close()
    return found


def test_every_table_carries_our_prefix_so_that_a_database_can_be_shared(ledger_url: str) -> None:
    Ledger.open(ledger_url).close()
    engine = connect_engine(parse_url(ledger_url))
    names = [n for n in inspect(engine).get_table_names() if not n.startswith("sqlite_")]
    engine.dispose()
    assert names
    assert all(name.startswith("mlstacks_") for name in names)
