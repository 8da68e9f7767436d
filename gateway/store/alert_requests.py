"""Request ids of what people do about warnings: the same id gets the first answer again (R10)."""

from typing import TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.errors import RequestIdReused
from gateway.store.alert_tables import alert_requests

Answer = TypeVar("Answer", bound=Struct)


async def first_answer(
    connection: AsyncConnection, request_id: str, method: str, content: Struct, answer_type: type[Answer]
) -> Answer | None:
    """What was answered to this id; None if it is new. Raises `RequestIdReused` if something else was asked with it.

    To be asked while the log is locked (`begin_append`): then nobody else takes the id meanwhile.
    """
    r = alert_requests.c
    row = (
        await connection.execute(select(r.method, r.content, r.answer).where(r.request_id == request_id))
    ).one_or_none()
    if row is None:
        return None
    # Both as JSON has them, which knows no tuples.
    before, asked = msgspec.json.decode(row.content), msgspec.json.decode(msgspec.json.encode(content))
    if row.method != method or before != asked:
        names = ("request_id",) if row.method != method else content.__struct_fields__
        field = next((name for name in names if before.get(name) != asked.get(name)), "request_id")
        raise RequestIdReused(
            f"request_id {request_id!r} was used before with another {field}; a new request needs a new id",
            field=field,
            request_id=request_id,
        )
    return msgspec.json.decode(row.answer, type=answer_type)


async def keep_answer(
    connection: AsyncConnection, request_id: str, method: str, content: Struct, answer: Struct
) -> None:
    """Remember what was asked and answered."""
    row = {
        "request_id": request_id,
        "method": method,
        "content": msgspec.to_builtins(content),
        "answer": msgspec.to_builtins(answer),
    }
    await connection.execute(insert(alert_requests), [row])
