"""What sweeps saw, planned and deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "mlstacks_sightings",
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("sweeps", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint(
            "provider", "account", "type", "region", "item", name="pk_mlstacks_sightings"
        ),
    )
    op.create_table(
        "mlstacks_sweeps",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("plan_hash", sa.String(64), nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("approved_by", sa.Text),
        sa.Column("executed_at", sa.BigInteger),
        sa.Column("report", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_mlstacks_sweeps"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_mlstacks_sweeps_provider_account", "mlstacks_sweeps", ["provider", "account", "id"]
    )
