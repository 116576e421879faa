from collections import Counter

import numpy as np
import pytest

from touchstone.engine.printings import GENUINE, UNASSIGNED, printings
from touchstone.engine.profile import CELLS, PLANES, Profile, packed, profile_of
from touchstone.errors import InvalidInputError
from touchstone_training.ranking import adjusted_rand_index

ROWS, COLUMNS = 24, 16
GROUPS = {0: 60, 1: 14, 2: 12}
"""Items of each source; 0 is the maker."""


def lot(
    seed: int = 0, *, groups: dict[int, int] | None = None
) -> tuple[list[int], list[Profile]]:
    """Items of a maker, and of sources that changed a place each."""
    rng = np.random.default_rng(seed)
    true = [one for one, count in (groups or GROUPS).items() for _ in range(count)]
    return true, [item(source, rng) for source in true]


def item(source: int, rng: np.random.Generator) -> Profile:
    planes = np.zeros((PLANES, ROWS, COLUMNS), np.float32)
    planes[0] = rng.gamma(0.3, 0.3, (ROWS, COLUMNS))
    planes[1:4] = rng.normal(0, 3, (3, ROWS, COLUMNS))
    planes[1] += rng.normal(0, 6) * np.linspace(-1, 1, COLUMNS)  # a lamp to one side
    planes[4] = 1
    if source:
        place = np.s_[5 * source : 5 * source + 3, 4:9]
        planes[0][place] += 4 * rng.uniform(0.7, 1.2)
        planes[1][place] += 25 * (-1) ** source
    if rng.random() < 0.3:  # a finger
        planes[:, rng.integers(20, ROWS) :, rng.integers(10, COLUMNS) :] = 0
    return packed(planes)


def test_print_sources_are_found_and_genuine_items_stay_together() -> None:
    true, profiles = lot()
    found = printings(profiles)
    assert adjusted_rand_index(true, found.labels) > 0.95
    genuine = Counter(np.array(found.labels)[np.array(true) == 0]).most_common(1)
    assert genuine[0][0] == GENUINE
    sizes = Counter(found.labels)
    assert sizes[1] >= sizes[2] > 0
    for label, exemplar in found.exemplars.items():
        assert found.labels[exemplar] == label


@pytest.mark.parametrize("forged", [0.4, 0.46, 0.5, 0.56, 0.6])
def test_a_source_of_half_of_a_lot_is_told_as_any_other(forged: float) -> None:
    items = round(100 * forged)
    true, profiles = lot(groups={0: 100 - items, 1: items})
    found = printings(profiles, [-1.0 if one else 1.0 for one in true])
    assert adjusted_rand_index(true, found.labels) > 0.9
    assert Counter(found.labels)[GENUINE] == pytest.approx(100 - items, abs=4)


@pytest.mark.parametrize(
    "groups", [{0: 40, 1: 100, 2: 20}, {0: 70, 1: 100, 2: 40}, {0: 30, 1: 160, 2: 30}]
)
def test_genuine_items_that_are_the_fewer_are_of_no_printing(
    groups: dict[int, int],
) -> None:
    true, profiles = lot(groups=groups)
    found = printings(profiles, [-1.0 if one else 1.0 for one in true])
    genuine = [n for n, one in zip(found.labels, true, strict=True) if not one]
    assert set(genuine) <= {GENUINE, UNASSIGNED}
    assert adjusted_rand_index(true, found.labels) > 0.9


@pytest.mark.parametrize("seed", range(2))
def test_the_order_of_items_changes_nothing(seed: int) -> None:
    _, profiles = lot()
    order = np.random.default_rng(seed).permutation(len(profiles)).tolist()
    straight = printings(profiles)
    shuffled = printings([profiles[i] for i in order])
    assert [straight.labels[i] for i in order] == list(shuffled.labels)
    assert {k: order[v] for k, v in shuffled.exemplars.items()} == straight.exemplars


@pytest.mark.parametrize("seed", range(3))
def test_a_genuine_lot_has_no_printings(seed: int) -> None:
    _, profiles = lot(seed, groups={0: 80})
    assert set(printings(profiles).labels) == {GENUINE}


def test_a_lot_of_one_forged_printing_has_no_genuine_items() -> None:
    _, profiles = lot(groups={1: 40})
    assert set(printings(profiles).labels) == {1}


def test_ratios_say_which_group_is_genuine() -> None:
    true, profiles = lot()
    # References that are out of date: only what source 1 prints is favoured.
    ratios = [0.6 if source == 1 else -0.6 for source in true]
    labels = np.array(printings(profiles, ratios).labels)
    assert set(labels[np.array(true) == 1]) == {GENUINE}
    assert GENUINE not in labels[np.array(true) == 0]


def test_what_hides_the_tell_tale_place_claims_no_printing() -> None:
    true, profiles = lot()
    hidden = profiles[true.index(1)].planes()
    hidden[:, 3:10] = 0
    labels = printings([*profiles, packed(hidden)]).labels
    assert labels[-1] in {GENUINE, UNASSIGNED}


def test_a_lot_larger_than_the_sample_is_assigned_whole() -> None:
    true, profiles = lot(groups={0: 1200, 1: 200, 2: 200})
    assert adjusted_rand_index(true, printings(profiles).labels) > 0.95


def test_few_or_no_items_are_no_error() -> None:
    assert printings([]).labels == ()
    _, profiles = lot(groups={0: 1})
    assert printings(profiles).labels == (GENUINE,)


def test_items_of_two_references_are_refused() -> None:
    _, profiles = lot(groups={0: 2})
    other = packed(np.zeros((PLANES, 8, 8), np.float32))
    with pytest.raises(InvalidInputError, match="different references"):
        printings([*profiles, other])
    with pytest.raises(InvalidInputError, match="ratios"):
        printings(profiles, [0.1])


def test_a_profile_tells_where_and_how_a_print_differs() -> None:
    seen = np.full((480, 640, 3), 120, np.uint8)
    seen[100:200, 200:300] += 40
    valid = np.ones((480, 640), np.float32)
    valid[:, :100] = 0
    deviation = np.zeros((240, 320), np.float32)
    deviation[50:100, 100:150] = 3
    profile = profile_of(np.full_like(seen, 120), seen, valid, deviation)
    again = Profile.from_bytes(profile.to_bytes())
    assert again == profile
    assert profile.cells == (48, CELLS)
    suspected, lighter, redder, yellower, compared = profile.planes()
    assert lighter[15, 25] == pytest.approx(40, abs=1)
    assert suspected[15, 25] == pytest.approx(3, abs=0.05)
    assert abs(redder[15, 25]) <= 1
    assert abs(yellower[15, 25]) <= 1
    assert lighter[30, 40] == suspected[30, 40] == 0
    assert compared[10, 5] == 0
    assert compared[10, 50] == 1
    assert len(profile.to_bytes()) < 8000


@pytest.mark.parametrize("wrong", [b"", b"TP1", b"TP1\x02\x02junk", b"XX1\x01\x01"])
def test_other_bytes_are_no_profile(wrong: bytes) -> None:
    with pytest.raises(InvalidInputError, match="no profile"):
        Profile.from_bytes(wrong)


def test_agreement_of_groupings_is_hubert_and_arabies() -> None:
    assert adjusted_rand_index([0, 0, 1, 1], ["a", "a", "b", "b"]) == 1
    assert adjusted_rand_index([0, 0, 1, 2], [0, 0, 1, 1]) == pytest.approx(4 / 7)
    assert adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(-0.5)
