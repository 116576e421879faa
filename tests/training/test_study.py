"""What a pass for the calibration looks at."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from touchstone.engine.reference import Reference
from touchstone_training import study
from touchstone_training.enrolling import Enrolled
from touchstone_training.measuring import GENUINE, Judged, Row, Stranger
from touchstone_training.study import Studied, StudyOptions

OPTIONS = StudyOptions(
    first_seed=10, designs=5, genuine=3, forged=4, products=2, decoys=2
)


def stub(label: int) -> Enrolled:
    """A reference that nothing is measured on."""
    pixels = np.full((40, 60, 3), 255, np.uint8)
    reference = Reference(label, pixels, (60, 40), is_counterfeit=False)
    return Enrolled(reference, {}, np.zeros((1, 4), np.float32))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many each was measured among; nothing is drawn, photographed or measured."""
    each: list[int] = []

    def samples(seed: int, *, genuine: int, forged: int, **_: Any) -> Iterator[Row]:
        for number in range(genuine + forged):
            kind = GENUINE if number < genuine else "typo"
            yield Row(seed, "toy_box", kind, 0.0, {})

    def measure(
        sample: Row, gallery: list[Enrolled], label: int, *_: Any, **__: Any
    ) -> tuple[Row, list[Judged]]:
        each.append(len(gallery))
        return sample, [
            Judged({}, is_true=one.reference.label == label, is_real=False)
            for one in gallery
        ]

    def taken_for(sample: Row, others: list[Enrolled], *_: Any) -> Stranger:
        labels = [{"label": float(one.reference.label)} for one in others]
        return Stranger(sample.product, 0.5, labels)

    def enrolled_design(_: int, label: int, *__: Any, **___: Any) -> Enrolled:
        return stub(label)

    for name in ("open_embedder", "open_comparator", "open_localiser"):
        monkeypatch.setattr(study, name, lambda *_: None)
    monkeypatch.setattr(study, "samples", samples)
    monkeypatch.setattr(study, "measure", measure)
    monkeypatch.setattr(study, "enrolled_design", enrolled_design)
    monkeypatch.setattr(study, "taken_for", taken_for)
    monkeypatch.setattr(study, "Settings", SimpleNamespace(load=lambda **_: None))
    return each


def looked(seed: int, options: StudyOptions = OPTIONS) -> list[Studied]:
    return study._one_design(seed, models=Path("models"), options=options, fonts=())


def test_of_further_products_there_are_genuine_photos_alone_and_no_matches(
    asked: list[int],
) -> None:
    both = looked(11)
    assert [one.row.kind for one in both] == [GENUINE] * 3 + ["typo"] * 4
    assert all(sum(m.is_true for m in one.matches) == 1 for one in both)
    alone = looked(15)
    assert [one.row.kind for one in alone] == [GENUINE] * 3
    assert not any(one.matches for one in alone)
    assert asked == [3] * 7 + [1] * 3


@pytest.mark.parametrize("seed", [10, 12, 14])
@pytest.mark.usefixtures("asked")
def test_a_genuine_photo_is_laid_over_all_designs_but_its_own(seed: int) -> None:
    for one in looked(seed):
        false = {m.measurements["label"] for m in one.matches if not m.is_true}
        others = {0, 1, 2, 3, 4} - {seed - 10}
        assert false == (others if one.row.kind == GENUINE else set())


@pytest.mark.usefixtures("asked")
def test_acceptance_is_set_by_strangers_that_it_was_not_fitted_to() -> None:
    assert not any(one.stranger for one in looked(12))
    strangers = [one.stranger for one in looked(16)]
    assert [len(one.matches) for one in strangers if one] == [5, 5, 5]
    # Without further products there are no others.
    alone = looked(12, replace(OPTIONS, products=0))
    assert [one.row.kind for one in alone if one.stranger] == [GENUINE] * 3


def test_real_photos_are_laid_over_all_references_and_over_all_but_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes = ["A", "B", "C"]
    gallery = [stub(label) for label in range(3)]
    items = [SimpleNamespace(kind="photo", product_id=code) for code in codes]

    def judged(
        _: Any, among: list[Enrolled], label: int, *__: Any
    ) -> tuple[list[Judged], None]:
        labels = [one.reference.label for one in among]
        return [
            Judged(
                {"similarity": 0.8, "label": n, "own": label},
                is_true=n == label,
                is_real=False,
            )
            for n in labels
        ], None

    monkeypatch.setattr(study, "_gallery", lambda *_: (items, gallery, codes))
    monkeypatch.setattr(study, "optimism", lambda *_: 0.1)
    monkeypatch.setattr(study, "_read", lambda item: item)
    monkeypatch.setattr(study, "judged", judged)
    embedder: Any = None
    rows = list(study.real_matches(embedder, Path("data"), OPTIONS))
    assert all(one.is_real for one in rows)
    true = [one.measurements for one in rows if one.is_true]
    assert sorted(one["own"] for one in true) == [0, 1, 2]
    assert [one["similarity"] for one in true] == pytest.approx([0.7] * 3)
    false = [one.measurements for one in rows if not one.is_true]
    assert sorted((one["own"], one["label"]) for one in false) == [
        (own, other) for own in range(3) for other in range(3) if own != other
    ]
    assert {one["similarity"] for one in false} == {0.8}
