"""Nobody gets anything of anybody else's: every verb, probed by every outsider."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from store.filing_probes import (
    FILING_PROBES,
    SECRETS,
    FiledIds,
    check_unchanged,
    everything_filed,
)
from store.world import (
    MODEL,
    Clock,
    World,
    digest_of,
    examination_draft,
)

from touchstone.errors import (
    NotFoundError,
    TouchstoneError,
)
from touchstone.store import (
    Attempt,
    Caller,
    OrganisationKind,
    ProductFields,
    Role,
    SetFields,
    SetStatus,
    SpecimenFields,
    Store,
    StoredResponse,
    new_id,
)

SPECIMEN = SpecimenFields(digest_of("front of P-1"), width_px=400, height_px=300)


@dataclass(frozen=True)
class Ids:
    """One id of each kind, of somebody or of nobody."""

    organisation: str = field(default_factory=new_id)
    key: str = field(default_factory=new_id)
    product: str = field(default_factory=new_id)
    reference_set: str = field(default_factory=new_id)
    specimen: str = field(default_factory=new_id)
    examination: str = field(default_factory=new_id)
    code: str = "no such code"
    image_digest: str = digest_of("no such image")
    label: int = 999_999
    idempotency_key: str = "no such key"
    attempt: str = field(default_factory=new_id)
    filed: FiledIds = field(default_factory=FiledIds)


NOON = Clock().now
SECRET_ANSWER = StoredResponse(201, (("Location", "/v1/secret"),), b"secret answer")

Probe = Callable[[Store, Caller, Ids], object]

PROBES: dict[str, Probe] = {
    "create_organisation": lambda store, caller, ids: store.create_organisation(
        caller, kind=OrganisationKind.BRAND, name=ids.code
    ),
    "organisation": lambda store, caller, ids: store.organisation(
        caller, ids.organisation
    ),
    "list_organisations": lambda store, caller, _: store.list_organisations(caller),
    "issue_key": lambda store, caller, ids: store.issue_key(
        caller, organisation_id=ids.organisation, role=Role.ANALYST, label="mine"
    ),
    "revoke_key": lambda store, caller, ids: store.revoke_key(caller, ids.key),
    "list_keys": lambda store, caller, _: store.list_keys(caller),
    "grant": lambda store, caller, ids: store.grant(
        caller, ids.reference_set, authority_id=ids.organisation
    ),
    "revoke": lambda store, caller, ids: store.revoke(
        caller, ids.reference_set, authority_id=ids.organisation
    ),
    "note_view": lambda store, caller, ids: store.note_view(
        caller, [ids.reference_set], through={"job_id": ids.code}
    ),
    "grants_of": lambda store, caller, ids: store.grants_of(caller, ids.reference_set),
    "enrol_specimen": lambda store, caller, ids: store.enrol_specimen(
        caller,
        product=ProductFields(ids.code),
        reference_set=SetFields(),
        specimen=SpecimenFields(ids.image_digest, 4, 3),
        derived={},
    ),
    "create_product": lambda store, caller, ids: store.create_product(
        caller, ProductFields(f"{ids.code} too")
    ),
    "product": lambda store, caller, ids: store.product(caller, ids.product),
    "product_with_code": lambda store, caller, ids: store.product_with_code(
        caller, ids.code
    ),
    "list_products": lambda store, caller, _: store.list_products(caller),
    "create_reference_set": lambda store, caller, ids: store.create_reference_set(
        caller, ids.product, fields=SetFields("FR")
    ),
    "reference_set": lambda store, caller, ids: store.reference_set(
        caller, ids.reference_set
    ),
    "list_reference_sets": lambda store, caller, ids: (
        store.list_reference_sets(caller),
        store.list_reference_sets(caller, product_ref=ids.product),
    ),
    "set_status": lambda store, caller, ids: store.set_status(
        caller, ids.reference_set, status=SetStatus.DRAFT
    ),
    "withdraw_reference_set": lambda store, caller, ids: store.withdraw_reference_set(
        caller, ids.reference_set
    ),
    "add_specimen": lambda store, caller, ids: store.add_specimen(
        caller, ids.reference_set, specimen=SPECIMEN, derived={}
    ),
    "specimen": lambda store, caller, ids: store.specimen(caller, ids.specimen),
    "list_specimens": lambda store, caller, ids: store.list_specimens(
        caller, ids.reference_set
    ),
    "withdraw_specimen": lambda store, caller, ids: store.withdraw_specimen(
        caller, ids.specimen
    ),
    "visible_set_ids": lambda store, caller, _: store.visible_set_ids(caller),
    "reference": lambda store, caller, ids: store.reference(caller, ids.label),
    "references": lambda store, caller, ids: store.references(caller, [ids.label]),
    "specimens_of_set": lambda store, caller, ids: store.specimens_of_set(
        caller, ids.reference_set
    ),
    "references_with_digest": lambda store, caller, ids: store.references_with_digest(
        caller, ids.image_digest
    ),
    "record_examination": lambda store, caller, _: store.record_examination(
        caller, examination_draft()
    ),
    "record_examinations": lambda store, caller, _: store.record_examinations(
        caller, [examination_draft()]
    ),
    "examination": lambda store, caller, ids: store.examination(
        caller, ids.examination
    ),
    "list_examinations": lambda store, caller, ids: (
        store.list_examinations(caller),
        store.list_examinations(caller, photo_digest=ids.image_digest),
    ),
    "list_audit_events": lambda store, caller, _: store.list_audit_events(caller),
    "begin_idempotent": lambda store, caller, ids: store.begin_idempotent(
        caller, ids.idempotency_key, request_digest="a" * 64, now=NOON
    ),
    "finish_idempotent": lambda store, caller, ids: store.finish_idempotent(
        caller,
        Attempt(ids.idempotency_key, ids.attempt),
        response=StoredResponse(500, (), b"forged"),
    ),
    "keep_idempotent": lambda store, caller, ids: store.keep_idempotent(
        caller, Attempt(ids.idempotency_key, ids.attempt), now=NOON
    ),
    "abandon_idempotent": lambda store, caller, ids: store.abandon_idempotent(
        caller, Attempt(ids.idempotency_key, ids.attempt)
    ),
}


PROBES |= {
    name: lambda store, caller, ids, probe=probe: probe(store, caller, ids.filed)  # type: ignore[misc]
    for name, probe in FILING_PROBES.items()
}


def outcome(probe: Probe, store: Store, caller: Caller, ids: Ids) -> tuple[str, str]:
    try:
        return "value", repr(probe(store, caller, ids))
    except TouchstoneError as error:
        return type(error).__name__, str(error)


def everything_of_the_brand(world: World) -> Ids:
    """One of each thing, all the brand's, with words that must not get out."""
    store, brand = world.store, world.brand
    made = store.enrol_specimen(
        brand,
        product=ProductFields("P-1", name="Confidential launch", brand="Acme"),
        reference_set=SetFields(),
        specimen=SPECIMEN,
        derived={MODEL: b"vector"},
    )
    examination = store.record_examination(
        brand, examination_draft("secret photo", specimen_id=made.specimen.id)
    )
    attempt = store.begin_idempotent(brand, "a key", request_digest="a" * 64, now=NOON)
    assert isinstance(attempt, Attempt)
    store.finish_idempotent(brand, attempt, response=SECRET_ANSWER)
    assert brand.key_id is not None
    return Ids(
        organisation=brand.organisation_id,
        key=brand.key_id,
        product=made.product.id,
        reference_set=made.reference_set.id,
        specimen=made.specimen.id,
        examination=examination.id,
        code="P-1",
        image_digest=SPECIMEN.image_digest,
        label=made.specimen.label,
        idempotency_key="a key",
        attempt=attempt.id,
        filed=everything_filed(store, brand),
    )


def test_every_verb_that_takes_a_caller_is_probed() -> None:
    verbs = {
        name
        for name, verb in inspect.getmembers(Store, inspect.isfunction)
        if not name.startswith("_") and "caller" in inspect.signature(verb).parameters
    }
    assert set(PROBES) == verbs


def test_no_verb_gives_a_stranger_anything_of_a_brands(world: World) -> None:
    store = world.store
    theirs = everything_of_the_brand(world)
    rivals = store.organisation(world.operator, world.rival.organisation_id)
    outsiders = (
        world.rival,
        world.key(rivals, Role.ANALYST),
        world.stranger,
        world.officer,
    )
    secrets = [
        *(theirs.organisation, theirs.key, theirs.product, theirs.reference_set),
        *(theirs.specimen, theirs.examination, digest_of("secret photo")),
        *("Confidential launch", "'Acme'", "secret answer", *SECRETS),
    ]
    probed = 0
    for caller in outsiders:
        for name, probe in PROBES.items():
            random = outcome(probe, store, caller, Ids())
            foreign = outcome(probe, store, caller, theirs)
            probed += 1
            # The same answer as for what does not exist, to the letter; and where
            # there is an answer, it holds nothing of theirs.
            assert random[0] == foreign[0], name
            if foreign[0] != "value":
                assert random == foreign, name
            leaked = [secret for secret in secrets if secret in foreign[1]]
            assert not leaked, (name, leaked)
    assert probed == 4 * len(PROBES)
    # And nothing of theirs was changed on the way.
    assert store.reference(world.brand, theirs.label).specimen.id == theirs.specimen
    assert store.grants_of(world.brand, theirs.reference_set) == ()
    answer = store.begin_idempotent(
        world.brand, "a key", request_digest="a" * 64, now=NOON
    )
    assert answer == SECRET_ANSWER
    check_unchanged(store, world.brand, theirs.filed)


def test_the_probes_would_see_a_leak(world: World) -> None:
    # The owner gets what the strangers did not: so the probes ask the right things.
    theirs = everything_of_the_brand(world)
    got = {
        name: outcome(PROBES[name], world.store, world.brand, theirs)
        for name in (
            *("product", "reference", "specimens_of_set", "examination"),
            *("filed", "lot_items", "job", "custody_of", "locator_of", "results"),
            "kept_conclusion",
        )
    }
    assert {kind for kind, _ in got.values()} == {"value"}
    assert theirs.organisation in got["product"][1]
    seen = "".join(words for _, words in got.values())
    assert all(secret in seen for secret in SECRETS)


def test_an_administrator_sees_every_brands_references(world: World) -> None:
    ours, theirs = world.enrol(), world.enrol(world.rival)
    store, admin = world.store, world.operator
    assert store.product(admin, ours.product.id) == ours.product
    assert {item.id for item in store.list_products(admin).items} == {
        ours.product.id,
        theirs.product.id,
    }
    assert store.visible_set_ids(admin) == {
        ours.reference_set.id,
        theirs.reference_set.id,
    }


@pytest.mark.parametrize("nonsense", ["", "x", "' OR 1=1 --", "\x00", "A" * 5000])
def test_what_is_no_id_is_answered_as_unknown(world: World, nonsense: str) -> None:
    for ask in (
        world.store.product,
        world.store.reference_set,
        world.store.specimen,
        world.store.examination,
        world.store.organisation,
        world.store.grants_of,
        world.store.specimens_of_set,
    ):
        with pytest.raises(NotFoundError):
            ask(world.brand, nonsense)
