"""Dagster's database revision check, with the migrations read once a process.

Each open of a SQLite storage reads all of Dagster's migration scripts to learn the newest
revision: 0.05 s, three or more times in each step process. They don't change while we run.
"""

from __future__ import annotations

from functools import lru_cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage import sql

__all__ = ["install"]


@lru_cache(maxsize=4)
def _scripts(location: str) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", location)
    return ScriptDirectory.from_config(config)


class _CachedScripts:
    """Stands in for alembic's class where Dagster asks for the newest revision."""

    @staticmethod
    def from_config(config: Config) -> ScriptDirectory:
        return _scripts(config.get_main_option("script_location") or "")


def install() -> None:
    """Make Dagster's check use the cache, and fill it: forked processes inherit it."""
    if getattr(sql, "ScriptDirectory", None) is ScriptDirectory:
        sql.ScriptDirectory = _CachedScripts  # type: ignore[assignment,attr-defined]  # has what the check calls
        _scripts(sql.ALEMBIC_SCRIPTS_LOCATION).as_revision_number("head")
