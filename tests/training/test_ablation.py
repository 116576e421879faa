"""Other designs of the comparator, and a golden template, measured beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from touchstone.errors import InvalidInputError
from touchstone_training.comparator.ablation import ablate
from touchstone_training.comparator.golden import Looked, Template
from touchstone_training.measuring import GENUINE

MODELS = Path(__file__).parents[2] / "models"
SIZE = (256, 320)


def pair(rng: np.random.Generator, *, is_changed: bool) -> np.ndarray:
    """(h, w, 8): blocks of print, seen with noise; one of them gone if changed."""
    expected = np.full((*SIZE, 3), 235, np.uint8)
    for y in range(20, 220, 40):
        for x in range(20, 280, 60):
            expected[y : y + 20, x : x + 40] = rng.integers(0, 160, 3)
    changed = np.zeros(SIZE, np.uint8)
    seen = expected.astype(float)
    if is_changed:
        seen[100:120, 80:120] = 235
        changed[100:120, 80:120] = 255
    seen = (seen + rng.normal(0, 2, seen.shape)).clip(0, 255).astype(np.uint8)
    return np.dstack([expected, seen, np.full(SIZE, 255, np.uint8), changed])


def test_every_design_tells_what_is_gone_from_what_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for design in range(400_000, 400_025):
        folder = tmp_path / str(design)
        folder.mkdir()
        rows = []
        for number in range(4):
            is_changed = number % 2 > 0
            np.save(folder / f"{number:02}.npy", pair(rng, is_changed=is_changed))
            kind = "missing_element" if is_changed else GENUINE
            rows.append(
                {"file": f"{number:02}.npy", "kind": kind, "severity": 0.5 * is_changed}
            )
        (folder / "meta.json").write_text(json.dumps(rows), encoding="utf-8")
    told = ablate(tmp_path, MODELS, share=0.2, most=60)
    assert told["designs"] == 5
    assert told["pairs"] == 20
    for design_name in ("frozen", "fitted", "served"):
        assert told[design_name]["auroc"] > 0.9, design_name
        assert told[design_name]["cpu_ms"] > 0
        assert set(told[design_name]["per_kind"]) == {"missing_element"}


def test_without_pairs_to_judge_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="pairs"):
        ablate(tmp_path, MODELS, share=0.2, most=60)


def looked(rng: np.random.Generator, *, peak: float = 0.0) -> Looked:
    """A map that deviates on its left in every photo of this reference."""
    deviation = np.asarray(rng.normal(0, 0.1, (120, 160)), np.float32)
    deviation[:, :40] += rng.uniform(1.0, 2.0)
    deviation[60:68, 100:108] += peak
    return Looked(GENUINE, {"learned": deviation}, np.ones((120, 160), np.bool_))


def test_specimens_tell_a_change_from_what_strays_in_every_photo() -> None:
    rng = np.random.default_rng(0)
    specimens = [looked(rng) for _ in range(5)]
    usual, changed = looked(rng), looked(rng, peak=1.2)
    alone, with_five = (Template.of(specimens[:n], "learned") for n in (0, 5))
    assert alone.peak(changed) < 1.5 * alone.peak(usual)
    assert with_five.peak(changed) > 1.5 * with_five.peak(usual)
