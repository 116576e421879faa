"""Grants, and what the catalogue is told of changes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.exc import StatementError
from store.world import (
    MODEL,
    World,
    digest_of,
    examination_draft,
    raw,
)

from touchstone.errors import (
    NotFoundError,
)
from touchstone.store import (
    Caller,
    ProductFields,
    ReferenceView,
    SetFields,
    SetStatus,
    SpecimenFields,
    new_id,
)
from touchstone.store.scope import matchable
from touchstone.store.tables import Id, ReferenceSetRow

SPECIMEN = SpecimenFields(digest_of("front of P-1"), width_px=400, height_px=300)


def test_a_grant_is_effective_at_once_and_ends_at_once(world: World) -> None:
    store, officer = world.store, world.officer
    made = world.enrol()
    set_id, label = made.reference_set.id, made.specimen.label
    assert store.visible_set_ids(officer) == frozenset()
    given = store.grant(world.brand, set_id, authority_id=world.authority.id)
    assert given.granted_by == world.brand.key_id
    assert store.visible_set_ids(officer) == {set_id}
    assert store.reference(officer, label).organisation_id == (
        world.brand.organisation_id
    )
    assert store.specimens_of_set(officer, set_id) == (made.specimen,)
    assert store.visible_set_ids(world.stranger) == frozenset()
    ended = store.revoke(world.brand, set_id, authority_id=world.authority.id)
    assert ended.revoked_at is not None
    assert store.visible_set_ids(officer) == frozenset()
    assert store.references(officer, [label]) == {}
    with pytest.raises(NotFoundError):
        store.specimens_of_set(officer, set_id)


def test_one_question_is_answered_to_each_caller_within_its_own_reach(
    world: World,
) -> None:
    # The query is made once for all callers: none may be answered with another's.
    store = world.store
    ours = world.enrol()
    theirs = world.enrol(world.rival, image="theirs")
    store.grant(world.brand, ours.reference_set.id, authority_id=world.authority.id)
    both = {ours.specimen.label, theirs.specimen.label}
    reach: tuple[tuple[Caller, set[int]], ...] = (
        (world.operator, both),
        (world.brand, {ours.specimen.label}),
        (world.rival, {theirs.specimen.label}),
        (world.officer, {ours.specimen.label}),
        (world.stranger, set()),
    )
    for caller, expected in (*reach, *reversed(reach)):
        assert store.references(caller, sorted(both)).keys() == expected


def test_a_query_that_names_no_organisation_is_not_asked(url: str) -> None:
    condition = matchable(bindparam("organisation_id", type_=Id), by_admin=False)
    with raw(url) as connection, pytest.raises(StatementError):
        connection.execute(select(ReferenceSetRow.id).where(condition))


def test_what_is_matched_against_is_what_is_on_record_now(world: World) -> None:
    # No counter grows when a product is filled in, so nothing here may be kept.
    store, brand = world.store, world.brand
    regions = ((10, 20, 30, 40), (5, 6, 7, 8))
    made = store.enrol_specimen(
        brand,
        product=ProductFields("P-1"),
        reference_set=SetFields(market="AT", artwork_version="2"),
        specimen=replace(SPECIMEN, variable_regions=regions),
        derived={},
    )
    label = made.specimen.label
    view = store.reference(brand, label)
    assert view == ReferenceView(made.specimen, made.reference_set, made.product)
    assert view.specimen.variable_regions == regions
    store.enrol_specimen(
        brand,
        product=ProductFields("P-1", brand="Acme", gtin="04012345678901"),
        reference_set=SetFields(market="AT", artwork_version="2"),
        specimen=replace(SPECIMEN, variable_regions=regions),
        derived={},
    )
    product = replace(made.product, brand="Acme", gtin="04012345678901")
    assert store.reference(brand, label) == replace(view, product=product)


def test_a_grantee_matches_but_never_browses(world: World) -> None:
    store, officer = world.store, world.officer
    made = world.enrol()
    store.grant(world.brand, made.reference_set.id, authority_id=world.authority.id)
    assert store.list_products(officer).items == ()
    assert store.list_reference_sets(officer).items == ()
    for ask, thing in (
        (store.product, made.product.id),
        (store.reference_set, made.reference_set.id),
        (store.specimen, made.specimen.id),
        (store.grants_of, made.reference_set.id),
    ):
        with pytest.raises(NotFoundError):
            ask(officer, thing)


def test_granting_twice_is_granting_once_and_history_stays(world: World) -> None:
    store, brand, authority = world.store, world.brand, world.authority.id
    set_id = world.enrol().reference_set.id
    first = store.grant(brand, set_id, authority_id=authority)
    assert store.grant(brand, set_id, authority_id=authority) == first
    ended = store.revoke(brand, set_id, authority_id=authority)
    with pytest.raises(NotFoundError):
        store.revoke(brand, set_id, authority_id=authority)
    second = store.grant(brand, set_id, authority_id=authority)
    assert store.grants_of(brand, set_id) == (ended, second)


def test_nothing_is_granted_to_another_brand(world: World) -> None:
    made = world.enrol()
    for organisation_id in (world.rival.organisation_id, new_id()):
        with pytest.raises(NotFoundError):
            world.store.grant(
                world.brand, made.reference_set.id, authority_id=organisation_id
            )


def test_only_active_sets_and_specimens_in_use_are_matched_against(
    world: World,
) -> None:
    store, brand = world.store, world.brand
    kept, gone = world.enrol(image="a"), world.enrol(image="b")
    store.withdraw_specimen(brand, gone.specimen.id)
    labels = [kept.specimen.label, gone.specimen.label]
    assert list(store.references(brand, labels)) == [kept.specimen.label]
    assert store.references_with_digest(brand, digest_of("b")) == ()
    for status in (SetStatus.DRAFT, SetStatus.WITHDRAWN):
        store.set_status(brand, kept.reference_set.id, status=status)
        for caller in (brand, world.operator):
            assert store.references(caller, labels) == {}
            assert store.visible_set_ids(caller) == frozenset()
    store.set_status(brand, kept.reference_set.id, status=SetStatus.ACTIVE)
    assert list(store.references(brand, labels)) == [kept.specimen.label]


def test_the_counters_grow_with_each_change_and_with_nothing_else(
    world: World,
) -> None:
    store, brand, authority = world.store, world.brand, world.authority.id

    def grown(act: Callable[[], object]) -> tuple[int, int]:
        before = store.catalogue_state()
        act()
        after = store.catalogue_state()
        return (
            after.reference_counter - before.reference_counter,
            after.access_counter - before.access_counter,
        )

    made = world.enrol()
    set_id = made.reference_set.id
    label = made.specimen.label
    expected: list[tuple[Callable[[], object], tuple[int, int]]] = [
        (world.enrol, (0, 0)),
        (lambda: world.enrol(image="b"), (1, 0)),
        (lambda: world.enrol(market="FR"), (1, 1)),
        (lambda: store.grant(brand, set_id, authority_id=authority), (0, 1)),
        (lambda: store.grant(brand, set_id, authority_id=authority), (0, 0)),
        (lambda: store.revoke(brand, set_id, authority_id=authority), (0, 1)),
        (lambda: store.withdraw_specimen(brand, made.specimen.id), (1, 0)),
        (lambda: store.withdraw_specimen(brand, made.specimen.id), (0, 0)),
        (lambda: store.withdraw_reference_set(brand, set_id), (0, 1)),
        (lambda: store.withdraw_reference_set(brand, set_id), (0, 0)),
        (lambda: store.add_derived("other", {label: b"x"}), (1, 0)),
        (lambda: store.add_derived("other", {label: b"x"}), (0, 0)),
        (lambda: store.record_examination(brand, examination_draft()), (0, 0)),
        (lambda: store.list_products(brand), (0, 0)),
    ]
    assert [grown(act) for act, _ in expected] == [growth for _, growth in expected]


def test_the_index_can_be_rebuilt_from_the_records_in_batches(world: World) -> None:
    made = [world.enrol(image=f"image {number}") for number in range(7)]
    world.store.withdraw_specimen(world.brand, made[2].specimen.id)
    rows, after = [], 0
    while batch := world.store.iterate_index_rows(MODEL, after_label=after, limit=3):
        rows += batch
        after = batch[-1].label
    assert [row.label for row in rows] == [item.specimen.label for item in made]
    assert [row.data for row in rows] == [
        f"image {number}".encode() for number in range(7)
    ]
    assert [row.withdrawn for row in rows] == [n == 2 for n in range(7)]
    assert {row.reference_set_id for row in rows} == {made[0].reference_set.id}


def test_a_cache_can_ask_for_what_is_newer_than_it(world: World) -> None:
    store = world.store
    made = [world.enrol(image=f"image {number}") for number in range(4)]
    since = store.catalogue_state().reference_counter
    assert store.iterate_index_rows(MODEL, changed_since=since) == []
    store.withdraw_specimen(world.brand, made[1].specimen.id)
    world.enrol(image="image 4")
    newer = store.iterate_index_rows(MODEL, changed_since=since)
    assert [(row.label, row.withdrawn) for row in newer] == [(2, True), (5, False)]


def test_what_a_new_model_computes_is_added_to_what_is_there(world: World) -> None:
    store = world.store
    world.enrol(image="a")
    world.enrol(image="b")
    assert [row.data for row in store.iterate_index_rows("new model")] == [None, None]
    assert store.add_derived("new model", {1: b"one", 999: b"nobody"}) == 1
    assert store.add_derived("new model", {1: b"ONE", 2: b"two"}) == 1
    assert store.derived("new model", [1, 2, 999]) == {1: b"one", 2: b"two"}
    assert store.derived(MODEL, [1]) == {1: b"a"}


def test_enrolling_again_with_a_new_model_keeps_its_data_too(world: World) -> None:
    made = world.enrol()
    again = world.store.enrol_specimen(
        world.brand,
        product=ProductFields("P-1"),
        reference_set=SetFields(),
        specimen=SPECIMEN,
        derived={MODEL: b"ignored", "new model": b"kept"},
    )
    assert not again.is_new
    assert again.reference_set == made.reference_set
    assert world.store.derived("new model", [1]) == {1: b"kept"}
    assert world.store.derived(MODEL, [1]) == {1: b"front of P-1"}


def test_every_blob_that_a_record_relies_on_is_named(world: World) -> None:
    world.enrol()
    world.store.record_examination(world.officer, examination_draft())
    assert set(world.store.recorded_digests()) == {
        SPECIMEN.image_digest,
        digest_of("a photo"),
        digest_of("its back"),
    }
    assert world.store.image_digests([1, 99]) == {1: SPECIMEN.image_digest}
