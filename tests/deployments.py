"""A deployment in a folder: real records, images and snapshots, a tiny embedder."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scenes import Pixels, Print, encoded
from small_world import calibration

from touchstone.blobs import LocalBlobs
from touchstone.bootstrap import Application, build
from touchstone.enrolment import EnrolmentRequest
from touchstone.examination import Examined
from touchstone.settings import Settings
from touchstone.store import (
    Caller,
    Enrolled,
    OrganisationKind,
    ProductFields,
    Role,
    SpecimenKind,
    Store,
)

LABEL_PX = (480, 160)
"""Size of the prints used here: a third of a carton's face, a third of the work."""


def policy_fields() -> dict[str, Any]:
    """A calibration that tells the prints of `scenes` from their changed copies."""
    fields: dict[str, Any] = calibration()
    fields["version"] = "deployments"
    fields["identification"]["resemblance_similarity"] = 0.995
    fields["fusion"]["experts"][0]["terms"] = [
        _term("structure_top", mean=1.2, weight=1.7),
        _term("colour_top", mean=1.2, weight=1.7),
    ]
    return fields


def _term(name: str, *, mean: float, weight: float) -> dict[str, object]:
    numbers = {"offset": 0.0, "mean": mean, "std": 0.7, "weight": weight}
    return {"name": name, "is_log": False, **numbers}


def write_policy(folder: Path, fields: dict[str, Any]) -> None:
    (folder / "calibration.json").write_text(json.dumps(fields))


@dataclass
class Deployment:
    """The parts, joined as `touchstone serve` joins them, and one key of each kind."""

    settings: Settings
    parts: Application
    operator: Caller
    brand: Caller
    rival: Caller
    officer: Caller
    stranger: Caller
    authority_id: str

    @classmethod
    def begin(cls, folder: Path, models: Path, migrated: Path) -> "Deployment":
        """A new deployment in ``folder``, from a database that was migrated once."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(migrated, folder / "touchstone.db")
        settings = Settings(data_dir=folder, model_dir=models, provider="cpu")
        parts = build(settings)
        store = parts.store
        operator = store.ensure_local_operator()
        customs = store.create_organisation(
            operator, kind=OrganisationKind.CUSTOMS, name="Customs"
        )

        def key(kind: OrganisationKind, name: str, role: Role) -> Caller:
            made = store.create_organisation(operator, kind=kind, name=name)
            return _key(store, operator, made.id, role)

        return cls(
            settings=settings,
            parts=parts,
            operator=operator,
            brand=key(OrganisationKind.BRAND, "Acme", Role.BRAND_OWNER),
            rival=key(OrganisationKind.BRAND, "Bolt", Role.BRAND_OWNER),
            officer=_key(store, operator, customs.id, Role.OFFICER),
            stranger=key(OrganisationKind.POLICE, "Police", Role.OFFICER),
            authority_id=customs.id,
        )

    def restart(self, *, models: Path | None = None) -> None:
        """End the process, as it were, and begin again on what it left behind."""
        self.parts.close()
        if models is not None:
            self.settings = self.settings.model_copy(update={"model_dir": models})
        self.parts = build(self.settings)

    @property
    def store(self) -> Store:
        return self.parts.store

    @property
    def snapshots(self) -> Path:
        return self.settings.snapshots_dir

    @property
    def blobs(self) -> LocalBlobs:
        return LocalBlobs(self.settings.data_dir / "blobs")

    def enrol(
        self,
        shown: Print | Pixels,
        product_id: str = "P-1",
        *,
        caller: Caller | None = None,
        gtin: str | None = None,
        category: str = "",
        kind: SpecimenKind = SpecimenKind.KNOWN_GENUINE,
        **fields: Any,
    ) -> Enrolled:
        pixels = shown.pixels if isinstance(shown, Print) else shown
        request = EnrolmentRequest(
            image=encoded(pixels),
            product=ProductFields(product_id, category=category, gtin=gtin),
            kind=kind,
            **fields,
        )
        return self.parts.enroller.enrol(caller or self.brand, request)

    def verify(
        self, *photos: bytes, caller: Caller | None = None, **declared: str
    ) -> Examined:
        return self.parts.verifier.verify(caller or self.brand, photos, **declared)

    def share(self, enrolled: Enrolled) -> None:
        """Let the authority match against the set of what was enrolled."""
        self.store.grant(
            self.brand, enrolled.reference_set.id, authority_id=self.authority_id
        )

    def unshare(self, enrolled: Enrolled) -> None:
        self.store.revoke(
            self.brand, enrolled.reference_set.id, authority_id=self.authority_id
        )

    def near(
        self, photo: Pixels, caller: Caller | None = None
    ) -> list[tuple[int, float]]:
        """The labels that the catalogue finds near a photo, with their similarity."""
        found, _ = self.parts.catalogue.candidates(caller or self.brand, photo, 24)
        return [(candidate.label, candidate.similarity) for candidate, _ in found]

    def kept(self) -> tuple[int, int, int]:
        """How much is on record: blobs, examinations, audit events."""
        return (
            len(list(self.blobs.digests())),
            len(self.store.list_examinations(self.operator, limit=1000).items),
            self.store.verify_chain().events,
        )


def _key(store: Store, operator: Caller, organisation_id: str, role: Role) -> Caller:
    _, secret = store.issue_key(
        operator, organisation_id=organisation_id, role=role, label="test"
    )
    return store.authenticate(secret)


def jpegs(photos: Sequence[Pixels]) -> list[bytes]:
    return [encoded(photo, "JPEG", quality=90) for photo in photos]


def flipped(data: bytes, random: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    for at in random.integers(0, len(data), 3):
        damaged[at] ^= int(random.integers(1, 256))
    return bytes(damaged)


def damage(path: Path, number: int) -> None:
    """Flip three bytes, or cut the file, as ``number`` has it."""
    random = np.random.default_rng(number)
    data = path.read_bytes()
    if number % 2:
        path.write_bytes(flipped(data, random))
    else:
        path.write_bytes(data[: int(random.integers(0, len(data)))])
