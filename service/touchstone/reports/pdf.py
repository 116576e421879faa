"""A report on paper: PDF/A-3a with the JSON of the same report attached.

Typst reads the words and numbers as JSON from a folder of its own and never as markup.
It sees no other file, no font of the system and no network. The same report gives the
same bytes: the only clock is the report's.
"""

import json
import subprocess
import sys
import tempfile
from datetime import UTC
from importlib.util import find_spec
from pathlib import Path

from touchstone.errors import BusyError, ConfigurationError
from touchstone.reports.document import LotReport, report_json
from touchstone.reports.lettering import FONT_FOLDER, plain, shown
from touchstone.reports.sheet import ATTACHMENT, Sheet, sheet_of

_TEMPLATE = Path(__file__).with_name("lot.typ")
_PROGRAM = Path(__file__).with_name("typesetting.py")
_REFUSED = 3
"""Exit code of `typesetting`."""
_PATIENCE_S = 600
"""Hundred times what the longest annex takes."""


def pdf_of(report: LotReport) -> bytes:
    """Return ``report`` as PDF/A-3a; takes a process of its own meanwhile.

    Raises:
        ConfigurationError: the extra for reports is not installed.
        BusyError: the process was killed, for memory say, or took too long.
    """
    if find_spec("typst") is None:
        raise ConfigurationError(
            "A PDF needs its extra: install touchstone[report], or ask for JSON."
        )
    document = report_json(report)
    pdf = _typeset(report, sheet_of(report, document, shown), document)
    if pdf is None:
        # A font that lacks what its own table promises, in letters that nobody tried:
        # better numbers in their place than no report.
        pdf = _typeset(report, sheet_of(report, document, plain), document)
    if pdf is None:
        raise ConfigurationError(
            "Typst refuses the report: install the version that touchstone[report] "
            "asks for, or ask for JSON."
        )
    return pdf


def _typeset(report: LotReport, sheet: Sheet, document: bytes) -> bytes | None:
    """Return the PDF, or None where Typst refuses a letter."""
    made_at = report.made_at.astimezone(UTC).replace(microsecond=0)
    with tempfile.TemporaryDirectory(prefix="touchstone-report-") as name:
        folder = Path(name)
        (folder / "main.typ").write_bytes(_TEMPLATE.read_bytes())
        (folder / "data.json").write_text(json.dumps(sheet.data), "ascii")
        (folder / ATTACHMENT).write_bytes(document)
        for file, png in sheet.pictures.items():
            (folder / file).write_bytes(png)
        code = _run(name, str(FONT_FOLDER), made_at.isoformat())
        if code == _REFUSED:
            return None
        if code != 0:
            raise BusyError(f"The PDF was not finished (exit {code}): ask for JSON.")
        return (folder / "report.pdf").read_bytes()


def _run(*arguments: str) -> int:
    # -P: the names of our own modules hide nobody else's.
    command = [sys.executable, "-P", str(_PROGRAM), *arguments]
    try:
        done = subprocess.run(  # noqa: S603  our program, our folders, no shell
            command, timeout=_PATIENCE_S, check=False, capture_output=True
        )
    except subprocess.TimeoutExpired as error:
        raise BusyError(f"The PDF took over {_PATIENCE_S} s: ask for JSON.") from error
    return done.returncode
