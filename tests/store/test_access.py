"""Keys and organisations: who may ask anything at all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from store.world import (
    PEPPER,
    Clock,
    World,
)

from touchstone.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
)
from touchstone.store import (
    Caller,
    OrganisationKind,
    Role,
    Store,
)


def test_a_key_opens_its_organisation_with_its_role(world: World) -> None:
    key, secret = world.store.issue_key(
        world.operator,
        organisation_id=world.authority.id,
        role=Role.ANALYST,
        label="laptop",
    )
    assert secret.startswith(f"ts_{key.prefix}_")
    caller = world.store.authenticate(secret)
    assert caller == Caller(key.id, world.authority.id, Role.ANALYST)


def test_unknown_altered_revoked_and_expired_keys_are_refused_alike(
    world: World, clock: Clock
) -> None:
    store = world.store

    def issue(**kwargs: object) -> tuple[str, str]:
        key, secret = store.issue_key(
            world.operator,
            organisation_id=world.authority.id,
            role=Role.OFFICER,
            label="k",
            **kwargs,  # type: ignore[arg-type]
        )
        return key.id, secret

    _, good = issue()
    revoked_id, revoked = issue()
    store.revoke_key(world.operator, revoked_id)
    _, expired = issue(expires_at=clock.now)
    altered = good[:-1] + ("A" if good[-1] != "A" else "B")
    unknown = "ts_" + "0" * 12 + "_" + "A" * 43
    said = set()
    for secret in (revoked, expired, altered, unknown, "", "ts_x", good + "\x00"):
        with pytest.raises(NotAuthenticatedError) as caught:
            store.authenticate(secret)
        said.add(str(caught.value))
    assert len(said) == 1
    assert store.authenticate(good).role is Role.OFFICER


def test_a_key_expires_at_its_hour(world: World, clock: Clock) -> None:
    _, secret = world.store.issue_key(
        world.operator,
        organisation_id=world.authority.id,
        role=Role.OFFICER,
        label="k",
        expires_at=clock.now + timedelta(hours=1),
    )
    assert world.store.authenticate(secret).role is Role.OFFICER
    later = clock.now + timedelta(hours=1)
    with pytest.raises(NotAuthenticatedError):
        world.store.authenticate(secret, later)


def test_with_another_pepper_no_key_is_valid(world: World, url: str) -> None:
    _, secret = world.store.issue_key(
        world.operator,
        organisation_id=world.authority.id,
        role=Role.OFFICER,
        label="k",
    )
    with (
        Store.open(url, pepper=b"another pepper, as long", create=False) as other,
        pytest.raises(NotAuthenticatedError),
    ):
        other.authenticate(secret)


def test_a_short_pepper_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Store.open(url, pepper=b"short", create=False)


def test_no_secret_is_in_the_database_file(tmp_path: Path) -> None:
    with Store.open(
        f"sqlite:///{tmp_path / 'records.db'}", pepper=PEPPER, create=True
    ) as store:
        operator = store.ensure_local_operator()
        secrets = [
            store.issue_key(
                operator,
                organisation_id=operator.organisation_id,
                role=Role.ANALYST,
                label=f"canary {number}",
            )[1]
            for number in range(20)
        ]
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"canary 19" in kept
    for secret in secrets:
        assert secret.split("_", 2)[2].encode() not in kept
        assert PEPPER not in kept


def test_only_an_operator_may_hold_an_administrators_key(world: World) -> None:
    for organisation_id in (world.authority.id, world.brand.organisation_id):
        with pytest.raises(InvalidInputError):
            world.store.issue_key(
                world.operator,
                organisation_id=organisation_id,
                role=Role.ADMIN,
                label="k",
            )
    with pytest.raises(InvalidInputError):
        world.store.issue_key(
            world.operator,
            organisation_id=world.authority.id,
            role=Role.BRAND_OWNER,
            label="k",
        )


def test_a_holder_may_end_its_own_key_and_no_other(world: World) -> None:
    store = world.store
    assert world.officer.key_id is not None
    with pytest.raises(NotFoundError):
        store.revoke_key(world.stranger, world.officer.key_id)
    first = store.revoke_key(world.officer, world.officer.key_id)
    again = store.revoke_key(world.officer, world.officer.key_id)
    assert first.revoked_at is not None
    assert again == first


def test_the_local_operator_is_one_however_often_it_is_asked_for(
    store: Store,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        callers = set(pool.map(lambda _: store.ensure_local_operator(), range(16)))
    (caller,) = callers
    assert caller.is_admin
    assert caller.key_id is None


def test_a_brands_name_cannot_be_taken_for_the_operator(world: World) -> None:
    with pytest.raises(ConflictError):
        world.store.ensure_local_operator("Acme")


def test_two_organisations_cannot_share_a_name(world: World) -> None:
    with pytest.raises(ConflictError):
        world.store.create_organisation(
            world.operator, kind=OrganisationKind.POLICE, name="Acme"
        )


def test_who_sees_which_organisations(world: World) -> None:
    def names(caller: Caller) -> set[str]:
        return {item.name for item in world.store.list_organisations(caller).items}

    assert names(world.operator) == {"local", "Acme", "Bolt", "Customs", "Police"}
    assert names(world.brand) == {"Acme", "Customs", "Police"}
    assert names(world.officer) == {"Customs"}
    with pytest.raises(NotFoundError):
        world.store.organisation(world.brand, world.rival.organisation_id)
