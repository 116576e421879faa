"""The first release: organisations, references, examinations and the audit log.

The types are written out, not taken from ``tables``: a migration says what the schema
was on its day, and must not change when the tables do.
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_APPEND_ONLY = ("examination", "audit_event")
_KEYS = {"examination": "id", "audit_event": "seq"}


def upgrade() -> None:
    """Make every table, its first row where it needs one, and the triggers."""
    _create_organisations()
    _create_references()
    _create_specimens()
    _create_grants()
    _create_examinations()
    _create_audit()
    _create_idempotency()
    for table in _APPEND_ONLY:
        _refuse_changes(table)


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


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(36), nullable=nullable)


def _digest(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _whole(
    name: str, *, is_big: bool = False, nullable: bool = False
) -> sa.Column[int]:
    kind = sa.BigInteger() if is_big else sa.Integer()
    return sa.Column(name, kind, nullable=nullable, autoincrement=False)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=f"fk_{table}_{column}"
    )


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _create_organisations() -> None:
    op.create_table(
        "organisation",
        _id("id"),
        _word("kind"),
        _text("name"),
        _text("country", nullable=True),
        _time("created_at"),
        _key("organisation", "id"),
        _unique("organisation", "name"),
    )
    op.create_table(
        "api_key",
        _id("id"),
        _id("organisation_id"),
        _word("role"),
        _text("label"),
        _text("prefix"),
        _digest("key_hash"),
        _time("created_at"),
        _time("expires_at", nullable=True),
        _time("revoked_at", nullable=True),
        _foreign("api_key", "organisation_id", "organisation"),
        _key("api_key", "id"),
        _unique("api_key", "prefix"),
    )
    _index("api_key", "organisation_id")


def _create_references() -> None:
    op.create_table(
        "product",
        _id("id"),
        _id("organisation_id"),
        _text("product_id"),
        _text("brand"),
        _text("name"),
        _text("category"),
        _text("gtin", nullable=True),
        _time("created_at"),
        _foreign("product", "organisation_id", "organisation"),
        _key("product", "id"),
        _unique("product", "organisation_id", "product_id"),
    )
    op.create_table(
        "reference_set",
        _id("id"),
        _id("organisation_id"),
        _id("product_ref"),
        _text("market"),
        _text("artwork_version"),
        _word("status"),
        _whole("version"),
        _digest("digest"),
        _time("created_at"),
        _foreign("reference_set", "organisation_id", "organisation"),
        _foreign("reference_set", "product_ref", "product"),
        _key("reference_set", "id"),
        _unique("reference_set", "product_ref", "market", "artwork_version"),
    )
    _index("reference_set", "organisation_id")
    catalogue = op.create_table(
        "catalogue",
        _whole("id"),
        _whole("reference_counter", is_big=True),
        _whole("access_counter", is_big=True),
        _whole("next_label", is_big=True),
        _key("catalogue", "id"),
    )
    first = {"id": 1, "reference_counter": 0, "access_counter": 0, "next_label": 1}
    op.bulk_insert(catalogue, [first])


def _create_specimens() -> None:
    op.create_table(
        "specimen",
        _id("id"),
        _whole("label", is_big=True),
        _id("reference_set_id"),
        _text("face"),
        _word("kind"),
        _digest("image_digest"),
        _whole("width_px"),
        _whole("height_px"),
        sa.Column("variable_regions", sa.JSON(), nullable=False),
        _whole("changed", is_big=True),
        _time("created_at"),
        _time("withdrawn_at", nullable=True),
        _foreign("specimen", "reference_set_id", "reference_set"),
        _key("specimen", "id"),
        _unique("specimen", "label"),
        _unique("specimen", "reference_set_id", "face", "kind", "image_digest"),
    )
    _index("specimen", "changed")
    _index("specimen", "image_digest")
    op.create_table(
        "derived",
        _id("specimen_id"),
        _text("producer_digest"),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        _foreign("derived", "specimen_id", "specimen"),
        _key("derived", "specimen_id", "producer_digest"),
    )


def _create_grants() -> None:
    op.create_table(
        "access_grant",
        _id("id"),
        _id("reference_set_id"),
        _id("authority_id"),
        _time("granted_at"),
        _time("revoked_at", nullable=True),
        _id("granted_by", nullable=True),
        _foreign("access_grant", "reference_set_id", "reference_set"),
        _foreign("access_grant", "authority_id", "organisation"),
        _foreign("access_grant", "granted_by", "api_key"),
        _key("access_grant", "id"),
    )
    _index("access_grant", "reference_set_id")
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
        _id("id"),
        _id("organisation_id"),
        _id("key_id", nullable=True),
        _time("created_at"),
        _digest("photo_digest"),
        sa.Column("photo_digests", sa.JSON(), nullable=False),
        _text("declared_product", nullable=True),
        _text("declared_gtin", nullable=True),
        _text("finding"),
        _text("product_id"),
        _id("reference_set_id", nullable=True),
        _id("specimen_id", nullable=True),
        _text("face"),
        sa.Column("log10_lr", sa.Double(), nullable=True),
        _text("record_json"),
        _digest("record_digest"),
        _text("model_digest"),
        _text("index_digest"),
        _text("policy_digest"),
        _text("code_version"),
        _text("provider"),
        _foreign("examination", "organisation_id", "organisation"),
        _foreign("examination", "key_id", "api_key"),
        _foreign("examination", "reference_set_id", "reference_set"),
        _foreign("examination", "specimen_id", "specimen"),
        _key("examination", "id"),
    )
    _index("examination", "organisation_id", "id")
    _index("examination", "photo_digest")


def _create_audit() -> None:
    op.create_table(
        "audit_event",
        _whole("seq", is_big=True),
        _time("at"),
        _id("actor_key_id", nullable=True),
        _id("organisation_id", nullable=True),
        _text("action"),
        _text("object_type"),
        _text("object_id"),
        _text("detail"),
        _digest("prev_hash"),
        _digest("hash"),
        _key("audit_event", "seq"),
    )
    _index("audit_event", "object_type", "object_id")


def _create_idempotency() -> None:
    op.create_table(
        "idempotency",
        _id("organisation_id"),
        _text("key"),
        _digest("request_digest"),
        _time("created_at"),
        _whole("response_status", nullable=True),
        sa.Column("response_headers", sa.JSON(), nullable=False),
        sa.Column("response_body", sa.LargeBinary(), nullable=False),
        _foreign("idempotency", "organisation_id", "organisation"),
        _key("idempotency", "organisation_id", "key"),
    )
    _index("idempotency", "created_at")


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_on_postgresql(table)
    else:
        _refuse_changes_on_sqlite(table)


def _refuse_changes_on_sqlite(table: str) -> None:
    key = _KEYS[table]
    refusal = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    exists = f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608
    # The third: REPLACE deletes the old row without firing a DELETE trigger, unless
    # that connection has asked for recursive triggers.
    for name, when in (
        ("update", f"BEFORE UPDATE ON {table}"),
        ("delete", f"BEFORE DELETE ON {table}"),
        ("replace", f"BEFORE INSERT ON {table} WHEN {exists}"),
    ):
        op.execute(f"CREATE TRIGGER {table}_no_{name} {when} {refusal}")


def _refuse_changes_on_postgresql(table: str) -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION touchstone_refuse_change() RETURNS trigger "
        "LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for name, when, each in (
        ("change", "BEFORE UPDATE OR DELETE", "ROW"),
        ("truncate", "BEFORE TRUNCATE", "STATEMENT"),
    ):
        op.execute(
            f"CREATE TRIGGER {table}_no_{name} {when} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION touchstone_refuse_change()"
        )
