"""The same POST twice has one effect and one answer (``Idempotency-Key``).

After draft-ietf-httpapi-idempotency-key-header-07. A key is bound to the request it
came with: method, path, query, and the body; of a multipart body the fields and the
files, not the boundary, which differs with each attempt. Answers that succeeded are
kept for a day; after a refusal or a failure the key is free again, because nothing
was done under it. A process that dies between recording an examination and keeping its
answer leaves the key with the examination: the next attempt answers from that.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from touchstone.errors import ConflictError, TouchstoneError
from touchstone.store import (
    TAKEN_OVER_AFTER,
    Attempt,
    Caller,
    Store,
    StoredResponse,
    canonical_json,
)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

MAX_FILES = 200
MAX_FIELDS = 50
MAX_FIELD_BYTES = 256 * 1024
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_CHUNK = 1 << 20
_BEAT_S = TAKEN_OVER_AFTER.total_seconds() / 4
_KEPT_HEADERS = frozenset({"content-type", "location", "link"})

Endpoint = Callable[[Request], Awaitable[Response]]


async def once(
    request: Request,
    endpoint: Endpoint,
    *,
    store: Store,
    caller: Caller,
    takes_form: bool,
) -> Response:
    """Answer ``request``, or repeat the answer that its key was given before.

    Raises:
        HTTPException: 409, the same request is still being answered; 400, the form
            cannot be read; 415, there is none though the endpoint takes one.
        IdempotencyMismatchError: the key came with another request before.
    """
    # A form is read here: this is where its parts are counted, and what FastAPI asks
    # for afterwards is this one.
    form = await _form(request) if takes_form else None
    key = request.headers.get(HEADER)
    try:
        if key is None:
            return await endpoint(request)
        digest = await run_in_threadpool(
            request_digest, request, form, await request.body() if form is None else b""
        )
        kept = await run_in_threadpool(_begin, store, caller, key, digest)
        if isinstance(kept, StoredResponse):
            return _repeated(kept)
        # The endpoint takes its caller from here: all that it writes is fenced.
        request.state.caller = replace(caller, attempt=kept)
        async with _beating(store, caller, kept, every_s=_BEAT_S):
            return await _first(
                request, endpoint, store=store, caller=caller, attempt=kept
            )
    finally:
        if form is not None:
            await form.close()


async def _first(
    request: Request,
    endpoint: Endpoint,
    *,
    store: Store,
    caller: Caller,
    attempt: Attempt,
) -> Response:
    try:
        response = await endpoint(request)
    except Exception:
        await run_in_threadpool(store.abandon_idempotent, caller, attempt)
        raise
    if response.status_code >= 300:  # noqa: PLR2004
        await run_in_threadpool(store.abandon_idempotent, caller, attempt)
        return response
    # A body with a secret in it is kept without: see `keep_instead`.
    body = getattr(request.state, "kept_body", bytes(response.body))
    kept = StoredResponse(
        status=response.status_code,
        headers=tuple(
            (name, value)
            for name, value in response.headers.items()
            if name in _KEPT_HEADERS
        ),
        body=body,
    )
    # Should this fail, the key stays taken for a minute: an error, yet no second
    # effect by a client that tries again at once.
    await run_in_threadpool(store.finish_idempotent, caller, attempt, response=kept)
    return response


@asynccontextmanager
async def _beating(
    store: Store, caller: Caller, attempt: Attempt, *, every_s: float
) -> AsyncIterator[None]:
    """Say that ``attempt`` is alive for as long as the block takes."""

    async def beat() -> None:
        holds = True
        while holds:
            await asyncio.sleep(every_s)
            # A beat that cannot be written is no matter: there are three more.
            with suppress(TouchstoneError):
                holds = await run_in_threadpool(
                    store.keep_idempotent, caller, attempt, now=datetime.now(UTC)
                )

    beats = asyncio.create_task(beat())
    try:
        yield
    finally:
        beats.cancel()
        await asyncio.wait([beats])


def keep_instead(request: Request, body: bytes) -> None:
    """Keep ``body`` for repetition instead of the real answer, which has a secret."""
    request.state.kept_body = body


def request_digest(request: Request, form: FormData | None, body: bytes) -> str:
    """Return the SHA-256 of what ``request`` asks for; reads the files of ``form``."""
    content: object = hashlib.sha256(body).hexdigest()
    if form is not None:
        content = [[name, _part(value)] for name, value in form.multi_items()]
    asked = [request.method, request.url.path, request.url.query, content]
    return hashlib.sha256(canonical_json(asked).encode("utf-8", "replace")).hexdigest()


def _part(value: UploadFile | str) -> object:
    if isinstance(value, str):
        return value
    digest = hashlib.sha256()
    while chunk := value.file.read(_CHUNK):
        digest.update(chunk)
    value.file.seek(0)
    return [value.filename, digest.hexdigest()]


async def _form(request: Request) -> FormData:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in _FORMS:
        raise HTTPException(415, "Send the fields and files as multipart/form-data.")
    try:
        return await request.form(
            max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
        )
    except (HTTPException, ClientDisconnect):
        raise  # too many parts, too many bytes; or there is nobody left to tell
    except Exception as error:  # whatever a parser says of a mangled body
        raise HTTPException(400, "The form cannot be read.") from error


def _begin(
    store: Store, caller: Caller, key: str, digest: str
) -> StoredResponse | Attempt:
    try:
        return store.begin_idempotent(
            caller, key, request_digest=digest, now=datetime.now(UTC)
        )
    except ConflictError as error:
        raise HTTPException(409, str(error), headers={"Retry-After": "1"}) from error


def _repeated(kept: StoredResponse) -> Response:
    return Response(
        kept.body,
        status_code=kept.status,
        headers={**dict(kept.headers), REPLAYED: "true"},
    )
