"""What a pass for the calibration looks at."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from touchstone.engine.reference import Reference
from touchstone_training import study
from touchstone_training.measuring import GENUINE, Enrolled, Judged, Row
from touchstone_training.study import StudyOptions

OPTIONS = StudyOptions(
    first_seed=10, designs=5, genuine=3, forged=4, products=2, decoys=2
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many each was measured among; nothing is drawn, photographed or measured."""
    each: list[int] = []

    def samples(seed: int, *, genuine: int, forged: int, **_: Any) -> Iterator[Row]:
        for number in range(genuine + forged):
            kind = GENUINE if number < genuine else "typo"
            yield Row(seed, "toy_box", kind, 0.0, {}, None)

    def measure(
        sample: Row, gallery: list[Enrolled], label: int, *_: Any, **__: Any
    ) -> tuple[Row, list[Judged]]:
        each.append(len(gallery))
        return sample, [
            Judged({}, is_true=one.reference.label == label) for one in gallery
        ]

    def taken_for(_: Row, others: list[Enrolled], name: str, *__: Any) -> list[Judged]:
        return [
            Judged({"label": one.reference.label}, is_true=False, stranger=name)
            for one in others
        ]

    def enrolled_design(_: int, label: int, *__: Any, **___: Any) -> Enrolled:
        pixels = np.full((40, 60, 3), 255, np.uint8)
        reference = Reference(label, pixels, (60, 40), is_counterfeit=False)
        return Enrolled(reference, {}, np.zeros((1, 4), np.float32))

    for name in ("open_embedder", "open_comparator", "open_localiser"):
        monkeypatch.setattr(study, name, lambda *_: None)
    monkeypatch.setattr(study, "samples", samples)
    monkeypatch.setattr(study, "measure", measure)
    monkeypatch.setattr(study, "enrolled_design", enrolled_design)
    monkeypatch.setattr(study, "taken_for", taken_for)
    monkeypatch.setattr(study, "Settings", SimpleNamespace(load=lambda **_: None))
    return each


def looked(seed: int) -> list[tuple[Row, list[Judged]]]:
    return study._one_design(seed, models=Path("models"), options=OPTIONS, fonts=())


def test_of_further_products_there_are_genuine_photos_alone_and_no_matches(
    asked: list[int],
) -> None:
    both = looked(11)
    assert [row.kind for row, _ in both] == [GENUINE] * 3 + ["typo"] * 4
    assert all(any(one.is_true for one in found) for _, found in both)
    alone = looked(15)
    assert [row.kind for row, _ in alone] == [GENUINE] * 3
    assert not any(found for _, found in alone)
    assert asked == [3] * 7 + [1] * 3


def test_a_genuine_photo_is_laid_over_all_designs_but_its_own(
    asked: list[int],
) -> None:
    for seed in (10, 12, 14):
        for number, (row, found) in enumerate(looked(seed)):
            strangers = [one for one in found if one.stranger]
            others = {0, 1, 2, 3, 4} - {seed - 10} if row.kind == GENUINE else set()
            assert {one.measurements["label"] for one in strangers} == others
            assert {one.stranger for one in strangers} <= {f"{seed}-{number}"}
            assert [one.is_true for one in found if not one.stranger] == [True]
    assert asked
