"""Installation, stacks, generations, units, operations, resources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _installation()
    _stacks()
    _generations()
    _units()
    _operations()
    _resources()


def _json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


def _installation() -> None:
    op.create_table(
        "mlstacks_installation",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("install_id", sa.String(12), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mlstacks_installation"),
        sa.CheckConstraint("id = 1", name=op.f("ck_mlstacks_installation_single")),
    )


def _stacks() -> None:
    op.create_table(
        "mlstacks_stacks",
        sa.Column("stack_id", sa.String(13), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("target", sa.String(16), nullable=False),
        sa.Column("sandbox_id", sa.Text),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("destroyed_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("protect", sa.Boolean, nullable=False),
        sa.Column("on_failure", sa.String(16), nullable=False),
        sa.Column("state", _json(), nullable=False),
        sa.Column("plan", _json(), nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("close_reason", sa.Text),
        sa.PrimaryKeyConstraint("stack_id", name="pk_mlstacks_stacks"),
    )
    op.create_index(
        "uq_mlstacks_stacks_live_name",
        "mlstacks_stacks",
        ["name"],
        unique=True,
        sqlite_where=sa.text("status = 'live'"),
        postgresql_where=sa.text("status = 'live'"),
    )
    op.create_index("ix_mlstacks_stacks_name", "mlstacks_stacks", ["name"])


def _generations() -> None:
    op.create_table(
        "mlstacks_generations",
        sa.Column("stack_id", sa.String(13), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stack_id", "run_id", name="pk_mlstacks_generations"),
        sa.ForeignKeyConstraint(
            ["stack_id"],
            ["mlstacks_stacks.stack_id"],
            name="fk_mlstacks_generations_mlstacks_stacks",
        ),
    )


def _units() -> None:
    op.create_table(
        "mlstacks_units",
        sa.Column("stack_id", sa.String(13), nullable=False),
        sa.Column("unit", sa.String(64), nullable=False),
        sa.Column("engine", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("input_hash", sa.Text),
        sa.Column("module_digest", sa.Text),
        sa.Column("run_id", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("applied_at", sa.BigInteger),
        sa.Column("destroyed_at", sa.BigInteger),
        sa.Column("drifted", sa.Boolean, nullable=False),
        sa.Column("resource_count", sa.Integer, nullable=False),
        sa.Column("outputs", _json(), nullable=False),
        sa.Column("planned", _json()),
        sa.PrimaryKeyConstraint("stack_id", "unit", name="pk_mlstacks_units"),
        sa.ForeignKeyConstraint(
            ["stack_id"], ["mlstacks_stacks.stack_id"], name="fk_mlstacks_units_mlstacks_stacks"
        ),
    )


def _operations() -> None:
    op.create_table(
        "mlstacks_operations",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("stack_id", sa.String(13), nullable=False),
        sa.Column("unit", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("input_hash", sa.Text),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("outcome", sa.String(16)),
        sa.Column("summary", _json(), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("planned", _json(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mlstacks_operations"),
        sa.ForeignKeyConstraint(
            ["stack_id", "unit"],
            ["mlstacks_units.stack_id", "mlstacks_units.unit"],
            name="fk_mlstacks_operations_mlstacks_units",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_mlstacks_operations_stack_id_unit", "mlstacks_operations", ["stack_id", "unit", "id"]
    )


def _resources() -> None:
    op.create_table(
        "mlstacks_resources",
        sa.Column("stack_id", sa.String(13), nullable=False),
        sa.Column("unit", sa.String(64), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("resource_id", sa.Text, nullable=False),
        sa.Column("arn", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("gone_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("stack_id", "unit", "address", name="pk_mlstacks_resources"),
        sa.ForeignKeyConstraint(
            ["stack_id", "unit"],
            ["mlstacks_units.stack_id", "mlstacks_units.unit"],
            name="fk_mlstacks_resources_mlstacks_units",
        ),
    )
