"""Lists that can be narrowed: their query beside which page is asked for.

One model each, for a query is refused if it holds what its list does not know.
"""

from typing import Annotated

from fastapi import Depends, Query, Request, Response
from pydantic import Field

from touchstone.store import SubmissionState
from touchstone.web.pagination import PageQuery, Paging


class CasesQuery(PageQuery):
    """Which cases."""

    operation_id: Annotated[str | None, Field(description="Of one operation.")] = None


class SeizuresQuery(PageQuery):
    """Which seizures."""

    case_id: Annotated[str | None, Field(description="Of one case.")] = None


class LotsQuery(PageQuery):
    """Which lots."""

    seizure_id: Annotated[str | None, Field(description="Of one seizure.")] = None


class OfLotQuery(PageQuery):
    """Which exhibits, or jobs."""

    lot_id: Annotated[str | None, Field(description="Of one lot.")] = None


class SubmissionsQuery(PageQuery):
    """Which submissions."""

    state: Annotated[
        SubmissionState | None, Field(description="In one state alone.")
    ] = None


class CasesPaging(Paging):
    """A page of cases."""

    def __init__(
        self,
        request: Request,
        response: Response,
        query: Annotated[CasesQuery, Query()],
    ) -> None:
        super().__init__(request, response, query)
        self.under = query.operation_id


class SeizuresPaging(Paging):
    """A page of seizures."""

    def __init__(
        self,
        request: Request,
        response: Response,
        query: Annotated[SeizuresQuery, Query()],
    ) -> None:
        super().__init__(request, response, query)
        self.under = query.case_id


class LotsPaging(Paging):
    """A page of lots."""

    def __init__(
        self, request: Request, response: Response, query: Annotated[LotsQuery, Query()]
    ) -> None:
        super().__init__(request, response, query)
        self.under = query.seizure_id


class OfLotPaging(Paging):
    """A page of what belongs to a lot."""

    def __init__(
        self,
        request: Request,
        response: Response,
        query: Annotated[OfLotQuery, Query()],
    ) -> None:
        super().__init__(request, response, query)
        self.under = query.lot_id


class SubmissionsPaging(Paging):
    """A page of submissions."""

    def __init__(
        self,
        request: Request,
        response: Response,
        query: Annotated[SubmissionsQuery, Query()],
    ) -> None:
        super().__init__(request, response, query)
        self.state = query.state


CasesPagingDep = Annotated[CasesPaging, Depends()]
SeizuresPagingDep = Annotated[SeizuresPaging, Depends()]
LotsPagingDep = Annotated[LotsPaging, Depends()]
OfLotPagingDep = Annotated[OfLotPaging, Depends()]
SubmissionsPagingDep = Annotated[SubmissionsPaging, Depends()]
