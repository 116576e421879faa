"""Measurements to a policy: what the fit gives, on invented rows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.engine.comparison import MEASUREMENTS
from touchstone.engine.policy import Policy
from touchstone.engine.spectra import Spectra
from touchstone.errors import InvalidInputError
from touchstone_training.calibration import (
    IDENTIFICATION_TERMS,
    Targets,
    classes_of,
    cllr,
    fit_acceptance,
    policy_document,
)
from touchstone_training.fusion import (
    WAYS,
    TermChoice,
    fit,
    fit_fusion,
    out_of_fold,
)
from touchstone_training.measuring import GENUINE, Judged, Row, Stranger
from touchstone_training.ranking import auroc

MATCHED = [term.name for term in IDENTIFICATION_TERMS]


def looks(mean: float, *, resolution: float = 1.0) -> dict[str, float]:
    """Measurements of a match in a photo that sees so much of it."""
    told = {name: float(RNG.normal(mean, 0.1)) for name in MATCHED}
    return told | {"resolution": float(RNG.normal(resolution, 0.05))}


RNG = np.random.default_rng(5)
NAMES = (
    *MEASUREMENTS,
    *("inlier_residual", "resolution", "sharpness", "glare_fraction"),
    *("dark_fraction", "face_contrast", "compared_fraction", "aspect_gap", "agreement"),
    *("outline_gap", *Spectra().measurements()),
)
TELLING = {
    "cast": "green_cast",
    "aspect": "aspect_gap",
    "halftone": "dots",
    "rescan": "transfer_coarse",
    "typo": "learned_peak",
}
"""Of each kind, the one measurement that strays in these rows."""
WAY_OF = {
    "cast": "cast",
    "aspect": "proportion",
    "halftone": "screen",
    "rescan": "softness",
    "typo": "place",
}


def row(product: int, kind: str) -> Row:
    measured = {name: float(RNG.normal(0.5, 0.1)) for name in NAMES}
    measured |= {"resolution": 1.2, "compared_fraction": 0.9, "glare_fraction": 0.01}
    measured |= {"agreement": 0.9, "washed_fraction": 0.0, "dark_fraction": 0.0}
    measured |= {"hidden_fraction": 0.0}
    if kind != GENUINE:
        measured[TELLING[kind]] += 0.5
    family = ("food_carton", "toy_box")[product % 2]
    return Row(product, family, kind, 0.5, measured)


ROWS = [
    row(product, kind)
    for product in range(60)
    for kind in (GENUINE, GENUINE, GENUINE, *TELLING)
]
IS_FAKE = np.array([one.kind != GENUINE for one in ROWS])


def test_each_way_is_told_by_what_it_leaves_and_named() -> None:
    fitted = fit_fusion(ROWS)
    assert [way for way, _, _ in fitted.ways] == list(WAYS)
    assert sum(share for _, share, _ in fitted.ways) == pytest.approx(1)
    for told, _, one in fitted.ways:
        heaviest = one.choices[int(np.abs(one.weights).argmax())]
        (kind,) = (kind for kind, way in WAY_OF.items() if way == told.name)
        assert heaviest.name == TELLING[kind]


def test_a_kind_is_told_from_genuine_ones_though_three_others_are_not_like_it() -> None:
    odds = out_of_fold(ROWS)
    for kind in TELLING:
        of_kind = np.array([one.kind == kind for one in ROWS])
        assert auroc(odds[of_kind], odds[~IS_FAKE]) > 0.97
    at_odds = -odds / np.log(10)
    assert cllr(at_odds[~IS_FAKE], at_odds[IS_FAKE]) < 0.6


@given(st.lists(st.booleans(), min_size=12, max_size=30), st.sampled_from([-1, 1]))
def test_no_term_ever_counts_against_its_direction(
    sides: list[bool], direction: int
) -> None:
    is_positive = np.array([True, False, *sides])
    values = np.random.default_rng(len(sides)).normal(size=len(is_positive))
    rows = [{"x": float(x), "y": float(-x)} for x in values]
    choices = [TermChoice(name, direction=direction) for name in "xy"]
    fitted = fit(rows, is_positive, choices)
    assert all(direction * weight >= 0 for weight in fitted.weights)


def test_what_a_photo_is_like_says_no_more_beyond_what_is_usual() -> None:
    values, noise = np.random.default_rng(2).normal(size=(2, 200))
    rows = [
        {"photo": float(x), "print": float(x + y)}
        for x, y in zip(values, noise, strict=True)
    ]
    choices = [TermChoice("photo", is_held=True), TermChoice("print")]
    fitted = fit(rows, values + noise > 0.3, choices)
    least, most = np.quantile(values, (0.05, 0.95))

    def odds(photo: float, print_: float = 0.0) -> float:
        return float(fitted.logits([{"photo": photo, "print": print_}])[0])

    assert odds(9.0) == pytest.approx(odds(most))
    assert odds(-9.0) == pytest.approx(odds(least))
    assert odds(0.9 * most) != pytest.approx(odds(most), abs=1e-3)
    assert odds(0.0, 2.2 * most) > odds(0.0, most) + 0.1  # of the print, it says more


def test_what_is_nought_on_nearly_every_print_tells_a_little_from_a_lot() -> None:
    # One genuine print in a hundred shows a little of it, one forged in two a lot.
    little, lots = [0.015] * 10, list(np.linspace(0.02, 0.06, 10))
    gaps = np.array([0.0] * 990 + little + [0.0] * 10 + lots)
    is_forged = np.arange(len(gaps)) >= len(gaps) - 20
    rows = [{"gap": float(gap)} for gap in gaps]
    fitted = fit(rows, is_forged, [TermChoice("gap", is_log=True, direction=1)])
    odds = fitted.logits([{"gap": gap} for gap in (0.0, 0.015, 0.03, 0.05)])
    assert (np.diff(odds) > 0.5).all()


def test_rows_that_lack_a_measurement_are_refused_by_its_name() -> None:
    older = [replace(one, measurements=one.measurements | {}) for one in ROWS]
    del older[0].measurements["outline_gap"]
    with pytest.raises(InvalidInputError, match="outline_gap: measure anew"):
        fit_fusion(older)


def test_what_was_fitted_is_a_policy_that_answers_as_the_fit_does() -> None:
    matches = [
        Judged(looks(0.9 if n % 2 else 0.5), n % 2 == 1, is_real=False)
        for n in range(80)
    ]
    document = policy_document(
        ROWS,
        matches,
        [Stranger(n, 0.4, [looks(0.5)]) for n in range(20)],
        version="test",
        targets=Targets(),
        made_by={"commit": "none"},
    )
    policy = Policy.from_json(json.dumps(document).encode())
    fitted = fit_fusion(ROWS)
    for one in ROWS[:14]:
        assert policy.fusion.logit(one.measurements) == pytest.approx(
            float(fitted.logits([one.measurements])[0]), abs=1e-3
        )
        if one.kind != GENUINE:
            assert policy.fusion.likeliest(one.measurements) == WAY_OF[one.kind]
    assert policy.log10_lr_cap == pytest.approx(np.log10(180 / 3), abs=1e-3)
    assert set(policy.inconsistent_by_class) == {"food", "toy"}
    told = document["evaluation"]
    assert told["true_matches_accepted"] >= 0.9
    assert told["strangers_named"] == 0


TRUE = [Judged(looks(0.75), is_true=True, is_real=False) for _ in range(60)]
REAL = [Judged(looks(0.55), is_true=True, is_real=True) for _ in range(20)]
FALSE = [Judged(looks(0.2), is_true=False, is_real=False) for _ in range(300)]
STRANGERS = [
    *(
        # Of ten others that a photo is laid over, nine are far and one is near.
        Stranger(
            n // 5,
            0.4 + n / 500,
            [looks(0.7 if k == n % 10 else 0.2) for k in range(10)],
        )
        for n in range(90)
    ),
    *(Stranger(n, 0.9, []) for n in range(10)),
]


@pytest.mark.parametrize("most_named", [0.02, 0.2])
def test_what_is_accepted_withstands_the_best_of_many_strangers(
    most_named: float,
) -> None:
    targets = Targets(stranger_named=most_named, unnamed=0.0)
    found = fit_acceptance([*TRUE, *REAL, *FALSE], STRANGERS, targets)
    named = [
        one
        for one in STRANGERS
        if one.matches and max(found.sum.logits(one.matches)) >= found.accept
    ]
    assert most_named * 100 - 1 <= len(named) <= most_named * 100
    told = found.evaluation
    assert (told["strangers"], told["stranger_products"]) == (100, 18)
    assert told["strangers_named"] == len(named) / 100


def test_a_share_of_simulated_true_matches_is_given_up_and_real_ones_are_told() -> None:
    targets = Targets(unnamed=0.2, stranger_named=1.0)
    found = fit_acceptance([*TRUE, *REAL, *FALSE], STRANGERS, targets)
    accepted = found.sum.logits([one.measurements for one in TRUE]) >= found.accept
    assert accepted.mean() == pytest.approx(0.8, abs=0.02)
    assert found.evaluation["true_matches_accepted"] == pytest.approx(accepted.mean())
    real = found.sum.logits([one.measurements for one in REAL]) >= found.accept
    assert found.evaluation["real_matches_accepted"] == real.mean() < 0.8


def test_looks_alone_answer_for_as_few_strangers_as_is_stated() -> None:
    targets = Targets(stranger_named=0.0, stranger_resembling=0.15, unnamed=0.0)
    found = fit_acceptance([*TRUE, *REAL, *FALSE], STRANGERS, targets)
    resembling = [one for one in STRANGERS if one.nearest >= found.resemblance]
    # Ten of them over which nothing could be laid.
    assert len(resembling) == 15
    assert found.evaluation["strangers_answered"] == pytest.approx(0.15, abs=0.011)


def test_few_strangers_are_told_that_their_photo_is_too_small() -> None:
    small = [
        Stranger(n, 0.1, [looks(0.5, resolution=0.4), looks(0.6)]) for n in range(100)
    ]
    targets = Targets(
        stranger_named=0.0, stranger_doubted=0.1, stranger_resembling=0.0, unnamed=0.0
    )
    found = fit_acceptance([*TRUE, *REAL, *FALSE], small, targets)
    doubted = [
        one
        for one in small
        if found.sum.logits(one.matches[:1])[0] >= found.doubt  # the other is large
    ]
    assert found.doubt < found.accept
    assert 9 <= len(doubted) <= 10
    assert found.evaluation["strangers_answered"] >= len(doubted) / 100
    large = [Stranger(n, 0.1, [looks(0.5)]) for n in range(100)]
    assert fit_acceptance([*TRUE, *FALSE], large, targets).doubt == -3


def test_without_strangers_nothing_is_accepted_unseen() -> None:
    with pytest.raises(InvalidInputError, match="at least two designs"):
        fit_acceptance([*TRUE, *FALSE], [], Targets())


def test_a_class_that_strays_further_has_its_own_threshold() -> None:
    genuine = [one for one in ROWS if one.kind == GENUINE]
    odds = np.linspace(-0.5, 2, len(genuine))
    is_toy = np.array([one.family == "toy_box" for one in genuine])
    of_toys = np.flatnonzero(is_toy)
    odds[of_toys[::4][:8]] = np.linspace(-1.1, -1.4, 8)  # of eight designs
    found = classes_of(genuine, odds, general=-0.7, false_alarm=0.01)
    assert found["food"] == {
        "inconsistent_log10_lr": -0.7,
        "genuine": 90,
        "genuine_called": 0,
        "designs": 30,
        "designs_called": 0,
    }
    assert -1.4 <= found["toy"]["inconsistent_log10_lr"] < -1.3
    assert (found["toy"]["genuine_called"], found["toy"]["designs_called"]) == (1, 1)


def test_a_design_or_two_say_nothing_of_their_class() -> None:
    genuine = [one for one in ROWS if one.kind == GENUINE]
    odds = np.linspace(-0.5, 2, len(genuine))
    odds[:6] = -1.1  # all three photos of a food and of a toy
    found = classes_of(genuine, odds, general=-0.7, false_alarm=0.01)
    assert {one["inconsistent_log10_lr"] for one in found.values()} == {-0.7}
    assert sum(one["genuine_called"] for one in found.values()) == 6


def test_the_area_under_the_curve_counts_ties_by_half() -> None:
    assert auroc(np.array([2.0, 1.0]), np.array([1.0, 0.0])) == 0.875
    assert np.isnan(auroc(np.array([]), np.array([1.0])))
