"""A lot as a whole: its sample, its conclusion, its report."""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from engine.test_printings import lot as printed_lot
from PIL import Image
from stub_assessing import PEPPER

from touchstone.blobs import LocalBlobs
from touchstone.engine.pictures import EvidencePictures
from touchstone.engine.rates import Trials, Validation
from touchstone.engine.sampling import Rule
from touchstone.errors import InvalidInputError, NotFoundError
from touchstone.lots import Concluder, conclude, conclusion_document, settled
from touchstone.lots.basis import Records
from touchstone.lots.concluding import Conclusion, Tell, conclude_on
from touchstone.lots.planning import planned
from touchstone.lots.reporting import Reporter, _rates, publish
from touchstone.lots.results import Row, row_document
from touchstone.store import (
    Caller,
    Case,
    CaseFields,
    Enrolled,
    ExaminationDraft,
    JobKind,
    Lot,
    LotFields,
    LotState,
    OrganisationKind,
    ProductFields,
    Result,
    Role,
    Seizure,
    SeizureFields,
    SetFields,
    SpecimenFields,
    Store,
    SubmissionFields,
    canonical_json,
)

VALIDATION = Validation(
    genuine=(Trials(2, 400),),
    counterfeit=tuple(Trials(10 + n % 10, 20) for n in range(40)),
    genuine_abstained=10,
    counterfeit_abstained=40,
    digest="v" * 64,
)
GENUINE, CALLED = "consistent_with_genuine", "inconsistent_with_genuine"
MADE_AT = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/records.db", pepper=PEPPER, create=True)
    yield opened
    opened.close()


def draft(name: str, finding: str, of: Enrolled | None) -> ExaminationDraft:
    finding_document = {
        "kind": finding,
        "reasons": [["agrees", "It differs."]],
        "advice": [],
        "log10_lr": None,
        "is_lr_capped": False,
        "counterfeit_probability": None,
        "strength": "",
        "chosen": None,
    }
    record = {"finding": finding_document, "made_by": {"policy": "p", "code": "1"}}
    return ExaminationDraft(
        photo_digests=(hashlib.sha256(name.encode()).hexdigest(),),
        finding=finding,
        record_json=canonical_json(record),
        model_digest="m",
        index_digest="i",
        policy_digest="p",
        code_version="1",
        provider="cpu",
        specimen_id=of.specimen.id if of else None,
        reference_set_id=of.reference_set.id if of else None,
        product_id="P-1",
    )


def test_error_rates_of_groups_that_differ_are_known_less_well() -> None:
    alike = Validation((Trials(1, 10),) * 40, (Trials(5, 10),) * 10)
    apart = Validation(
        (Trials(8, 10),) * 5 + (Trials(0, 10),) * 35,
        (Trials(0, 10), Trials(10, 10)) * 5,
    )
    for one, other in zip(_rates(alike), _rates(apart), strict=True):
        assert (one.rate, one.cases) == (other.rate, other.cases)
        assert other.low < one.low < one.rate < one.high < other.high
    (single,) = _rates(Validation((Trials(3, 300),)))
    assert (single.low, single.high) == pytest.approx((0.0034, 0.0290), abs=1e-4)


def a_scored_lot(store: Store, caller: Caller, **more: object) -> tuple[Lot, list[int]]:
    """86 photos of one reference, 26 of them from two print sources, and one no image.

    Of the forged ones two in three are called, of the others one.
    """
    enrolled = store.enrol_specimen(
        caller,
        product=ProductFields("P-1", brand="Acme", name="صابون 肥皂"),
        reference_set=SetFields(),
        specimen=SpecimenFields("a" * 64, width_px=400, height_px=300),
        derived={},
    )
    lot = store.file(caller, Lot, LotFields("LOS-17", **more))  # type: ignore[arg-type]
    sources, profiles = printed_lot()
    names = [f"{number:03}.jpg" for number in range(len(sources))]
    store.submit(
        caller, lot.id, [SubmissionFields(name, locator="stub:") for name in names]
    )
    store.submit(caller, lot.id, [SubmissionFields("gone.jpg", problem="No file.")])
    store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={})
    while leases := store.lease("w", limit=100):
        for leased in leases:
            number = names.index(leased.name)
            is_called = (sources[number] > 0 and number % 3 > 0) or number == 0
            finding = CALLED if is_called else GENUINE
            result = Result(
                row_json=json.dumps(row_document(Row(leased.name, finding=finding))),
                finding=finding,
                log10_lr=-1.2 if is_called else 0.7,
                serial=f"04006381333931/{number if number > 2 else 7}",
                profile=profiles[number].to_bytes(),
            )
            made = draft(leased.name, finding, enrolled)
            assert store.finish(leased, result, made)
    return store.filed(caller, Lot, lot.id), sources


def test_a_conclusion_finds_the_print_sources_and_the_share(store: Store) -> None:
    caller = store.ensure_local_operator()
    lot, sources = a_scored_lot(store, caller, units_total=500)
    conclusion, items = conclude(store, caller, lot.id, VALIDATION)
    assert conclusion.photos == 87
    assert conclusion.unreadable == 1
    assert conclusion.unfinished == 0
    found = [set(one.items) for one in conclusion.printings]
    true = [{n for n, of in enumerate(sources) if of == source} for source in (1, 2)]
    assert len(found) == 2
    for one, other in zip(found, true, strict=True):
        assert len(one & other) / len(one | other) > 0.9
    truth = sum(source > 0 for source in sources) / len(sources)
    share = conclusion.share
    assert 0.1 < share.low <= truth <= share.high < 1.0
    assert share.estimate is not None
    assert abs(share.estimate - truth) < 0.1
    (repeat,) = conclusion.repeats
    assert repeat.items == ("000.jpg", "001.jpg", "002.jpg", "007.jpg")
    assert conclusion.triage[0].rank == 1
    document = conclusion_document(conclusion, items)
    assert json.loads(json.dumps(document))["lot_id"] == lot.id
    assert {one["image"] for one in document["triage"]} <= {one.name for one in items}
    again, _ = conclude(store, caller, lot.id, VALIDATION)
    assert again == conclusion


def test_a_conclusion_is_made_once_and_read_back_to_the_bit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = store.ensure_local_operator()
    lot, _ = a_scored_lot(store, caller, units_total=500)
    made: list[Conclusion] = []

    def counted(records: Records, validation: Validation, *, tell: Tell) -> Conclusion:
        made.append(conclude_on(records, validation, tell=tell))
        return made[-1]

    monkeypatch.setattr(settled, "conclude_on", counted)
    concluder = Concluder(store, VALIDATION)
    assert concluder.kept(caller, lot.id)[0] is None
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(concluder.conclude, [caller] * 4, [lot.id] * 4))
    assert len(made) == 1
    straight, items = conclude(store, caller, lot.id, VALIDATION)
    assert [one for one, _ in got] == [straight] * 4
    kept, records = concluder.kept(caller, lot.id)
    assert kept == straight
    document = conclusion_document(straight, items)
    assert conclusion_document(kept, records.items) == document
    store.move(caller, Lot, lot.id, LotState.CONCLUDED)
    assert concluder.kept(caller, lot.id)[0] is not None  # nothing new is known


def test_two_who_conclude_at_once_keep_one_conclusion(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = store.ensure_local_operator()
    lot, _ = a_scored_lot(store, caller)
    other = Concluder(store, VALIDATION)

    def overtaken(
        records: Records, validation: Validation, *, tell: Tell
    ) -> Conclusion:
        monkeypatch.undo()
        other.conclude(caller, lot.id)  # in another process, and done before this
        mine = conclude_on(records, validation, tell=tell)
        return replace(mine, unreadable=mine.unreadable + 1)

    monkeypatch.setattr(settled, "conclude_on", overtaken)
    late, _ = Concluder(store, VALIDATION).conclude(caller, lot.id)
    assert late == other.kept(caller, lot.id)[0]
    assert late.unreadable == 1


def test_what_is_new_of_a_lot_asks_for_another_conclusion(store: Store) -> None:
    caller = store.ensure_local_operator()
    lot, _ = a_scored_lot(store, caller)
    concluder = Concluder(store, VALIDATION)
    concluder.conclude(caller, lot.id)

    def is_kept(of: Concluder = concluder) -> bool:
        return of.kept(caller, lot.id)[0] is not None

    assert is_kept()
    assert not is_kept(Concluder(store, Validation()))
    # A photo more, sent or not; one that comes to be a photo of some exhibit.
    store.submit(caller, lot.id, [SubmissionFields("new.jpg", locator="stub:")])
    assert not is_kept()
    concluder.conclude(caller, lot.id)
    job = store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={})
    (leased,) = store.lease("w")
    assert is_kept()  # that it is being examined tells nothing yet
    store.finish(leased, Result(error="It is no image."), None)
    assert not is_kept()
    concluder.conclude(caller, lot.id)
    store.retry_failed(caller, job.id)
    told, _ = concluder.conclude(caller, lot.id)
    assert (told.unreadable, told.unfinished) == (1, 1)  # it may yet be told
    (leased,) = store.lease("w")
    store.finish(leased, Result(error="It is no image."), None)
    assert is_kept()  # nothing came of it, and nothing is new
    # A serial of it that another lot shows as well.
    other = store.file(caller, Lot, LotFields("L-2"))
    store.submit(caller, other.id, [SubmissionFields("x.jpg", locator="stub:")])
    store.begin_job(caller, other.id, JobKind.SCORE, examined_by={})
    (leased,) = store.lease("w")
    seen = Result(row_json="{}", finding=GENUINE, serial="04006381333931/7")
    store.finish(leased, seen, draft("x.jpg of another lot", GENUINE, None))
    assert not is_kept()
    assert concluder.conclude(caller, lot.id)[0].elsewhere


def test_an_administrator_leaves_nothing_in_anothers_records(store: Store) -> None:
    admin = store.ensure_local_operator()
    police = store.create_organisation(
        admin, kind=OrganisationKind.POLICE, name="Police"
    )
    officer = store.authenticate(
        store.issue_key(
            admin, organisation_id=police.id, role=Role.OFFICER, label="officer"
        )[1]
    )
    lot = store.file(officer, Lot, LotFields("L"))
    store.submit(officer, lot.id, [SubmissionFields("a.jpg", locator="stub:")])
    concluder = Concluder(store, VALIDATION)
    concluder.conclude(admin, lot.id)
    assert concluder.kept(admin, lot.id)[0] is None
    concluder.conclude(officer, lot.id)
    assert concluder.kept(admin, lot.id)[0] is not None


def test_photos_of_one_exhibit_are_one_unit(store: Store) -> None:
    caller = store.ensure_local_operator()
    lot = store.file(caller, Lot, LotFields("L", units_total=10))
    names = [f"{number}.jpg" for number in range(10)]
    store.submit(
        caller,
        lot.id,
        [SubmissionFields(name, locator="stub:", exhibit_no="E-1") for name in names],
    )
    store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={})
    while leases := store.lease("w"):
        for leased in leases:
            finding = CALLED if leased.name == "3.jpg" else GENUINE
            result = Result(row_json="{}", finding=finding, serial="1/S", log10_lr=0.5)
            store.finish(leased, result, draft(leased.name, finding, None))
    conclusion, _ = conclude(store, caller, lot.id, VALIDATION)
    assert (conclusion.photos, conclusion.units) == (10, 1)
    assert conclusion.share.high > 0.9  # nine of ten units were never seen
    assert conclusion.share.low < 0.2
    assert conclusion.repeats == ()
    assert len(conclusion.triage) == 1


def test_two_units_of_one_name_with_one_serial_are_told(store: Store) -> None:
    caller = store.ensure_local_operator()
    lot = store.file(caller, Lot, LotFields("L"))
    drafts = [
        SubmissionFields("IMG_1.jpg", locator="stub:", identity=str(n)) for n in (1, 2)
    ]
    store.submit(caller, lot.id, drafts)
    store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={})
    for number, leased in enumerate(store.lease("w")):
        result = Result(row_json="{}", finding=GENUINE, serial="1/S", log10_lr=0.5)
        store.finish(leased, result, draft(f"unit {number}", GENUINE, None))
    conclusion, _ = conclude(store, caller, lot.id, VALIDATION)
    (repeat,) = conclusion.repeats
    assert repeat.items == ("IMG_1.jpg", "IMG_1.jpg")


def test_a_lot_without_any_result_is_concluded_upon_honestly(store: Store) -> None:
    caller = store.ensure_local_operator()
    lot = store.file(caller, Lot, LotFields("L"))
    store.submit(caller, lot.id, [SubmissionFields("a.jpg", locator="stub:")])
    conclusion, _ = conclude(store, caller, lot.id, Validation())
    assert conclusion.unfinished == 1
    assert conclusion.share.estimate is None
    assert (conclusion.share.low, conclusion.share.high) == (0.0, 1.0)
    assert not conclusion.printings
    assert not conclusion.triage


def test_what_agrees_with_a_known_counterfeit_speaks_against_the_pack(
    store: Store,
) -> None:
    caller = store.ensure_local_operator()
    lot = store.file(caller, Lot, LotFields("L"))
    kinds = {"fake.jpg": "matches_known_counterfeit", "good.jpg": GENUINE}
    store.submit(
        caller, lot.id, [SubmissionFields(name, locator="stub:") for name in kinds]
    )
    store.begin_job(caller, lot.id, JobKind.SCORE, examined_by={})
    for leased in store.lease("w"):
        finding = kinds[leased.name]
        result = Result(row_json="{}", finding=finding, log10_lr=1.1)
        store.finish(leased, result, draft(leased.name, finding, None))
    conclusion, _ = conclude(store, caller, lot.id, VALIDATION)
    told = {one.item: one.reason for one in conclusion.triage}
    likely = {item: int(why.split("%")[0].split()[-1]) for item, why in told.items()}
    assert likely["0"] > 80
    assert likely["1"] < 20


def pictures(caller: Caller, examination_id: str) -> EvidencePictures:
    assert caller.organisation_id
    assert examination_id
    picture = Image.fromarray(np.full((60, 80, 3), 200, np.uint8))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return EvidencePictures(file.getvalue(), file.getvalue(), file.getvalue())


def test_a_report_is_published_in_every_form_and_names_what_made_it(
    store: Store, tmp_path: Path
) -> None:
    pytest.importorskip("typst")
    caller = store.ensure_local_operator()
    case = store.file(caller, Case, CaseFields("C-1", handling_code="H2"))
    seizure = store.file(
        caller, Seizure, SeizureFields(case.id, "S-1", place="Apapa", country="NG")
    )
    lot, _ = a_scored_lot(
        store,
        caller,
        seizure_id=seizure.id,
        declared_product="صابون 肥皂",
        units_total=500,
    )
    blobs = LocalBlobs(tmp_path / "blobs")
    reporter = Reporter(store, pictures, VALIDATION)
    published = publish(reporter, blobs, caller, lot.id, made_at=MADE_AT)
    assert publish(reporter, blobs, caller, lot.id, made_at=MADE_AT) == published
    made = published["files"]
    assert published["reference_sets"] == [
        store.list_reference_sets(caller).items[0].id
    ]
    assert blobs.get(made["report.pdf"]).startswith(b"%PDF-")
    report = json.loads(blobs.get(made["report.json"]))
    assert report["lot"]["case_reference"] == "C-1"
    assert report["lot"]["handling_code"] == "H2"
    assert report["unreadable"] == 1
    assert len(report["digests"]) == 87
    assert ["validation", "v" * 64] in report["made_by"]["models"]
    assert len(report["printings"]) == 2
    assert report["worst_regions"][0]["sentences"] == ["It differs."]
    rows = blobs.get(made["results.csv"]).decode().splitlines()
    assert len(rows) == 88
    assert "No file." in rows[-1]
    assert json.loads(blobs.get(made["conclusion.json"]))["photos"] == 87


def test_a_report_without_pictures_is_a_report(store: Store) -> None:
    def none(caller: Caller, examination_id: str) -> EvidencePictures:
        raise NotFoundError(f"{caller.role} {examination_id}")

    caller = store.ensure_local_operator()
    lot, _ = a_scored_lot(store, caller)
    conclusion, items = conclude(store, caller, lot.id, VALIDATION)
    reporter = Reporter(store, none, VALIDATION)
    report = reporter.report(caller, conclusion, items, made_at=MADE_AT)
    assert report.worst_regions == ()
    assert [one.montage_png for one in report.printings] == [None, None]


def test_a_plan_names_units_that_anybody_can_draw_again(store: Store) -> None:
    caller = store.ensure_local_operator()
    lot = store.file(caller, Lot, LotFields("L-9", units_total=400))
    plan = planned(lot, Rule.SQUARE_ROOT, share=0.05, confidence=0.95)
    assert plan["sample"] == 20
    assert plan["seed"] == "L-9"
    order = sorted(
        range(1, 401), key=lambda n: hashlib.sha256(f"L-9/{n}".encode()).hexdigest()
    )
    assert plan["positions"] == order[:20]
    assert store.plan_lot(caller, lot.id, plan).plan == plan
    sure = planned(lot, Rule.HYPERGEOMETRIC, share=0.05, confidence=0.95)
    assert sure["sample"] > plan["sample"]
    unknown = store.file(caller, Lot, LotFields("L-10"))
    with pytest.raises(InvalidInputError) as caught:
        planned(unknown, Rule.SQUARE_ROOT, share=0.05, confidence=0.95)
    assert caught.value.field == "units_total"
