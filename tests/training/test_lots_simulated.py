import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from touchstone.engine.image import decode
from touchstone.enrolment import parse_regions
from touchstone.errors import InvalidInputError
from touchstone_training.simulator.artwork import design
from touchstone_training.simulator.counterfeits import WHOLE_PRINT_KINDS
from touchstone_training.simulator.lots import (
    GENUINE,
    SIZES_PX,
    LotPlan,
    make_lot,
    print_source,
)

PLAN = LotPlan(photos=4, sources=1, fake_share=0.5, products=1, seed=3, size="small")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_lot_can_be_enrolled_and_scored_and_goes_on_where_it_stopped(
    tmp_path: Path,
) -> None:
    assert make_lot(tmp_path, PLAN) == PLAN.photos
    whole = files_of(tmp_path)
    truth = rows_of(tmp_path / "truth.csv")
    assert sorted(row["source"] for row in truth) == ["1", "1", GENUINE, GENUINE]
    for row in truth:
        photo = decode((tmp_path / row["image"]).read_bytes())
        assert photo.full_size_px == SIZES_PX["small"]
        assert bool(row["kinds"]) == (row["source"] != GENUINE)
    (reference,) = rows_of(tmp_path / "references.csv")
    assert reference["product_id"] == truth[0]["product_id"]
    size = decode((tmp_path / reference["image"]).read_bytes()).full_size_px
    for x, y, width, height in parse_regions(reference["variable_regions"]):
        assert x + width <= size[0]
        assert y + height <= size[1]

    (tmp_path / truth[1]["image"]).unlink()
    assert make_lot(tmp_path, PLAN) == 1
    assert files_of(tmp_path) == whole
    with pytest.raises(InvalidInputError, match="another plan"):
        make_lot(tmp_path, replace(PLAN, seed=4))
    assert json.loads((tmp_path / "plan.json").read_text())["seed"] == PLAN.seed


def test_sources_share_the_fakes_evenly_and_forge_one_product_each() -> None:
    plan = LotPlan(photos=200, sources=3, fake_share=0.3, products=2)
    makers = plan.makers()
    assert np.bincount(makers).tolist() == [140, 20, 20, 20]
    for source in (1, 2, 3):
        shown = {
            plan.product_of(number, maker)
            for number, maker in enumerate(makers)
            if maker == source
        }
        assert len(shown) == 1


def test_units_of_a_source_differ_in_lot_and_serial_alone() -> None:
    artwork = design(1, family="medicine_carton")
    source = print_source(artwork, 5)
    assert source.kinds[0] not in WHOLE_PRINT_KINDS
    one, same, other = (source.unit(number) for number in (1, 1, 2))
    assert np.array_equal(one, same)
    apart = np.argwhere((one != other).any(axis=2))
    scale = one.shape[0] / artwork.size_px[1]
    assert len(apart)
    for y, x in apart / scale:
        assert any(
            left - 2 <= x <= left + width + 2 and top - 2 <= y <= top + height + 2
            for left, top, width, height in artwork.variable_regions
        )


@pytest.mark.parametrize(
    "wrong", [{"size": "huge"}, {"fake_share": 1.5}, {"sources": 0}, {"fake_share": 0}]
)
def test_a_lot_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        replace(PLAN, **wrong)  # type: ignore[arg-type]
