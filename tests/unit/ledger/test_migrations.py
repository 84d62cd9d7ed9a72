"""The schema: migrations build what the models say, all or nothing, and only forward."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from mlstacks_dagster.errors import LedgerError
from mlstacks_dagster.ledger import Ledger, database
from mlstacks_dagster.ledger.database import HEAD, VERSION_TABLE, connect_engine, parse_url
from mlstacks_dagster.ledger.models import Base


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", "mlstacks_dagster.ledger:migrations")
    return ScriptDirectory.from_config(config)


def engine_at(url: str) -> Engine:
    return connect_engine(parse_url(url)).execution_options(ledger_write=True)


def set_revision(url: str, revision: str) -> None:
    engine = engine_at(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :r"), {"r": revision})
    engine.dispose()


def schema(engine: Engine) -> dict[str, Any]:
    """Everything that the database itself knows of our tables, as plain values."""
    look = inspect(engine)
    tables = [n for n in look.get_table_names() if n in Base.metadata.tables]
    return {
        table: {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c.get("autoincrement"))
                for c in look.get_columns(table)
            ],
            "key": look.get_pk_constraint(table),
            "foreign": sorted(look.get_foreign_keys(table), key=lambda k: str(k["name"])),
            "checks": look.get_check_constraints(table),
            "indexes": [
                {**i, "dialect_options": {k: str(v) for k, v in i["dialect_options"].items()}}
                for i in sorted(look.get_indexes(table), key=lambda i: str(i["name"]))
            ],
        }
        for table in tables
    }


def test_the_newest_migration_is_the_one_that_opening_looks_for() -> None:
    assert scripts().get_heads() == [HEAD]


def test_the_migrations_form_one_line_without_branches() -> None:
    assert len(scripts().get_bases()) == 1
    assert not any(s.is_branch_point or s.is_merge_point for s in scripts().walk_revisions())


def test_alembic_finds_no_difference_between_the_migrated_schema_and_the_models(
    ledger_url: str,
) -> None:
    Ledger.open(ledger_url).close()
    engine = engine_at(ledger_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_migrated_schema_equals_the_models_in_every_constraint(
    ledger_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Alembic doesn't compare checks, conditions of indexes or names: the database does."""
    Ledger.open(ledger_url).close()
    if ledger_url.startswith("sqlite"):
        fresh = f"sqlite:///{tmp_path / 'models.db'}"
    else:
        fresh = request.getfixturevalue("postgres_server").new_database()
    migrated, modelled = engine_at(ledger_url), engine_at(fresh)
    Base.metadata.create_all(modelled)
    try:
        assert set(schema(migrated)) == set(Base.metadata.tables)
        assert schema(migrated) == schema(modelled)
    finally:
        migrated.dispose()
        modelled.dispose()


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(ledger_url: str) -> None:
    Ledger.open(ledger_url).close()
    set_revision(ledger_url, "9999")
    with pytest.raises(LedgerError, match="newer") as caught:
        Ledger.open(ledger_url)
    assert "upgrade" in caught.value.remedy
    assert "9999" in str(caught.value)
    engine = engine_at(ledger_url)
    with engine.connect() as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() == (
            "9999"
        )
    engine.dispose()


def test_no_migration_can_be_taken_back() -> None:
    assert not any(hasattr(s.module, "downgrade") for s in scripts().walk_revisions())


def test_a_migration_that_fails_halfway_leaves_nothing_and_the_next_one_works(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(database, "_name_installation", broken)
        with pytest.raises(RuntimeError):
            Ledger.open(ledger_url)
    engine = engine_at(ledger_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    with Ledger.open(ledger_url) as ledger:
        assert ledger.installation()


def test_a_sqlite_file_that_exists_but_is_empty_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    with Ledger.open(f"sqlite:///{path}") as ledger:
        assert ledger.stacks() == []


def test_tables_of_others_in_the_database_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE alembic_version (version_num TEXT)")
        raw.execute("INSERT INTO alembic_version VALUES ('theirs')")
    with Ledger.open(f"sqlite:///{path}"):
        assert raw.execute("SELECT * FROM alembic_version").fetchall() == [("theirs",)]
    raw.close()
