import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deployments import LABEL_PX, Deployment
from hypothesis import given
from hypothesis import strategies as st
from scenes import Pixels, encoded, photographed, printed

from touchstone.catalogue import FEATURES_PRODUCER
from touchstone.engine.features import Method, unpack_features
from touchstone.enrolment import EnrolmentRequest, parse_regions
from touchstone.errors import (
    BadImageError,
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from touchstone.store import ProductFields, SetFields, SpecimenKind

FACE = printed(1, size_px=LABEL_PX).pixels
GTIN = "4006381333931"

# --- one image ------------------------------------------------------------------------


def test_what_is_enrolled_is_kept_whole_and_found(deployment: Deployment) -> None:
    enrolled = deployment.enrol(FACE, gtin=GTIN)
    assert enrolled.is_new
    assert deployment.blobs.get(enrolled.specimen.image_digest) == encoded(FACE)
    assert (enrolled.specimen.width_px, enrolled.specimen.height_px) == LABEL_PX
    photo = photographed(FACE, turn=5, frame_px=(560, 300)).pixels
    assert deployment.near(photo)[0][0] == enrolled.specimen.label


def test_vectors_and_features_are_made_at_enrolment(deployment: Deployment) -> None:
    label = deployment.enrol(FACE).specimen.label
    store, embedder = deployment.store, deployment.parts.catalogue.embedder
    vectors = np.frombuffer(
        store.derived(embedder.digest, [label])[label], np.float16
    ).reshape(-1, embedder.dim)
    assert len(vectors) == 8
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)
    features = unpack_features(store.derived(FEATURES_PRODUCER, [label])[label])
    assert set(features) == set(Method)


def test_the_same_image_twice_is_enrolled_once(deployment: Deployment) -> None:
    first = deployment.enrol(FACE)
    before = deployment.kept()
    second = deployment.enrol(FACE)
    assert not second.is_new
    assert second.specimen == first.specimen
    assert deployment.kept() == before
    assert deployment.parts.catalogue.status().references == 1


def test_one_image_may_be_known_as_genuine_and_as_two_faces(
    deployment: Deployment,
) -> None:
    labels = {
        deployment.enrol(FACE).specimen.label,
        deployment.enrol(FACE, face="back").specimen.label,
        deployment.enrol(FACE, kind=SpecimenKind.KNOWN_COUNTERFEIT).specimen.label,
        deployment.enrol(FACE, reference_set=SetFields(market="DE")).specimen.label,
    }
    assert len(labels) == 4


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (b"no image", BadImageError, "not an image"),
        (encoded(FACE)[:2000], BadImageError, "cut short"),
        (encoded(np.full((200, 300, 3), 230, np.uint8)), InvalidInputError, "little"),
    ],
)
def test_an_image_that_cannot_be_used_leaves_no_trace(
    deployment: Deployment, image: bytes, error: type[Exception], words: str
) -> None:
    before = deployment.kept()
    request = EnrolmentRequest(image, ProductFields("P-1"))
    with pytest.raises(error, match=words):
        deployment.parts.enroller.enrol(deployment.brand, request)
    assert deployment.kept() == before
    assert not deployment.store.list_products(deployment.brand).items


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("gtin", {"gtin": GTIN[:-1] + "2"}),
        ("face", {"face": " "}),
        ("variable_regions", {"variable_regions": ((0, 0, 481, 10),)}),
        ("variable_regions", {"variable_regions": ((5, 5, 0, 10),)}),
    ],
)
def test_a_wrong_field_is_named_before_any_byte_is_kept(
    deployment: Deployment, field: str, fields: dict[str, Any]
) -> None:
    before = deployment.kept()
    with pytest.raises(InvalidInputError) as caught:
        deployment.enrol(FACE, **fields)
    assert caught.value.field == field
    assert deployment.kept() == before


def test_a_product_is_not_redescribed_in_passing(deployment: Deployment) -> None:
    deployment.enrol(FACE, gtin=GTIN)
    with pytest.raises(ConflictError, match="gtin"):
        deployment.enrol(printed(2).pixels, gtin="5901234123457")


def test_an_officer_may_not_enrol(deployment: Deployment) -> None:
    with pytest.raises(NotAllowedError):
        deployment.enrol(FACE, caller=deployment.officer)


def test_an_image_is_added_to_a_set_of_ones_own_alone(deployment: Deployment) -> None:
    set_id = deployment.enrol(FACE).reference_set.id
    enroller = deployment.parts.enroller
    second = encoded(printed(2, size_px=LABEL_PX).pixels)
    added = enroller.add(deployment.brand, set_id, image=second, face="back")
    assert added.is_new
    assert added.reference_set.version == 2
    before = deployment.kept()
    other = encoded(printed(3, size_px=LABEL_PX).pixels)
    with pytest.raises(NotFoundError):
        enroller.add(deployment.rival, set_id, image=other)
    assert deployment.kept() == before


def test_a_large_image_keeps_its_own_pixels_for_its_regions(
    deployment: Deployment,
) -> None:
    large = FACE.repeat(4, 0).repeat(4, 1)
    enrolled = deployment.enrol(large, variable_regions=((1800, 600, 100, 30),))
    view = deployment.store.reference(deployment.brand, enrolled.specimen.label)
    reference = deployment.parts.catalogue.reference(view)
    assert reference.size_px == (1920, 640)
    assert max(reference.pixels.shape) == 1280


# --- rows of a CSV --------------------------------------------------------------------

WriteCsv = Callable[..., Path]


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    def write(*rows: dict[str, str], encoding: str = "utf-8") -> Path:
        path = tmp_path / "references.csv"
        with path.open("w", newline="", encoding=encoding) as file:
            writer = csv.DictWriter(
                file, list(dict.fromkeys(k for r in rows for k in r))
            )
            writer.writeheader()
            writer.writerows(rows)
        return path

    for seed in range(3):
        face: Pixels = printed(seed, size_px=LABEL_PX).pixels
        (tmp_path / f"{seed}.png").write_bytes(encoded(face))
    (tmp_path / "broken.png").write_bytes(b"no image")
    return write


def test_good_rows_are_enrolled_and_bad_ones_reported_with_their_line(
    deployment: Deployment, write_csv: WriteCsv
) -> None:
    path = write_csv(
        {"product_id": "A", "image": "0.png", "name": "Söap", "gtin": GTIN},
        {"product_id": "", "image": "1.png"},
        {"product_id": "B", "image": "gone.png"},
        {"product_id": "B", "image": "broken.png"},
        {"product_id": "B", "image": "nul\0.png"},
        {"product_id": "B", "image": "1.png", "kind": "fake"},
        {"product_id": "B", "image": "1.png", "variable_regions": "[[1, 2]]"},
        {"product_id": "A", "image": "1.png", "gtin": "5901234123457"},
        {"product_id": "B", "image": "1.png", "variable_regions": "[[1, 2, 30, 9]]"},
        encoding="utf-8-sig",
    )
    seen: list[tuple[int, int]] = []
    report = deployment.parts.enroller.enrol_csv(
        deployment.brand, path, progress=lambda done, of: seen.append((done, of))
    )
    assert (report.enrolled, report.already) == (2, 0)
    assert [(error.line, error.field) for error in report.errors] == [
        (3, "product_id"),
        (4, "image"),
        (5, "image"),
        (6, "image"),
        (7, "kind"),
        (8, "variable_regions"),
        (9, ""),
    ]
    assert seen[-1] == (9, 9)
    product = deployment.store.product_with_code(deployment.brand, "A")
    assert (product.name, product.gtin) == ("Söap", GTIN)
    again = deployment.parts.enroller.enrol_csv(deployment.brand, path)
    assert (again.enrolled, again.already) == (0, 2)
    assert again.errors == report.errors


def test_several_specimens_and_faces_share_a_product(
    deployment: Deployment, write_csv: WriteCsv
) -> None:
    path = write_csv(
        {"product_id": "A", "image": "0.png", "face": "", "kind": ""},
        {"product_id": "A", "image": "1.png", "face": "back", "kind": ""},
        {"product_id": "A", "image": "2.png", "face": "", "kind": "known_counterfeit"},
    )
    assert deployment.parts.enroller.enrol_csv(deployment.brand, path).enrolled == 3
    (product,) = deployment.store.list_products(deployment.brand).items
    (one_set,) = deployment.store.list_reference_sets(
        deployment.brand, product_ref=product.id
    ).items
    specimens = deployment.store.list_specimens(deployment.brand, one_set.id).items
    assert [(s.face, s.kind.value) for s in specimens] == [
        ("front", "known_genuine"),
        ("back", "known_genuine"),
        ("front", "known_counterfeit"),
    ]


def test_a_snapshot_is_written_after_a_csv(
    deployment: Deployment, write_csv: WriteCsv
) -> None:
    path = write_csv({"product_id": "A", "image": "0.png"})
    deployment.parts.enroller.enrol_csv(deployment.brand, path)
    (folder,) = deployment.snapshots.iterdir()
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["references"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "lacks the column"),
        (b"product_id\nA\n", "lacks the column image"),
        (b"product_id,image,colour\nA,0.png,red\n", "unknown columns: colour"),
        (b"product_id,image\nA,\xff\xfe.png\n", "cannot be read as a CSV"),
    ],
)
def test_a_file_that_is_no_table_of_references_is_refused_whole(
    deployment: Deployment, tmp_path: Path, text: bytes, words: str
) -> None:
    path = tmp_path / "references.csv"
    path.write_bytes(text)
    with pytest.raises(InvalidInputError, match=words):
        deployment.parts.enroller.enrol_csv(deployment.brand, path)


def test_a_file_that_is_not_there_is_refused(
    deployment: Deployment, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        deployment.parts.enroller.enrol_csv(deployment.brand, tmp_path / "none.csv")


# --- regions --------------------------------------------------------------------------


def test_regions_are_read_from_json() -> None:
    assert parse_regions("") == ()
    assert parse_regions(" [[1, 2.4, 3, 4.6]] ") == ((1, 2, 3, 5),)
    assert parse_regions("[]") == ()


@given(st.text(max_size=40) | st.recursive(st.integers(), st.lists).map(json.dumps))
def test_any_other_text_is_refused_as_regions(text: str) -> None:
    try:
        regions = parse_regions(text)
    except InvalidInputError as error:
        field = error.field
    else:
        field = "variable_regions"
        assert all(len(region) == 4 for region in regions)
    assert field == "variable_regions"


@pytest.mark.parametrize(
    "text", ["[[NaN, 0, 1, 1]]", "[[Infinity, 0, 1, 1]]", "[" * 100_000]
)
def test_a_region_without_end_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_regions(text)
