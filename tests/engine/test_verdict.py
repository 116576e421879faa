import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_world import calibration

from touchstone.engine.channels import CHANNELS
from touchstone.engine.comparison import MEASUREMENTS, Comparison, Region
from touchstone.engine.evidence import Evidence
from touchstone.engine.features import Method
from touchstone.engine.identification import Match
from touchstone.engine.policy import Expert, Logistic, Mixture, Policy, Term
from touchstone.engine.quality import Quality
from touchstone.engine.reference import Reference, class_of
from touchstone.engine.registration import Registration
from touchstone.engine.spectra import Spectra
from touchstone.engine.verdict import Finding, decide, photo_measurements
from touchstone.engine.wording import RETAKE, SENTENCES, FindingKind
from touchstone.errors import ModelError

SHIPPED = Path(__file__).parents[2] / "models" / "calibration.json"
GOOD_PHOTO = photo_measurements((640, 480), Quality(0.5, 0.0, 0.0, 0.8))


def whole_calibration() -> dict[str, Any]:
    fields: dict[str, Any] = calibration()
    fields["identification"]["resemblance_similarity"] = 0.7
    return fields


def expert(name: str, share: float, *terms: dict[str, object]) -> dict[str, object]:
    return {"name": name, "share": share, "terms": list(terms), "bias": 0.0}


def policy(classes: dict[str, float] | None = None, **thresholds: float) -> Policy:
    """A policy whose log10 LR is 4 - 2 x structure_top, capped at 3."""
    fields = whole_calibration()
    term = {"name": "structure_top", "is_log": False, "offset": 0.0}
    term |= {"mean": 2.0, "std": 1.0, "weight": 2 * math.log(10)}
    fields["fusion"] = {"experts": [expert("place", 1.0, term)]}
    fields["thresholds"] |= thresholds
    fields["classes"] = {
        name: {"inconsistent_log10_lr": least}
        for name, least in (classes or {}).items()
    }
    return Policy.from_json(json.dumps(fields).encode())


def evidence(
    *,
    inliers: int = 200,
    coverage: float = 0.8,
    is_counterfeit: bool = False,
    is_gtin_other: bool | None = None,
    product: str = "",
    product_class: str = "",
    preference: float = 0.0,
    resolution: float = 1.2,
    regions: tuple[Region, ...] = (),
    **measured: float,
) -> Evidence:
    """What a good photo of a genuine pack gives, but for what is said otherwise."""
    usual = dict.fromkeys(MEASUREMENTS, 0.2) | {"grain": 0.0}
    registration = Registration(
        photo_from_reference=np.diag([resolution * 4 / 3, resolution * 4 / 3, 1]),
        bend=None,
        method=Method.ORB,
        inliers=inliers,
        matches=inliers + 50,
        residual_px=0.8,
        coverage=coverage,
        reference_size_px=(480, 320),
        photo_size_px=(640, 480),
    )
    picture = np.zeros((32, 48, 3), np.uint8)
    deviation = np.zeros((32, 48), np.float32)
    return Evidence(
        aspect_gap=0.0,
        match=Match(
            1,
            0.8,
            registration,
            agreement=0.9,
            chroma_gap=0.1,
            coverage=coverage,
            followed=0.9,
        ),
        reference=Reference(
            1,
            picture,
            (480, 320),
            is_counterfeit,
            product=product,
            product_class=product_class,
        ),
        seen=picture,
        comparison=Comparison(
            measurements=usual | measured,
            deviation=deviation,
            channel_maps=dict.fromkeys(CHANNELS, deviation),
            regions=regions,
            compared_fraction=0.95,
            valid=np.ones((64, 96), np.float32),
            expected=picture,
            seen=picture,
            shift=np.zeros((64, 96, 2), np.float32),
        ),
        hidden_fraction=0.0,
        outline_gap=0.0,
        spectra=Spectra(dots=0.4),
        face_share=1.0,
        quality=Quality(0.45, 0.01, 0.01, 0.7),
        is_closer=False,
        codes=(),
        is_gtin_other=is_gtin_other,
        preference=preference,
    )


def decided(*examined: Evidence, **options: Any) -> Finding:
    chosen = options.pop("policy", policy())
    return decide(examined, chosen, photo=GOOD_PHOTO, **options)


# --- fails closed ---------------------------------------------------------------------


def test_no_evidence_is_never_consistent() -> None:
    finding = decided()
    assert finding.kind is FindingKind.NO_REFERENCE
    assert [reason.code for reason in finding.reasons] == ["nothing_resembles"]
    assert finding.log10_lr is None
    assert finding.counterfeit_probability is None
    assert finding.chosen is None


def test_no_evidence_in_a_photo_that_shows_nothing_is_a_matter_of_quality() -> None:
    speck = photo_measurements((60, 40), Quality(0.5, 0.0, 0.0, 0.8))
    finding = decide([], policy(), photo=speck)
    assert finding.kind is FindingKind.INSUFFICIENT_QUALITY
    assert finding.reasons[0].code == "photo_side_px_too_low"
    assert finding.advice[0].startswith("Send the original photo")


def test_a_match_that_is_none_is_no_reference() -> None:
    assert decided(evidence(inliers=9)).kind is FindingKind.NO_REFERENCE


def test_a_photo_too_small_to_tell_does_not_say_that_nothing_is_enrolled() -> None:
    fields = whole_calibration()
    rules = Policy.from_json(json.dumps(fields).encode())
    rank = rules.rank(evidence(inliers=9).match.measurements())
    assert rank < rules.accept_logit

    def told(doubt: float, *, resolution: float) -> Finding:
        fields["identification"]["doubt_logit"] = doubt
        rules = Policy.from_json(json.dumps(fields).encode())
        seen = evidence(inliers=9, resolution=resolution)
        return decide([seen], rules, photo=GOOD_PHOTO)

    small = told(rank - 0.1, resolution=0.1)
    assert small.kind is FindingKind.INSUFFICIENT_QUALITY
    assert [one.code for one in small.reasons] == ["resolution_too_low"]
    assert (small.chosen, small.log10_lr) == (None, None)
    assert small.advice == (RETAKE["resolution_too_low"],)
    # It names nobody, whatever looks like it; and any that was examined may be it.
    fields["identification"]["doubt_logit"] = rank - 0.1
    doubtful = Policy.from_json(json.dumps(fields).encode())
    several = [evidence(inliers=8, resolution=0.1), evidence(inliers=9, resolution=0.1)]
    both = decide(several, doubtful, photo=GOOD_PHOTO, resemblance=0.99)
    assert [one.code for one in both.reasons] == ["resolution_too_low"]
    boundless = replace(doubtful, quality_limits={})
    seen = decide(several, boundless, photo=GOOD_PHOTO)
    assert seen.kind is FindingKind.NO_REFERENCE
    for clear in (told(rank + 0.1, resolution=0.1), told(rank - 0.1, resolution=1.2)):
        assert clear.kind is FindingKind.NO_REFERENCE
    with pytest.raises(ModelError, match="doubt_logit"):
        told(rules.accept_logit + 0.1, resolution=0.1)
    del fields["identification"]["doubt_logit"]  # a policy of before it was there
    older = Policy.from_json(json.dumps(fields).encode())
    assert older.doubt_logit == older.accept_logit


def test_a_lookalike_whose_face_was_not_found_wants_another_photo() -> None:
    finding = decided(resemblance=0.71)
    assert finding.kind is FindingKind.INSUFFICIENT_QUALITY
    assert finding.advice
    assert finding.log10_lr is None
    assert finding.counterfeit_probability is None
    assert decided(resemblance=0.69).kind is FindingKind.NO_REFERENCE
    assert decided(evidence(), resemblance=1.0).chosen == 0


@given(
    st.lists(
        st.builds(
            evidence,
            inliers=st.integers(8, 400),
            structure_top=st.floats(0, 20),
            is_counterfeit=st.booleans(),
            is_gtin_other=st.sampled_from([None, True, False]),
            resolution=st.floats(0.01, 3),
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_consistency_needs_a_genuine_match_above_every_threshold(
    examined: list[Evidence], is_declared: bool
) -> None:
    rules = policy()
    declared = [is_declared] * len(examined)
    finding = decide(examined, rules, photo=GOOD_PHOTO, is_declared=declared)
    assert finding.reasons
    if finding.kind is not FindingKind.CONSISTENT_WITH_GENUINE:
        return
    assert finding.chosen is not None
    chosen = examined[finding.chosen]
    assert is_declared
    assert not chosen.reference.is_counterfeit
    assert rules.rank(chosen.match.measurements()) >= rules.accept_logit
    assert chosen.match.resolution >= 0.2
    assert finding.log10_lr is not None
    assert finding.log10_lr >= rules.consistent_log10_lr


# --- every kind of finding, and what leads to it --------------------------------------


def test_a_print_that_agrees_is_consistent() -> None:
    finding = decided(evidence())
    assert finding.kind is FindingKind.CONSISTENT_WITH_GENUINE
    assert [reason.code for reason in finding.reasons] == ["agrees"]
    assert "H1" in finding.strength
    assert finding.chosen == 0


def test_a_print_that_differs_is_inconsistent_and_says_where() -> None:
    regions = (
        Region(1, 2, 3, 4, 9.0, "structure"),
        Region(5, 6, 7, 8, 4.0, "colour"),
        Region(9, 6, 7, 8, 3.0, "structure"),
    )
    finding = decided(evidence(structure_top=6, regions=regions))
    assert finding.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    codes = [reason.code for reason in finding.reasons]
    assert codes == ["structure_differs", "colour_differs"]
    assert "H2" in finding.strength


def test_a_difference_with_no_place_still_has_a_reason() -> None:
    finding = decided(evidence(structure_top=6))
    assert [reason.code for reason in finding.reasons] == ["overall_difference"]


def test_what_supports_neither_side_is_inconclusive() -> None:
    finding = decided(evidence(structure_top=2))
    assert finding.kind is FindingKind.INCONCLUSIVE
    assert finding.reasons[-1].code == "weak_evidence"
    assert finding.counterfeit_probability == pytest.approx(0.5, abs=0.01)


def test_a_photo_that_cannot_carry_an_answer_gives_none() -> None:
    finding = decided(evidence(resolution=0.1))
    assert finding.kind is FindingKind.INSUFFICIENT_QUALITY
    assert finding.reasons[0].code == "resolution_too_low"
    assert finding.advice[0].startswith("Retake it closer")
    assert finding.counterfeit_probability is not None


def test_a_known_counterfeit_that_fits_better_is_named() -> None:
    genuine = evidence(structure_top=2.5)
    fake = evidence(is_counterfeit=True)
    finding = decided(genuine, fake)
    assert finding.kind is FindingKind.MATCHES_KNOWN_COUNTERFEIT
    assert finding.chosen == 1


def test_a_known_counterfeit_that_fits_worse_accuses_nobody() -> None:
    finding = decided(evidence(), evidence(is_counterfeit=True, structure_top=1.2))
    assert finding.kind is FindingKind.CONSISTENT_WITH_GENUINE


def test_a_known_counterfeit_alone_never_clears() -> None:
    for structure in np.linspace(0, 10, 21):
        fake = evidence(is_counterfeit=True, structure_top=float(structure))
        kind = decided(fake).kind
        assert kind is not FindingKind.CONSISTENT_WITH_GENUINE
        assert kind is not FindingKind.INCONSISTENT_WITH_GENUINE


def test_a_genuine_pack_of_another_product_than_declared_is_another_variant() -> None:
    finding = decided(evidence(), is_declared=[False])
    assert finding.kind is FindingKind.CONSISTENT_WITH_OTHER_VARIANT
    assert finding.reasons[0].code == "other_than_declared"
    met = decided(evidence(), is_declared=[True])
    assert met.kind is FindingKind.CONSISTENT_WITH_GENUINE


def test_a_counterfeit_of_another_product_is_a_counterfeit_first() -> None:
    finding = decided(evidence(structure_top=6), is_declared=[False])
    assert finding.kind is FindingKind.INCONSISTENT_WITH_GENUINE


def test_the_best_explanation_is_chosen() -> None:
    finding = decided(evidence(structure_top=3), evidence(structure_top=0.2))
    assert finding.chosen == 1
    assert decided(evidence(), evidence()).chosen == 0, "the first of two equals"


def test_what_is_declared_has_the_first_word_where_it_fits() -> None:
    better, declared = evidence(structure_top=0.9), evidence(structure_top=1.1)
    assert decided(better, declared, is_declared=[False, True]).chosen == 1
    poor = evidence(structure_top=3)
    finding = decided(better, poor, is_declared=[False, True])
    assert finding.kind is FindingKind.CONSISTENT_WITH_OTHER_VARIANT
    assert finding.chosen == 0


def hidden(product: str = "A", **said: Any) -> Evidence:
    """What the photo shows too coarsely to be compared."""
    return evidence(resolution=0.1, product=product, **said)


def other(product: str = "B", structure_top: float = 3.0, **said: Any) -> Evidence:
    return evidence(product=product, structure_top=structure_top, **said)


def test_a_sibling_does_not_answer_for_what_cannot_be_compared() -> None:
    shown = hidden(structure_top=2.5, preference=1.5)
    sibling = other(preference=-1.5)
    for examined in ([shown, sibling], [sibling, shown]):
        finding = decided(*examined)
        assert finding.kind is FindingKind.INSUFFICIENT_QUALITY
        assert examined[finding.chosen or 0] is shown
    fitting = other(structure_top=0.5, preference=-1.5)
    finding = decided(shown, fitting)
    assert finding.kind is FindingKind.INSUFFICIENT_QUALITY, "it is none the less"


def test_the_better_match_answers_though_a_worse_one_cannot_be_compared() -> None:
    found = decided(hidden(inliers=20), other())
    assert found.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    told = decided(hidden(preference=-1.5), other(preference=1.5))
    assert told.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    assert told.chosen == 1


def test_what_cannot_be_compared_has_no_merit_of_what_it_hides() -> None:
    finding = decided(hidden(structure_top=0), other(structure_top=0.5))
    assert finding.kind is FindingKind.CONSISTENT_WITH_GENUINE
    assert finding.chosen == 1


def test_another_picture_of_a_product_does_not_excuse_what_differs_from_it() -> None:
    finding = decided(hidden(inliers=500), other(product="A"))
    assert finding.kind is FindingKind.INCONSISTENT_WITH_GENUINE


def test_a_code_of_another_product_speaks_against_what_cannot_be_compared() -> None:
    finding = decided(hidden(is_gtin_other=True, inliers=300), other())
    assert finding.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    assert finding.chosen == 1


def test_what_cannot_be_compared_is_ordered_by_identification_alone() -> None:
    poor = hidden(inliers=60, structure_top=0, product="B")
    assert decided(hidden(inliers=500, structure_top=3), poor).chosen == 0
    told = decided(hidden(preference=-1.5), hidden(preference=1.5, product="B"))
    assert told.chosen == 1


def test_a_claim_that_cannot_be_compared_is_no_other_variant() -> None:
    finding = decided(
        other(structure_top=0.5), hidden(inliers=60), is_declared=[False, True]
    )
    assert finding.kind is FindingKind.INSUFFICIENT_QUALITY
    assert finding.chosen == 1


def test_a_known_counterfeit_is_named_though_the_genuine_cannot_be_compared() -> None:
    genuine = evidence(resolution=0.1, structure_top=2.5)
    finding = decided(genuine, evidence(is_counterfeit=True))
    assert finding.kind is FindingKind.MATCHES_KNOWN_COUNTERFEIT


def test_every_finding_says_what_to_do_next() -> None:
    findings = {
        one.kind: one
        for one in (
            decided(),
            decided(evidence()),
            decided(evidence(structure_top=2)),
            decided(evidence(structure_top=6)),
            decided(evidence(resolution=0.1)),
            decided(evidence(is_counterfeit=True)),
            decided(evidence(), is_declared=[False]),
        )
    }
    assert set(findings) == set(FindingKind)
    for finding in findings.values():
        assert finding.advice
        for sentence in (*finding.advice, *(r.sentence for r in finding.reasons)):
            assert sentence.endswith(".")
            assert "authentic" not in sentence


def test_every_limit_has_its_sentence_and_advice_and_they_have_no_other_limit() -> None:
    rules = Policy.from_json(SHIPPED.read_bytes())
    limits = {*rules.quality_limits, *rules.photo_limits}
    assert {code.rpartition("_too_")[0] for code in SENTENCES} - {""} == limits
    assert {code.rpartition("_too_")[0] for code in RETAKE} - {""} == limits


# --- the likelihood ratio -------------------------------------------------------------


def test_another_gtin_lowers_the_likelihood_ratio_by_what_the_policy_says() -> None:
    plain = decided(evidence(structure_top=1.5))
    other = decided(evidence(structure_top=1.5, is_gtin_other=True))
    same = decided(evidence(structure_top=1.5, is_gtin_other=False))
    assert plain.log10_lr is not None
    assert other.log10_lr == pytest.approx(plain.log10_lr - 2)
    assert same.log10_lr == plain.log10_lr
    assert other.reasons[0].code == "other_gtin"


def test_another_gtin_is_never_consistent_however_well_the_print_agrees() -> None:
    finding = decided(evidence(is_gtin_other=True))
    assert finding.log10_lr is not None
    assert finding.log10_lr > policy().consistent_log10_lr
    assert finding.kind is FindingKind.INCONCLUSIVE


@pytest.mark.parametrize(
    ("structure", "value", "is_capped"),
    [(0.0, 3.0, True), (1.5, 1.0, False), (5.0, -3.0, True)],
)
def test_the_likelihood_ratio_is_capped_and_says_so(
    structure: float, value: float, is_capped: bool
) -> None:
    finding = decided(evidence(structure_top=structure))
    assert finding.log10_lr == pytest.approx(value)
    assert finding.is_lr_capped is is_capped
    assert finding.counterfeit_probability == pytest.approx(
        1 / (1 + 10**value), abs=1e-6
    )


@pytest.mark.parametrize(
    ("structure", "words"),
    [(1.6, "weak"), (1.2, "moderate"), (0.6, "strong"), (3.8, "strong")],
)
def test_the_band_is_that_of_the_ratio(structure: float, words: str) -> None:
    assert decided(evidence(structure_top=structure)).strength.startswith(words)


DEVIATIONS = [f"{channel}_{kind}" for channel in CHANNELS for kind in ("top", "level")]
POLICIES = {"synthetic": policy(), "shipped": Policy.from_json(SHIPPED.read_bytes())}


@pytest.mark.parametrize("which", POLICIES)
@given(
    name=st.sampled_from(DEVIATIONS),
    before=st.floats(0, 20),
    more=st.floats(0, 20),
    others=st.dictionaries(st.sampled_from(DEVIATIONS), st.floats(0, 10), max_size=3),
)
def test_a_worse_deviation_never_raises_the_likelihood_ratio(
    which: str, name: str, before: float, more: float, others: dict[str, Any]
) -> None:
    rules = POLICIES[which]
    rules = replace(rules, accept_logit=-math.inf, quality_limits={})
    better = decided(evidence(**(others | {name: before})), policy=rules)
    worse = decided(evidence(**(others | {name: before + more})), policy=rules)
    assert better.log10_lr is not None
    assert worse.log10_lr is not None
    assert worse.log10_lr <= better.log10_lr


# --- the policy -----------------------------------------------------------------------


def test_a_policy_goes_by_the_digest_of_its_bytes() -> None:
    assert policy().digest == policy().digest
    assert policy().digest != policy(log10_lr_cap=2.0).digest


@pytest.mark.parametrize("data", [b"", b"no JSON", b"[]", b"{}", b"null", b"\xff\xfe"])
def test_what_is_no_calibration_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="calibration is not usable"):
        Policy.from_json(data)


def test_a_calibration_without_one_of_its_parts_is_refused() -> None:
    whole = whole_calibration()
    for name in whole:
        lacking = {key: value for key, value in whole.items() if key != name}
        with pytest.raises(ModelError):
            Policy.from_json(json.dumps(lacking).encode())
    for name in whole["thresholds"]:
        fewer = {k: v for k, v in whole["thresholds"].items() if k != name}
        with pytest.raises(ModelError):
            Policy.from_json(json.dumps(whole | {"thresholds": fewer}).encode())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_a_term_that_divides_by_nothing_is_refused(value: float) -> None:
    fields = whole_calibration()
    fields["fusion"]["experts"][0]["terms"][0] |= {"std": value}
    with pytest.raises(ModelError):
        Policy.from_json(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "limits", ['"least": 2, "most": 1', '"least": 1e999', '"most": -1e999']
)
def test_a_term_whose_limits_leave_it_nothing_is_refused(limits: str) -> None:
    fields = whole_calibration()
    fields["fusion"]["experts"][0]["terms"][0] |= {"limits": 0}
    text = json.dumps(fields).replace('"limits": 0', limits)
    with pytest.raises(ModelError, match="nothing to say"):
        Policy.from_json(text.encode())


@given(st.floats(-9, 9), st.booleans())
def test_beyond_its_limits_a_term_says_no_more(value: float, is_log: bool) -> None:
    term = Term("x", is_log, 0.05, 0.0, 1.0, 2.0, least=-1.0, most=0.5)
    free = replace(term, least=-math.inf, most=math.inf)
    entered = free.value({"x": value}) / 2.0
    expected = 2.0 * min(0.5, max(-1.0, entered))
    assert term.value({"x": value}) == pytest.approx(expected)


@pytest.mark.parametrize(
    "nothing",
    [
        {"identification": {"terms": []}},
        {"fusion": {"experts": []}},
        {"fusion": {"experts": [expert("place", 1.0)]}},
    ],
    ids=["no identification", "no expert", "an expert without terms"],
)
def test_a_policy_that_weighs_nothing_is_refused(nothing: dict[str, Any]) -> None:
    fields = whole_calibration()
    for part, emptied in nothing.items():
        fields[part] |= emptied
    with pytest.raises(ModelError):
        Policy.from_json(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "experts",
    [
        [("place", 0.6)],
        [("place", 0.5), ("odd", 0.5)],
        [("place", 0.5), ("place", 0.5)],
        [("place", 1.0), ("cast", 0.0)],
        [("place", 1.1), ("cast", -0.1)],
        [("softness", 1.0)],
    ],
)
def test_experts_that_are_unknown_or_do_not_add_up_are_refused(
    experts: list[tuple[str, float]],
) -> None:
    fields = whole_calibration()
    (term, *_) = fields["fusion"]["experts"][0]["terms"]
    fields["fusion"]["experts"] = [expert(*one, term) for one in experts]
    with pytest.raises(ModelError):
        Policy.from_json(json.dumps(fields).encode())


def mixture(*shares: float) -> Mixture:
    """A place told by ``x``, and a cast told by ``y``."""
    terms = [Term(name, False, 0.0, 0.0, 1.0, 3.0) for name in "xy"]
    return Mixture(
        tuple(
            Expert(name, share, Logistic((term,), 0.0))
            for name, share, term in zip(("place", "cast"), shares, terms, strict=True)
        )
    )


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.1, 0.9))
def test_likelihood_ratios_of_ways_that_exclude_one_another_add_up(
    x: float, y: float, share: float
) -> None:
    found = mixture(share, 1 - share).logit({"x": x, "y": y})
    wanted = math.log(share * math.exp(3 * x) + (1 - share) * math.exp(3 * y))
    assert found == pytest.approx(wanted, abs=1e-9)


def test_a_way_that_may_not_accuse_keeps_from_clearing() -> None:
    place, soft = mixture(0.5, 0.5).experts
    limited = Mixture((place, replace(soft, most_log10_lr=0.0)))
    assert limited.logit({"x": -3, "y": -3}) < -8
    assert limited.logit({"x": -3, "y": 3}) == pytest.approx(0, abs=1e-3)
    assert limited.logit({"x": 3, "y": 3}) > 8


def test_a_code_alone_says_nothing_of_the_print_as_a_whole() -> None:
    place, cast = mixture(0.5, 0.5).experts
    term = replace(place.logistic.terms[0], name="structure_top")
    tint = replace(cast.logistic.terms[0], name="green_cast")
    two = Mixture(
        (
            replace(place, logistic=Logistic((term,), -8.0)),
            replace(cast, logistic=Logistic((tint,), -4.0)),
        )
    )
    rules = replace(policy(), fusion=two, other_gtin_log10_lr=3.0)
    finding = decided(evidence(green_cast=0.6, is_gtin_other=True), policy=rules)
    assert finding.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    assert "cast_differs" not in [one.code for one in finding.reasons]


def test_one_way_that_is_plain_is_not_diluted_by_another_that_is_not() -> None:
    two = mixture(0.5, 0.5)
    assert two.logit({"x": -3, "y": 3}) > 8
    assert two.logit({"x": -3, "y": -3}) == pytest.approx(-9)
    assert two.likeliest({"x": -3, "y": 3}) == "cast"
    assert two.likeliest({"x": 3, "y": -3}) == "place"


def test_a_print_that_differs_as_a_whole_is_said_to() -> None:
    place, cast = (
        Term(name, False, 0.0, 1.0, 1.0, 2 * math.log(10))
        for name in ("structure_top", "green_cast")
    )
    two = Mixture(
        (
            Expert("place", 0.5, Logistic((place,), 0.0)),
            Expert("cast", 0.5, Logistic((cast,), 0.0)),
        )
    )
    rules = replace(policy(), fusion=two)
    tinted = decided(evidence(structure_top=0.0, green_cast=3.0), policy=rules)
    assert tinted.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    assert tinted.reasons[0].code == "cast_differs"
    changed = decided(evidence(structure_top=3.0, green_cast=0.0), policy=rules)
    assert changed.kind is FindingKind.INCONSISTENT_WITH_GENUINE
    assert [one.code for one in changed.reasons] == ["overall_difference"]


def test_a_policy_that_weighs_what_is_not_measured_says_so() -> None:
    fields = whole_calibration()
    for term in fields["fusion"]["experts"][0]["terms"]:
        term["name"] = "structure_peak"
    odd = Policy.from_json(json.dumps(fields).encode())
    with pytest.raises(ModelError, match="structure_peak, which is not measured"):
        decided(evidence(), policy=odd)


# --- classes of products --------------------------------------------------------------


def test_a_class_whose_genuine_photos_stray_further_is_accused_later() -> None:
    rules = policy({"food": -1.5})
    for product_class, structure, kind in (
        ("food", 2.5, FindingKind.INCONCLUSIVE),  # log10 LR -1
        ("food", 2.8, FindingKind.INCONSISTENT_WITH_GENUINE),
        ("toy", 2.5, FindingKind.INCONSISTENT_WITH_GENUINE),
        ("", 2.5, FindingKind.INCONSISTENT_WITH_GENUINE),
    ):
        one = evidence(product_class=product_class, structure_top=structure)
        assert decided(one, policy=rules).kind is kind, (product_class, structure)


@pytest.mark.parametrize("least", [-0.4, 0.1, -3.1, float("nan")])
def test_a_threshold_that_accuses_a_class_sooner_or_never_is_refused(
    least: float,
) -> None:
    with pytest.raises(ModelError):
        policy({"food": -1.0, "toy": least})


def test_a_category_is_the_class_however_it_is_written() -> None:
    for category in ("personal_care", "Personal care", " PERSONAL  CARE "):
        assert class_of(category) == "personal_care"
    assert class_of("") == ""
