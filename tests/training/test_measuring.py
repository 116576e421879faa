"""What a photo is laid over, and what is enrolled to measure with."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from touchstone.engine.identification import Candidate
from touchstone.engine.reference import Reference
from touchstone.errors import InvalidInputError
from touchstone.verification import MAX_CANDIDATES
from touchstone_training import measuring
from touchstone_training.enrolling import (
    Enrolled,
    drawn,
    enrolled_artwork,
    enrolled_regions,
    reference_print,
)
from touchstone_training.measuring import Row, Sample, read_rows, taken_for
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
    sample = Sample(7, "toy_box", "genuine", 0.0, to_jpeg(pixels, 90))
    found = taken_for(sample, others, _Straight())  # type: ignore[arg-type]
    assert [one.label for one in asked] == list(order[:MAX_CANDIDATES])
    assert (found.product, found.matches) == (7, [{"agreement": 0.4}])
    assert found.nearest == pytest.approx(0.9)


def test_a_scan_that_was_cut_out_tightly_keeps_its_variable_places() -> None:
    artwork = drawn(SEED)
    flat = reference_print(artwork)
    (whole, *_) = enrolled_regions(artwork, flat)
    cut = 0
    for seed in range(8):
        chance = np.random.default_rng(seed)
        one = enrolled_artwork(artwork, 0, _Straight(), scan=chance)  # type: ignore[arg-type]
        left, top, width, height = one.reference.variable_regions[0]
        scale = width / whole[2]
        assert height / whole[3] == pytest.approx(scale, rel=0.02)
        # What was cut off at the left and above is what the place moved by.
        lost = whole[0] * scale - left, whole[1] * scale - top
        size = np.array(flat.shape[1::-1]) * scale
        assert all(-1 <= a <= 0.025 * b for a, b in zip(lost, size, strict=True))
        is_cut = (np.array(one.reference.size_px) < size - 3).any()
        cut += int(is_cut)
        assert is_cut or max(lost) < 2
    assert cut > 4


@pytest.mark.parametrize("line", ['{"product": 1, "is_region_hit": true}', "{"])
def test_rows_of_another_version_are_refused_by_their_file(
    tmp_path: Path, line: str
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(line + "\n")
    with pytest.raises(InvalidInputError, match=f"{rows} .* measure anew"):
        read_rows(rows, Row)


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
