"""Rows of the board as the stream tells them: the JSON of `BoardRow`, made straight from the values.

A busy board tells some thousand rows a second, which is more than can be made into messages first. A row that was
judged anew is told whole; one of which only the stock moved, by its key and its stock.
"""

from datetime import datetime
from typing import Any

from msgspec import json

from gateway.board import Changes
from gateway.domain.board import BoardRow
from gateway.domain.vigil import Key
from gateway.rpc import alert_rendering
from gateway.v1 import alert_pb2
from gateway.web.messages import as_json


def changes_json(changes: Changes, *, is_first: bool) -> bytes:
    """What a tab is told; `is_first`: it knows nothing yet, and is to forget what it knew."""
    rows = [_whole(row) for row in changes.whole] + [_moved(row) for row in changes.moved]
    return json.encode({"full": is_first, "rows": rows, "gone": [_key(key) for key in changes.gone]})


def _whole(row: BoardRow) -> dict[str, Any]:
    outlook = row.outlook
    held = outlook.acknowledgement
    return {
        **_moved(row),
        "title": outlook.title,
        "tier": f"TIER_{outlook.tier.name}",
        "stale": outlook.stale,
        "episode": outlook.episode,
        "tier_time": _time(outlook.tier_time),
        "acknowledgement": None if held is None else _message(alert_pb2.Acknowledgement(), held),
        "silenced_by": outlook.silenced_by,
        "fast_rate": outlook.fast_rate,
        "slow_rate": outlook.slow_rate,
        "minutes_p50": outlook.minutes_p50,
        "minutes_p10": outlook.minutes_p10,
        "minutes_p90": outlook.minutes_p90,
        "fan": outlook.fan,
        "pace": outlook.pace,
        "why": outlook.why,
        "why_en": outlook.why_en,
        "proposals": [_message(alert_pb2.Proposal(), proposal) for proposal in outlook.proposals],
        "frozen": outlook.frozen,
    }


def _moved(row: BoardRow) -> dict[str, Any]:
    stock = row.stock
    return {
        "sku": row.key.sku,
        "session_id": row.key.session_id,
        "on_hand": stock.on_hand,
        "available": stock.available,
        "channels": stock.channels,
        "revision": stock.revision,
    }


def _message(message: Any, value: Any) -> dict[str, Any]:
    alert_rendering.fill(message, value)
    return as_json(message)


def _time(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _key(key: Key) -> str:
    """As the page's scripts name a row."""
    return f"{key.sku}\n{key.session_id}"
