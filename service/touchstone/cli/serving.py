"""``touchstone serve``: the HTTP service in this process."""

import contextlib
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from touchstone.bootstrap import Application, build
from touchstone.cli.options import Data, Json, settings_with
from touchstone.cli.output import emit, say
from touchstone.store import Role

_DRAIN_S = 30
"""How long requests under way may take when the service is told to stop."""


def serve(
    *,
    host: Annotated[
        str | None, typer.Option(help="Address.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, show_default="8000", help="Port.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Serve the HTTP API; /docs describes it, offline too.

    On first use an administrator's key is made, and printed once. SIGTERM lets what is
    under way be finished.

    Example: touchstone serve --port 8000
    """
    # Here, because the web would cost every other command, and every worker of a lot,
    # half a second.
    import uvicorn  # noqa: PLC0415

    from touchstone.web.app import create_app  # noqa: PLC0415

    settings = settings_with(data, host=host, port=port)
    # uvicorn hands a signal on once it has drained; by default SIGTERM would then kill
    # the process before the database is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with build(settings) as parts, contextlib.suppress(KeyboardInterrupt):
        _first_key(parts, json=json)
        app = create_app(parts, lot_workers=settings.lot_workers)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            access_log=False,  # to stdout, which is for data; the app keeps its own
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_S,
        )

        class Server(uvicorn.Server):
            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                # Streams go on for minutes; told now, they do not hold up the end.
                app.state.streams.stopping.set()
                super().handle_exit(sig, frame)

        Server(config).run()


def _first_key(parts: Application, *, json: bool) -> None:
    caller = parts.store.ensure_local_operator()
    if parts.store.list_keys(caller, limit=1).items:
        return
    key, secret = parts.store.issue_key(
        caller,
        organisation_id=caller.organisation_id,
        role=Role.ADMIN,
        label="first administrator",
    )
    say(f"Administrator's key, shown this once: {secret}")
    if json:
        emit({"id": key.id, "secret": secret})
