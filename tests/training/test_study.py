"""What a pass for the calibration looks at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from touchstone_training import study
from touchstone_training.measuring import GENUINE, Judged, Row
from touchstone_training.study import StudyOptions

OPTIONS = StudyOptions(first_seed=10, designs=2, genuine=3, forged=4, products=2)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The decoys of each gallery; nothing is drawn, photographed or measured."""
    each: list[int] = []

    def samples(seed: int, *, genuine: int, forged: int, **_: Any) -> Iterator[Row]:
        for number in range(genuine + forged):
            kind = GENUINE if number < genuine else "typo"
            yield Row(seed, "toy_box", kind, 0.0, {}, None)

    def measure(sample: Row, *_: Any, **__: Any) -> tuple[Row, list[Judged]]:
        return sample, [Judged({}, is_true=True)]

    def gallery_of(*_: Any, decoys: int, **__: Any) -> list[Any]:
        each.append(decoys)
        return []

    for name in ("open_embedder", "open_comparator", "open_localiser"):
        monkeypatch.setattr(study, name, lambda *_: None)
    monkeypatch.setattr(study, "samples", samples)
    monkeypatch.setattr(study, "measure", measure)
    monkeypatch.setattr(study, "gallery_of", gallery_of)
    return each


def looked(seed: int) -> list[tuple[Row, list[Judged]]]:
    return study._one_design(seed, models=Path("models"), options=OPTIONS, fonts=())


def test_of_further_products_there_are_genuine_photos_alone_and_no_matches(
    asked: list[int],
) -> None:
    both = looked(11)
    assert [row.kind for row, _ in both] == [GENUINE] * 3 + ["typo"] * 4
    assert all(found for _, found in both)
    alone = looked(12)
    assert [row.kind for row, _ in alone] == [GENUINE] * 3
    assert not any(found for _, found in alone)
    assert asked == [OPTIONS.decoys, 0]
