"""API key to ``Caller``; every route of ``/v1`` names the roles that may use it.

Deny by default: a route joins the API through ``GuardedRoute``, which refuses, when
the program starts, a route without ``allow(...)``. Key and role are checked before
the body is read, so that a stranger cannot make us take in 200 MB first.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Security, params
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from touchstone.bootstrap import Application
from touchstone.errors import NotAllowedError, NotAuthenticatedError
from touchstone.store import Caller, Role
from touchstone.web import idempotency
from touchstone.web.limits import Pace

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="API key",
    description="`Authorization: Bearer ts_...`, as shown once when it was issued.",
)


def application(request: Request) -> Application:
    """Return the parts that this process was started with."""
    parts: Application = request.app.state.application
    return parts


ApplicationDep = Annotated[Application, Depends(application)]


class Allowed:
    """A dependency that gives the ``Caller``; made by ``allow``."""

    def __init__(self, roles: frozenset[Role]) -> None:
        self.roles = roles

    def __call__(
        self,
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> Caller:
        """Return the caller that ``GuardedRoute`` let in."""
        caller: Caller = request.state.caller
        return caller

    def admit(self, request: Request) -> None:
        """Let the request in, or refuse it.

        Raises:
            NotAuthenticatedError: no key, or none that is valid.
            NotAllowedError: the key's role may not do this.
        """
        caller = application(request).store.authenticate(_secret(request))
        request.state.caller = caller  # refused or not, the log says who asked
        if caller.role not in self.roles:
            raise NotAllowedError("The role of this API key may not do this.")


def allow(*roles: Role) -> Allowed:
    """Return the dependency that lets in these roles, and administrators."""
    return Allowed(frozenset({*roles, Role.ADMIN}))


def _secret(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise NotAuthenticatedError(
            "Send an API key as `Authorization: Bearer ts_...`."
        )
    return secret.strip()


AdminDep = Annotated[Caller, Depends(allow())]
"""Administrators alone."""
OwnerDep = Annotated[Caller, Depends(allow(Role.BRAND_OWNER))]
"""Those who keep references."""
ExaminerDep = Annotated[
    Caller, Depends(allow(Role.OFFICER, Role.ANALYST, Role.BRAND_OWNER))
]
"""Those who hold photos against references."""
AnyoneDep = Annotated[Caller, Depends(allow(*Role))]
"""Whoever holds a key."""


class GuardedRoute(APIRoute):
    """A route of ``/v1``: key, role, pace, body, idempotency, then the endpoint."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint's handler behind its guard."""
        endpoint = super().get_route_handler()
        guard = self.guard
        takes_form = self.body_field is not None and isinstance(
            self.body_field.field_info, params.Form
        )

        async def handler(request: Request) -> Response:
            await run_in_threadpool(guard.admit, request)
            pace: Pace = request.app.state.pace
            pace.check(request.state.caller.key_id)
            if request.method == "POST":
                return await idempotency.once(
                    request,
                    endpoint,
                    store=application(request).store,
                    caller=request.state.caller,
                    takes_form=takes_form,
                )
            return await endpoint(request)

        return handler

    @property
    def guard(self) -> Allowed:
        """The route's own ``allow(...)``.

        Raises:
            TypeError: it has none, or two.
        """
        guards = [
            dependency.call
            for dependency in self.dependant.dependencies
            if isinstance(dependency.call, Allowed)
        ]
        if len(guards) != 1:
            raise TypeError(f"{self.path} must depend on one allow(...)")
        return guards[0]
