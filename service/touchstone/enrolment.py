"""A brand owner enrols reference images: one at a time, or rows of a CSV."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from touchstone.blobs import Blobs
from touchstone.catalogue import WORKING_SIDE_PX, Catalogue
from touchstone.engine.codes import normalised_gtin
from touchstone.engine.features import REFERENCE_SIDE_PX, Method, detect
from touchstone.engine.image import DecodeLimits, Photo, decode
from touchstone.engine.reference import class_of
from touchstone.errors import (
    BadImageError,
    ConflictError,
    InvalidInputError,
    TouchstoneError,
)
from touchstone.store import (
    PRODUCT_CLASSES,
    Caller,
    Enrolled,
    ProductFields,
    Region,
    SetFields,
    SpecimenFields,
    SpecimenKind,
    Store,
)

_ANY_SET = SetFields()
_USUAL_LIMITS = DecodeLimits()

_MIN_FEATURES = 40
"""A reference with less print than this could never be told from another."""
_COLUMNS = frozenset(
    {
        "product_id",
        "image",
        "brand",
        "name",
        "category",
        "gtin",
        "face",
        "market",
        "artwork_version",
        "kind",
        "variable_regions",
    }
)


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """One reference image and what it shows."""

    image: bytes
    product: ProductFields
    reference_set: SetFields = _ANY_SET
    face: str = "front"
    kind: SpecimenKind = SpecimenKind.KNOWN_GENUINE
    variable_regions: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row was not enrolled."""

    line: int
    """In the file, the header being line 1."""
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class EnrolmentReport:
    """What became of the rows of a CSV."""

    enrolled: int
    already: int
    errors: tuple[RowError, ...]
    unclassed: tuple[str, ...] = ()
    """Categories in it that name no class of products: the general threshold holds."""


@dataclass(frozen=True, slots=True)
class Enroller:
    """Enrols reference images into the catalogue."""

    catalogue: Catalogue
    blobs: Blobs
    store: Store
    limits: DecodeLimits = _USUAL_LIMITS

    def enrol(self, caller: Caller, request: EnrolmentRequest) -> Enrolled:
        """Enrol one image; the same image again changes nothing.

        Raises:
            BadImageError: the image cannot be used.
            InvalidInputError: a field is wrong, or the image carries too little print.
            ConflictError: it contradicts what is enrolled.
            NotAllowedError: the caller may not enrol.
        """
        # An acknowledged enrolment is, in this order: the bytes, flushed; then one
        # transaction with specimen, vectors, features and audit event; then the
        # index, which follows the records and can be rebuilt from them.
        photo = self._readable(request.image)
        _check_gtin(request.product.gtin)
        derived = self.catalogue.derive(photo.pixels)
        enrolled = self.store.enrol_specimen(
            caller,
            product=request.product,
            reference_set=request.reference_set,
            specimen=self._kept(
                photo,
                request.image,
                face=request.face,
                kind=request.kind,
                variable_regions=request.variable_regions,
            ),
            derived=derived,
        )
        self.catalogue.refresh()
        return enrolled

    def add(
        self,
        caller: Caller,
        reference_set_id: str,
        *,
        image: bytes,
        face: str = "front",
        kind: SpecimenKind = SpecimenKind.KNOWN_GENUINE,
        variable_regions: tuple[Region, ...] = (),
    ) -> Enrolled:
        """Add an image to a reference set that exists; raises as `enrol` does.

        Raises:
            NotFoundError: no such set that the caller may see.
        """
        self.store.reference_set(caller, reference_set_id)  # before any byte is kept
        photo = self._readable(image)
        derived = self.catalogue.derive(photo.pixels)
        enrolled = self.store.add_specimen(
            caller,
            reference_set_id,
            specimen=self._kept(
                photo, image, face=face, kind=kind, variable_regions=variable_regions
            ),
            derived=derived,
        )
        self.catalogue.refresh()
        return enrolled

    def _readable(self, image: bytes) -> Photo:
        photo = decode(image, max_side_px=WORKING_SIDE_PX, limits=self.limits)
        features = detect(photo.pixels, Method.ORB, max_side_px=REFERENCE_SIDE_PX)
        if len(features.points) < _MIN_FEATURES:
            raise InvalidInputError(
                "The image shows too little print to be recognised; enrol a sharp "
                "picture of the whole face.",
                field="image",
            )
        return photo

    def _kept(
        self,
        photo: Photo,
        image: bytes,
        *,
        face: str,
        kind: SpecimenKind,
        variable_regions: tuple[Region, ...],
    ) -> SpecimenFields:
        """Keep the bytes once every field has been found good."""
        width, height = photo.full_size_px

        def fields(digest: str) -> SpecimenFields:
            return SpecimenFields(
                image_digest=digest,
                width_px=width,
                height_px=height,
                face=face,
                kind=kind,
                variable_regions=variable_regions,
            )

        fields("0" * 64)  # refuses bad fields before anything is written
        return fields(self.blobs.put(image))

    # --- CSV --------------------------------------------------------------------------

    def enrol_csv(
        self,
        caller: Caller,
        path: Path,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> EnrolmentReport:
        """Enrol every good row of ``path``; report the bad ones with line and reason.

        Raises:
            InvalidInputError: the file cannot be read, or has not the columns.
        """
        rows = list(_rows(path))
        enrolled = already = 0
        errors: list[RowError] = []
        unclassed: dict[str, None] = {}
        for done, (line, row) in enumerate(rows, start=1):
            try:
                request = _request(row, path.parent)
                is_new = self.enrol(caller, request).is_new
            except (BadImageError, ConflictError, InvalidInputError) as error:
                errors.append(_row_error(line, error))
            else:
                enrolled += is_new
                already += not is_new
                category = request.product.category
                if class_of(category) not in PRODUCT_CLASSES:
                    unclassed[category] = None
            if progress is not None:
                progress(done, len(rows))
        self.catalogue.save()
        return EnrolmentReport(enrolled, already, tuple(errors), tuple(unclassed))


def _row_error(line: int, error: TouchstoneError) -> RowError:
    field = error.field if isinstance(error, InvalidInputError) else None
    if isinstance(error, BadImageError):
        field = "image"
    return RowError(line, field or "", str(error))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(reader.fieldnames or ())
            for row in reader:
                cells = {
                    name: (value or "").strip()
                    for name, value in row.items()
                    if isinstance(name, str) and not isinstance(value, list)
                }
                # DictReader keeps what is beyond the header under None.
                is_longer = None in row
                yield reader.line_num, cells | ({_EXTRA: "1"} if is_longer else {})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(
            f"{path} cannot be read as a CSV in UTF-8: {error}", field="references"
        ) from error


def _check_columns(names: object) -> None:
    found = set(names) if isinstance(names, (list, tuple)) else set()
    lacking = {"product_id", "image"} - found
    if lacking:
        raise InvalidInputError(
            f"The CSV lacks the column {', '.join(sorted(lacking))}; it needs "
            "product_id and image.",
            field="references",
        )
    unknown = found - _COLUMNS
    if unknown:
        raise InvalidInputError(
            f"The CSV has unknown columns: {', '.join(sorted(map(str, unknown)))}; "
            f"known are {', '.join(sorted(_COLUMNS))}.",
            field="references",
        )


_EXTRA = "\0extra"


def _request(row: dict[str, str], folder: Path) -> EnrolmentRequest:
    if _EXTRA in row:
        raise InvalidInputError(
            "The row has more cells than the header; quote cells that hold a comma.",
            field="row",
        )
    for name in ("product_id", "image"):
        if not row.get(name):
            raise InvalidInputError(f"{name} is empty.", field=name)
    return EnrolmentRequest(
        image=_image_bytes(folder / row["image"]),
        product=ProductFields(
            row["product_id"],
            brand=row.get("brand", ""),
            name=row.get("name", ""),
            category=row.get("category", ""),
            gtin=row.get("gtin") or None,
        ),
        reference_set=SetFields(
            market=row.get("market", ""),
            artwork_version=row.get("artwork_version", ""),
        ),
        face=row.get("face") or "front",
        kind=_kind(row.get("kind") or SpecimenKind.KNOWN_GENUINE),
        variable_regions=parse_regions(row.get("variable_regions", "")),
    )


def _image_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInputError(
            f"The image {path.name!r} cannot be read: {reason}.", field="image"
        ) from error


def _kind(text: str) -> SpecimenKind:
    try:
        return SpecimenKind(text)
    except ValueError as error:
        raise InvalidInputError(
            f"kind is known_genuine or known_counterfeit, not {text!r}.", field="kind"
        ) from error


_BOX_NUMBERS = 4


def parse_regions(text: str) -> tuple[Region, ...]:
    """Read ``[[x, y, width, height], ...]`` in pixels; empty text means none.

    Raises:
        InvalidInputError: not of that form.
    """
    if not text.strip():
        return ()
    try:
        boxes = json.loads(text)
        return tuple(_box(box) for box in boxes)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInputError(
            "variable_regions must be JSON: [[x, y, width, height], ...] in pixels.",
            field="variable_regions",
        ) from error


def _box(values: list[float]) -> Region:
    if len(values) != _BOX_NUMBERS:
        raise ValueError("a region has four numbers")
    x, y, width, height = (round(float(value)) for value in values)
    return x, y, width, height


def _check_gtin(gtin: str | None) -> None:
    if gtin is not None and normalised_gtin(gtin) is None:
        raise InvalidInputError(
            f"{gtin!r} is not a GTIN: check its length and its check digit.",
            field="gtin",
        )
