"""What callers hand in, checked as it is made: a draft that exists is well formed.

The checks stand here, not in the database, so that SQLite and PostgreSQL refuse the
same things with the same words.
"""

import math
import re
from dataclasses import dataclass

from touchstone.errors import InvalidInputError
from touchstone.store.values import Region, SpecimenKind

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Control characters, and surrogates: str in Python, but no UTF-8 for a database.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_TEXT = 300
_MAX_RECORD = 10_000_000
_MAX_SIDE_PX = 1_000_000


def checked_text(
    field: str, value: str, *, required: bool = False, limit: int = _MAX_TEXT
) -> str:
    """Return ``value`` if it is printable text of at most ``limit`` characters.

    Raises:
        InvalidInputError: it is too long, holds a control character (PostgreSQL
            stores no NUL, and a line break would forge a line in an export), or is
            blank though ``required``.
    """
    if required and not value.strip():
        raise InvalidInputError(f"{field} must not be empty.", field=field)
    if len(value) > limit:
        raise InvalidInputError(
            f"{field} has {len(value)} characters, at most {limit} are accepted.",
            field=field,
        )
    if _UNPRINTABLE.search(value):
        raise InvalidInputError(f"{field} holds a control character.", field=field)
    return value


def checked_digest(field: str, value: str) -> str:
    """Return ``value`` if it is a lower-case hex SHA-256.

    Raises:
        InvalidInputError: it is not.
    """
    if not _DIGEST.fullmatch(value):
        raise InvalidInputError(
            f"{field} must be a SHA-256 in lower-case hex.", field=field
        )
    return value


@dataclass(frozen=True, slots=True)
class ProductFields:
    """A product as its owner describes it."""

    product_id: str
    """The owner's code."""
    brand: str = ""
    name: str = ""
    category: str = ""
    gtin: str | None = None

    def __post_init__(self) -> None:
        checked_text("product_id", self.product_id, required=True)
        for field in ("brand", "name", "category"):
            checked_text(field, getattr(self, field))
        if self.gtin is not None:
            checked_text("gtin", self.gtin, required=True)


@dataclass(frozen=True, slots=True)
class SetFields:
    """Which of a product's reference sets is meant; empty means any."""

    market: str = ""
    artwork_version: str = ""

    def __post_init__(self) -> None:
        checked_text("market", self.market)
        checked_text("artwork_version", self.artwork_version)


@dataclass(frozen=True, slots=True)
class SpecimenFields:
    """One image to be enrolled; its bytes lie in the blobs already."""

    image_digest: str
    width_px: int
    height_px: int
    face: str = "front"
    kind: SpecimenKind = SpecimenKind.KNOWN_GENUINE
    variable_regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        checked_digest("image_digest", self.image_digest)
        checked_text("face", self.face, required=True)
        for field in ("width_px", "height_px"):
            if not 0 < getattr(self, field) <= _MAX_SIDE_PX:
                raise InvalidInputError(f"{field} is out of range.", field=field)
        for region in self.variable_regions:
            self._check_region(region)

    def _check_region(self, region: Region) -> None:
        x, y, width, height = region
        fits_across = 0 <= x < x + width <= self.width_px
        fits_down = 0 <= y < y + height <= self.height_px
        if not (fits_across and fits_down):
            raise InvalidInputError(
                f"The variable region {list(region)} does not lie within the image "
                f"of {self.width_px} x {self.height_px} pixels.",
                field="variable_regions",
            )


@dataclass(frozen=True, slots=True)
class ExaminationDraft:
    """Everything that one examination has to record; the store adds id and time."""

    photo_digests: tuple[str, ...]
    """At least one, in the order they were handed in."""
    finding: str
    record_json: str
    """Canonical JSON of everything recorded."""
    model_digest: str
    index_digest: str
    policy_digest: str
    code_version: str
    provider: str
    declared_product: str | None = None
    declared_gtin: str | None = None
    product_id: str = ""
    reference_set_id: str | None = None
    specimen_id: str | None = None
    face: str = ""
    log10_lr: float | None = None

    def __post_init__(self) -> None:
        if not self.photo_digests:
            raise InvalidInputError(
                "An examination needs a photograph.", field="photo_digests"
            )
        for digest in self.photo_digests:
            checked_digest("photo_digests", digest)
        for field in ("finding", "code_version", "provider"):
            checked_text(field, getattr(self, field), required=True)
        for field in ("product_id", "face", "model_digest", "index_digest"):
            checked_text(field, getattr(self, field))
        checked_text("policy_digest", self.policy_digest)
        checked_text("declared_product", self.declared_product or "")
        checked_text("declared_gtin", self.declared_gtin or "")
        checked_text("record_json", self.record_json, required=True, limit=_MAX_RECORD)
        if self.log10_lr is not None and not math.isfinite(self.log10_lr):
            raise InvalidInputError("log10_lr must be finite.", field="log10_lr")
