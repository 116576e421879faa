"""What a score is worth: every measure against values worked out by hand."""

import math
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone_training.benchmark.scores import (
    Share,
    area,
    cost,
    curve,
    equal_error_rate,
    estimate,
    found_at,
    least_cost,
    reliability,
    resamples,
    share_document,
    supports,
)

FAKE = np.array([True, False, True, False])
SUSPICION = np.array([4.0, 3.0, 2.0, 1.0])
"""A counterfeit, a genuine photo, and once more: one pair is swapped."""


def test_the_curve_goes_up_for_counterfeits_and_right_for_genuine_ones() -> None:
    one = curve(SUSPICION, FAKE)
    assert one.found.tolist() == [0, 0.5, 0.5, 1, 1]
    assert one.false_alarms.tolist() == [0, 0, 0.5, 0.5, 1]
    assert one.missed.tolist() == [1, 0.5, 0.5, 0, 0]


def test_equal_scores_are_flagged_together() -> None:
    one = curve(np.array([1.0, 1.0, 0.0]), np.array([True, False, False]))
    assert one.found.tolist() == [0, 1, 1]
    assert one.false_alarms.tolist() == [0, 0.5, 1]


def test_the_area_counts_pairs_in_order_and_ties_half() -> None:
    assert area(SUSPICION, FAKE) == 0.75
    assert area(np.zeros(4), FAKE) == 0.5


def test_the_equal_error_rate_lies_where_both_errors_meet() -> None:
    assert equal_error_rate(SUSPICION, FAKE) == 0.5
    assert equal_error_rate(np.array([1.0, 0.0]), np.array([True, False])) == 0
    assert equal_error_rate(np.array([0.0, 1.0]), np.array([True, False])) == 1
    # Flagging three of five: 1 of 3 genuine, 0 of 2 counterfeits missed; flagging two:
    # 1 of 3 and 1 of 2. On the line between, both are a third.
    five = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    fake = np.array([True, False, True, False, False])
    assert equal_error_rate(five, fake) == pytest.approx(1 / 3)


def test_counterfeits_found_keep_to_the_rate_of_false_alarms() -> None:
    genuine = np.arange(1.0, 11.0)
    fakes = np.array([10.5, 9.5, 0.0])
    scores = np.concatenate([genuine, fakes])
    is_fake = np.arange(13) >= 10
    assert found_at(scores, is_fake, false_alarms=0.1) == pytest.approx(2 / 3)
    assert found_at(scores, is_fake, false_alarms=0.01) == pytest.approx(1 / 3)
    assert found_at(scores, is_fake, false_alarms=0.0) == pytest.approx(1 / 3)


def test_a_low_rate_needs_as_many_genuine_photos() -> None:
    assert supports(100, false_alarms=0.01)
    assert not supports(99, false_alarms=0.01)
    assert supports(1000, false_alarms=0.001)


def test_the_cost_of_no_news_is_one() -> None:
    assert cost(np.zeros(4), FAKE) == pytest.approx(1)


def test_the_cost_of_ratios_of_ten_in_the_right_direction() -> None:
    ratios = np.where(FAKE, -1.0, 1.0)
    assert cost(ratios, FAKE) == pytest.approx(math.log2(1.1))


def test_recalibration_costs_nothing_where_the_order_is_right() -> None:
    assert least_cost(np.array([-0.1, 0.1, -0.2, 0.2]), FAKE) == 0
    assert least_cost(np.zeros(4), FAKE) == pytest.approx(1)


def test_recalibration_cannot_mend_a_swapped_pair() -> None:
    # Ascending: fake, genuine, fake, genuine. The middle two are pooled at one half,
    # which costs a bit each, a quarter of the weight each.
    assert least_cost(-SUSPICION, FAKE) == pytest.approx(0.5)


@given(
    st.lists(st.tuples(st.integers(-40, 40), st.booleans()), min_size=2).filter(
        lambda rows: len({is_fake for _, is_fake in rows}) == 2
    )
)
def test_no_calibration_costs_less_than_the_best(
    rows: list[tuple[int, bool]],
) -> None:
    ratios = np.array([eighths / 8 for eighths, _ in rows])
    is_fake = np.array([fake for _, fake in rows])
    best = least_cost(ratios, is_fake)
    assert best <= min(1.0, cost(ratios, is_fake)) + 1e-9
    assert least_cost(3 * ratios + 1, is_fake) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("of_one_kind", [np.ones(3, bool), np.zeros(3, bool)])
def test_nothing_is_measured_where_one_side_is_missing(
    of_one_kind: np.ndarray,
) -> None:
    scores = np.arange(3.0)
    assert math.isnan(area(scores, of_one_kind))
    assert math.isnan(equal_error_rate(scores, of_one_kind))
    assert math.isnan(found_at(scores, of_one_kind, false_alarms=0.01))
    assert math.isnan(cost(scores, of_one_kind))
    assert math.isnan(least_cost(scores, of_one_kind))
    told = estimate(area, scores, of_one_kind, resamples(["a", "b", "b"], draws=5))
    assert all(math.isnan(end) for end in (told.value, told.low, told.high))


def test_products_are_drawn_whole_and_the_same_seed_draws_the_same() -> None:
    groups = ["a", "a", "b", "c", "c", "c"]
    rows_of = ({0, 1}, {2}, {3, 4, 5})
    drawn = resamples(groups, draws=20, seed=3)
    for rows in drawn:
        counts = np.bincount(rows, minlength=6)
        for one in rows_of:
            assert len({int(counts[row]) for row in one}) == 1
        assert sum(counts[min(one)] for one in rows_of) == 3
    again = resamples(groups, draws=20, seed=3)
    assert all(np.array_equal(*both) for both in zip(drawn, again, strict=True))
    assert not np.array_equal(drawn[0], drawn[1]) or len(drawn[0]) != len(drawn[1])


def test_two_products_give_no_interval() -> None:
    assert resamples(["a", "b", "b"]) == []
    one = estimate(area, SUSPICION, FAKE, [])
    assert one.value == 0.75
    assert math.isnan(one.low)


def test_an_interval_holds_its_value_and_narrows_with_more_products() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for products in (10, 200):
        is_fake = np.tile([True, False], products)
        scores = rng.normal(is_fake * 1.0, 1.0)
        groups = [str(n // 2) for n in range(2 * products)]
        one = estimate(area, scores, is_fake, resamples(groups))
        assert one.low < one.value < one.high
        widths.append(one.high - one.low)
    assert widths[1] < widths[0] / 2


def test_the_interval_of_a_share_is_wilsons() -> None:
    none = Share(0, 10)
    assert none.value == 0
    assert none.interval() == pytest.approx((0, 0.2775), abs=1e-4)
    half = Share(5, 10)
    assert half.interval() == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert math.isnan(Share(0, 0).value)


def test_photos_of_one_product_are_no_independent_news() -> None:
    """As many photos and hits; what differs is how many products they show."""
    widths = []
    for products in (4, 100):
        flags = [(f"{n % products}", n % products % 2 == 0) for n in range(400)]
        told = share_document(flags)
        assert (told["hits"], told["total"], told["share"]) == (200, 400, 0.5)
        low, high = cast("list[float]", told["interval95"])
        assert low <= 0.5 <= high
        widths.append(high - low)
    assert widths[0] > 3 * widths[1]


@pytest.mark.parametrize(("holds", "ends"), [(False, (0, 0.2775)), (True, (0.7225, 1))])
def test_all_or_none_is_as_sure_as_the_products_are_many(
    holds: bool, ends: tuple[float, float]
) -> None:
    flags = [(str(n % 10), holds) for n in range(500)]
    assert share_document(flags)["interval95"] == pytest.approx(ends, abs=1e-4)


def test_a_share_of_nothing_is_no_number() -> None:
    told = share_document([])
    assert told["total"] == 0
    assert math.isnan(cast("float", told["share"]))


def test_told_probabilities_are_held_against_what_was_so() -> None:
    # Told 1 in 11 and 10 in 11; of the former one in four was counterfeit.
    ratios = np.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    is_fake = np.array([False, False, False, True, True, True, True])
    low, high = reliability(ratios, is_fake, bins=2)
    assert low.told == pytest.approx(1 / 11)
    assert high.told == pytest.approx(10 / 11)
    # 1 of 4 counterfeits and 3 of 3 genuine photos: 0.25 against 1 at equal priors.
    assert low.observed == pytest.approx(0.25 / 1.25)
    assert high.observed == 1
    assert low.low < low.observed < low.high
    assert (low.photos, high.photos) == (4, 3)
