"""A report on paper: PDF/A-3a with the JSON of the same report attached.

Typst reads the words and numbers as JSON from a folder of its own and never as markup.
It sees no other file, no font of the system and no network. The same report gives the
same bytes: the only clock is the report's.
"""

import json
import tempfile
from datetime import UTC
from pathlib import Path
from typing import Any

from touchstone.errors import ConfigurationError
from touchstone.reports.document import LotReport, report_json
from touchstone.reports.lettering import FONT_FOLDER, plain, shown
from touchstone.reports.sheet import Sheet, sheet_of

ATTACHMENT = "lot-report.json"
"""Name of the JSON in the PDF."""

_TEMPLATE = Path(__file__).with_name("lot.typ")
_STANDARDS = ["a-3a", "ua-1"]
"""Archived with attachments, and read aloud by a screen reader."""


def pdf_of(report: LotReport) -> bytes:
    """Return ``report`` as PDF/A-3a.

    Raises:
        ConfigurationError: the extra for reports is not installed.
    """
    typst = _typst()
    document = report_json(report)
    try:
        return _compiled(typst, report, sheet_of(report, document, shown), document)
    except typst.TypstError:
        # A font that lacks what its own table promises, in letters that nobody tried:
        # better numbers in their place than no report.
        return _compiled(typst, report, sheet_of(report, document, plain), document)


def _compiled(typst: Any, report: LotReport, sheet: Sheet, document: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="touchstone-report-") as name:
        folder = Path(name)
        main = folder / "main.typ"
        main.write_bytes(_TEMPLATE.read_bytes())
        (folder / "data.json").write_text(json.dumps(sheet.data), "ascii")
        (folder / ATTACHMENT).write_bytes(document)
        for file, png in sheet.pictures.items():
            (folder / file).write_bytes(png)
        pdf = typst.compile(
            str(main),
            root=name,
            font_paths=[str(FONT_FOLDER)],
            ignore_system_fonts=True,
            package_path=name,
            package_cache_path=name,
            pdf_standards=_STANDARDS,
            timestamp=report.made_at.astimezone(UTC).replace(microsecond=0),
        )
    return bytes(pdf)


def _typst() -> Any:
    try:
        import typst  # noqa: PLC0415  an extra: 80 MB that most never need
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "A PDF needs its extra: install touchstone[report], or ask for JSON."
        ) from error
    return typst
