"""What a closer look tells, and who knows where a colour was changed."""

import json
from pathlib import Path

import numpy as np
import pytest

from touchstone.errors import InvalidInputError
from touchstone_training.comparator.pairs import PairOptions, make_pairs
from touchstone_training.comparator.seeing import LOOKS, closer, colours
from touchstone_training.measuring import GENUINE

MODELS = Path(__file__).parents[2] / "models"
SIZE = (200, 260)
EASY = PairOptions(genuine=2, forged=4, difficulty=0.0)


def test_a_closer_look_is_measured_beside_the_other_on_the_same_photos(
    tmp_path: Path,
) -> None:
    make_pairs(tmp_path, designs=2, options=EASY)
    told = closer(tmp_path, MODELS, share=1.0)
    assert 0 < told["photos"] <= 2 * (EASY.genuine + EASY.forged)
    assert 0 < told["designs"] <= 2
    for look in LOOKS:
        assert 0 <= told[look]["auroc"] <= 1
    assert told[LOOKS[0]]["per_kind"].keys() == told[LOOKS[1]]["per_kind"].keys()
    assert told[LOOKS[0]]["usual"] != told[LOOKS[1]]["usual"]


def test_without_photos_to_look_at_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="photos"):
        closer(tmp_path, MODELS, share=1.0)


def with_colours(folder: Path, shift: int) -> None:
    """Twelve designs, three photos each, one of them with a place ``shift`` redder; the
    lamp reddens all of a photo alike."""
    rng = np.random.default_rng(1)
    for design in range(400_000, 400_012):
        own = folder / str(design)
        own.mkdir(parents=True)
        rows = []
        for number, kind in enumerate((GENUINE, GENUINE, "element_colour")):
            expected = np.full((*SIZE, 3), 120, np.uint8)
            seen = expected.astype(float) + rng.normal(0, 2, expected.shape)
            seen[..., 0] += rng.uniform(-20, 20)
            changed = np.zeros(SIZE, np.uint8)
            if kind != GENUINE:
                changed[60:90, 80:130] = 255
                seen[60:90, 80:130, 0] += shift
            planes = [expected, seen.clip(0, 255).astype(np.uint8)]
            compared = np.full(SIZE, 255, np.uint8)
            np.save(own / f"{number:02}.npy", np.dstack([*planes, compared, changed]))
            severity = 0.7 * (kind != GENUINE)
            rows.append(
                {"file": f"{number:02}.npy", "kind": kind, "severity": severity}
            )
        (own / "meta.json").write_text(json.dumps(rows), encoding="utf-8")


def test_a_colour_is_told_beside_its_surroundings_whatever_the_lamp(
    tmp_path: Path,
) -> None:
    with_colours(tmp_path / "plain", 30)
    told = colours(tmp_path / "plain")
    assert (told["forged"], told["genuine"]) == (12, 24)
    assert told["auroc"] == told["crude"] == 1.0
    assert told["subtle"] is None
    assert told["median_forged"] > 5 * told["median_genuine"]
    with_colours(tmp_path / "none", 0)
    assert 0.2 < colours(tmp_path / "none")["auroc"] < 0.8


def test_without_a_changed_colour_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="colour"):
        colours(tmp_path)
