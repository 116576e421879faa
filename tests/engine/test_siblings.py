"""Variants of one artwork, told apart by what differs between them."""

import pytest
from examined import examined
from scenes import Pixels, Print, photographed, printed

from touchstone.engine.evidence import Evidence
from touchstone.engine.siblings import MOST_LOG10_ODDS, told_apart

FACE = printed(1)
WORDS = FACE.first("words")
VARIANTS = {
    "another word": FACE.reworded(WORDS, "QUUXIT"),
    "another colour": FACE.recoloured(FACE.first("block"), (150, 110, 10)),
    "an element less": FACE.without(FACE.first("ring")),
}


def looked_at(shown: Print, photo: Pixels, **fields: object) -> Evidence:
    return examined(1, photo, face=shown, **fields)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("turn", [0, 20])
def test_the_photo_prefers_the_variant_that_it_shows(name: str, turn: int) -> None:
    other = VARIANTS[name]
    for shown in (FACE, other):
        photo = photographed(shown, turn=turn).pixels
        both = [looked_at(face, photo) for face in (FACE, other)]
        first, second = (one.preference for one in told_apart(both))
        right, wrong = (first, second) if shown is FACE else (second, first)
        assert right > 0.5
        assert wrong == -right
        assert right - wrong <= MOST_LOG10_ODDS


def test_the_order_changes_nothing_but_the_order() -> None:
    photo = photographed(FACE, turn=5).pixels
    pair = [looked_at(face, photo) for face in (FACE, VARIANTS["another word"])]
    one, other = (told_apart(order) for order in (pair, pair[::-1]))
    assert one[0].preference > 0.5
    assert other[1].preference > 0.5


def test_two_alike_are_not_told_apart() -> None:
    photo = photographed(FACE).pixels
    both = [looked_at(FACE, photo) for _ in range(2)]
    assert [one.preference for one in told_apart(both)] == [0, 0]


def test_one_alone_is_preferred_to_nothing() -> None:
    photo = photographed(FACE).pixels
    (only,) = told_apart([looked_at(FACE, photo)])
    assert only.preference == 0


def test_a_known_counterfeit_is_no_sibling() -> None:
    photo = photographed(FACE).pixels
    fake = looked_at(VARIANTS["another word"], photo, is_counterfeit=True)
    both = told_apart([looked_at(FACE, photo), fake])
    assert [one.preference for one in both] == [0, 0]


def test_what_varies_from_unit_to_unit_tells_nothing() -> None:
    photo = photographed(FACE).pixels
    box = tuple(float(side) for side in FACE.elements[WORDS].box)
    both = [
        looked_at(face, photo, variable_regions=(box,))
        for face in (FACE, VARIANTS["another word"])
    ]
    assert [one.preference for one in told_apart(both)] == [0, 0]


def test_what_is_hidden_or_like_neither_prefers_none() -> None:
    x, y, width, height = FACE.elements[WORDS].box
    for colour in ((12, 12, 12), (250, 250, 250)):
        covered = FACE.pixels.copy()
        covered[y - 4 : y + height + 4, x - 4 : x + width + 4] = colour
        photo = photographed(covered).pixels
        both = [looked_at(face, photo) for face in (FACE, VARIANTS["another word"])]
        first, second = (one.preference for one in told_apart(both))
        assert abs(first - second) < 1


def test_three_of_them_keep_their_order_and_no_more_than_the_most_between_two() -> None:
    photo = photographed(FACE).pixels
    others = [FACE.reworded(WORDS, text) for text in ("QUUXIT", "ZZZKVW")]
    told = told_apart([looked_at(face, photo) for face in (FACE, *others)])
    first, *rest = (one.preference for one in told)
    assert all(first > other for other in rest)
    assert first <= MOST_LOG10_ODDS
