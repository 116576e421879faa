"""A small world of brands and authorities, and a way past the store into its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection, NullPool, create_engine, text

from touchstone.store import (
    Caller,
    Enrolled,
    ExaminationDraft,
    Organisation,
    ProductFields,
    Role,
    SetFields,
    SpecimenFields,
    Store,
    canonical_json,
)

PEPPER = b"a pepper for the tests alone"
MODEL = "m" * 64


def digest_of(word: str) -> str:
    return sha256(word.encode()).hexdigest()


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(frozen=True)
class World:
    """One of each that matters, each with a key."""

    store: Store
    operator: Caller
    brand: Caller
    rival: Caller
    officer: Caller
    stranger: Caller
    """Of an authority that no test grants anything to."""
    authority: Organisation

    def key(self, organisation: Organisation, role: Role) -> Caller:
        _, secret = self.store.issue_key(
            self.operator, organisation_id=organisation.id, role=role, label="test"
        )
        return self.store.authenticate(secret)

    def enrol(
        self,
        caller: Caller | None = None,
        *,
        product_id: str = "P-1",
        image: str = "front of P-1",
        market: str = "",
    ) -> Enrolled:
        return self.store.enrol_specimen(
            caller or self.brand,
            product=ProductFields(product_id),
            reference_set=SetFields(market=market),
            specimen=SpecimenFields(digest_of(image), width_px=400, height_px=300),
            derived={MODEL: image.encode()},
        )


def examination_draft(photo: str = "a photo", **changes: object) -> ExaminationDraft:
    fields: dict[str, object] = {
        "photo_digests": (digest_of(photo), digest_of("its back")),
        "finding": "inconclusive",
        "record_json": canonical_json({"photo": photo, "é": [1.5, None]}),
        "model_digest": MODEL,
        "index_digest": digest_of("index"),
        "policy_digest": digest_of("policy"),
        "code_version": "0.1.0",
        "provider": "CPUExecutionProvider",
        "declared_product": "P-1",
        "product_id": "P-1",
        "face": "front",
        "log10_lr": -0.1234567890123456,
    }
    return ExaminationDraft(**{**fields, **changes})  # type: ignore[arg-type]


@contextmanager
def raw(url: str) -> Iterator[Connection]:
    """Open the database as an intruder would: past the store."""
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool
    )
    with engine.begin() as connection:
        yield connection


def drop_triggers(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        names = connection.scalars(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ).all()
        for name in names:
            connection.execute(text(f"DROP TRIGGER {name}"))
    else:
        for table in ("examination", "audit_event", "custody_event", "conclusion"):
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
