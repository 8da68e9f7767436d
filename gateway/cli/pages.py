"""Long lists: page after page, up to what was asked for."""

from __future__ import annotations

from typing import Annotated, Protocol, Self, TypeVar

import grpc
import typer

from gateway.cli.client import Caller

PAGE_SIZE_MAX = 1_000  # the gateway's

Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")]


class ListRequest(Protocol):
    """A request for one page of a list."""

    page_size: int
    page_token: str


class ListResponse(Protocol):
    """One page of a list."""

    next_page_token: str

    def MergeFrom(self, other_msg: Self, /) -> None:  # noqa: N802 - protobuf's name
        """Appends the other page's items."""


Request = TypeVar("Request", bound=ListRequest)
Response = TypeVar("Response", bound=ListResponse)


def gathered(
    caller: Caller, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, field: str, limit: int
) -> Response:
    """Asks for pages until `limit` items are there, or no more; answers with one response that holds them all.

    `field` is the response's repeated field. The response's next_page_token says whether there is more.
    """
    request.page_size = min(PAGE_SIZE_MAX, limit)
    whole = caller.ask(method, request)
    while whole.next_page_token and (count := len(getattr(whole, field))) < limit:
        request.page_size, request.page_token = min(PAGE_SIZE_MAX, limit - count), whole.next_page_token
        page = caller.ask(method, request)
        whole.MergeFrom(page)
        whole.next_page_token = page.next_page_token
    return whole
