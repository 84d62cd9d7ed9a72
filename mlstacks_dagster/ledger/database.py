"""Opens the ledger's database and brings its schema up to date.

An up-to-date ledger costs one query; alembic is imported only when there is something to
migrate. Migrations run in one transaction, so a process killed in the middle leaves the old
schema. Openers are serialised: SQLite by a lock file next to the database (the kernel frees
it), PostgreSQL by an advisory lock.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mlstacks_dagster.errors import LedgerError, SettingError

__all__ = ["HEAD", "VERSION_TABLE", "connect_engine", "ledger_errors", "migrate", "parse_url"]

HEAD = "0003"
VERSION_TABLE = "mlstacks_ledger_version"

_BUSY_TIMEOUT_MS = 60_000
_CONNECT_TIMEOUT_SECONDS = "10"
_MIGRATION_LOCK = 0x6D6C7374  # any constant; "mlst"
_POSTGRES = "postgresql+psycopg"
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def parse_url(url: str) -> URL:
    """Return the URL with its driver made explicit.

    ``sqlite:///FILE`` and ``postgresql://...`` (also spelt ``postgres://``) are understood.
    Raises :class:`SettingError` for everything else, and for SQLite without a file.
    """
    remedy = "set MLSTACKS_LEDGER_URL to sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingError("the ledger's URL can't be read", remedy=remedy) from None
    if parsed.drivername in ("postgres", "postgresql", _POSTGRES):
        return parsed.set(drivername=_POSTGRES)
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SettingError(f"a ledger can't live in {parsed.drivername!r}", remedy=remedy)
    if parsed.query or not parsed.database or parsed.database.startswith((":memory:", "file:")):
        raise SettingError(
            "the ledger's SQLite URL must name a file and nothing else", remedy=remedy
        )
    return parsed.set(drivername="sqlite+pysqlite")


def connect_engine(url: URL) -> Engine:
    """Return an engine for a URL of :func:`parse_url`; raises :class:`LedgerError`.

    For SQLite the file is made (mode 0600, its folder 0700) before anything is written.
    Transactions that write must carry the execution option ``ledger_write``.
    """
    if url.get_backend_name() == "sqlite":
        _private_file(Path(str(url.database)))
        # Without a pool nothing is shared with threads or with forked children.
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": _CONNECT_TIMEOUT_SECONDS})
    try:
        # No prepared statements: connection poolers between us and the server lose them.
        engine = create_engine(
            url,
            pool_size=1,
            max_overflow=9,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"prepare_threshold": None},
        )
    except ModuleNotFoundError:
        raise LedgerError(
            "a ledger in PostgreSQL needs psycopg, which isn't installed",
            remedy="pip install 'mlstacks-dagster[postgres]'",
        ) from None
    event.listen(engine, "connect", _prepare_postgres)
    return engine


@contextmanager
def ledger_errors(url: URL) -> Iterator[None]:
    """Turn database errors within the block into :class:`LedgerError`, without values."""
    where = url.render_as_string(hide_password=True)
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        origin = error.orig if isinstance(error, DBAPIError) else error
        cause = str(origin).strip() or type(origin).__name__
        raise LedgerError(f"the ledger {where} failed: {cause}", remedy=_remedy(cause)) from error
    except SQLAlchemyError as error:
        raise LedgerError(f"the ledger {where} failed: {error}") from error
    except OSError as error:
        raise LedgerError(
            f"the ledger {where} failed: {error}",
            remedy="check the folder's owner, mode and free space",
        ) from error


def migrate(engine: Engine, now: int) -> None:
    """Bring the schema to :data:`HEAD` and name the installation, once for all openers.

    Raises :class:`LedgerError` when a newer program has written the ledger.
    """
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    url = engine.url
    sqlite = url.get_backend_name() == "sqlite"
    with _file_lock(Path(f"{url.database}.lock")) if sqlite else nullcontext():
        if sqlite:
            _use_wal(engine)
        with engine.execution_options(ledger_write=True).begin() as connection:
            if not sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            if _revision(connection) != HEAD:
                _upgrade(connection)
            _name_installation(connection, now)


def _use_wal(engine: Engine) -> None:
    # Stays with the file. Not possible in a transaction, which any SQLAlchemy connection begins.
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - 0.2 s, seldom needed
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "mlstacks_dagster.ledger:migrations")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    revision = _revision(connection)
    if revision is not None and revision not in known:
        raise LedgerError(
            f"the ledger {connection.engine.url.render_as_string(hide_password=True)} "
            f"was written by a newer mlstacks-dagster (schema {revision}, this one knows {HEAD})",
            remedy="upgrade mlstacks-dagster; a ledger is never taken back to an older schema",
        )
    command.upgrade(config, HEAD)


def _revision(connection: Connection) -> str | None:
    query = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 - a constant
    try:
        with connection.begin_nested() if connection.in_transaction() else connection.begin():
            return connection.execute(text(query)).scalar()
    except DBAPIError as error:
        missing = "no such table" in str(error.orig)
        if missing or getattr(error.orig, "sqlstate", None) == "42P01":
            return None
        raise


def _name_installation(connection: Connection, now: int) -> None:
    if connection.execute(text("SELECT 1 FROM mlstacks_installation")).scalar() is None:
        name = "".join(secrets.choice(_ID_ALPHABET) for _ in range(12))
        connection.execute(
            text("INSERT INTO mlstacks_installation VALUES (1, :name, :now)"),
            {"name": name, "now": now},
        )


def _private_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        info = os.fstat(handle)
        if info.st_mode & 0o077 and info.st_uid == os.geteuid():
            os.fchmod(handle, 0o600)
    finally:
        os.close(handle)


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: upgrading a reader can't wait, it fails.
    write = connection.get_execution_options().get("ledger_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _prepare_postgres(connection: Any, _record: object) -> None:
    before = connection.autocommit
    connection.autocommit = True
    connection.execute("SET lock_timeout = '60s'")
    connection.execute("SET idle_in_transaction_session_timeout = '60s'")
    connection.autocommit = before


def _remedy(cause: str) -> str:
    known = {
        "not a database": "the file is damaged or isn't a ledger: restore a backup, or set "
        "MLSTACKS_LEDGER_URL to another file",
        "malformed": "the file is damaged: restore a backup",
        "locked": "another process holds the ledger for over a minute; end it and try again",
        "full": "make room on the disk and try again",
        "readonly": "check the owner and mode of the file and its folder",
        "unable to open": "check the owner and mode of the file and its folder",
        "password": "check user and password in MLSTACKS_LEDGER_URL, or use ~/.pgpass",
    }
    for words, remedy in known.items():
        if words in cause:
            return remedy
    return "check that the database server can be reached and try again"
