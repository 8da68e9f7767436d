"""A long past for a merchant: millions of movements, consistent to the last unit, made by the database itself."""

import asyncpg

_FILL = """
INSERT INTO {s}.skus (sku, title, safety_stock, substitutes)
    SELECT 'BIG-' || lpad(k::text, 6, '0'), '', 0, '{{}}' FROM generate_series(0, {skus} - 1) k;
INSERT INTO {s}.movements (revision, record_time, occur_time, kind, sku, location, quantity, on_hand_change,
        reserved_change, on_hand_after, reserved_after, safety_stock_after, request_id)
    SELECT i, t, t, 1, 'BIG-' || lpad(((i - 1) % {skus})::text, 6, '0'), 'main', 1000000, 1000000, 0,
        ((i - 1) / {skus} + 1) * 1000000, 0, 0, md5(i::text)
    FROM generate_series(1, {movements}) i,
        LATERAL (SELECT now() - interval '30 days' + i * interval '1 ms' AS t) AS at;
INSERT INTO {s}.levels (sku, location, on_hand, reserved, safety_stock, last_count_revision, revision)
    SELECT sku, location, sum(on_hand_change), 0, 0, 0, max(revision) FROM {s}.movements GROUP BY sku, location;
INSERT INTO {s}.reservations (reservation_id, state, lines, create_time, expire_time, resolve_time)
    SELECT i, 2, jsonb_build_array(jsonb_build_array(1, 'BIG-000000', '', 1, jsonb_build_array(
        jsonb_build_array('main', 1, 1, 0)))), now(), now(), now() FROM generate_series(1, {movements} / 2) i;
ALTER TABLE {s}.requests DROP CONSTRAINT requests_pkey;
INSERT INTO {s}.requests (request_id, content, answer)
    SELECT md5(i::text), convert_to(repeat('x', 60), 'UTF8'), convert_to(repeat('y', 90), 'UTF8')
    FROM generate_series(1, {movements}) i;
ALTER TABLE {s}.requests ADD CONSTRAINT requests_pkey PRIMARY KEY (request_id);
UPDATE {s}.head SET version = version + 1, revision = {movements}, reservation_number = {movements} / 2;
"""


async def fill(url: str, schema: str, movements: int, skus: int) -> list[str]:
    """Give an empty merchant `movements` movements over `skus` SKUs; returns the SKUs. Minutes for ten millions."""
    connection = await asyncpg.connect(url)
    for statement in _FILL.format(s=f'"{schema}"', movements=movements, skus=skus).split(";\n"):
        if statement.strip():
            await connection.execute(statement)
    for table in ("movements", "levels", "reservations", "requests", "skus", "head"):
        await connection.execute(f'VACUUM ANALYZE "{schema}".{table}')
    await connection.execute("CHECKPOINT")
    await connection.close()
    return [f"BIG-{number:06d}" for number in range(skus)]
