"""The account that a unit lies in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("mlstacks_units", sa.Column("account", sa.String(64)))
