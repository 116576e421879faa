"""A PDF opened: its objects as one text, and what each page says."""

import re
import zlib

import pypdfium2


def objects(pdf: bytes) -> str:
    """Return all of a PDF with its streams unpacked."""
    parts = [pdf]
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            parts.append(zlib.decompress(found[1]))
        except zlib.error:
            continue
    return b"\n".join(parts).decode("latin-1")


def pages(pdf: bytes) -> list[str]:
    """Return what each page says, each run of blanks as one."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        said = [page.get_textpage().get_text_bounded() for page in document]
    finally:
        document.close()
    return [re.sub(r"\s+", " ", text.replace("\u200b", "")) for text in said]


def attachments(pdf: bytes) -> dict[str, bytes]:
    """Return what is attached, by name."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        count = document.count_attachments()
        files = [document.get_attachment(number) for number in range(count)]
        return {file.get_name(): bytes(file.get_data()) for file in files}
    finally:
        document.close()
