"""The first release: organisations, references, examinations and the audit log.

The types are written out, not taken from ``tables``: a migration says what the schema
was on its day, and must not change when the tables do.
"""

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

revision = "0001"
down_revision = None

_APPEND_ONLY = {"examination": "id", "audit_event": "seq"}


def upgrade() -> None:
    """Make every table, its first row where it needs one, and the triggers."""
    _create_organisations()
    _create_references()
    _create_specimens()
    _create_grants()
    _create_examinations()
    _create_audit()
    _create_idempotency()
    for table, column in _APPEND_ONLY.items():
        refuse_changes(table, key_column=column)


def downgrade() -> None:
    """Drop everything, triggers with their tables."""
    for table in (
        "idempotency",
        "audit_event",
        "examination",
        "access_grant",
        "derived",
        "specimen",
        "catalogue",
        "reference_set",
        "product",
        "api_key",
        "organisation",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION touchstone_refuse_change()")


def _create_organisations() -> None:
    op.create_table(
        "organisation",
        identifier("id"),
        word("kind"),
        text("name"),
        text("country", nullable=True),
        time("created_at"),
        key("organisation", "id"),
        unique("organisation", "name"),
    )
    op.create_table(
        "api_key",
        identifier("id"),
        identifier("organisation_id"),
        word("role"),
        text("label"),
        text("prefix"),
        digest("key_hash"),
        time("created_at"),
        time("expires_at", nullable=True),
        time("revoked_at", nullable=True),
        foreign("api_key", "organisation_id", "organisation"),
        key("api_key", "id"),
        unique("api_key", "prefix"),
    )
    index("api_key", "organisation_id")


def _create_references() -> None:
    op.create_table(
        "product",
        identifier("id"),
        identifier("organisation_id"),
        text("product_id"),
        text("brand"),
        text("name"),
        text("category"),
        text("gtin", nullable=True),
        time("created_at"),
        foreign("product", "organisation_id", "organisation"),
        key("product", "id"),
        unique("product", "organisation_id", "product_id"),
    )
    op.create_table(
        "reference_set",
        identifier("id"),
        identifier("organisation_id"),
        identifier("product_ref"),
        text("market"),
        text("artwork_version"),
        word("status"),
        whole("version"),
        digest("digest"),
        time("created_at"),
        foreign("reference_set", "organisation_id", "organisation"),
        foreign("reference_set", "product_ref", "product"),
        key("reference_set", "id"),
        unique("reference_set", "product_ref", "market", "artwork_version"),
    )
    index("reference_set", "organisation_id")
    catalogue = op.create_table(
        "catalogue",
        whole("id"),
        whole("reference_counter", is_big=True),
        whole("access_counter", is_big=True),
        whole("next_label", is_big=True),
        key("catalogue", "id"),
    )
    first = {"id": 1, "reference_counter": 0, "access_counter": 0, "next_label": 1}
    op.bulk_insert(catalogue, [first])


def _create_specimens() -> None:
    op.create_table(
        "specimen",
        identifier("id"),
        whole("label", is_big=True),
        identifier("reference_set_id"),
        text("face"),
        word("kind"),
        digest("image_digest"),
        whole("width_px"),
        whole("height_px"),
        sa.Column("variable_regions", sa.JSON(), nullable=False),
        whole("changed", is_big=True),
        time("created_at"),
        time("withdrawn_at", nullable=True),
        foreign("specimen", "reference_set_id", "reference_set"),
        key("specimen", "id"),
        unique("specimen", "label"),
        unique("specimen", "reference_set_id", "face", "kind", "image_digest"),
    )
    index("specimen", "changed")
    index("specimen", "image_digest")
    op.create_table(
        "derived",
        identifier("specimen_id"),
        text("producer_digest"),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        foreign("derived", "specimen_id", "specimen"),
        key("derived", "specimen_id", "producer_digest"),
    )


def _create_grants() -> None:
    op.create_table(
        "access_grant",
        identifier("id"),
        identifier("reference_set_id"),
        identifier("authority_id"),
        time("granted_at"),
        time("revoked_at", nullable=True),
        identifier("granted_by", nullable=True),
        foreign("access_grant", "reference_set_id", "reference_set"),
        foreign("access_grant", "authority_id", "organisation"),
        foreign("access_grant", "granted_by", "api_key"),
        key("access_grant", "id"),
    )
    index("access_grant", "reference_set_id")
    op.create_index(
        "uq_access_grant_in_force",
        "access_grant",
        ["authority_id", "reference_set_id"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )


def _create_examinations() -> None:
    op.create_table(
        "examination",
        identifier("id"),
        identifier("organisation_id"),
        identifier("key_id", nullable=True),
        time("created_at"),
        digest("photo_digest"),
        sa.Column("photo_digests", sa.JSON(), nullable=False),
        text("declared_product", nullable=True),
        text("declared_gtin", nullable=True),
        text("finding"),
        text("product_id"),
        identifier("reference_set_id", nullable=True),
        identifier("specimen_id", nullable=True),
        text("face"),
        sa.Column("log10_lr", sa.Double(), nullable=True),
        text("record_json"),
        digest("record_digest"),
        text("model_digest"),
        text("index_digest"),
        text("policy_digest"),
        text("code_version"),
        text("provider"),
        foreign("examination", "organisation_id", "organisation"),
        foreign("examination", "key_id", "api_key"),
        foreign("examination", "reference_set_id", "reference_set"),
        foreign("examination", "specimen_id", "specimen"),
        key("examination", "id"),
    )
    index("examination", "organisation_id", "id")
    index("examination", "photo_digest")


def _create_audit() -> None:
    op.create_table(
        "audit_event",
        whole("seq", is_big=True),
        time("at"),
        identifier("actor_key_id", nullable=True),
        identifier("organisation_id", nullable=True),
        text("action"),
        text("object_type"),
        text("object_id"),
        text("detail"),
        digest("prev_hash"),
        digest("hash"),
        key("audit_event", "seq"),
    )
    index("audit_event", "object_type", "object_id")


def _create_idempotency() -> None:
    op.create_table(
        "idempotency",
        identifier("organisation_id"),
        text("key"),
        digest("request_digest"),
        time("created_at"),
        whole("response_status", nullable=True),
        sa.Column("response_headers", sa.JSON(), nullable=False),
        sa.Column("response_body", sa.LargeBinary(), nullable=False),
        foreign("idempotency", "organisation_id", "organisation"),
        key("idempotency", "organisation_id", "key"),
    )
    index("idempotency", "created_at")
