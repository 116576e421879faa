import json
from dataclasses import replace
from pathlib import Path

import pytest
from deployments import LABEL_PX, Deployment, policy_fields, write_policy
from scenes import Pixels, encoded, photographed, printed

from touchstone.engine.image import decode
from touchstone.engine.reference import frame_of
from touchstone.errors import NotFoundError
from touchstone.store import Examination

FACE = printed(1, size_px=LABEL_PX)
FORGED = FACE.without(FACE.first("ring", after=2))
FRAME = frame_of((480, 160))


def photo(shown: Pixels) -> bytes:
    made = photographed(shown, tilt=0.08, turn=4, bend=0.5, frame_px=(600, 300))
    return encoded(made.pixels, "JPEG", quality=92)


@pytest.fixture
def forged(deployment: Deployment) -> Examination:
    deployment.enrol(FACE)
    return deployment.verify(photo(FORGED.pixels)).examination


# --- pictures -------------------------------------------------------------------------


def test_the_pictures_are_drawn_again_from_what_was_recorded(
    deployment: Deployment, forged: Examination
) -> None:
    pictures = deployment.parts.reviewer.pictures(deployment.brand, forged.id)
    for png in (pictures.overlay_png, pictures.deviation_png):
        assert decode(png).format == "PNG"
        assert decode(png).size_px == FRAME
    pair = decode(pictures.pair_png, max_side_px=2000)
    assert pair.size_px == (2 * FRAME[0] + 16, FRAME[1])
    again = deployment.parts.reviewer.pictures(deployment.brand, forged.id)
    assert again == pictures
    deployment.restart()
    assert deployment.parts.reviewer.pictures(deployment.brand, forged.id) == pictures


def test_examinations_from_before_candidates_were_followed_are_drawn_as_well(
    deployment: Deployment, forged: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviewer = deployment.parts.reviewer
    pictures = reviewer.pictures(deployment.brand, forged.id)
    record = json.loads(forged.record_json)
    for photo_record in record["photos"]:
        for one in photo_record["examined"]:
            del one["measurements"]["followed"]
    older = replace(forged, record_json=json.dumps(record))
    monkeypatch.setattr(
        type(reviewer.verifier.store), "examination", lambda *_, **__: older
    )
    assert reviewer.pictures(deployment.brand, forged.id) == pictures


def test_the_pictures_lay_the_photo_as_it_was_recorded_and_no_further(
    deployment: Deployment, forged: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("touchstone.engine.evidence.carried_on")
    pictures = deployment.parts.reviewer.pictures(deployment.brand, forged.id)
    assert decode(pictures.overlay_png).size_px == FRAME


def test_each_region_has_its_pair_and_no_other_number_has(
    deployment: Deployment, forged: Examination
) -> None:
    reviewer = deployment.parts.reviewer
    count = len(deployment.parts.verifier.read(deployment.brand, forged.id).regions)
    assert count >= 1
    for number in range(1, count + 1):
        pair = decode(reviewer.region_pair(deployment.brand, forged.id, number))
        assert pair.size_px[0] > pair.size_px[1]
    for number in (0, -1, count + 1):
        with pytest.raises(NotFoundError, match=f"no region {number}"):
            reviewer.region_pair(deployment.brand, forged.id, number)


def test_the_pictures_end_with_the_grant(deployment: Deployment) -> None:
    enrolled = deployment.enrol(FACE)
    deployment.share(enrolled)
    officer = deployment.officer
    made = deployment.verify(photo(FORGED.pixels), caller=officer).examination
    reviewer = deployment.parts.reviewer
    assert reviewer.pictures(officer, made.id).pair_png
    deployment.unshare(enrolled)
    with pytest.raises(NotFoundError):
        reviewer.pictures(officer, made.id)
    with pytest.raises(NotFoundError):
        reviewer.region_pair(officer, made.id, 1)
    assert deployment.parts.verifier.read(officer, made.id).product is not None


def test_a_withdrawn_reference_is_shown_no_more(
    deployment: Deployment, forged: Examination
) -> None:
    assert forged.specimen_id is not None
    deployment.store.withdraw_specimen(deployment.brand, forged.specimen_id)
    with pytest.raises(NotFoundError):
        deployment.parts.reviewer.pictures(deployment.brand, forged.id)


def test_another_organisation_sees_no_picture(
    deployment: Deployment, forged: Examination
) -> None:
    for other in (deployment.rival, deployment.officer):
        with pytest.raises(NotFoundError):
            deployment.parts.reviewer.pictures(other, forged.id)


def test_where_nothing_was_compared_there_is_no_picture(
    deployment: Deployment,
) -> None:
    made = deployment.verify(photo(FACE.pixels)).examination
    with pytest.raises(NotFoundError, match="Nothing was compared"):
        deployment.parts.reviewer.pictures(deployment.brand, made.id)


# --- replay ---------------------------------------------------------------------------


def test_a_replay_comes_out_equal_and_records_nothing(
    deployment: Deployment, forged: Examination
) -> None:
    before = deployment.kept()
    replay = deployment.parts.reviewer.replay(deployment.brand, forged.id)
    assert replay.is_equal
    assert replay.differences == ()
    assert deployment.kept() == before


def test_a_replay_holds_the_claims_of_the_examination(deployment: Deployment) -> None:
    deployment.enrol(FACE, gtin="4006381333931")
    made = deployment.verify(
        photo(FACE.pixels),
        photo(FORGED.pixels),
        declared_product="P-2",
        declared_gtin="4006381333931",
    ).examination
    replay = deployment.parts.reviewer.replay(deployment.brand, made.id)
    assert replay.differences == ()


def test_after_a_change_of_policy_a_replay_names_what_differs(
    deployment: Deployment, forged: Examination, own_models: Path
) -> None:
    fields = policy_fields()
    fields["thresholds"] |= {"log10_lr_floor": -99, "inconsistent_log10_lr": -98}
    write_policy(own_models, fields)
    deployment.restart(models=own_models)
    replay = deployment.parts.reviewer.replay(deployment.brand, forged.id)
    assert not replay.is_equal
    assert "made_by.policy" in replay.differences
    assert "finding.kind" in replay.differences
    assert "photos[0].finding.kind" in replay.differences
    assert not [path for path in replay.differences if "registration" in path]


def test_after_another_enrolment_a_replay_names_the_index_alone(
    deployment: Deployment, forged: Examination
) -> None:
    deployment.enrol(printed(30, size_px=LABEL_PX), "P-30")
    replay = deployment.parts.reviewer.replay(deployment.brand, forged.id)
    assert replay.differences == ("made_by.index",)


def test_what_is_another_organisations_is_not_replayed(
    deployment: Deployment, forged: Examination
) -> None:
    with pytest.raises(NotFoundError):
        deployment.parts.reviewer.replay(deployment.rival, forged.id)


def test_the_record_is_one_text_and_holds_no_clock(forged: Examination) -> None:
    record = json.loads(forged.record_json)
    assert "elapsed" not in forged.record_json
    assert str(forged.created_at.year) not in json.dumps(record["made_by"])
