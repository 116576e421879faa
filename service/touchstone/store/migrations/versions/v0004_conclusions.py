"""What was concluded on lots, kept as it was said."""

from alembic import op

from touchstone.store.migrations.written import (
    digest,
    foreign,
    identifier,
    index,
    key,
    refuse_changes,
    text,
    time,
)

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table, to which rows are only added."""
    op.create_table(
        "conclusion",
        digest("basis"),
        *(identifier(name) for name in ("organisation_id", "lot_id")),
        text("document_json"),
        time("made_at"),
        identifier("key_id", nullable=True),
        foreign("conclusion", "organisation_id", "organisation"),
        foreign("conclusion", "lot_id", "lot"),
        key("conclusion", "basis"),
    )
    index("conclusion", "lot_id")
    refuse_changes("conclusion", key_column="basis")


def downgrade() -> None:
    """Drop it, its triggers with it; lots and results stay."""
    op.drop_table("conclusion")
