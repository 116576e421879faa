"""What goes to the laboratory first."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touchstone.engine.triage import Exhibit, triage
from touchstone.errors import InvalidInputError


def lot(**printings: tuple[int, float | None]) -> list[Exhibit]:
    """So many items of each printing, with such evidence."""
    return [
        Exhibit(f"{label}{n}", evidence, label)
        for label, (count, evidence) in printings.items()
        for n in range(count)
    ]


def test_a_large_undecided_printing_goes_first_then_another_then_single_items() -> None:
    exhibits = [
        Exhibit("alone", 0.0),
        *lot(small=(5, 0.0), large=(40, 0.0)),
        Exhibit("sure", -2.0),
    ]
    entries = triage(exhibits, prior=0.5)
    assert entries[0].item == "large0"
    assert "40 items of printing large" in entries[0].reason
    firsts = [e.item for e in entries if not e.item.startswith("large")]
    assert firsts[0] == "small0"
    assert firsts.index("alone") < firsts.index("sure")


def test_an_undecided_printing_is_worth_more_than_a_decided_one_of_its_size() -> None:
    entries = triage(lot(decided=(20, 2.0), open=(20, 0.0)), prior=0.5, most=1)
    assert entries[0].item == "open0"


def test_the_second_of_a_printing_is_worth_far_less_than_the_first() -> None:
    first, second, *_ = triage(lot(a=(30, 0.0)), prior=0.5)
    assert second.value < first.value / 5
    assert "of one nature" in second.reason


def test_the_most_suspect_of_a_printing_is_sent_first_and_unanswered_ones_last() -> (
    None
):
    exhibits = [
        Exhibit("silent", None, "a"),
        Exhibit("mild", 0.2, "a"),
        Exhibit("suspect", -1.0, "a"),
    ]
    assert [e.item for e in triage(exhibits, prior=0.5)] == [
        "suspect",
        "mild",
        "silent",
    ]


def test_many_clean_items_of_a_printing_do_not_settle_it() -> None:
    few = triage(lot(a=(3, 0.5)), prior=0.5, most=1)[0]
    many = triage(lot(a=(300, 0.5)), prior=0.5, most=1)[0]
    assert few.reason.endswith("15 % likely counterfeit.")
    assert many.reason.endswith("9 % likely counterfeit.")


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    evidence=st.floats(-2, 2),
    prior=st.floats(0.01, 0.99),
)
def test_values_fall_and_add_up_to_the_uncertainty_at_the_start(
    sizes: list[int], evidence: float, prior: float
) -> None:
    exhibits = lot(**{f"p{n}": (size, evidence) for n, size in enumerate(sizes)})
    entries = triage(exhibits, prior=prior)
    values = [entry.value for entry in entries]
    assert sorted(e.item for e in entries) == sorted(e.item for e in exhibits)
    assert all(a >= b - 1e-12 for a, b in pairwise(values))
    assert all(value > 0 for value in values)
    start = math.hypot(math.sqrt(values[0]), entries[0].uncertainty) ** 2
    assert sum(values) == pytest.approx(start, abs=1e-9 * max(1.0, start))
    assert entries[-1].uncertainty == pytest.approx(0.0, abs=1e-6)
    shorter = triage(exhibits, prior=prior, most=2)
    assert shorter == entries[:2]


@pytest.mark.parametrize(
    ("exhibits", "prior", "field"),
    [
        ([Exhibit("a", 0.0)], 0.0, "prior"),
        ([Exhibit("a", 0.0), Exhibit("a", 1.0)], 0.5, "exhibits"),
        ([Exhibit("a", math.nan)], 0.5, "exhibits"),
    ],
)
def test_what_is_wrong_is_named(
    exhibits: list[Exhibit], prior: float, field: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        triage(exhibits, prior=prior)
    assert caught.value.field == field


def test_an_empty_lot_has_an_empty_list() -> None:
    assert triage([], prior=0.5) == ()
