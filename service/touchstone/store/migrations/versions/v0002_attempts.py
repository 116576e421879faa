"""Idempotency keys know which attempt holds them, and what it has recorded."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table anew: what it held is forgotten after a day anyway.

    SQLite cannot add a column that must not be null without a default, which would
    then be a difference between the two databases.
    """
    op.drop_table("idempotency")
    _create(
        sa.Column("attempt_id", sa.String(36), nullable=False),
        sa.Column("alive_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("examination_id", sa.String(36), nullable=True),
    )


def downgrade() -> None:
    """Make the table as it was."""
    op.drop_table("idempotency")
    _create()


def _create(*more: sa.Column[Any]) -> None:
    op.create_table(
        "idempotency",
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *more,
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_headers", sa.JSON(), nullable=False),
        sa.Column("response_body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
            name="fk_idempotency_organisation_id",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
