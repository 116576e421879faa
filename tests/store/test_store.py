"""What holds for every verb: drafts, lists, threads, and a database in trouble."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import OperationalError
from store.world import (
    PEPPER,
    World,
    examination_draft,
    raw,
)

from touchstone.errors import (
    BusyError,
    InvalidInputError,
    StorageError,
)
from touchstone.store import (
    ProductFields,
    SetFields,
    SpecimenFields,
    Store,
    canonical_json,
    new_id,
)
from touchstone.store.database import translated


def test_ids_are_version_7_and_sort_as_they_were_made() -> None:
    ids = [new_id() for _ in range(200)]
    assert {UUID(made).version for made in ids} == {7}
    assert {UUID(made).variant for made in ids} == {"specified in RFC 4122"}
    assert len(set(ids)) == 200
    # The clock has steps of 244 ns here, so only ids made apart must be in order.
    apart = ids[::20]
    assert apart == sorted(apart)


def test_equal_values_have_one_canonical_text() -> None:
    assert canonical_json({"b": 1, "a": [1.0, "é"]}) == '{"a":[1.0,"é"],"b":1}'
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ProductFields(""), "product_id"),
        (lambda: ProductFields("P\x00"), "product_id"),
        (lambda: ProductFields("P", brand="two\nlines"), "brand"),
        (lambda: ProductFields("P", name="x" * 301), "name"),
        (lambda: ProductFields("P", category="\ud800"), "category"),
        (lambda: ProductFields("P", gtin=" "), "gtin"),
        (lambda: SetFields(market="\t"), "market"),
        (lambda: SpecimenFields("A" * 64, 1, 1), "image_digest"),
        (lambda: SpecimenFields("a" * 64, 0, 1), "width_px"),
        (lambda: SpecimenFields("a" * 64, 1, 1, face=""), "face"),
        (
            lambda: SpecimenFields("a" * 64, 9, 9, variable_regions=((5, 0, 5, 1),)),
            "variable_regions",
        ),
        (
            lambda: SpecimenFields("a" * 64, 9, 9, variable_regions=((0, -1, 1, 2),)),
            "variable_regions",
        ),
        (
            lambda: SpecimenFields("a" * 64, 9, 9, variable_regions=((1, 1, 0, 2),)),
            "variable_regions",
        ),
        (lambda: examination_draft(photo_digests=()), "photo_digests"),
        (lambda: examination_draft(log10_lr=float("inf")), "log10_lr"),
        (lambda: examination_draft(finding=""), "finding"),
        (lambda: examination_draft(record_json='{\n"a":1}'), "record_json"),
    ],
)
def test_a_malformed_draft_cannot_be_made(
    make: Callable[[], object], field: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert caught.value.field == field


def test_pages_cover_a_list_once_even_while_it_grows(world: World) -> None:
    for number in range(7):
        world.enrol(product_id=f"P-{number}")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = world.store.list_products(world.brand, after=cursor, limit=3)
        seen += [item.product_id for item in page.items]
        if len(seen) == 3:
            world.enrol(product_id="P-new")
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert seen == [*(f"P-{number}" for number in range(7)), "P-new"]


def test_a_page_that_just_fits_is_the_last(world: World) -> None:
    for number in range(3):
        world.enrol(product_id=f"P-{number}")
    page = world.store.list_products(world.brand, limit=3)
    assert len(page.items) == 3
    assert page.next_cursor is None


@pytest.mark.parametrize(
    ("after", "limit"), [("nonsense", 10), ("\x00", 10), (None, 0), (None, 1001)]
)
def test_a_cursor_or_limit_out_of_range_is_refused(
    world: World, after: str | None, limit: int
) -> None:
    for ask in (
        world.store.list_products,
        world.store.list_examinations,
        world.store.list_keys,
        world.store.list_organisations,
    ):
        with pytest.raises(InvalidInputError):
            ask(world.brand, after=after, limit=limit)
    with pytest.raises(InvalidInputError):
        world.store.list_audit_events(world.operator, after=after, limit=limit)


def test_threads_reading_and_writing_at_once_all_succeed(world: World) -> None:
    made = world.enrol()

    def work(number: int) -> None:
        world.enrol(image=f"image {number}")
        world.store.record_examination(world.officer, examination_draft())
        label = made.specimen.label
        assert world.store.reference(world.brand, label).specimen == made.specimen
        world.store.list_examinations(world.officer, limit=5)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(36)))
    report = world.store.verify_chain()
    assert report.ok
    assert len(world.store.list_examinations(world.officer).items) == 36


KILLED_WHILE_WRITING = """
import sys
from store.world import PEPPER, examination_draft
from touchstone.store import Store
with Store.open(sys.argv[1], pepper=PEPPER, create=False) as store:
    operator = store.ensure_local_operator()
    while True:
        sys.stdout.write(store.record_examination(operator, examination_draft()).id)
        sys.stdout.write("\\n")
        sys.stdout.flush()
"""


def test_killed_at_any_moment_every_acknowledged_record_is_there(url: str) -> None:
    here = Path(__file__).parent.parent
    acknowledged: list[str] = []
    for number in (1, 5, 17):
        child = subprocess.Popen(  # noqa: S603 ourselves
            [sys.executable, "-c", KILLED_WHILE_WRITING, url],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(here)},
        )
        assert child.stdout is not None
        acknowledged += [child.stdout.readline().strip() for _ in range(number)]
        child.kill()
        acknowledged += [line.strip() for line in child.stdout if len(line) == 37]
        child.stdout.close()
        child.wait()
    with Store.open(url, pepper=PEPPER, create=False) as store:
        operator = store.ensure_local_operator()
        kept = [store.examination(operator, made).id for made in acknowledged]
        assert kept == acknowledged
        assert len(kept) >= 23
        assert store.verify_chain().ok
        assert list(store.altered_examinations()) == []


def test_a_writer_that_waits_too_long_is_told_to_try_again(
    world: World, url: str
) -> None:
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with world.store._writing() as session:
            session.execute(text("SELECT 1"))
            holding.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    holding.wait(10)
    try:
        with Store.open(url, pepper=PEPPER, create=False, busy_timeout_s=0.2) as other:
            assert other.visible_set_ids(world.brand) == frozenset()  # readers go on
            with pytest.raises(BusyError) as caught:
                other.record_examination(world.officer, examination_draft())
    finally:
        done.set()
        holder.join()
    assert caught.value.retry_after_s >= 1


def test_every_connection_is_durable_and_strict(sqlite_url: str) -> None:
    with Store.open(sqlite_url, pepper=PEPPER, create=False) as store:
        expected = {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "recursive_triggers": 1,
            "busy_timeout": 10_000,
        }
        with store._reading() as session:
            found = {name: session.scalar(text(f"PRAGMA {name}")) for name in expected}
    assert found == expected


def test_postgresql_commits_wait_for_the_disk(postgresql_url: str) -> None:
    with (
        Store.open(postgresql_url, pepper=PEPPER, create=False) as store,
        store._reading() as session,
    ):
        assert session.scalar(text("SHOW synchronous_commit")) == "on"


def test_a_full_disk_is_said_and_survived(sqlite_url: str) -> None:
    with Store.open(sqlite_url, pepper=PEPPER, create=False) as store:
        operator = store.ensure_local_operator()
        large = examination_draft(record_json=canonical_json("x" * 500_000))
        pages = 0

        def limit_pages(connection: sqlite3.Connection, *_: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")

        with store._reading() as session:
            pages = int(session.scalar(text("PRAGMA page_count")) or 0) + 4
        store.close()
        event.listen(store._engine, "connect", limit_pages)
        with pytest.raises(StorageError) as caught:
            store.record_examination(operator, large)
        assert caught.value.is_full
        assert store.list_examinations(operator).items == ()
        assert store.verify_chain().ok
        # Room is made, and the same store goes on.
        store.close()
        event.remove(store._engine, "connect", limit_pages)
        store.record_examination(operator, large)
        assert store.verify_chain().ok


def test_a_damaged_database_is_a_storage_error_without_its_secrets(
    empty_url: str,
) -> None:
    secret = "ts_" + "0" * 12 + "_" + "A" * 43
    with Store.open(empty_url, pepper=PEPPER, create=True) as store:
        with raw(empty_url) as connection:
            connection.execute(text("ALTER TABLE api_key RENAME TO lost"))
        with pytest.raises(StorageError) as caught:
            store.authenticate(secret)
    assert "api_key" in str(caught.value.__cause__)
    assert "0" * 12 not in f"{caught.value!r} {caught.value.__cause__}"


@pytest.mark.parametrize("wrong", [{"username": "nobody"}, {"database": "nowhere"}])
def test_a_server_that_refuses_us_is_not_away(
    postgresql_server: str, wrong: dict[str, str]
) -> None:
    url = make_url(postgresql_server).set(**wrong)  # type: ignore[arg-type]
    with pytest.raises(StorageError) as refused:
        Store.open(url.render_as_string(False), pepper=PEPPER, create=False)
    assert not refused.value.is_away


def test_a_server_that_nobody_runs_is_away() -> None:
    pytest.importorskip("psycopg")
    url = "postgresql://postgres@127.0.0.1:1/touchstone"
    with pytest.raises(StorageError) as refused:
        Store.open(url, pepper=PEPPER, create=False)
    assert refused.value.is_away


@pytest.mark.parametrize(
    ("words", "is_away"),
    [
        ('FATAL:  password authentication failed for user "touchstone"', False),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "a"', False),
        ("fe_sendauth: no password supplied", False),
        ("FATAL:  the database system is starting up", True),
        ("server closed the connection unexpectedly", True),
    ],
)
def test_whether_a_server_is_away_is_told_by_its_words(
    words: str, *, is_away: bool
) -> None:
    # Of a connection that was never made the driver knows no SQLSTATE.
    psycopg = pytest.importorskip("psycopg")
    cause = psycopg.OperationalError(f"connection failed: {words}")
    with pytest.raises(StorageError) as refused, translated():
        raise OperationalError("", {}, cause)
    assert refused.value.is_away is is_away
