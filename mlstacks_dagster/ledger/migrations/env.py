"""Runs migrations on the connection that ``ledger.database`` hands over."""

from __future__ import annotations

from alembic import context

from mlstacks_dagster.ledger.database import VERSION_TABLE
from mlstacks_dagster.ledger.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
