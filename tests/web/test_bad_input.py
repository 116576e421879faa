"""What is not a photo is refused by its own name, and nothing of it is kept."""

import asyncio
import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image
from starlette.types import Message, Scope
from web.conftest import MakeWorld
from web.world import MAX_UPLOAD, World, encoded, mark, photographed, problem

from touchstone.web.limits import WebLimits

GOOD = encoded(photographed(mark(1)))
MUTANTS = 1000


@pytest.fixture(scope="module")
def world(fresh_world: MakeWorld) -> World:
    world = fresh_world()
    world.shared(world.acme, encoded(mark(1)))
    return world


def png(width: int, height: int, *, bits: int = 1) -> bytes:
    """A black PNG of which no picture is ever made here."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    row = bytes(1 + (width * bits + 7) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", packed)
        + chunk(b"IEND", b"")
    )


def animation() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.fromarray(mark(n, size_px=(40, 40))) for n in range(5)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


BAD: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "empty": (lambda: b"", 422, "not-an-image"),
    "words": (lambda: b"These are words, not a picture.", 422, "not-an-image"),
    "html": (lambda: b"<html><script>alert(1)</script>", 422, "not-an-image"),
    "gif": (lambda: encoded(mark(1), "GIF"), 415, "unsupported-format"),
    "tiff": (lambda: encoded(mark(1), "TIFF"), 415, "unsupported-format"),
    "bmp": (lambda: encoded(mark(1), "BMP"), 415, "unsupported-format"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, ""),
    "bomb": (lambda: png(12_000, 12_000), 422, "image-bomb"),
    "ribbon": (lambda: png(40_000, 2), 422, "image-bomb"),
    "film": (animation, 422, "image-bomb"),
    "cut JPEG": (lambda: GOOD[: len(GOOD) // 2], 422, "truncated-image"),
    "cut PNG": (lambda: encoded(mark(1), "PNG")[:2000], 422, "truncated-image"),
    "JPEG's head": (lambda: b"\xff\xd8\xff", 422, "truncated-image"),
    "too large": (
        lambda: GOOD + bytes(MAX_UPLOAD),
        413,
        "image-too-large",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_each_bad_file_is_its_own_problem_and_nothing_is_kept(
    world: World, kind: str
) -> None:
    make, status, slug = BAD[kind]
    before = world.kept()
    answer = world.officer.examine(GOOD, make())
    assert answer.status_code == status, answer.text
    assert problem(answer) == (slug or "unsupported-format")
    assert answer.json()["errors"][0]["field"] == "photos[1]"
    assert world.kept() == before
    named = world.officer.post("/v1/identify", files={"photo": ("p", make())})
    assert problem(named) == problem(answer)
    assert world.kept() == before


def test_every_image_problem_has_a_title_of_its_own(world: World) -> None:
    titles = {}
    for make, _, slug in BAD.values():
        answer = world.officer.post("/v1/identify", files={"photo": ("p", make())})
        titles[slug or "unsupported-format"] = answer.json()["title"]
    assert len(set(titles.values())) == len(titles) == 5


def _photos(count: int) -> list[tuple[str, tuple[str, bytes]]]:
    return [("photos", ("p", GOOD))] * count


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"files": [("photo", ("p", GOOD))]}, "photos"),
        ({"files": _photos(9)}, "photos"),
        ({"data": {"photos": "words"}, "files": [("x", ("p", b""))]}, "photos[0]"),
        ({"files": _photos(1), "data": {"colour": "red"}}, "colour"),
        ({"files": _photos(1), "data": {"declared_gtin": "x" * 21}}, "declared_gtin"),
        ({"data": {"declared_gtin": "4006381333931"}}, "photos"),
    ],
)
def test_a_wrong_field_is_named_and_not_repeated(
    world: World, request_: dict[str, object], field: str
) -> None:
    before = world.kept()
    answer = world.officer.post("/v1/examinations", **request_)
    assert answer.status_code == 422, answer.text
    assert problem(answer) == "invalid-request"
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert "words" not in answer.text
    assert world.kept() == before


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--x\r\nnot a form", "multipart/form-data; boundary=x"),
        (b"words", "multipart/form-data"),
        (
            b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--",
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_mangled_form_is_refused(
    world: World, body: bytes, content_type: str
) -> None:
    answer = world.officer.post(
        "/v1/examinations", content=body, headers={"Content-Type": content_type}
    )
    assert answer.status_code in {400, 422}, answer.text
    assert problem(answer) in {"bad-request", "invalid-request"}


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b"[" * 100_000, b'"words"', b"[1, 2]", b"null", b""]
)
def test_a_mangled_json_body_is_refused(world: World, body: bytes) -> None:
    answer = world.officer.post(
        "/v1/codes/parse", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {400, 422}, answer.text
    assert problem(answer) in {"bad-request", "invalid-request"}


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"photos": ["words"]}},
        {"content": b"words", "headers": {"Content-Type": "text/plain"}},
        {"content": GOOD, "headers": {"Content-Type": "image/jpeg"}},
        {"json": {}, "headers": {"Idempotency-Key": "k"}},
        {},
    ],
)
def test_what_is_no_form_is_told_apart(
    world: World, request_: dict[str, object]
) -> None:
    answer = world.officer.post("/v1/examinations", **request_)
    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")


def test_a_form_where_json_belongs_is_refused(world: World) -> None:
    answer = world.officer.post("/v1/codes/parse", data={"text": "1"})
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")


# --- S10: how much is taken in --------------------------------------------------------


def _chunks(count: int, size: int = 65_536) -> Iterator[bytes]:
    yield b"--x\r\n"
    yield b'Content-Disposition: form-data; name="photos"; filename="p"\r\n\r\n'
    for _ in range(count):
        yield bytes(size)
    yield b"\r\n--x--\r\n"


FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_beyond_the_limit_is_refused(world: World, has_length: bool) -> None:
    before = world.kept()
    body = _chunks(100)
    answer = world.officer.post(
        "/v1/examinations",
        content=b"".join(body) if has_length else body,
        headers=FORM,
    )
    assert (answer.status_code, problem(answer)) == (413, "body-too-large")
    assert answer.headers["x-request-id"]
    assert answer.headers["content-security-policy"]
    assert world.kept() == before


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}])
def test_json_is_allowed_less_than_images_are(
    world: World, has_length: bool, key: dict[str, str]
) -> None:
    body = [b'{"text": "', *([b"1" * 65_536] * 20), b'"}']
    answer = world.officer.post(
        "/v1/codes/parse",
        content=b"".join(body) if has_length else iter(body),
        headers={"Content-Type": "application/json", **key},
    )
    assert (answer.status_code, problem(answer)) == (413, "body-too-large")


@pytest.mark.parametrize("header", [b"", b"Bearer ts_0123456789ab_" + b"x" * 43])
def test_a_stranger_is_turned_away_before_the_body_is_read(
    world: World, header: bytes
) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body of a stranger was read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/examinations",
        "raw_path": b"/v1/examinations",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"authorization", header),
            (b"content-type", FORM["Content-Type"].encode()),
        ],
    }
    asyncio.run(world.app(scope, receive, send))
    assert sent[0]["status"] == 401


def test_a_wrong_role_is_told_before_what_is_wrong_with_the_body(world: World) -> None:
    answer = world.officer.post("/v1/products", json={"product_id": 5})
    assert problem(answer) == "not-allowed"


def test_two_thousand_parts_are_refused(world: World) -> None:
    files = [("photos", ("p", b"x"))] * 2000
    answer = world.officer.post("/v1/examinations", files=files)
    assert (answer.status_code, problem(answer)) == (400, "bad-request")


def test_a_huge_text_field_is_refused(world: World) -> None:
    answer = world.officer.examine(GOOD, data={"declared_product": "x" * 1_000_000})
    assert (answer.status_code, problem(answer)) == (400, "bad-request")


# --- R3: no photo crashes the service -------------------------------------------------


def _mutated(seed: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(seed)
    kind = rng.integers(0, 4)
    if kind == 0:
        del data[int(rng.integers(0, len(data))) :]
    elif kind == 1:
        at = int(rng.integers(0, len(data)))
        data[at : at + int(rng.integers(1, 64))] = rng.bytes(int(rng.integers(0, 64)))
    for _ in range(int(rng.integers(1, 12))):
        if data:
            # The head is where a decoder decides how much to allocate.
            reach = len(data) if rng.random() < 0.5 else min(64, len(data))
            data[int(rng.integers(0, reach))] = int(rng.integers(0, 256))
    return bytes(data)


def test_a_thousand_mutated_photos_crash_nothing(fresh_world: MakeWorld) -> None:
    world = fresh_world(limits=WebLimits(burst=2 * MUTANTS))
    rng = np.random.default_rng(20261124)
    seeds = [
        encoded(mark(9, size_px=(side, side)), file_format, **options)
        for side in (64, 112, 160)
        for file_format, options in (
            ("JPEG", {"quality": 70}),
            ("JPEG", {"progressive": True}),
            ("PNG", {}),
            ("WEBP", {"quality": 60}),
            ("AVIF", {"quality": 50, "speed": 10}),
        )
    ]
    before = world.kept()
    statuses: dict[int, int] = {}
    for number in range(MUTANTS):
        photo = _mutated(seeds[number % len(seeds)], rng)
        answer = world.officer.post("/v1/identify", files={"photo": ("p", photo)})
        status = answer.status_code
        statuses[status] = statuses.get(status, 0) + 1
        assert status in {200, 413, 415, 422}, (number, answer.text)
        if status != 200:
            assert "image" in problem(answer) or problem(answer) == "unsupported-format"
    assert sum(statuses.values()) == MUTANTS
    assert statuses[422] > MUTANTS // 10  # else nothing was put to the test
    assert statuses[200] > MUTANTS // 10
    assert world.kept() == before
    assert not [line for line in world.log.lines if line["log_level"] == "error"]
