from collections import Counter

import numpy as np
import pytest

from touchstone.engine.duels import Duel, border
from touchstone.engine.printings import GENUINE, printings
from touchstone.engine.profile import PLANES, Profile, packed
from touchstone.engine.splits import placed, split
from touchstone.engine.typicality import Standard, Usual
from touchstone_training.ranking import adjusted_rand_index

ROWS, COLUMNS = 24, 16
PLACES = {1: np.s_[3:6, 2:8], 2: np.s_[12:15, 6:12]}


def genuine(rng: np.random.Generator) -> np.ndarray:
    planes = np.zeros((PLANES, ROWS, COLUMNS), np.float32)
    planes[0] = rng.gamma(0.3, 0.3, (ROWS, COLUMNS))
    planes[1:4] = rng.normal(0, 3, (3, ROWS, COLUMNS))
    planes[4] = 1
    return planes


def forged(rng: np.random.Generator, source: int, plainly: float = 1) -> np.ndarray:
    planes = genuine(rng)
    planes[0][PLACES[source]] += 5 * plainly
    planes[1][PLACES[source]] -= 25 * plainly
    return planes


def profiles_of(planes: list[np.ndarray]) -> list[Profile]:
    return [packed(one) for one in planes]


@pytest.mark.parametrize("seed", range(3))
def test_a_printing_that_photos_show_more_or_less_plainly_is_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plainly = [*rng.uniform(0.35, 0.6, 8), *rng.uniform(0.9, 1.2, 12)]
    items = [forged(rng, 1, one) for one in plainly]
    items += [genuine(rng) for _ in range(80)]
    found = printings(profiles_of(items)).labels
    assert set(found[:20]) == {1}
    assert set(found[20:]) == {GENUINE}


@pytest.mark.parametrize("seed", range(3))
def test_what_the_comparator_alone_suspects_in_some_is_no_printing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [genuine(rng) for _ in range(90)]
    for one in items[:20]:  # or not at all, where the colours tell nothing
        one[0][PLACES[1]] += rng.uniform(0.7, 2.2)
    assert set(printings(profiles_of(items)).labels) == {GENUINE}


@pytest.mark.parametrize("seed", range(3))
def test_a_source_that_changed_nearly_all_hides_no_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    other = rng.normal(0, 30, (ROWS, COLUMNS))
    items = [forged(rng, 2) for _ in range(20)]
    for _ in range(20):
        one = genuine(rng)
        one[0] += 6
        one[1] += other * rng.uniform(0.8, 1.2)
        items.append(one)
    items += [genuine(rng) for _ in range(100)]
    true = [2] * 20 + [1] * 20 + [0] * 100
    found = printings(profiles_of(items)).labels
    assert adjusted_rand_index(true, found) > 0.95


def test_items_that_were_not_learned_from_go_the_way_of_their_source() -> None:
    rng = np.random.default_rng(0)
    learned = [forged(rng, 1 + n % 2) for n in range(30)]
    learned += [genuine(rng) for _ in range(90)]
    profiles = profiles_of(learned)
    usual = Usual.of(profiles)
    tree = split(usual.standardised(profiles))
    new = profiles_of([forged(rng, 1), forged(rng, 1), forged(rng, 2), genuine(rng)])
    places = placed(tree, usual.standardised(new))
    assert len(Counter(places.group.tolist())) == 3
    assert places.group[0] == places.group[1]
    assert places.is_told.tolist() == [True, True, True, False]


def test_a_border_is_nearer_to_the_side_that_strays_less() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(0, 0.03, 100), rng.normal(1, 0.2, 100)
    assert 0.1 < border(far, near) < 0.35
    assert border(1 - near, 1 - far) == pytest.approx(0.6, abs=0.05)  # held there


def test_an_item_that_strays_elsewise_is_not_there() -> None:
    values = np.zeros((3, 64), np.float32)
    values[0, 16:32] = 3
    values[1, 16:32:2] = 8  # as far on the whole, and not alike
    values[1, 17:32:2] = -4
    seen = np.ones((3, 16), bool)
    nothing = np.zeros(16, np.float32)
    standard = Standard(values, seen, nothing + 1, nothing)
    here, there = np.zeros(64, np.float32), np.zeros(64, np.float32)
    there[16:32] = 3
    lies = Duel.between(standard, here, there, 20).lies(standard)
    assert lies.is_there(0.2).tolist() == [True, False, False]
