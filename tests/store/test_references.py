"""Enrolment: once is once, and what contradicts the record is refused."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from store.world import (
    MODEL,
    Clock,
    World,
    digest_of,
)

from touchstone.errors import (
    ConflictError,
    NotAllowedError,
    NotFoundError,
)
from touchstone.store import (
    Enrolled,
    ProductFields,
    Role,
    SetFields,
    SetStatus,
    SpecimenFields,
    SpecimenKind,
)

SPECIMEN = SpecimenFields(digest_of("front of P-1"), width_px=400, height_px=300)


def test_enrolling_makes_product_set_and_specimen(world: World, clock: Clock) -> None:
    made = world.store.enrol_specimen(
        world.brand,
        product=ProductFields("P-1", brand="Acme", name="Pills", gtin="04012345678901"),
        reference_set=SetFields(market="FR", artwork_version="v2"),
        specimen=SpecimenFields(
            digest_of("image"),
            width_px=400,
            height_px=300,
            face="back",
            kind=SpecimenKind.KNOWN_COUNTERFEIT,
            variable_regions=((1, 2, 3, 4), (10, 20, 30, 40)),
        ),
        derived={MODEL: b"vector"},
    )
    store, caller = world.store, world.brand
    assert made.is_new
    assert made.product.created_at == clock.now
    assert made.reference_set.status is SetStatus.ACTIVE
    assert made.reference_set.version == 1
    assert made.specimen.label == 1
    assert made.specimen.variable_regions == ((1, 2, 3, 4), (10, 20, 30, 40))
    assert store.product(caller, made.product.id) == made.product
    assert store.product_with_code(caller, "P-1") == made.product
    assert store.reference_set(caller, made.reference_set.id) == made.reference_set
    assert store.specimen(caller, made.specimen.id) == made.specimen
    assert store.derived(MODEL, [1]) == {1: b"vector"}


def test_enrolling_the_same_twice_is_enrolling_once(world: World) -> None:
    first = world.enrol()
    before = world.store.catalogue_state(), world.store.chain_head()
    again = world.enrol()
    assert not again.is_new
    assert again.specimen == first.specimen
    assert again.reference_set == first.reference_set
    assert (world.store.catalogue_state(), world.store.chain_head()) == before


def test_many_threads_enrolling_the_same_enrol_it_once(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: world.enrol(), range(16)))
    assert sum(item.is_new for item in made) == 1
    assert len({item.specimen.id for item in made}) == 1
    assert world.store.verify_chain().ok


def test_threads_enrolling_different_images_get_dense_labels(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(
                lambda number: world.enrol(
                    product_id=f"P-{number % 3}", image=f"image {number}"
                ),
                range(24),
            )
        )
    assert sorted(item.specimen.label for item in made) == list(range(1, 25))
    assert world.store.catalogue_state().reference_counter == 24
    assert world.store.verify_chain().ok


def test_a_failed_enrolment_leaves_nothing_and_takes_no_label(world: World) -> None:
    world.enrol()
    before = world.store.chain_head()
    with pytest.raises(ConflictError):
        world.store.enrol_specimen(
            world.brand,
            product=ProductFields("P-2"),
            reference_set=SetFields(),
            specimen=SPECIMEN,
            # NOT NULL refuses it, after all else was written.
            derived={MODEL: None},  # type: ignore[dict-item]
        )
    with pytest.raises(NotFoundError):
        world.store.product_with_code(world.brand, "P-2")
    assert world.store.chain_head() == before
    assert world.enrol(product_id="P-2").specimen.label == 2


def test_the_same_image_with_other_variable_regions_is_a_conflict(
    world: World,
) -> None:
    made = world.enrol()
    other = SpecimenFields(
        SPECIMEN.image_digest, 400, 300, variable_regions=((0, 0, 5, 5),)
    )
    with pytest.raises(ConflictError, match="variable regions"):
        world.store.add_specimen(
            world.brand, made.reference_set.id, specimen=other, derived={}
        )


def test_a_product_field_that_differs_is_a_conflict_that_names_it(
    world: World,
) -> None:
    def enrol(fields: ProductFields) -> Enrolled:
        return world.store.enrol_specimen(
            world.brand,
            product=fields,
            reference_set=SetFields(),
            specimen=SPECIMEN,
            derived={},
        )

    enrol(ProductFields("P-1", brand="Acme", gtin="04012345678901"))
    for fields, named in (
        (ProductFields("P-1", brand="Acne"), "brand"),
        (ProductFields("P-1", gtin="04012345678902"), "gtin"),
    ):
        with pytest.raises(ConflictError, match=named):
            enrol(fields)
    # Blank is not a claim; a field blank so far is filled in.
    enrol(ProductFields("P-1"))
    filled = enrol(ProductFields("P-1", name="Pills")).product
    assert (filled.brand, filled.name) == ("Acme", "Pills")


def test_brands_may_use_the_same_code_for_different_products(world: World) -> None:
    ours, theirs = world.enrol(), world.enrol(world.rival)
    assert theirs.is_new
    assert ours.product.id != theirs.product.id


def test_a_sets_digest_and_version_follow_its_specimens(world: World) -> None:
    first = world.enrol(image="a")
    second = world.enrol(image="b")
    assert (first.reference_set.version, second.reference_set.version) == (1, 2)
    assert second.reference_set.digest != first.reference_set.digest
    world.store.withdraw_specimen(world.brand, second.specimen.id)
    after = world.store.reference_set(world.brand, first.reference_set.id)
    assert after.version == 3
    assert after.digest == first.reference_set.digest


def test_a_sets_digest_does_not_depend_on_the_order_of_enrolment(
    world: World,
) -> None:
    for image in ("a", "b"):
        forth = world.enrol(image=image)
    for image in ("b", "a"):
        back = world.enrol(product_id="P-2", image=image)
    assert forth.reference_set.digest == back.reference_set.digest


def test_what_was_withdrawn_is_not_brought_back_by_enrolling_again(
    world: World,
) -> None:
    made = world.enrol()
    withdrawn = world.store.withdraw_specimen(world.brand, made.specimen.id)
    assert world.store.withdraw_specimen(world.brand, made.specimen.id) == withdrawn
    with pytest.raises(ConflictError, match="withdrawn"):
        world.enrol()
    world.store.withdraw_reference_set(world.brand, made.reference_set.id)
    with pytest.raises(ConflictError, match="withdrawn"):
        world.enrol(image="another")


def test_making_what_exists_is_a_conflict(world: World) -> None:
    made = world.enrol()
    with pytest.raises(ConflictError):
        world.store.create_product(world.brand, ProductFields("P-1"))
    with pytest.raises(ConflictError):
        world.store.create_reference_set(
            world.brand, made.product.id, fields=SetFields()
        )


def test_product_set_and_specimen_can_be_made_one_by_one(world: World) -> None:
    store, brand = world.store, world.brand
    product = store.create_product(brand, ProductFields("P-9", brand="Acme"))
    made = store.create_reference_set(brand, product.id, fields=SetFields("DE"))
    assert made.version == 0
    enrolled = store.add_specimen(brand, made.id, specimen=SPECIMEN, derived={})
    assert enrolled.product == product
    assert store.list_products(brand).items == (product,)
    assert store.list_reference_sets(brand, product_ref=product.id).items == (
        enrolled.reference_set,
    )
    assert store.list_specimens(brand, made.id).items == (enrolled.specimen,)


@pytest.mark.parametrize("role", [Role.OFFICER, Role.ANALYST])
def test_only_brand_owners_and_administrators_change_references(
    world: World, role: Role
) -> None:
    made = world.enrol()
    store = world.store
    caller = world.key(
        store.organisation(world.operator, world.brand.organisation_id), role
    )
    set_id = made.reference_set.id
    acts: list[Callable[[], object]] = [
        lambda: world.enrol(caller),
        lambda: store.create_product(caller, ProductFields("P-2")),
        lambda: store.create_reference_set(
            caller, made.product.id, fields=SetFields("FR")
        ),
        lambda: store.add_specimen(caller, set_id, specimen=SPECIMEN, derived={}),
        lambda: store.withdraw_specimen(caller, made.specimen.id),
        lambda: store.withdraw_reference_set(caller, set_id),
        lambda: store.grant(caller, set_id, authority_id=world.authority.id),
        lambda: store.revoke(caller, set_id, authority_id=world.authority.id),
    ]
    for act in acts:
        with pytest.raises(NotAllowedError):
            act()
