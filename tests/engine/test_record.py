import functools
import json
from typing import Any

import numpy as np
import pytest
from examined import examined, laid_by
from hypothesis import given
from hypothesis import strategies as st
from scenes import photographed, printed

from touchstone.engine.channels import CHANNELS
from touchstone.engine.comparison import Region
from touchstone.engine.evidence import Evidence
from touchstone.engine.image import Photo
from touchstone.engine.record import (
    evidence_document,
    finding_document,
    photo_document,
    read_finding,
    read_region,
    read_registration,
    region_document,
    registration_document,
)
from touchstone.engine.rectification import rectify
from touchstone.engine.registration import Bend
from touchstone.engine.verdict import Finding
from touchstone.engine.wording import FindingKind, Reason

PHOTO = photographed(printed(1), bend=0.7, turn=10).pixels


@functools.cache
def evidence() -> Evidence:
    return examined(1, PHOTO)


def through_json(document: dict[str, Any]) -> dict[str, Any]:
    again: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    return again


def test_a_registration_comes_back_exactly_bend_included() -> None:
    before = evidence().match.registration
    assert before.bend is not None
    after = read_registration(through_json(registration_document(before)))
    size = evidence().frame_px
    np.testing.assert_array_equal(
        rectify(PHOTO, after, size)[0], rectify(PHOTO, before, size)[0]
    )
    assert (after.method, after.inliers) == (before.method, before.inliers)
    assert after.residual_px == before.residual_px


@pytest.mark.parametrize("terms", [10, 28])
def test_a_bend_of_any_order_comes_back_exactly(terms: int) -> None:
    coefficients = np.random.default_rng(terms).normal(0, 1, (terms, 2))
    before = laid_by(np.eye(3), (480, 320), (640, 480), bend=Bend(coefficients))
    after = read_registration(through_json(registration_document(before)))
    points = np.array([[10.0, 300.0], [470.0, 20.0]])
    np.testing.assert_array_equal(
        after.points_in_photo(points), before.points_in_photo(points)
    )


@given(
    st.builds(
        Region,
        *[st.integers(0, 5000)] * 4,
        st.floats(0, 1e4),
        st.sampled_from(CHANNELS),
    )
)
def test_a_region_comes_back_to_four_decimals(region: Region) -> None:
    after = read_region(through_json(region_document(region)))
    assert after.deviation == pytest.approx(region.deviation, abs=1e-4)
    assert (after.x, after.y, after.width, after.height, after.channel) == (
        region.x,
        region.y,
        region.width,
        region.height,
        region.channel,
    )


TEXT = st.text(max_size=30).filter(lambda text: text.isprintable())


@given(
    st.builds(
        Finding,
        kind=st.sampled_from(FindingKind),
        reasons=st.lists(st.builds(Reason, TEXT, TEXT), max_size=3).map(tuple),
        advice=st.lists(TEXT, max_size=3).map(tuple),
        log10_lr=st.none() | st.floats(-6, 6),
        is_lr_capped=st.booleans(),
        counterfeit_probability=st.none() | st.floats(0, 1),
        strength=TEXT,
        chosen=st.none() | st.integers(0, 2),
    )
)
def test_a_finding_comes_back_exactly(finding: Finding) -> None:
    assert read_finding(through_json(finding_document(finding))) == finding


def test_the_evidence_document_holds_no_vector_and_no_picture() -> None:
    text = json.dumps(evidence_document(evidence()), allow_nan=False)
    assert len(text) < 10_000
    assert "vector" not in text


def test_the_evidence_document_names_every_measurement_in_order() -> None:
    numbers = evidence_document(evidence())["measurements"]
    assert set(numbers) == set(evidence().measurements())
    assert list(numbers) == sorted(numbers)


def test_a_photo_is_described_by_its_own_size_and_the_one_worked_on() -> None:
    photo = Photo(np.zeros((30, 40, 3), np.uint8), (4000, 3000), "JPEG")
    document = through_json(photo_document(photo, {"b": 0.12345678, "a": 1}))
    assert document == {
        "size_px": [4000, 3000],
        "worked_on_px": [40, 30],
        "format": "JPEG",
        "quality": {"a": 1.0, "b": 0.123457},
    }
