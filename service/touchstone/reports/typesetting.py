"""Run as a program of its own: a folder with ``main.typ`` to ``report.pdf`` in it.

Typst keeps what it has set for the next run and never lets it go: 100 MB for a report
of a thousand photos. A process that ends gives it back.
"""

import sys
from datetime import datetime
from pathlib import Path
from typing import Literal

import typst

STANDARDS: list[Literal["a-3a", "ua-1"]] = ["a-3a", "ua-1"]
"""Archived with attachments, and read aloud by a screen reader."""

REFUSED = 3
"""Exit code: Typst refuses what is in the folder."""


def main(folder: str, fonts: str, made_at: str) -> int:
    """Set ``main.typ``; of the disk, Typst sees ``folder`` and ``fonts`` alone."""
    try:
        pdf = typst.compile(
            str(Path(folder) / "main.typ"),
            root=folder,
            font_paths=[fonts],
            ignore_system_fonts=True,
            package_path=folder,
            package_cache_path=folder,
            pdf_standards=[*STANDARDS],
            timestamp=datetime.fromisoformat(made_at),
        )
    except typst.TypstError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    (Path(folder) / "report.pdf").write_bytes(pdf)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
