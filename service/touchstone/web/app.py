"""The application put together: ``create_app``, its lifespan and its probes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from touchstone.bootstrap import Application, WorkerSetup
from touchstone.errors import TouchstoneError
from touchstone.lots import Keeper
from touchstone.verification import MAX_PHOTOS
from touchstone.web import (
    api,
    api_administration,
    api_conclusions,
    api_filing,
    api_jobs,
    api_lots,
    api_references,
    docs,
    problems,
)
from touchstone.web.auth import ApplicationDep
from touchstone.web.edge import Edge, json_log
from touchstone.web.events import Pulse, Streams
from touchstone.web.limits import Pace, Places, WebLimits
from touchstone.web.metrics import Metrics
from touchstone.web.schemas import DIGEST, example

_FORM_BYTES = 1_000_000
"""Room for the fields of a form beside its images."""
_CONCLUDING = 4
"""Conclusions that may wait for the one that is made; each holds a thread."""


def create_app(
    application: Application,
    *,
    limits: WebLimits | None = None,
    lot_workers: int = 0,
    log: structlog.typing.FilteringBoundLogger | None = None,
) -> FastAPI:
    """Return the HTTP service over ``application``, which it closes at the end.

    Args:
        application: the parts of the deployment.
        limits: what one process takes on at once; as the settings say if not given.
        lot_workers: processes beside this one that examine the photos of lots.
        log: where requests are noted; JSON lines on stderr if not given.
    """
    limits = limits or WebLimits.chosen(application.settings)
    log = log or json_log()
    metrics = Metrics()
    keeper = Keeper(
        application.store,
        WorkerSetup(application.settings),
        count=lot_workers,
        tell=lambda error: log.error("workers_stopped", exc_info=error),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if lot_workers:
            application.catalogue.save()  # each worker starts from this snapshot
        keeper.start()
        try:
            yield
        finally:
            keeper.stop()
            application.close()

    app = FastAPI(docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.application = application
    app.state.metrics = metrics
    app.state.pace = Pace(limits)
    app.state.places = Places(limits)
    concluding = replace(limits, places=1, waiting=min(limits.waiting, _CONCLUDING))
    app.state.concluding = Places(concluding)
    app.state.receiving = Places(replace(limits, places=limits.receiving))
    app.state.streams = Streams(limits.streams, Pulse())
    routers = (
        api.uploads,
        api.router,
        api_references.uploads,
        api_references.router,
        api_filing.router,
        api_lots.uploads,
        api_lots.router,
        api_jobs.router,
        api_conclusions.router,
        api_administration.router,
        router,
    )
    for part in routers:
        app.include_router(part)
    problems.install(app, [route for part in routers for route in part.routes])
    docs.install(app)
    # The last one added is the outermost. The body limit stands within the edge, and
    # not where FastAPI's own would, so that its refusals are made problems.
    app.add_middleware(
        RequestBodyLimitMiddleware,
        max_body_size=MAX_PHOTOS * application.settings.max_upload_bytes + _FORM_BYTES,
    )
    app.add_middleware(Edge, limits=limits, metrics=metrics, log=log)
    return app


router = APIRouter(tags=["operation"])


class LiveOut(BaseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra=example(status="live"))

    status: str


class ReadyOut(BaseModel):
    """Everything that an examination needs is there."""

    model_config = ConfigDict(
        json_schema_extra=example(
            status="ready",
            checks={"records": "ok", "images": "ok", "index": "ok"},
            model=DIGEST,
            provider="cpu",
        )
    )

    status: str
    checks: Annotated[
        dict[str, str], Field(description="Part: `ok`, or what is wrong with it.")
    ]
    model: Annotated[str, Field(description="SHA-256 of the model that is loaded.")]
    provider: Annotated[str, Field(description="What really runs it: cpu or cuda.")]


@router.get("/livez", response_model=LiveOut)
def live() -> LiveOut:
    """Tell that the process answers; says nothing of what it depends on."""
    return LiveOut(status="live")


@router.get(
    "/readyz",
    response_model=ReadyOut,
    responses={
        503: {
            "description": "Not ready, or not wholly; `checks` says why.",
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"}
                }
            },
        }
    },
)
def ready(parts: ApplicationDep) -> ReadyOut | JSONResponse:
    """Tell whether examinations can be made: records, images, index and model."""
    catalogue = parts.catalogue
    checks = {
        "records": _check(parts.store.catalogue_state, "The records do not answer."),
        "images": _check(
            lambda: parts.blobs.exists("0" * 64), "The image store does not answer."
        ),
        "index": catalogue.status().problem or "ok",
    }
    is_ready = all(outcome == "ok" for outcome in checks.values())
    answer = ReadyOut(
        status="ready" if is_ready else "degraded",
        checks=checks,
        model=catalogue.embedder.digest,
        provider=catalogue.embedder.provider,
    )
    if is_ready:
        return answer
    reasons = " ".join(words for words in checks.values() if words != "ok")
    members = answer.model_dump(exclude={"status"})
    return problems.respond(problems.http_problem(503, reasons), members=members)


def _check(probe: Callable[[], object], words: str) -> str:
    try:
        probe()
    except TouchstoneError:
        return words  # not the error's: it may name hosts and paths, and this is public
    return "ok"


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def read_metrics(request: Request) -> Response:
    """Count requests, times and findings for Prometheus; nothing of any tenant."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), media_type="text/plain; version=0.0.4")
