"""Reading and writing the merchant's own words for the live room."""

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.lines import Template
from gateway.store.alert_tables import templates
from gateway.store.database import ReadConnection

_decode = msgspec.json.Decoder(Template).decode


async def read_templates(connection: ReadConnection) -> dict[str, Template]:
    """All templates the merchant has stored, by their id; there are no more than there are built-in ones."""
    return {one.template_id: one for one in map(_decode, await connection.scalars(select(templates.c.body)))}


async def write_template(connection: AsyncConnection, template: Template) -> None:
    """Store a template instead of the one there was."""
    content = {"body": msgspec.to_builtins(template)}
    statement = upsert(templates).values(template_id=template.template_id, **content)
    await connection.execute(statement.on_conflict_do_update(index_elements=["template_id"], set_=content))


async def delete_template(connection: AsyncConnection, template_id: str) -> bool:
    """Forget a template; False if there was none."""
    return (await connection.execute(delete(templates).where(templates.c.template_id == template_id))).rowcount > 0
