"""The share of counterfeits: exact where counting is possible, and right as often as
it says."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_lots import QUALITIES, SHARES, SHIPPED, covered

from touchstone.engine.chances import Beta, binomial, hypergeometric
from touchstone.engine.homogeneity import Printing
from touchstone.engine.inversion import Curve, called_by_test, counted
from touchstone.engine.rates import Trials, Validation, of_new_group, pooled
from touchstone.engine.share import Findings, share_of_counterfeits
from touchstone.errors import InvalidInputError

PERFECT = Validation(
    genuine=(Trials(0, 1_000_000),),
    counterfeit=(Trials(10_000, 10_000),) * 60,
    genuine_abstained=0,
    counterfeit_abstained=0,
)
SHARP = Validation(genuine=(Trials(3, 300),), counterfeit=(Trials(18, 20),) * 40)


# --- distributions, against counting --------------------------------------------------


@given(a=st.floats(0.1, 50), b=st.floats(0.1, 50), trials=st.integers(0, 60))
def test_beta_binomial_chances_are_those_of_the_gamma_function(
    a: float, b: float, trials: int
) -> None:
    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    expected = [
        math.comb(trials, k)
        * math.exp(log_beta(a + k, b + trials - k) - log_beta(a, b))
        for k in range(trials + 1)
    ]
    assert Beta(a, b).counts(trials) == pytest.approx(expected, abs=1e-9)
    assert sum(expected) == pytest.approx(1.0)


def test_binomial_and_hypergeometric_chances_are_those_of_counting() -> None:
    expected = [math.comb(7, k) * 0.3**k * 0.7 ** (7 - k) for k in range(8)]
    assert binomial(7, 0.3) == pytest.approx(expected)
    assert binomial(3, 1.0).tolist() == [0, 0, 0, 1]
    drawn = np.arange(4)
    ways = [math.comb(5, k) * math.comb(15, 3 - k) / math.comb(20, 3) for k in range(4)]
    assert hypergeometric(20, 5, 3, drawn) == pytest.approx(ways)


def test_the_chance_of_few_calls_is_that_of_every_way_to_make_them() -> None:
    false, true = Beta(1.5, 20.0), Beta(2.0, 3.0)
    sample = called_by_test(3, 8, None, false_call=false, sensitivity=true, blind=0.1)
    for counterfeits in range(9):
        seen, called = true.counts(counterfeits), false.counts(8 - counterfeits)
        fewer = sum(
            seen[t] * called[f]
            for t, f in product(range(len(seen)), range(len(called)))
            if t + f < 3
        )
        assert sample.fewer[counterfeits] == pytest.approx(fewer)
        unseen = 0.1 + 0.9 * seen[:4].sum()
        assert sample.at_most[counterfeits] == pytest.approx(unseen)


# --- without error of the test, it is Clopper and Pearson's ---------------------------


def test_a_count_beyond_doubt_gives_the_interval_of_clopper_and_pearson() -> None:
    low, high = Curve.of(counted(3, 20, None)).not_refuted(0.025)
    assert low == pytest.approx(0.0321, abs=1e-4)  # published: 3.2 to 37.9 %
    assert high == pytest.approx(0.3789, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), population=st.integers(1, 60))
def test_a_finite_lot_is_judged_unit_by_unit(
    data: st.DataObject, population: int
) -> None:
    size = data.draw(st.integers(1, population))
    seen = data.draw(st.integers(0, size))
    kept = []
    for marked in range(population + 1):
        ways = [
            math.comb(marked, k) * math.comb(population - marked, size - k)
            for k in range(size + 1)
        ]
        all_ways = math.comb(population, size)
        if min(sum(ways[seen:]), sum(ways[: seen + 1])) > 0.025 * all_ways:
            kept.append(marked)
    low, high = Curve.of(counted(seen, size, population)).not_refuted(0.025)
    assert low * population == pytest.approx(kept[0])
    assert high * population == pytest.approx(kept[-1])


def test_all_of_a_lot_examined_without_error_leaves_nothing_open() -> None:
    said = share_of_counterfeits(Findings(5, 20), PERFECT, population=20)
    assert said.low == said.high == 0.25
    assert said.estimate == pytest.approx(0.25)


def test_examining_more_of_a_lot_narrows_the_interval() -> None:
    widths = []
    for population in (None, 200, 120, 100):
        said = share_of_counterfeits(Findings(30, 100), PERFECT, population=population)
        widths.append(said.high - said.low)
    assert widths == sorted(widths, reverse=True)


# --- with a test that errs ------------------------------------------------------------


def test_no_clean_findings_exclude_counterfeits_that_the_test_cannot_see() -> None:
    said = share_of_counterfeits(Findings(0, 5000), SHIPPED)
    assert (said.low, said.high) == (0.0, 1.0)
    assert said.high_if_average < 0.01
    assert "laboratory" in said.advice


def test_calls_beyond_the_false_ones_show_that_there_are_counterfeits() -> None:
    said = share_of_counterfeits(Findings(300, 1000), SHIPPED, population=5000)
    assert 0.1 < said.low < 0.2748  # what 300 counterfeits beyond doubt prove
    assert said.advice.startswith("The lot holds counterfeits.")


def test_calls_that_a_product_may_give_though_genuine_show_none() -> None:
    """One design of the validation has six false calls on ten photographs."""
    products = [Trials(6, 10), *[Trials(3, 10)] * 2, *[Trials(2, 9)] * 2]
    products += [*[Trials(1, 9)] * 18, *[Trials(0, 9)] * 121]
    uneven = Validation(tuple(products), SHIPPED.counterfeit)
    assert share_of_counterfeits(Findings(15, 100), uneven).low == 0.0
    one_rate = Validation((Trials(34, 1300),), SHIPPED.counterfeit)
    assert share_of_counterfeits(Findings(15, 100), one_rate).low > 0.0


def test_units_of_several_photos_are_called_falsely_more_often() -> None:
    single, double = Findings(60, 100), SHIPPED.of_units(2.0)
    once, twice = (share_of_counterfeits(single, one).low for one in (SHIPPED, double))
    assert 0.0 < twice < once
    assert SHIPPED.of_units(1.0).false_call == SHIPPED.false_call
    assert double.false_call.mean == pytest.approx(2 * SHIPPED.false_call.mean)
    assert double.blind == SHIPPED.blind


@given(a=st.floats(0.05, 20), b=st.floats(0.5, 500), factor=st.floats(1.01, 12))
def test_a_rate_so_many_times_as_high_stays_a_rate(
    a: float, b: float, factor: float
) -> None:
    known = Beta(a, b).times(factor)
    assert known.a > 0
    assert known.b > 0
    assert known.mean == pytest.approx(min(0.9, factor * a / (a + b)))


def test_calls_as_many_as_false_ones_show_none() -> None:
    said = share_of_counterfeits(Findings(14, 1000), SHIPPED)
    assert said.low == 0.0
    assert said.advice.startswith("Counterfeits are not shown.")


def test_without_validation_nothing_is_known() -> None:
    said = share_of_counterfeits(Findings(10, 100), Validation())
    assert (said.low, said.high, said.estimate) == (0.0, 1.0, None)


def test_nothing_answered_is_nothing_known() -> None:
    said = share_of_counterfeits(Findings(0, 0, 30), SHIPPED, population=100)
    assert (said.estimate, said.low, said.high) == (None, 0.0, 1.0)
    assert "anew" in said.advice


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_bounds_keep_their_order(data: st.DataObject) -> None:
    answered = data.draw(st.integers(1, 60))
    findings = Findings(
        data.draw(st.integers(0, answered)), answered, data.draw(st.integers(0, 40))
    )
    population = data.draw(st.none() | st.integers(findings.examined, 400))
    labelled = data.draw(st.integers(0, answered))
    calls = min(labelled, findings.inconsistent)
    printings = [Printing("A", calls, labelled)] if labelled else []
    said = share_of_counterfeits(
        findings, SHIPPED, population=population, printings=printings
    )
    assert said.estimate is not None
    ends = said.low_at_worst, said.low, said.estimate, said.high, said.high_at_worst
    assert list(ends) == sorted(ends)
    assert said.low <= said.high_if_average <= said.high
    assert said.low_at_worst >= 0.0
    assert said.high_at_worst <= 1.0


def test_no_share_is_more_than_all_by_rounding() -> None:
    said = share_of_counterfeits(Findings(3, 3, 29), SHIPPED)
    assert (said.high, said.high_at_worst, said.high_if_average) == (1.0, 1.0, 1.0)


def test_a_very_large_lot_is_weighed_as_a_smaller_one_of_the_same_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = share_of_counterfeits(Findings(60, 200), SHIPPED, population=1000)
    monkeypatch.setattr("touchstone.engine.share._MOST_WEIGHED", 200)
    large = share_of_counterfeits(Findings(600, 2000), SHIPPED, population=10_000)
    assert large == small


# --- abstentions ----------------------------------------------------------------------


def test_abstained_units_widen_the_interval_unless_they_are_known_to_be_alike() -> None:
    findings = Findings(45, 100, 100)
    uncounted = Validation(PERFECT.genuine, PERFECT.counterfeit)
    alike = Validation(PERFECT.genuine, PERFECT.counterfeit, 500_000, 300_000)
    unknown = share_of_counterfeits(findings, uncounted)
    known = share_of_counterfeits(findings, alike)
    assert unknown.low < known.low < known.high < unknown.high
    assert (unknown.low, unknown.high) == (unknown.low_at_worst, unknown.high_at_worst)
    assert (known.low_at_worst, known.high_at_worst) == (unknown.low, unknown.high)


def test_counterfeits_that_abstain_more_often_are_suspected_among_the_abstained() -> (
    None
):
    assert SHIPPED.abstention_odds[0] == 1.0
    answered = sum(one.answered for one in SHIPPED.genuine)
    assert SHIPPED.genuine_abstained is not None
    odds = 82 * answered / (SHIPPED.genuine_abstained * 300)
    assert odds < SHIPPED.abstention_odds[1] < 2 * odds
    some = share_of_counterfeits(Findings(45, 100, 100), SHIPPED)
    none = share_of_counterfeits(Findings(45, 100), SHIPPED)
    assert some.low == pytest.approx(none.low, abs=1e-9)
    assert some.estimate is not None
    assert none.estimate is not None
    assert some.estimate >= none.estimate


# --- what the validation tells --------------------------------------------------------


def test_kinds_that_differ_leave_a_new_kind_more_open_than_their_average() -> None:
    alike = of_new_group((Trials(6, 20),) * 20)
    differing = of_new_group((Trials(0, 20), Trials(12, 20)) * 10)
    assert alike.mean == pytest.approx(0.3, abs=0.03)
    assert differing.mean == pytest.approx(0.3, abs=0.1)
    assert differing.a + differing.b < 3
    assert alike.a + alike.b > 15


def test_one_large_group_is_no_proof_that_kinds_do_not_differ() -> None:
    one = of_new_group((Trials(111, 300),))
    assert one.a + one.b < 3
    assert pooled((Trials(111, 300),)).mean == pytest.approx(0.37, abs=0.01)


def test_twenty_kinds_that_are_seen_bound_what_is_not() -> None:
    genuine = (Trials(3, 300),)
    nineteen = Validation(genuine, (Trials(18, 20),) * 19)
    twenty = Validation(genuine, (Trials(18, 20),) * 20)
    assert nineteen.blind == pytest.approx(0.025)
    assert twenty.blind < 0.025
    unseen = Validation(genuine, (Trials(18, 20),) * 20 + (Trials(0, 20),))
    assert unseen.blind == pytest.approx(1.5 / 22)
    findings = Findings(0, 100)
    assert share_of_counterfeits(findings, twenty).high < 0.2
    assert share_of_counterfeits(findings, unseen).high == 1.0


# --- printings ------------------------------------------------------------------------


def test_a_printing_that_is_told_is_counted_whole() -> None:
    findings = Findings(41, 200)
    printings, rest = [Printing("A", 40, 100)], [Printing("B", 1, 100)]
    without = share_of_counterfeits(findings, SHIPPED, population=200)
    told = share_of_counterfeits(
        findings, SHIPPED, population=200, printings=printings, unlinked=rest
    )
    assert told.low == pytest.approx(0.5)
    assert without.low < 0.3
    assert told.estimate is not None
    assert told.estimate >= 0.5


def test_clean_printings_are_not_told_to_be_genuine_by_a_test_that_may_be_blind() -> (
    None
):
    printings = [Printing("A", 0, 1000)]
    said = share_of_counterfeits(Findings(0, 1000), SHIPPED, printings=printings)
    assert said.high == 1.0


@pytest.mark.parametrize(
    ("field", "printings", "population"),
    [
        ("population", [], 99),
        ("printings", [Printing("A", 0, 60), Printing("A", 0, 10)], 200),
        ("printings", [Printing("A", 0, 60), Printing("B", 0, 60)], 200),
    ],
)
def test_counts_that_contradict_one_another_are_refused(
    field: str, printings: list[Printing], population: int
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        share_of_counterfeits(
            Findings(0, 100), SHIPPED, population=population, printings=printings
        )
    assert caught.value.field == field


@pytest.mark.parametrize("counts", [(-1, 5, 0), (6, 5, 0), (0, 5, -1)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidInputError):
        Findings(*counts)
    with pytest.raises(InvalidInputError):
        Printing("A", *counts)


@pytest.mark.parametrize("false_call", [0.0138, 0.05, 0.1])
@pytest.mark.parametrize(("trials", "size"), [(100, 60), (218, 200)])
def test_a_genuine_lot_is_rarely_said_to_hold_counterfeits(
    false_call: float, trials: int, size: int
) -> None:
    validations, calls = binomial(trials, false_call), binomial(size, false_call)
    wrong = 0.0
    for seen, chance in enumerate(validations):
        known = Validation((Trials(seen, trials),)).false_call.counts(size)
        as_many = known[::-1].cumsum()[::-1]
        wrong += float(chance * calls[as_many <= 0.025].sum())
    assert wrong <= 0.025


# --- as often as it says --------------------------------------------------------------


@pytest.mark.parametrize("population", [None, 40])
@pytest.mark.parametrize("validation", [SHIPPED, SHARP], ids=["shipped", "sharp"])
def test_the_interval_holds_every_share_as_often_as_it_says(
    validation: Validation, population: int | None
) -> None:
    """Summed over all counts of calls, the rates as the validation leaves them."""
    size = 12
    intervals = [
        share_of_counterfeits(Findings(calls, size), validation, population=population)
        for calls in range(size + 1)
    ]
    for share in (*SHARES, 0.5, 0.9, 0.975):
        holds = 0.0
        for counterfeits, chance in enumerate(_in_sample(size, share, population)):
            true = validation.sensitivity.counts(counterfeits)
            false = validation.false_call.counts(size - counterfeits)
            calls = np.convolve(true, false)
            at = round(share * population) / population if population else share
            holds += chance * sum(
                calls[n]
                for n, said in enumerate(intervals)
                if said.low - 1e-9 <= at <= said.high + 1e-9
            )
        assert holds >= 0.95


def _in_sample(size: int, share: float, population: int | None) -> list[float]:
    if population is None:
        return [float(chance) for chance in binomial(size, share)]
    marked = round(share * population)
    return [
        math.comb(marked, k)
        * math.comb(population - marked, size - k)
        / math.comb(population, size)
        for k in range(size + 1)
    ]


@pytest.mark.parametrize("share", SHARES)
def test_it_does_so_where_the_validation_is_drawn_as_well(share: float) -> None:
    quality = QUALITIES["shipped_abstaining"]
    hits, _, _ = covered(quality, share, 20, None, lots=15, seed=5)
    assert hits >= 13


@pytest.mark.parametrize(("share", "sources"), [(0.0, 0), (0.3, 3)])
def test_it_does_so_where_products_differ_in_their_false_calls(
    share: float, sources: int
) -> None:
    quality = QUALITIES["shipped"]
    hits, low, _ = covered(quality, share, 200, None, lots=15, seed=8, sources=sources)
    assert hits >= 14
    assert low > 0.1 or not sources  # printings tell what calls alone do not


def test_a_good_test_gives_a_narrow_interval_that_holds() -> None:
    hits, low, high = covered(QUALITIES["good"], 0.3, 100, None, lots=12, seed=3)
    assert hits >= 11
    assert 0.15 < low < 0.3 < high < 0.5
