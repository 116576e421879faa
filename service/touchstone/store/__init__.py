"""The records: the only SQL in the project. Import from here, not from within.

Reading order: ``values`` (what is kept), ``scope`` (who sees what), ``database`` (what
a transaction is), then the subjects: ``access``, ``sharing``, ``references`` with
``enrolling``, ``matching``, ``examinations``, ``idempotency``, ``audit``.
"""

from touchstone.store.drafts import (
    ExaminationDraft,
    ProductFields,
    SetFields,
    SpecimenFields,
)
from touchstone.store.idempotency import TAKEN_OVER_AFTER
from touchstone.store.schema import downgrade, migrate, needs_migration
from touchstone.store.store import Store
from touchstone.store.values import (
    AUTHORITY_KINDS,
    ApiKey,
    Attempt,
    AuditEvent,
    Caller,
    CatalogueState,
    ChainReport,
    Checkpoint,
    Enrolled,
    Examination,
    Grant,
    IndexRow,
    Organisation,
    OrganisationKind,
    Page,
    Product,
    ReferenceSet,
    ReferenceView,
    Region,
    Role,
    SetStatus,
    Specimen,
    SpecimenKind,
    StoredResponse,
    canonical_json,
    new_id,
)

__all__ = [
    "AUTHORITY_KINDS",
    "TAKEN_OVER_AFTER",
    "ApiKey",
    "Attempt",
    "AuditEvent",
    "Caller",
    "CatalogueState",
    "ChainReport",
    "Checkpoint",
    "Enrolled",
    "Examination",
    "ExaminationDraft",
    "Grant",
    "IndexRow",
    "Organisation",
    "OrganisationKind",
    "Page",
    "Product",
    "ProductFields",
    "ReferenceSet",
    "ReferenceView",
    "Region",
    "Role",
    "SetFields",
    "SetStatus",
    "Specimen",
    "SpecimenFields",
    "SpecimenKind",
    "Store",
    "StoredResponse",
    "canonical_json",
    "downgrade",
    "migrate",
    "needs_migration",
    "new_id",
]
