import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports.invented import invented, lot
from reports.paper import attachments, objects, pages

from touchstone.errors import BusyError, ConfigurationError
from touchstone.examination import LIMITATIONS
from touchstone.reports import pdf as made
from touchstone.reports import sheet
from touchstone.reports.document import (
    ItemDigest,
    LotReport,
    MadeBy,
    RepeatedSerial,
    TriageItem,
    report_json,
)
from touchstone.reports.lettering import shown
from touchstone.reports.pdf import pdf_of
from touchstone.reports.sheet import ATTACHMENT
from touchstone.reports.typesetting import REFUSED


@pytest.fixture(scope="module")
def report() -> LotReport:
    return invented()


@pytest.fixture(scope="module")
def paper(report: LotReport) -> bytes:
    return pdf_of(report)


def test_the_same_report_gives_the_same_bytes(report: LotReport, paper: bytes) -> None:
    assert pdf_of(replace(report)) == paper
    assert pdf_of(replace(report, organisation="Another")) != paper


def test_it_claims_the_archival_standard_and_that_it_can_be_read_aloud(
    paper: bytes,
) -> None:
    said = objects(paper)
    assert re.search(r"pdfaid:part>3<", said)
    assert re.search(r"pdfaid:conformance>A<", said)
    assert re.search(r"pdfuaid:part>1<", said)
    assert "/GTS_PDFA1" in said
    assert "/DestOutputProfile" in said
    assert re.search(r"/Marked true", said)
    assert "/StructTreeRoot" in said


def test_all_its_fonts_are_in_it(paper: bytes) -> None:
    descriptors = re.findall(r"/Type\s*/FontDescriptor.*?>>", objects(paper), re.DOTALL)
    assert len(descriptors) >= 5
    assert all(re.search("/FontFile[23]", one) for one in descriptors)


def test_nothing_in_it_acts_or_reaches_out(paper: bytes) -> None:
    assert not re.search(
        r"/(JavaScript|JS|Launch|URI|OpenAction|AA|SubmitForm|GoToR|Encrypt)\b",
        objects(paper),
    )


def test_the_same_report_for_machines_is_attached(
    report: LotReport, paper: bytes
) -> None:
    assert attachments(paper) == {ATTACHMENT: report_json(report)}


def test_the_first_page_says_the_conclusion_and_what_it_cannot_say(
    paper: bytes,
) -> None:
    first = pages(paper)[0]
    assert "30 differ from the reference" in first
    assert "67.2 %" in first
    for sentence in LIMITATIONS:
        assert sentence in first
    assert "Measured errors." in first


def test_the_limits_stay_on_the_first_page_however_long_the_names() -> None:
    word = "Müller " * 40
    hostile = lot(
        reference=word, case_reference=word, seizure_place=word, operation=word
    )
    first = pages(pdf_of(invented(lot=replace(hostile, declared_product=word * 2))))[0]
    for sentence in LIMITATIONS:
        assert sentence in first


def test_every_page_names_the_lot_who_may_see_it_and_its_number(paper: bytes) -> None:
    said = pages(paper)
    for number, page in enumerate(said, start=1):
        assert "HU-BUD-2026-0417/3" in page
        assert "Handling code H2" in page
        assert f"Page {number} of {len(said)}" in page


def test_the_annex_has_every_digest_whole_and_its_header_on_each_page(
    report: LotReport, paper: bytes
) -> None:
    annex = [page for page in pages(paper) if "SHA-256 of the photo" in page]
    assert len(annex) == 2
    said = " ".join(annex)
    for one in report.digests:
        assert one.photo_sha256 in said
        assert one.record_sha256 in said


def test_names_of_other_scripts_are_set(paper: bytes) -> None:
    said = " ".join(pages(paper))
    assert "药" in said
    assert "阿莫西林" in said or "0.25" in said
    assert "NotoNaskhArabic" in objects(paper)


def test_arabic_letters_are_joined() -> None:
    """U+200C keeps letters apart that stand joined without it."""
    joined, apart = (
        title_ink(invented(0, lot=lot(declared_product=name)))
        for name in ("\u0628\u0628\u0628", "\u0628\u200c\u0628\u200c\u0628")
    )
    assert 0 < joined < apart


def title_ink(report: LotReport) -> int:
    """Return how wide the name of the product is on the first page, in pixels."""
    document = pypdfium2.PdfDocument(pdf_of(report))
    try:
        picture = document[0].render(scale=3, grayscale=True).to_numpy()
    finally:
        document.close()
    mm = 3 * 72 / 25.4
    columns = (picture[round(42 * mm) : round(48 * mm)] < 128).any(axis=0).nonzero()[0]
    return int(columns.max() - columns.min()) if columns.size else 0


def test_it_never_over_claims(paper: bytes) -> None:
    said = " ".join(pages(paper))
    for sentence in LIMITATIONS:
        said = said.replace(sentence, "")
    assert not re.search(r"genuine|authentic|\b100\s?%", said, re.IGNORECASE)


def test_a_letter_that_no_font_has_is_shown_by_number() -> None:
    first = pages(pdf_of(invented(0, lot=lot(declared_product="A\U00013000B"))))[0]
    assert "A[U+13000]B" in first


def test_letters_that_fail_after_all_cost_letters_and_no_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(made, "shown", str)  # lets through what no font has
    first = pages(pdf_of(invented(0, lot=lot(declared_product="A\U00013000B"))))[0]
    assert "A[U+13000]B" in first


def test_a_lot_of_which_nothing_is_known_has_a_report() -> None:
    nothing = replace(
        invented(0, sampling=None, share=None, homogeneity="", printings=()),
        lot=replace(lot(), reference="", declared_product="", units_total=None),
        organisation="",
        repeated_serials=(),
        made_by=MadeBy("", (), "", "", ()),
    )
    said = " ".join(pages(pdf_of(nothing)))
    assert "No item was examined" in said
    assert "There is no sampling plan" in said


def test_an_annex_that_is_cut_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "ANNEX_ROWS", 10)
    report = invented()
    said = " ".join(pages(pdf_of(report)))
    assert "The first 10 of 60 are printed" in said
    assert report.digests[9].photo_sha256 in said
    assert report.digests[10].photo_sha256 not in said


MARKUP = st.sampled_from(
    [
        "#eval(\"1+1\")", "#panic()", "$x^2$", "*b*", "_i_", "= H", "@ref", "<label>",
        "`raw`", "#import \"@preview/x:1.0.0\"", "\\u{41}", "//", "/*", "http://x.org",
        "=1+1", "+1", "-1", "@SUM(A1)", "\t", "\r", "\0", "\uff1d1", "\uff0b", "\uff20",
        "\u202e", "\u2066", "\u2069", "\u200f", "\ufeff", "\ufffe", "]", "}", "\"",
        "\\",
        "#read(\"/etc/passwd\")", "#{", "]]", "~", "--", "...", "\u0627", "\u4e2d",
    ]
)  # fmt: skip
HOSTILE = st.lists(MARKUP | st.text(max_size=6), min_size=1, max_size=6).map("".join)


@settings(max_examples=24)
@given(st.lists(HOSTILE, min_size=32, max_size=32))
def test_no_text_is_markup_and_every_text_is_on_paper(names: list[str]) -> None:
    """Each text is printed as it is: nothing of it ran, nothing was lost."""
    base = invented(0)
    report = replace(
        base,
        lot=lot(reference=names[0], declared_product=names[1], case_reference=names[2]),
        organisation=names[3],
        homogeneity=names[4],
        printings=tuple(
            replace(one, summary=names[5], exemplar_image=names[6])
            for one in base.printings[:1]
        ),
        repeated_serials=(RepeatedSerial(names[7], (names[8], names[9])),),
        triage=(TriageItem(1, names[10], names[11], names[12]),),
        limits=replace(base.limits, sentences=(names[13],)),
        made_by=replace(base.made_by, models=((names[14], names[15]),)),
        digests=tuple(ItemDigest(one, one, one, None, None) for one in names[16:]),
    )
    paper = pdf_of(report)
    assert attachments(paper) == {ATTACHMENT: report_json(report)}
    said = letters_of(" ".join(pages(paper)))
    for name in names:
        expected = letters_of(shown(name))
        if expected.isascii():  # others may be stored in the order of the eye
            assert expected in said, name


def letters_of(text: str) -> str:
    """Leave out what a reader of PDF takes for the end of a line: blanks, hyphens."""
    return re.sub(r"[-\s\u200b\x02\ufffe]+", "", text)


def test_without_the_extra_the_error_names_it(
    monkeypatch: pytest.MonkeyPatch, report: LotReport
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ConfigurationError, match=r"install touchstone\[report\]"):
        pdf_of(report)


def test_nothing_is_left_on_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: LotReport
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pdf_of(report)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [-9, 1])
def test_a_process_that_dies_is_no_report(
    monkeypatch: pytest.MonkeyPatch, report: LotReport, code: int
) -> None:
    monkeypatch.setattr(made, "_run", lambda *_: code)
    with pytest.raises(BusyError, match=f"exit {code}"):
        pdf_of(report)


def test_what_typst_refuses_twice_is_said(
    monkeypatch: pytest.MonkeyPatch, report: LotReport
) -> None:
    monkeypatch.setattr(made, "_run", lambda *_: REFUSED)
    with pytest.raises(ConfigurationError, match="Typst refuses"):
        pdf_of(report)
