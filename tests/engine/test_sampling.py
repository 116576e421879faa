"""Sampling plans, against counting every way to draw."""

import hashlib
import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touchstone.engine.sampling import (
    Plan,
    Rule,
    draw,
    hypergeometric_plan,
    most_hidden,
    none_called,
    square_root_plan,
)
from touchstone.errors import InvalidInputError


def test_the_chance_of_a_clean_sample_is_that_of_counting_all_samples() -> None:
    samples = list(combinations(range(9), 4))
    for counterfeits in range(10):
        clean = sum(all(unit >= counterfeits for unit in one) for one in samples)
        expected = clean / len(samples)
        assert none_called(9, counterfeits, 4) == pytest.approx(expected, abs=1e-12)


def test_a_test_that_misses_counterfeits_is_counted_unit_by_unit() -> None:
    samples = list(combinations(range(8), 3))
    expected = sum(0.6 ** sum(u < 4 for u in one) for one in samples) / len(samples)
    assert none_called(8, 4, 3, 0.4) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    population=st.integers(1, 400),
    share=st.floats(0.01, 1.0),
    confidence=st.floats(0.5, 0.99),
)
def test_the_plan_is_the_smallest_that_reaches_its_confidence(
    population: int, share: float, confidence: float
) -> None:
    plan = hypergeometric_plan(population, share=share, confidence=confidence)
    counterfeits = max(1, math.ceil(share * population - 1e-9 * population))
    assert 1.0 - none_called(population, counterfeits, plan.sample) >= confidence
    if plan.sample > 1:
        one_less = none_called(population, counterfeits, plan.sample - 1)
        assert 1.0 - one_less < confidence


@settings(max_examples=60, deadline=None)
@given(data=st.data(), population=st.integers(1, 300))
def test_more_than_the_most_hidden_would_have_been_seen(
    data: st.DataObject, population: int
) -> None:
    sample = data.draw(st.integers(0, population))
    hidden = most_hidden(population, sample, confidence=0.95)
    assert none_called(population, hidden, sample) > 0.05
    if hidden < population:
        assert none_called(population, hidden + 1, sample) <= 0.05


def test_an_unexamined_lot_may_be_counterfeit_to_the_last_unit() -> None:
    assert most_hidden(50, 0, confidence=0.95) == 50
    assert most_hidden(50, 50, confidence=0.95) == 0


def test_the_published_table_is_met() -> None:
    # UNODC/ENFSI 2009, hypergeometric, 95 %: at least 50 and 90 % of 1,000 units.
    # The roles are exchanged: there all of the sample is positive, here it is clean.
    assert hypergeometric_plan(1000, share=0.5, confidence=0.95).sample == 5
    assert hypergeometric_plan(1000, share=0.1, confidence=0.95).sample == 29


def test_a_weak_test_asks_for_more_units_and_says_where_it_fails() -> None:
    sharp = hypergeometric_plan(1000, share=0.1, confidence=0.95)
    weak = hypergeometric_plan(1000, share=0.1, confidence=0.95, sensitivity=0.3)
    assert weak.sample > 3 * sharp.sample
    blind = hypergeometric_plan(50, share=0.02, confidence=0.95, sensitivity=0.3)
    assert blind.sample == 50
    assert blind.reached == pytest.approx(0.3)
    assert "laboratory" in blind.sentence


@pytest.mark.parametrize(
    ("population", "sample"),
    [
        (1, 1),
        (9, 9),
        (10, 10),
        (100, 10),
        (101, 11),
        (121, 11),
        (122, 12),
        (10_000, 100),
    ],
)
def test_the_rule_of_thumb(population: int, sample: int) -> None:
    plan = square_root_plan(population)
    assert plan.rule is Rule.SQUARE_ROOT
    assert plan.sample == sample
    assert str(sample) in plan.sentence or population < 10


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("population", {"population": 0}),
        ("population", {"population": 1_000_001}),
        ("share", {"share": 0.0}),
        ("share", {"share": float("nan")}),
        ("confidence", {"confidence": 1.0}),
        ("sensitivity", {"sensitivity": 1.1}),
    ],
)
def test_a_wrong_parameter_is_named(field: str, change: dict[str, float]) -> None:
    wanted: dict[str, float] = {"population": 100, "share": 0.1, "confidence": 0.95}
    wanted.update(change)
    with pytest.raises(InvalidInputError) as caught:
        hypergeometric_plan(
            int(wanted["population"]),
            share=wanted["share"],
            confidence=wanted["confidence"],
            sensitivity=wanted.get("sensitivity", 1.0),
        )
    assert caught.value.field == field


def test_a_sample_larger_than_the_lot_is_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        most_hidden(10, 11, confidence=0.95)
    assert caught.value.field == "sample"


# --- the draw -------------------------------------------------------------------------


def test_the_draw_is_that_of_sha256sum_for_ever() -> None:
    drawn = draw(square_root_plan(200), seed="CASE-17")
    assert drawn == (56, 182, 65, 37, 81, 30, 70, 18, 35, 27, 54, 96, 51, 38, 138)
    digests = [hashlib.sha256(b"CASE-17/%d" % unit).hexdigest() for unit in drawn]
    assert digests == sorted(digests)


@settings(max_examples=40, deadline=None)
@given(population=st.integers(1, 500), seed=st.text("abcXYZ019-. é", min_size=1))
def test_a_draw_is_without_replacement_and_grows_with_the_sample(
    population: int, seed: str
) -> None:
    plans = [
        Plan(Rule.SQUARE_ROOT, population, size, "")
        for size in (population // 2, population)
    ]
    some, everything = (draw(plan, seed=seed) for plan in plans)
    assert everything[: len(some)] == some
    assert sorted(everything) == list(range(1, population + 1))


def test_every_position_is_drawn_as_often() -> None:
    drawn = [0] * 20
    for number in range(400):
        for unit in draw(Plan(Rule.SQUARE_ROOT, 20, 5, ""), seed=f"S{number}"):
            drawn[unit - 1] += 1
    assert min(drawn) > 100 - 5 * math.sqrt(75)
    assert max(drawn) < 100 + 5 * math.sqrt(75)


@pytest.mark.parametrize("seed", ["", "a/1", "a\n"])
def test_a_seed_that_cannot_be_repeated_is_refused(seed: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        draw(square_root_plan(5), seed=seed)
    assert caught.value.field == "seed"
