"""ZIPs that mean harm, each beside a good photo (promise S9; OWASP ASVS 5.0, 5.2.3)."""

import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping

import numpy as np

GOOD = "good.jpg"
_ENTRY = b"PK\x01\x02"
_TOO_MANY = 100_000

UNSAFE_NAMES = {
    "climbing": "../../out.jpg",
    "climbing_windows": "a\\..\\..\\out.jpg",
    "absolute": "/etc/out.jpg",
    "drive": "C:\\out.jpg",
    "share": "\\\\host\\share\\out.jpg",
    "rtl_override": "\u202egpj.exe.jpg",
    "line_break": "a\nb.jpg",
    "reserved": "nul.jpg",
    "reserved_space": "con .jpg",
    "reserved_superscript": "com\u00b9.jpg",
    "reserved_folder": "aux/out.jpg",
}


def zipped(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def costs_an_entry(good: bytes, other: bytes) -> dict[str, bytes]:
    """ZIPs of which the good photo is taken and one entry refused, by what is wrong."""
    made = {
        case: zipped({name: other, GOOD: good}) for case, name in UNSAFE_NAMES.items()
    }
    two = zipped({"aaaa.jpg": other, GOOD: good})
    return made | {
        "nul": two.replace(b"aaaa.jpg", b"a\0aa.jpg"),
        "link": _linked(good),
        "encrypted": _flagged(two, 0x1),
        "lying_size": _changed(two, 24, struct.pack("<I", 10)),
        "strange_method": _changed(two, 10, struct.pack("<H", 97)),
        "too_large": zipped({"large.jpg": _noise(30_000_000), GOOD: good}),
    }


def harmless(good: bytes, other: bytes) -> dict[str, tuple[bytes, int, int]]:
    """ZIPs that are taken, with how many photos are new and how many files left out."""
    inner = zipped({"a.jpg": other})
    return {
        "nested": (zipped({"inner.zip": inner, GOOD: good}), 1, 1),
        "two_of_one_name": (_twice(good, other), 2, 0),
        "nul_at_the_end": (
            zipped({"a.jpgXexe": other, GOOD: good}).replace(b"Xexe", b"\0exe"),
            1,
            1,
        ),
    }


def refused_whole(good: bytes) -> dict[str, Callable[[], bytes]]:
    """ZIPs of which nothing is taken; made when they are asked for, as some are big."""
    dense = bytes(3_000_000)
    two = zipped({"a.jpg": good, GOOD: good})
    return {
        "bomb": lambda: zipped({"a.jpg": dense, GOOD: good}),
        "many_small_bombs": lambda: zipped(
            {f"{n}.jpg": bytes(990_000) + b"%d" % n for n in range(60)} | {GOOD: good}
        ),
        "over_two_gigabytes": lambda: _announcing(two, 2_100_000_000),
        "too_many": lambda: zipped({f"{n}.jpg": b"" for n in range(20_001)}),
        "a_hundred_thousand": _a_hundred_thousand,
        "overlapping": lambda: _overlapping(two),
        "cut": lambda: two[:-30],
        "nothing": lambda: b"",
    }


def _noise(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


def _linked(good: bytes) -> bytes:
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr(GOOD, good)
    return buffer.getvalue()


def _twice(good: bytes, other: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the name is there already
        archive.writestr(GOOD, good)
        archive.writestr(GOOD, other)
    return buffer.getvalue()


def _changed(archive: bytes, offset: int, data: bytes) -> bytes:
    """``archive`` with other bytes in the directory's first entry."""
    at = archive.index(_ENTRY) + offset
    return archive[:at] + data + archive[at + len(data) :]


def _flagged(archive: bytes, bits: int) -> bytes:
    marked = _changed(archive, 8, struct.pack("<H", bits))
    return marked[:6] + struct.pack("<H", bits) + marked[8:]


def _announcing(archive: bytes, size: int) -> bytes:
    """The same, whose first entry says that it unpacks to so much, as it was packed."""
    return _changed(archive, 20, struct.pack("<2I", size, size))


def _overlapping(archive: bytes) -> bytes:
    first = archive.index(_ENTRY)
    second = archive.index(_ENTRY, first + 4)
    where = archive[first + 42 : first + 46]
    return archive[: second + 42] + where + archive[second + 46 :]


def _a_hundred_thousand() -> bytes:
    # One entry of a directory is 46 bytes and a name.
    entry = _ENTRY + bytes(24) + struct.pack("<H", 5) + bytes(16) + b"a.jpg"
    directory = entry * _TOO_MANY
    size = len(directory)
    return directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0)
