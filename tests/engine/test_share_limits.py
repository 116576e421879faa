"""What no findings prove, however many units are called, and of how large a lot."""

import math
import time
import tracemalloc

import pytest
from simulated_lots import SHIPPED

from touchstone.engine.homogeneity import Printing
from touchstone.engine.inversion import Curve, counted
from touchstone.engine.rates import Trials, Validation
from touchstone.engine.sampling import MOST_UNITS
from touchstone.engine.share import Findings, _expected, share_of_counterfeits
from touchstone.errors import InvalidInputError

WEAK = Validation((Trials(3, 300),), (Trials(4, 20), Trials(6, 20)) * 10)


def _proved(calls: int, size: int, population: int) -> float:
    """Least share that gives so many counterfeits or more in over 2.5 % of samples."""
    for marked in range(population + 1):
        ways = sum(
            math.comb(marked, k) * math.comb(population - marked, size - k)
            for k in range(calls, size + 1)
        )
        if ways > 0.025 * math.comb(population, size):
            return marked / population
    raise AssertionError


@pytest.mark.parametrize("validation", [SHIPPED, WEAK], ids=["shipped", "weak"])
@pytest.mark.parametrize(
    ("calls", "size", "population"),
    [(58, 60, 1000), (60, 60, 1000), (30, 60, 1000), (5, 5, 1000), (190, 200, 400)],
)
def test_calls_prove_no_more_than_those_of_a_test_without_error(
    validation: Validation, calls: int, size: int, population: int
) -> None:
    said = share_of_counterfeits(
        Findings(calls, size), validation, population=population
    )
    assert 0.0 < said.low <= _proved(calls, size, population) + 1e-12
    assert said.low < calls / size <= said.high


@pytest.mark.parametrize("size", [60, 200, 1500])
def test_a_sample_that_is_called_whole_does_not_make_an_endless_lot_certain(
    size: int,
) -> None:
    said = share_of_counterfeits(Findings(size, size), SHIPPED)
    assert said.low == pytest.approx(0.025 ** (1 / size), abs=1e-4)
    assert said.high == 1.0


def test_all_of_a_lot_called_is_all_of_it() -> None:
    said = share_of_counterfeits(Findings(10, 10), SHIPPED, population=10)
    assert (said.low, said.high) == (1.0, 1.0)


def test_calls_that_the_validation_does_not_explain_are_said_to_be_so() -> None:
    said = share_of_counterfeits(Findings(60, 60), WEAK, population=1000)
    assert "called more often" in said.advice
    usual = share_of_counterfeits(Findings(30, 60), SHIPPED, population=1000)
    assert "called more often" not in usual.advice


# --- very large lots ------------------------------------------------------------------


@pytest.mark.parametrize("population", [10**7, 10**12, 10**18])
def test_a_lot_of_any_size_costs_no_more_than_its_sample(population: int) -> None:
    tracemalloc.start()
    began = time.monotonic()
    try:
        said = share_of_counterfeits(
            Findings(30, 60, 3),
            SHIPPED,
            population=population,
            printings=[Printing("A", 20, 40)],
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 2.0
    assert peak < 50e6
    endless = share_of_counterfeits(
        Findings(30, 60, 3), SHIPPED, printings=[Printing("A", 20, 40)]
    )
    assert said == endless


def test_the_largest_lot_that_is_counted_unit_by_unit_is_nearly_endless() -> None:
    largest = Curve.of(counted(30, 60, MOST_UNITS)).not_refuted(0.025)
    endless = Curve.of(counted(30, 60, None)).not_refuted(0.025)
    assert Curve.of(counted(30, 60, MOST_UNITS + 1)).not_refuted(0.025) == endless
    assert largest == pytest.approx(endless, abs=1e-4)
    assert largest != endless


# --- printings ------------------------------------------------------------------------


def test_the_expected_share_of_a_lot_of_counterfeits_is_no_more_than_all() -> None:
    printings = [Printing("A", 640, 1000, 50)]
    assert 0.98 < _expected(Findings(641, 1001, 50), SHIPPED, printings) <= 1.0


def test_printings_that_leave_more_calls_than_answers_are_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        share_of_counterfeits(Findings(5, 10), SHIPPED, printings=[Printing("A", 0, 8)])
    assert caught.value.field == "printings"
