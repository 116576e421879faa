"""What every operation may answer besides success, for the OpenAPI document."""

from http import HTTPStatus
from typing import Any, TypeAlias

from touchstone.web.problems import MEDIA_TYPE
from touchstone.web.schemas_lots import JobOut

Responses: TypeAlias = dict[int | str, dict[str, Any]]

_WORDS = {
    400: "The request cannot be read: a mangled form, too many parts.",
    401: "No API key, or one that is unknown, expired or revoked.",
    403: "The role of the API key may not do this.",
    404: "No such thing, or none that you may see: the two look the same.",
    405: "The resource has no such method.",
    408: "The body did not come in the time allowed; the connection is closed.",
    409: "It contradicts what is recorded, or the same request is still in flight.",
    413: "The body, or an image in it, has more bytes than accepted.",
    415: "An image format that is not accepted.",
    422: "A field or an image is wrong, or the Idempotency-Key was used for another.",
    429: "This API key sends more requests than it may; see Retry-After.",
    503: "Busy, or not able to now; see Retry-After.",
    507: "No space is left to keep what was sent.",
}


def _problems(*statuses: int) -> Responses:
    return {
        status: {
            "description": _WORDS[status],
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": _example(status),
                }
            },
        }
        for status in statuses
    }


def _example(status: int) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    return {
        "type": "urn:touchstone:problem:" + phrase.lower().replace(" ", "-"),
        "title": phrase,
        "status": status,
        "detail": _WORDS[status],
    }


ON_REQUEST = _problems(400, 401, 403, 405, 408, 413, 422, 429, 503)
"""Of every route of ``/v1``."""
ON_ITEM = _problems(404)
"""Of routes that name something by its id."""
ON_CHANGE = _problems(409, 507)
"""Of routes that change something, or repeat what they changed."""
ON_IMAGES = _problems(409, 415, 507)
"""Of routes that take images."""

PNG: Responses = {
    200: {
        "description": "The picture.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}

IN_BACKGROUND: Responses = {
    202: {
        "model": JobOut,
        "description": "Not known yet; the job that finds it out is under way.",
    }
}

JSON_LINES: Responses = {
    200: {
        "description": "One JSON object a line.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}

FILES: Responses = {
    200: {
        "description": "The file.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in (
                "application/pdf",
                "application/json",
                "application/x-ndjson",
                "application/vnd.apache.parquet",
                "text/csv",
            )
        },
    }
}
