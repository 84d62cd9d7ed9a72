"""The ledger's tables. ``migrations/`` must build the same schema; a test compares them.

Names start with ``mlstacks_`` so that a PostgreSQL database can be shared with Dagster.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "Base",
    "GenerationRow",
    "InstallationRow",
    "OperationRow",
    "ResourceRow",
    "SightingRow",
    "StackRow",
    "SweepRow",
    "UnitRow",
]

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# SQLite numbers rows by itself only in a column of type INTEGER.
_AutoId = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Common metadata: constraint names that migrations can rely on."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy declares it as an instance attribute
        int: BigInteger(),
        str: Text(),
        dict[str, Any]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
    }


class InstallationRow(Base):
    """The one row that names this control plane."""

    __tablename__ = "mlstacks_installation"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    install_id: Mapped[str] = mapped_column(String(12))
    created_at: Mapped[int]


class StackRow(Base):
    """A stack, live or destroyed; rows are never deleted, so ids are never reused."""

    __tablename__ = "mlstacks_stacks"

    stack_id: Mapped[str] = mapped_column(String(13), primary_key=True)
    name: Mapped[str]
    provider: Mapped[str] = mapped_column(String(16))
    region: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(16))
    sandbox_id: Mapped[str | None]
    status: Mapped[str] = mapped_column(String(16))
    generation: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[int]
    destroyed_at: Mapped[int | None]
    expires_at: Mapped[int | None]
    protect: Mapped[bool]
    on_failure: Mapped[str] = mapped_column(String(16))
    state: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any]]
    source: Mapped[str | None]
    close_reason: Mapped[str | None]


Index(
    "uq_mlstacks_stacks_live_name",
    StackRow.name,
    unique=True,
    sqlite_where=text("status = 'live'"),
    postgresql_where=text("status = 'live'"),
)
Index("ix_mlstacks_stacks_name", StackRow.name)


class GenerationRow(Base):
    """Which deploy run made which generation of a stack."""

    __tablename__ = "mlstacks_generations"

    stack_id: Mapped[str] = mapped_column(
        String(13), ForeignKey("mlstacks_stacks.stack_id"), primary_key=True
    )
    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    generation: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[int]


class UnitRow(Base):
    """A unit of a stack since its first deploy."""

    __tablename__ = "mlstacks_units"

    stack_id: Mapped[str] = mapped_column(
        String(13), ForeignKey("mlstacks_stacks.stack_id"), primary_key=True
    )
    unit: Mapped[str] = mapped_column(String(64), primary_key=True)
    engine: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    input_hash: Mapped[str | None]
    module_digest: Mapped[str | None]
    run_id: Mapped[str | None]
    created_at: Mapped[int]
    applied_at: Mapped[int | None]
    destroyed_at: Mapped[int | None]
    drifted: Mapped[bool]
    resource_count: Mapped[int] = mapped_column(Integer)
    outputs: Mapped[dict[str, Any]]
    planned: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    account: Mapped[str | None] = mapped_column(String(64))


class OperationRow(Base):
    """One attempt on a unit; open while ``finished_at`` is null."""

    __tablename__ = "mlstacks_operations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["stack_id", "unit"], ["mlstacks_units.stack_id", "mlstacks_units.unit"]
        ),
        Index("ix_mlstacks_operations_stack_id_unit", "stack_id", "unit", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_AutoId, primary_key=True, autoincrement=True)
    stack_id: Mapped[str] = mapped_column(String(13))
    unit: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    run_id: Mapped[str]
    input_hash: Mapped[str | None]
    started_at: Mapped[int]
    finished_at: Mapped[int | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    summary: Mapped[dict[str, Any]]
    error: Mapped[str | None]
    planned: Mapped[list[dict[str, Any]]]


class ResourceRow(Base):
    """A resource that a unit created; kept after it is gone."""

    __tablename__ = "mlstacks_resources"
    __table_args__ = (
        ForeignKeyConstraint(
            ["stack_id", "unit"], ["mlstacks_units.stack_id", "mlstacks_units.unit"]
        ),
    )

    stack_id: Mapped[str] = mapped_column(String(13), primary_key=True)
    unit: Mapped[str] = mapped_column(String(64), primary_key=True)
    address: Mapped[str] = mapped_column(Text, primary_key=True)
    type: Mapped[str]
    resource_id: Mapped[str]
    arn: Mapped[str | None]
    created_at: Mapped[int]
    gone_at: Mapped[int | None]


class SightingRow(Base):
    """A thing that a sweep saw and that is or may be ours, until it is no longer listed."""

    __tablename__ = "mlstacks_sightings"

    provider: Mapped[str] = mapped_column(String(16), primary_key=True)
    account: Mapped[str] = mapped_column(String(64), primary_key=True)
    type: Mapped[str] = mapped_column(String(64), primary_key=True)
    region: Mapped[str] = mapped_column(String(64), primary_key=True)
    item: Mapped[str] = mapped_column(Text, primary_key=True)
    first_seen: Mapped[int]
    last_seen: Mapped[int]
    sweeps: Mapped[int] = mapped_column(Integer)


class SweepRow(Base):
    """A sweep's plan, and what became of it once it was approved."""

    __tablename__ = "mlstacks_sweeps"
    __table_args__ = (
        Index("ix_mlstacks_sweeps_provider_account", "provider", "account", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_AutoId, primary_key=True, autoincrement=True)
    provider: Mapped[str] = mapped_column(String(16))
    account: Mapped[str] = mapped_column(String(64))
    plan_hash: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[int]
    verdict: Mapped[str] = mapped_column(String(16))
    plan: Mapped[str]
    approved_by: Mapped[str | None]
    executed_at: Mapped[int | None]
    report: Mapped[str | None]
