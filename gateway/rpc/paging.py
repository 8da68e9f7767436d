"""Pages of lists: their size, and the opaque token that says where the next one begins."""

import base64
import binascii
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from msgspec.json import Decoder

from gateway.domain.errors import InvalidArgument

T = TypeVar("T")

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1_000

# The keys there are, with what the database can hold of them: a caller may have made its token up.
_Code = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
_Position = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
NUMBER: Decoder[int] = Decoder(Annotated[int, Meta(ge=0, le=2**63 - 1)])
CODE: Decoder[str] = Decoder(_Code)
PLACE: Decoder[tuple[int, str] | None] = Decoder(tuple[_Position, _Code])


def page_size(request: Any) -> int:
    """How many rows the caller gets; raises `InvalidArgument` for a negative `page_size`, cuts a large one."""
    if request.page_size < 0:
        raise InvalidArgument(f"page_size is {request.page_size}; it must be 0 or more", field="page_size")
    return min(request.page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)


def token(last: object) -> str:
    """The token of the page after the row with this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(last)).decode()


def page_token(request: Any, key: Decoder[T], default: T) -> T:
    """The key behind `page_token`, `default` if there is none; raises `InvalidArgument`."""
    if not request.page_token:
        return default
    try:
        return key.decode(base64.urlsafe_b64decode(request.page_token))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidArgument("page_token is not one that this list gave out", field="page_token") from None
