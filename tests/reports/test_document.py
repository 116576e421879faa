import json
import re
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from reports.invented import invented, limits, montage_png

from touchstone.engine.wording import FindingKind
from touchstone.examination import LIMITATIONS
from touchstone.reports.conclusion import (
    FINDING_WORDS,
    conclusion_of,
    finding_words,
)
from touchstone.reports.document import FindingCount, report_document, report_json


def test_the_document_is_json_that_reads_back_as_it_was() -> None:
    report = invented()
    assert json.loads(report_json(report)) == report_document(report)


def test_every_field_of_the_report_is_in_the_document() -> None:
    report = invented()
    document = report_document(report)
    assert document["lot"]["declared_product"] == report.lot.declared_product
    assert document["lot"]["seizure_date"] == "2026-11-12"
    assert document["share"]["high"] == report.share.high if report.share else False
    assert [one["items"] for one in document["counts"]] == [
        one.items for one in report.counts
    ]
    assert [one["photo_sha256"] for one in document["digests"]] == [
        one.photo_sha256 for one in report.digests
    ]
    assert document["digests"][29]["finding"] is None
    assert document["made_by"]["policy_sha256"] == report.made_by.policy_sha256


def test_a_picture_is_named_by_its_digest() -> None:
    picture = report_document(invented())["printings"][0]["montage_png"]
    assert picture["sha256"] == sha256(montage_png(1)).hexdigest()


def test_what_holds_for_every_answer_is_among_the_limits() -> None:
    sentences = report_document(invented())["limits"]["sentences"]
    assert tuple(sentences[: len(LIMITATIONS)]) == LIMITATIONS
    assert sentences[len(LIMITATIONS) :] == list(limits().sentences)


def test_the_time_is_told_in_utc() -> None:
    there = datetime(2026, 11, 27, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    here = there.astimezone(UTC)
    assert report_json(invented(made_at=there)) == report_json(invented(made_at=here))


def test_what_turns_text_round_is_seen_in_the_json() -> None:
    assert rb"\u202e" in report_json(invented(organisation="a\u202eb"))


def test_the_conclusion_counts_every_finding_and_what_could_not_be_read() -> None:
    said = " ".join(conclusion_of(invented())).replace("\N{NO-BREAK SPACE}", " ")
    assert "58 items from a lot of 1,200 units were examined" in said
    assert "2 further photos could not be read" in said
    assert (
        "8 match a known counterfeit, 30 differ from the reference, 10 are "
        "inconclusive and 10 are consistent with the reference." in said
    )
    assert "between 54.1 % and 78.3 %" in said


def test_without_a_share_none_is_claimed() -> None:
    said = " ".join(conclusion_of(invented(share=None)))
    assert "No share of the whole lot is estimated" in said
    assert "%" not in said


def test_one_item_is_not_several() -> None:
    counts = (FindingCount(FindingKind.INCONSISTENT_WITH_GENUINE, 1),)
    said = conclusion_of(invented(counts=counts, unreadable=0, repeated_serials=()))
    assert said[0].startswith("1 item from a lot of 1,200 units was examined")
    assert said[1] == "1 differs from the reference."


@pytest.mark.parametrize("kind", FindingKind)
def test_every_finding_has_words_that_do_not_over_claim(kind: FindingKind) -> None:
    report = invented(counts=(FindingCount(kind, 3),))
    said = " ".join((finding_words(kind), *conclusion_of(report)))
    assert not re.search(r"genuine|authentic|\b100\s?%", said)
    assert list(FINDING_WORDS).count(kind) == 1
