"""Every route of the app, found by itself, so that a new one cannot hide."""

from collections.abc import Iterator, Sequence

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute


def api_routes(routes: Sequence[BaseRoute]) -> Iterator[APIRoute]:
    """Yield the routes under ``routes``, those of included routers too."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        # FastAPI keeps an included router whole, under a name that it may change: the
        # tests that count routes fail then, and do not find too few in silence.
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from api_routes(included.routes)
