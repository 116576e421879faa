"""The API described: ``/openapi.json``, and ``/docs`` that needs no internet.

Swagger UI lies beside this file and is served from here; its page loads nothing from
anywhere else, and its policy would not let it.
"""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from touchstone import __version__
from touchstone.web.edge import REQUEST_ID
from touchstone.web.idempotency import HEADER
from touchstone.web.problems import Problem

_STATIC = Path(__file__).parent / "static"

_DESCRIPTION = """\
Photographs of packaging in, findings with reasons and region evidence out.

**A finding** is the machine's, on the scale `no_reference`, `insufficient_quality`,
`inconsistent_with_genuine`, `inconclusive`, `consistent_with_genuine`,
`matches_known_counterfeit`, `consistent_with_other_variant`. It concerns the packaging,
never its content, and is no legal conclusion.

**Keys**: `Authorization: Bearer ts_...`. **Refusals**: `application/problem+json`
(RFC 9457); switch on `type`. What is another's and what does not exist look the same.
**Retries**: send `Idempotency-Key` with a POST, and the same request has one effect
and one answer for a day. **Lists**: follow `next`, or the `Link` header.
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Touchstone API</title>
<link rel="icon" href="docs/static/swagger/favicon-32x32.png">
<link rel="stylesheet" href="docs/static/swagger/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/static/swagger/swagger-ui-bundle.js"></script>
<script src="docs/static/docs.js"></script>
</body>
</html>
"""

# Swagger UI sets style attributes and draws its icons from data: URLs.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs", response_class=HTMLResponse)
def read_docs() -> HTMLResponse:
    """Show the API to people."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _PAGE_POLICY})


def install(app: FastAPI) -> None:
    """Serve the description of ``app``."""
    app.include_router(router)
    app.mount("/docs/static", StaticFiles(directory=_STATIC), name="docs-static")

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app)
        return app.openapi_schema

    # As FastAPI's own documentation has it done; there is no other way in.
    app.openapi = openapi  # type: ignore[method-assign]


def described(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, and what it cannot see."""
    document = get_openapi(
        title="Touchstone",
        version=__version__,
        summary="Product-authenticity verification with image matching.",
        description=_DESCRIPTION,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components |= problem.pop("$defs") | {"Problem": problem}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "post" and path.startswith("/v1"):
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
            operation.setdefault("parameters", []).append(_REQUEST_ID)
    return document


_IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A fresh text of yours for each request; the same again with the "
    "same request repeats the answer and not the effect.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 300},
}
_REQUEST_ID = {
    "name": REQUEST_ID,
    "in": "header",
    "required": False,
    "description": "Up to 100 letters, digits, dots, dashes: found again in the answer "
    "and in the log. One is made if there is none, or one of another form.",
    "schema": {"type": "string"},
}
