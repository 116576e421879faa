"""Lists in pages: an opaque cursor in, a page and where to go on out."""

from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from touchstone.store import Page

T = TypeVar("T")
ItemT = TypeVar("ItemT", bound=BaseModel)


class PageQuery(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[
        str | None,
        Field(description="The `next` of the page before; none for the first page."),
    ] = None
    limit: Annotated[int, Field(ge=1, le=200, description="Items in a page.")] = 50


class PageOut(BaseModel, Generic[ItemT]):
    """A part of a list. The link to the next one is in the `Link` header too."""

    items: list[ItemT]
    next: Annotated[
        str | None,
        Field(description="Give it as `after` for the next page; null on the last."),
    ]


class Paging:
    """A dependency: which page was asked for, and how it is answered."""

    def __init__(
        self, request: Request, response: Response, query: Annotated[PageQuery, Query()]
    ) -> None:
        self.after = query.after
        self.limit = query.limit
        self._request = request
        self._response = response

    def paged(self, page: Page[T], item: Callable[[T], ItemT]) -> PageOut[ItemT]:
        """Return ``page`` for the answer; the link to the next one goes beside it."""
        if page.next_cursor is not None:
            url = self._request.url.include_query_params(after=page.next_cursor)
            # Relative, for we do not know by what name a proxy is called.
            self._response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return PageOut(items=[item(one) for one in page.items], next=page.next_cursor)


PagingDep = Annotated[Paging, Depends()]
