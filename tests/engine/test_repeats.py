"""Serials that occur more than once."""

from hypothesis import given
from hypothesis import strategies as st

from touchstone.engine.repeats import UnitCode, repeated


def test_a_serial_on_two_items_is_a_repeat_with_its_batches() -> None:
    codes = [
        UnitCode("a", "S1", "04012345678901", "B1"),
        UnitCode("b", "S2", "04012345678901"),
        UnitCode("c", " S1 ", "4012345678901", "B2"),
    ]
    (repeat,) = repeated(codes)
    assert repeat.items == ("a", "c")
    assert repeat.batches == ("B1", "B2")
    assert repeat.serial == "S1"
    assert repeat.gtin == "04012345678901"


def test_empty_serials_are_no_repeat_and_another_product_may_have_the_same() -> None:
    codes = [
        UnitCode("a", ""),
        UnitCode("b", "  "),
        UnitCode("c", "1", "40"),
        UnitCode("d", "1", "50"),
    ]
    assert repeated(codes) == ()


def test_two_photos_of_one_item_are_no_repeat() -> None:
    assert repeated([UnitCode("a", "S1"), UnitCode("a", "S1")]) == ()


@given(st.lists(st.sampled_from(["", "1", "2", "3", "4"]), max_size=30))
def test_each_item_with_a_repeated_serial_is_in_exactly_one_group(
    serials: list[str],
) -> None:
    codes = [UnitCode(str(n), serial) for n, serial in enumerate(serials)]
    found = [item for repeat in repeated(codes) for item in repeat.items]
    expected = [
        str(n) for n, one in enumerate(serials) if one and serials.count(one) > 1
    ]
    assert sorted(found) == sorted(expected)
    assert [r.serial for r in repeated(codes)] == [
        one for one in dict.fromkeys(serials) if one and serials.count(one) > 1
    ]
