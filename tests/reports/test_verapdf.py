"""Whether a report is PDF/A-3a and PDF/UA-1, by veraPDF and not by who wrote it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typst
from reports import verapdf
from reports.invented import invented, lot

from touchstone.reports.document import LotReport
from touchstone.reports.pdf import pdf_of

HOSTILE = "#panic() =1+1 \u202eabc\u2066 \ufeff\0 <b> \U00013000 \uff1d ﷽ 👩‍👩‍👧 \\"
REPORTS = {
    "many scripts": invented(),
    "empty": invented(0, sampling=None, share=None, homogeneity="", printings=()),
    "hostile": replace(
        invented(9, homogeneity=HOSTILE),
        lot=lot(reference=HOSTILE, declared_product=HOSTILE, operation=HOSTILE),
        organisation=HOSTILE,
    ),
}


def validated(*paths: Path) -> list[dict[str, object]]:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, verapdf.__file__, *map(str, paths)],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_a_report_keeps_every_rule_of_the_archive_and_of_access(
    report: LotReport, tmp_path: Path
) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(pdf_of(report))
    for said in validated(path):
        assert said["failed"] == []
        assert said["compliant"] is True
        assert int(str(said["checks"])) > 5_000


def test_the_validator_refuses_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "plain.pdf"
    path.write_bytes(typst.compile(b"= Plain"))
    archive, access = validated(path)
    assert (archive["compliant"], access["compliant"]) == (False, False)
    assert (archive["rules"], access["rules"]) == (155, 106)
    assert any("PDF/A Identification" in str(one) for one in archive["failed"])  # type: ignore[attr-defined]
