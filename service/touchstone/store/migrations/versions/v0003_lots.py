"""Operations, cases, seizures, lots with their exhibits and submissions, and jobs."""

from datetime import date

import sqlalchemy as sa
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
    unique,
    whole,
    word,
)

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables, and the trigger of the chain of custody."""
    _create_operations()
    _create_cases()
    _create_seizures()
    _create_lots()
    _create_exhibits()
    _create_submissions()
    _create_jobs()
    refuse_changes("custody_event")


def downgrade() -> None:
    """Drop them, the trigger with its table; examinations stay."""
    for table in (
        "job",
        "submission",
        "custody_event",
        "exhibit",
        "lot",
        "seizure",
        "case_file",
        "operation",
    ):
        op.drop_table(table)


def _date(name: str) -> sa.Column[date]:
    return sa.Column(name, sa.Date(), nullable=True)


def _number(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=True)


def _create_operations() -> None:
    op.create_table(
        "operation",
        identifier("id"),
        identifier("organisation_id"),
        text("name"),
        _date("starts_on"),
        _date("ends_on"),
        sa.Column("partners", sa.JSON(), nullable=False),
        word("state"),
        time("created_at"),
        foreign("operation", "organisation_id", "organisation"),
        key("operation", "id"),
        unique("operation", "organisation_id", "name"),
    )


def _create_cases() -> None:
    op.create_table(
        "case_file",
        identifier("id"),
        identifier("organisation_id"),
        identifier("operation_id", nullable=True),
        *(text(name) for name in ("ref_no", "title", "handling_code")),
        *(text(name) for name in ("source_eval", "info_eval")),
        sa.Column("legal_hold", sa.Boolean(), nullable=False),
        word("state"),
        time("created_at"),
        foreign("case_file", "organisation_id", "organisation"),
        foreign("case_file", "operation_id", "operation"),
        key("case_file", "id"),
        unique("case_file", "organisation_id", "ref_no"),
    )
    index("case_file", "operation_id")


def _create_seizures() -> None:
    op.create_table(
        "seizure",
        identifier("id"),
        identifier("organisation_id"),
        identifier("case_id"),
        *(text(name) for name in ("ref_no", "place", "country")),
        _number("latitude"),
        _number("longitude"),
        _date("seized_on"),
        *(text(name) for name in ("legal_basis", "route", "transport")),
        *(text(name) for name in ("concealment", "holder_ref")),
        word("state"),
        time("created_at"),
        foreign("seizure", "organisation_id", "organisation"),
        foreign("seizure", "case_id", "case_file"),
        key("seizure", "id"),
        unique("seizure", "case_id", "ref_no"),
    )
    index("seizure", "organisation_id")


def _create_lots() -> None:
    op.create_table(
        "lot",
        identifier("id"),
        identifier("organisation_id"),
        identifier("seizure_id", nullable=True),
        *(text(name) for name in ("ref_no", "product_class", "declared_product")),
        *(text(name) for name in ("declared_gtin", "batch_no", "expiry")),
        whole("units_total", is_big=True, nullable=True),
        word("state"),
        text("origin"),
        text("source"),
        whole("left_out", is_big=True),
        text("plan_json", nullable=True),
        time("created_at"),
        foreign("lot", "organisation_id", "organisation"),
        foreign("lot", "seizure_id", "seizure"),
        key("lot", "id"),
    )
    index("lot", "seizure_id")
    index("lot", "organisation_id", "id")
    index("lot", "organisation_id", "origin")


def _create_exhibits() -> None:
    op.create_table(
        "exhibit",
        identifier("id"),
        identifier("organisation_id"),
        identifier("lot_id"),
        text("exhibit_no"),
        text("unit_kind"),
        word("state"),
        time("created_at"),
        foreign("exhibit", "organisation_id", "organisation"),
        foreign("exhibit", "lot_id", "lot"),
        key("exhibit", "id"),
        unique("exhibit", "lot_id", "exhibit_no"),
    )
    index("exhibit", "organisation_id")
    op.create_table(
        "custody_event",
        identifier("id"),
        identifier("exhibit_id"),
        time("at"),
        *(text(name) for name in ("act", "actor", "place", "note")),
        identifier("key_id", nullable=True),
        foreign("custody_event", "exhibit_id", "exhibit"),
        key("custody_event", "id"),
    )
    index("custody_event", "exhibit_id", "id")


def _create_submissions() -> None:
    op.create_table(
        "submission",
        *(identifier(name) for name in ("id", "organisation_id", "lot_id")),
        identifier("exhibit_id", nullable=True),
        whole("position", is_big=True),
        *(text(name) for name in ("name", "locator", "identity")),
        digest("photo_digest", nullable=True),
        *(text(name) for name in ("declared_product", "declared_gtin")),
        word("state"),
        whole("attempts", is_big=True),
        text("worker"),
        time("leased_until", nullable=True),
        whole("finished_seq", is_big=True, nullable=True),
        identifier("examination_id", nullable=True),
        text("finding"),
        _number("log10_lr"),
        *(text(name) for name in ("serial", "error", "row_json")),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        foreign("submission", "organisation_id", "organisation"),
        foreign("submission", "lot_id", "lot"),
        foreign("submission", "exhibit_id", "exhibit"),
        foreign("submission", "examination_id", "examination"),
        key("submission", "id"),
        unique("submission", "lot_id", "position"),
        unique("submission", "lot_id", "finished_seq"),
    )
    index("submission", "lot_id", "state", "position")
    index("submission", "organisation_id", "photo_digest")
    index("submission", "organisation_id", "serial")


def _create_jobs() -> None:
    op.create_table(
        "job",
        *(identifier(name) for name in ("id", "organisation_id", "lot_id")),
        word("kind"),
        word("state"),
        identifier("key_id", nullable=True),
        word("role"),
        sa.Column("examined_by", sa.JSON(), nullable=False),
        text("result_json", nullable=True),
        text("error"),
        time("created_at"),
        time("started_at", nullable=True),
        time("finished_at", nullable=True),
        foreign("job", "organisation_id", "organisation"),
        foreign("job", "lot_id", "lot"),
        foreign("job", "key_id", "api_key"),
        key("job", "id"),
    )
    index("job", "state", "id")
    index("job", "lot_id", "id")
