"""What a photo is laid over, and what is enrolled to measure with."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from touchstone.engine.identification import Candidate
from touchstone.engine.reference import Reference
from touchstone.verification import MAX_CANDIDATES
from touchstone_training import measuring
from touchstone_training.enrolling import (
    Enrolled,
    drawn,
    enrolled_regions,
    reference_print,
)
from touchstone_training.measuring import Sample, taken_for
from touchstone_training.services import Specimen, enrol_all, opened
from touchstone_training.simulator.photography import to_jpeg

MODELS = Path(__file__).parents[2] / "models"
SEED = 1


class _Straight:
    """An embedder for which every picture points the same way."""

    def embed(self, pictures: Sequence[Any]) -> np.ndarray:
        return np.tile(np.array([1, 0], np.float32), (len(pictures), 1))


def test_a_stranger_is_laid_over_the_nearest_as_many_as_the_service_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = np.full((40, 60, 3), 255, np.uint8)
    order = np.random.default_rng(0).permutation(MAX_CANDIDATES + 9)
    similarity = {int(label): 0.9 - 0.01 * rank for rank, label in enumerate(order)}
    others = [
        Enrolled(
            Reference(label, pixels, (60, 40), is_counterfeit=False),
            {},
            np.array([[near, 0]], np.float32),
        )
        for label, near in sorted(similarity.items())
    ]
    asked: list[Candidate] = []

    def match(
        _: Any, candidates: Sequence[Candidate], *__: Any, **___: Any
    ) -> list[Any]:
        asked.extend(candidates)
        return [SimpleNamespace(measurements=lambda: {"agreement": 0.4})]

    monkeypatch.setattr(measuring, "match", match)
    sample = Sample(7, "toy_box", "genuine", 0.0, (), to_jpeg(pixels, 90))
    found = taken_for(sample, others, _Straight())  # type: ignore[arg-type]
    assert [one.label for one in asked] == list(order[:MAX_CANDIDATES])
    assert (found.product, found.matches) == (7, [{"agreement": 0.4}])
    assert found.nearest == pytest.approx(0.9)


def test_where_units_differ_is_enrolled_with_the_reference(tmp_path: Path) -> None:
    artwork = drawn(SEED)
    pixels = reference_print(artwork)
    regions = enrolled_regions(artwork, pixels)
    assert regions
    half = enrolled_regions(artwork, pixels[::2, ::2])
    for whole, smaller in zip(regions, half, strict=True):
        assert np.allclose(np.array(whole) / 2, smaller, atol=1)
    specimen = Specimen("A", to_jpeg(pixels, 95), regions)
    enrol_all({tmp_path: [specimen]}, MODELS, workers=1)
    with opened(tmp_path, MODELS) as (application, caller):
        (view,) = application.store.references(caller, [1]).values()
    assert view.specimen.variable_regions == regions
