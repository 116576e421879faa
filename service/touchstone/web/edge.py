"""The outermost layer: request id, time for the body, headers, log line, measurement.

What the framework answers by itself (a body beyond the limit, a defect of ours) is
made a problem here too, so that no answer escapes the form. A log line names the
route template, never a path with ids in it, nor a file name, nor a key.
"""

import asyncio
import math
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from touchstone.store import Caller, new_id
from touchstone.web.limits import WebLimits
from touchstone.web.metrics import Metrics
from touchstone.web.problems import MEDIA_TYPE, http_problem, respond

REQUEST_ID = "X-Request-Id"
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,100}")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_UNMATCHED = "(no route)"
_CLIENT_LEFT = 499
_TOO_SLOW = 408
_TOO_LARGE = 413
_STATIC = "/docs/static/"


def json_log() -> structlog.typing.FilteringBoundLogger:
    """Return a logger that writes one JSON object a line to stderr."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    return logger


@dataclass(slots=True)
class _Exchange:
    """One request on its way, and what has been answered so far."""

    scope: Scope
    receive_on: Receive
    send_on: Send
    limits: WebLimits
    request_id: str
    status: int | None = None
    is_replaced: bool = False
    is_received: bool = False
    """Whether all of the body is here."""
    patience_s: float = math.inf
    """How much longer this body may be waited for; what comes earns some of it back."""
    started: float = field(default_factory=time.perf_counter)

    async def receive(self) -> Message:
        """Return the next of the body, as long as it comes at a fair pace.

        Only waiting counts: that we are slow to ask is not the client's fault.

        Raises:
            HTTPException: 408, the body is too slow.
        """
        if self.is_received or self.status is not None:
            return await self.receive_on()  # what follows is a disconnection
        limits, started = self.limits, time.perf_counter()
        # Never more than the timeout: a fast start must not pay for a long silence.
        self.patience_s = min(limits.body_timeout_s, self.patience_s)
        try:
            async with asyncio.timeout(self.patience_s):
                message = await self.receive_on()
        except TimeoutError as error:
            # FastAPI's own, for it makes 400 of any other raised while it reads.
            raise HTTPException(_TOO_SLOW) from error
        self.patience_s -= time.perf_counter() - started
        self.patience_s += len(message.get("body", b"")) / limits.body_bytes_per_s
        self.is_received = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, with our headers; a plain 413 as a problem instead."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            if self.status == _TOO_LARGE and headers.get("content-type") != MEDIA_TYPE:
                # The body limit answers in plain text by itself.
                self.is_replaced = True
                await self.refuse(_TOO_LARGE)
                return
            self._dress(headers)
        if not self.is_replaced:
            await self.send_on(message)

    async def refuse(self, status: int, detail: str = "", **members: str) -> None:
        """Answer with a problem of the given status."""
        self.status = status
        response = respond(http_problem(status, detail), members=members)
        self._dress(response.headers)
        await response(self.scope, _nothing_received, self.send_on)

    def _dress(self, headers: MutableHeaders) -> None:
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if not self.scope["path"].startswith(_STATIC):
            headers["Cache-Control"] = "no-store"
        headers[REQUEST_ID] = self.request_id

    @property
    def route(self) -> str:
        """The template of the route that was matched."""
        return str(getattr(self.scope.get("route"), "path", _UNMATCHED))


async def _nothing_received() -> Message:
    return {"type": "http.disconnect"}


class Edge:
    """ASGI middleware around everything else."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: WebLimits,
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no exception of it leaves."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._limits, _request_id(scope))
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = _CLIENT_LEFT
        except Exception as error:  # a defect of ours: the log has it, the caller a 500
            self._log.error("defect", request_id=exchange.request_id, exc_info=error)
            if exchange.status is None:
                await exchange.refuse(
                    500,
                    "The service failed; its log has the cause under this request_id.",
                    request_id=exchange.request_id,
                )
        self._note(exchange)

    def _note(self, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        status = exchange.status or _CLIENT_LEFT
        scope, state = exchange.scope, exchange.scope.get("state", {})
        self._metrics.answered(
            method=scope["method"],
            route=exchange.route,
            status=status,
            seconds=seconds,
        )
        who: dict[str, Any] = {}
        caller = state.get("caller")
        if isinstance(caller, Caller):
            who = {"key_id": caller.key_id, "organisation_id": caller.organisation_id}
        fault = state.get("fault")
        write = self._log.error if fault else self._log.info
        write(
            "request",
            request_id=exchange.request_id,
            method=scope["method"],
            route=exchange.route,
            status=status,
            ms=round(seconds * 1e3, 1),
            **who,
            **({"exc_info": fault} if fault else {}),
        )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _REQUEST_ID_FORM.fullmatch(given) else new_id()
