"""Printings judged as a whole, and what a lot is made up of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_lots import SHIPPED

from touchstone.engine.homogeneity import (
    Homogeneity,
    Printing,
    beside,
    composition,
    told,
)
from touchstone.engine.rates import Trials, Validation

SHARP = Validation(genuine=(Trials(3, 300),), counterfeit=(Trials(18, 20),) * 100)


def test_clean_items_speak_for_genuine_no_more_than_unseen_kinds_allow() -> None:
    few, many = Printing("A", 0, 10), Printing("A", 0, 10_000)
    assert 0 < few.log10_lr(SHIPPED) < many.log10_lr(SHIPPED)
    assert 10 ** many.log10_lr(SHIPPED) <= 1 / SHIPPED.blind


def test_many_calls_speak_against_it() -> None:
    assert Printing("A", 50, 60).log10_lr(SHIPPED) < -3


def test_calls_weigh_by_how_often_other_units_of_the_product_are_called() -> None:
    """A product whose genuine units are called as often looks the same by itself."""
    suspect = Printing("A", 20, 60, reference="front")
    assert -3 < suspect.log10_lr(SHIPPED) < 0
    clean = Printing("rest", 1, 100, reference="front")
    alike = Printing("rest", 33, 100, reference="front")
    elsewhere = Printing("rest", 1, 100, reference="back")
    weighed = {
        one: suspect.log10_lr(beside(suspect, (elsewhere, one), SHIPPED))
        for one in (clean, alike)
    }
    assert weighed[clean] < -6
    assert weighed[alike] > 0
    assert beside(suspect, (elsewhere,), SHIPPED) == SHIPPED
    for rest, found in ((clean, {"A"}), (alike, set()), (elsewhere, set())):
        said = told([suspect], SHIPPED, mistaken=0.0001, unlinked=[rest])
        assert said.counterfeit == found


@given(
    counts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2).filter(
        lambda some: sum(map(sum, some)) < 200
    )
)
def test_units_weighed_one_after_another_weigh_what_they_weigh_together(
    counts: list[tuple[int, int]],
) -> None:
    called = others = 0
    logs = 0.0
    for more, clean in counts:
        seen = SHIPPED.beside(Trials(called, called + others))
        logs += seen.log_genuine(more, clean)
        called, others = called + more, others + clean
    assert logs == pytest.approx(SHIPPED.log_genuine(called, others), abs=1e-6)


def test_a_printing_with_many_calls_is_told_and_a_single_item_is_not() -> None:
    printings = [Printing("A", 8, 20), Printing("B", 1, 1), Printing("C", 0, 20)]
    rest = [Printing("rest", 0, 80)]
    found = told(printings, SHIPPED, mistaken=0.0125, unlinked=rest)
    assert found.counterfeit == {"A"}
    assert found.genuine == frozenset()
    sharp = told(printings, SHARP, mistaken=0.0125)
    assert sharp.genuine == {"C"}
    assert sharp.counterfeit == frozenset()  # 8 of 20 is neither


@pytest.mark.parametrize("clean", [0, 30, 49, 51])
def test_one_source_that_is_seen_well_does_not_clear_another(clean: int) -> None:
    sources = [Printing("A", 40, 50), Printing("B", 38, 50)]
    rest = [Printing("rest", 0, clean)] if clean else []
    found = told(sources, SHIPPED, mistaken=0.00625, unlinked=rest)
    assert found.counterfeit == {"A", "B"}
    for one in sources:
        # Far on the side of a counterfeit; how far is for the published validation.
        assert one.log10_lr(beside(one, rest, SHIPPED)) < -2.8


def test_a_printing_is_told_by_photos_of_its_own_reference() -> None:
    """What the backs of its units show is not of the print on their fronts."""
    rest = [Printing("rest", 0, 80, reference="front")]
    fronts = Printing("A", 12, 20, 0, "front", Trials(0, 20))
    assert told([fronts], SHIPPED, mistaken=0.01, unlinked=rest).counterfeit == set()
    backs = Printing("A", 12, 20, 0, "front", Trials(12, 20))
    assert told([backs], SHIPPED, mistaken=0.01, unlinked=rest).counterfeit == {"A"}


def test_many_printings_are_not_told_by_the_chance_of_one_among_them() -> None:
    suspect, rest = Printing("suspect", 2, 8), [Printing("rest", 0, 90)]
    crowd = [Printing(f"P{n}", 0, 8) for n in range(400)]
    for printings, found in (([suspect], {"suspect"}), ([suspect, *crowd], set())):
        said = told(printings, SHIPPED, mistaken=0.0125, unlinked=rest)
        assert said.counterfeit == found


@pytest.mark.parametrize(
    ("printings", "kind"),
    [
        ([Printing("A", 0, 40)], Homogeneity.ONE_PROCESS),
        ([Printing("A", 0, 20), Printing("B", 0, 20)], Homogeneity.SEVERAL_PROCESSES),
        ([Printing("A", 19, 20), Printing("B", 0, 20)], Homogeneity.MIXED),
        ([Printing("A", 0, 1), Printing("B", 1, 1)], Homogeneity.UNDETERMINED),
        ([Printing("A", 0, 4), Printing("B", 0, 1)], Homogeneity.UNDETERMINED),
        ([], Homogeneity.UNDETERMINED),
    ],
)
def test_what_a_lot_is_made_up_of(printings: list[Printing], kind: Homogeneity) -> None:
    assert composition(printings, SHARP).homogeneity is kind


def test_a_test_that_may_be_blind_does_not_show_that_a_lot_is_mixed() -> None:
    printings = [Printing("A", 19, 20), Printing("B", 0, 20)]
    found = composition(printings, SHIPPED)
    assert found.homogeneity is Homogeneity.SEVERAL_PROCESSES
    assert found.log10_lr_mixed < 1.0


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 5)),
        max_size=12,
    )
)
def test_a_composition_counts_every_item_once(
    counts: list[tuple[int, int, int]],
) -> None:
    printings = [
        Printing(str(n), called, called + clean, silent)
        for n, (called, clean, silent) in enumerate(counts)
    ]
    found = composition(printings, SHIPPED)
    linked = sum(one.size for one in printings if one.size > 1)
    assert found.unlinked == sum(one.size for one in printings) - linked
    assert found.printings == sum(one.size > 1 for one in printings)
    assert 0.0 <= found.largest <= 1.0
    assert abs(found.log10_lr_mixed) <= 6.0
    reordered = composition(printings[::-1], SHIPPED)
    assert reordered.log10_lr_mixed == pytest.approx(found.log10_lr_mixed, abs=1e-6)
