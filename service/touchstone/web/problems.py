"""Errors to ``application/problem+json`` (RFC 9457): the only table of status codes.

Every answer that is not a success is a problem, whoever refused: our errors, the
router, the validation of a request, the body limit, or a defect of ours. ``type`` is
a stable URN to switch on, ``detail`` a sentence to show. Nothing that was sent is
repeated, and nothing in the body depends on the request: what is another's and what
does not exist give the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from touchstone import errors
from touchstone.errors import TouchstoneError

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[TouchstoneError], int] = {
    errors.BadImageError: 422,
    errors.NotAnImageError: 422,
    errors.UnsupportedFormatError: 415,
    errors.ImageTooLargeError: 413,
    errors.ImageBombError: 422,
    errors.TruncatedImageError: 422,
    errors.InvalidInputError: 422,
    errors.NotAuthenticatedError: 401,
    errors.NotAllowedError: 403,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.IdempotencyMismatchError: 422,
    errors.BusyError: 503,
    errors.StorageError: 503,  # 507 when it is for want of space
    errors.ModelError: 503,
    errors.IndexDamagedError: 503,
    errors.ConfigurationError: 500,
}

TITLES: dict[type[TouchstoneError], str] = {
    errors.BadImageError: "The image cannot be used",
    errors.NotAnImageError: "Not an image",
    errors.UnsupportedFormatError: "Image format not accepted",
    errors.ImageTooLargeError: "Image file too large",
    errors.ImageBombError: "Image announces too much",
    errors.TruncatedImageError: "Image damaged or cut short",
    errors.InvalidInputError: "A value is wrong",
    errors.NotAuthenticatedError: "Not authenticated",
    errors.NotAllowedError: "Not allowed",
    errors.NotFoundError: "Not found",
    errors.ConflictError: "Conflicts with what is recorded",
    errors.IdempotencyMismatchError: "Idempotency-Key used for another request",
    errors.BusyError: "Busy",
    errors.StorageError: "Storage refused",
    errors.ModelError: "Model not usable",
    errors.IndexDamagedError: "Index damaged",
    errors.ConfigurationError: "Misconfigured",
}

# What the framework itself refuses: slug, title, and the detail where it has none that
# helps. Not HTTPStatus' phrases: those change with the version of Python.
_HTTP: dict[int, tuple[str, str, str]] = {
    400: ("bad-request", "The request cannot be read", ""),
    404: ("not-found", "Not found", "There is no such resource."),
    405: (
        "method-not-allowed",
        "Method not allowed",
        "The resource has no such method; Allow names those it has.",
    ),
    408: (
        "body-too-slow",
        "Body too slow",
        "The body did not come in the time allowed; nothing was done with it.",
    ),
    409: ("request-in-flight", "The same request is still in flight", ""),
    413: ("body-too-large", "Body too large", "The body has more bytes than accepted."),
    415: ("unsupported-media-type", "Media type not accepted", ""),
    429: ("too-many-requests", "Too many requests", ""),
    500: ("internal-error", "The service failed", ""),
    503: ("not-ready", "Not ready", ""),
}

_FAULTS = (
    errors.StorageError,
    errors.ModelError,
    errors.IndexDamagedError,
    errors.ConfigurationError,
)
"""Ours to mend: their words name paths and hosts, so they go to the log alone."""
_RETRY_LATER_S = 5


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str
    """Path of the field, such as ``authority_ids[2]``."""
    message: str


class Problem(BaseModel):
    """Why a request was refused, after RFC 9457."""

    type: str
    """Stable URN of the kind of problem; switch on this, not on the words."""
    title: str
    """The kind of problem in words."""
    status: int
    """The HTTP status, repeated."""
    detail: str
    """What happened this time, and what to do."""
    errors: list[FieldError] | None = None
    """The fields at fault, where there are any."""


def slug_of(error: type[TouchstoneError]) -> str:
    """Return the last part of an error's ``type``: ``image-bomb``, ``not-found``."""
    name = error.__name__.removesuffix("Error")
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def status_of(error: TouchstoneError) -> int:
    """Return the status that ``error`` is answered with."""
    if isinstance(error, errors.StorageError) and error.is_full:
        return 507
    return STATUS[type(error)]


def problem_of(error: TouchstoneError) -> Problem:
    """Describe one of our errors."""
    status = status_of(error)
    slug = "storage-full" if status == HTTPStatus.INSUFFICIENT_STORAGE else None
    detail = str(error)
    if isinstance(error, _FAULTS):
        detail = "The service cannot do this now; its log says why."
    fields = None
    if isinstance(error, errors.InvalidInputError) and error.field is not None:
        fields = [FieldError(field=error.field, message=detail)]
    return Problem(
        type=_urn(slug or slug_of(type(error))),
        title=TITLES[type(error)],
        status=status,
        detail=detail,
        errors=fields,
    )


def http_problem(status: int, detail: str = "") -> Problem:
    """Describe a refusal that has no error of ours behind it."""
    phrase = HTTPStatus(status).phrase
    usual = (phrase.lower().replace(" ", "-"), phrase, "")
    slug, title, words = _HTTP.get(status, usual)
    return Problem(
        type=_urn(slug),
        title=title,
        status=status,
        detail=words or detail or f"{title}.",
    )


def respond(
    problem: Problem,
    *,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """Return ``problem`` as a response, with extension ``members`` if any."""
    content = problem.model_dump(exclude_none=True) | dict(members or {})
    return JSONResponse(
        content,
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=_headers(problem.status) | dict(headers or {}),
    )


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Make ``app``, which has these ``routes``, answer refusals with problems."""
    app.add_exception_handler(TouchstoneError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)

    def on_http(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise error
        problem = http_problem(error.status_code, str(error.detail or ""))
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # Starlette names the methods of the first route of this path alone.
            headers = {"Allow": _methods(routes, request.url.path) or headers["Allow"]}
        return respond(problem, headers=headers)

    app.add_exception_handler(HTTPException, on_http)


def _methods(routes: Sequence[BaseRoute], path: str) -> str:
    """Return the methods of all routes at ``path``, as the header has them."""
    found = {
        method
        for route in routes
        if isinstance(route, Route) and route.path_regex.match(path)
        for method in route.methods or ()
    }
    return ", ".join(sorted(found))


def _urn(slug: str) -> str:
    return f"urn:touchstone:problem:{slug}"


def _headers(status: int) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="touchstone"'}
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return {"Connection": "close"}  # or the rest of the body goes on dripping
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(_RETRY_LATER_S)}
    return {}


def _on_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, TouchstoneError):
        raise error
    headers = {}
    if isinstance(error, errors.BusyError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, _FAULTS):
        request.state.fault = error  # for the log
    return respond(problem_of(error), headers=headers)


def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    del request
    if not isinstance(error, RequestValidationError):
        raise error
    return respond(invalid(error.errors()))


def invalid(found: Sequence[Mapping[str, Any]]) -> Problem:
    """Describe what pydantic found, naming fields and repeating no input."""
    fields = [
        FieldError(field=_path(one["loc"]), message=str(one["msg"])) for one in found
    ]
    return Problem(
        type=_urn("invalid-request"),
        title="The request is not of the documented form",
        status=422,
        detail="Correct the fields named in errors and send the request again.",
        errors=fields,
    )


_LONGEST_NAME = 100


def _path(location: Sequence[str | int]) -> str:
    """``("body", "authority_ids", 2)`` to ``authority_ids[2]``."""
    path = ""
    for part in location[1:]:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part[:_LONGEST_NAME]}" if path else part[:_LONGEST_NAME]
    return path or str(location[0])
