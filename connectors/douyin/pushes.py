"""Inbound pushes: who sent them, and which orders they are about (guide-docs/153/99, 10/99 and 215/1977).

A push is a JSON array of `{"tag", "msg_id", "data"}`, where `data` is JSON in a string. The signature holds neither
time nor nonce, so a push can be replayed: it is a hint to look, and `msg_id` tells repeats.
"""

import hmac

import msgspec

from connectors.base import Hint, Inbound, Reply
from connectors.douyin.requests import Credentials, Id
from connectors.douyin.signing import event_sign
from connectors.errors import Forged

BODY_BYTES_MAX = 1024 * 1024
# Sent once when the URL is registered.
PROBE = "0"
# 1xx: created, paid, shipped, finished, changed, cancelled; 2xx: after-sale.
ABOUT_ORDERS = ("1", "2")
TAKEN = b'{"code":0,"msg":"success"}'
# Any answer but HTTP 200 with code 0 counts as failed; this is the sample code for "could not process".
NOT_TAKEN = b'{"code":40044,"msg":"not taken in"}'


class Message(msgspec.Struct, frozen=True):
    """One entry of a push."""

    tag: Id
    msg_id: Id
    data: msgspec.Raw = msgspec.Raw(b'""')


class AboutOrder(msgspec.Struct, frozen=True):
    """The data of an order's or an after-sale's push; `p_id` is the order."""

    p_id: Id


def opened(credentials: Credentials, inbound: Inbound) -> list[Hint]:
    """The orders a push is about; raises `Forged`."""
    _require_genuine(credentials, inbound)
    try:
        messages = msgspec.json.decode(inbound.body, type=list[Message])
        return [hint for message in messages for hint in _hints(message)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Forged("a signed push is not readable") from error


def reply(*, taken: bool) -> Reply:
    """The answer; the platform waits 5 s for it."""
    return Reply(200, TAKEN if taken else NOT_TAKEN)


def _require_genuine(credentials: Credentials, inbound: Inbound) -> None:
    if len(inbound.body) > BODY_BYTES_MAX:
        raise Forged("a push is larger than any the platform sends")
    if inbound.headers.get("app-id") != credentials.app_key:
        raise Forged("a push is for another application")
    ours = event_sign(credentials.app_key, credentials.app_secret, inbound.body, credentials.event_sign_method)
    if not hmac.compare_digest(ours.encode(), inbound.headers.get("event-sign", "").encode(errors="replace")):
        raise Forged("a push is not signed with the application's secret")


def _hints(message: Message) -> list[Hint]:
    tag = str(message.tag)
    if tag == PROBE or len(tag) != 3 or not tag.startswith(ABOUT_ORDERS):  # noqa: PLR2004 - tags have three digits
        return []
    text = msgspec.json.decode(message.data, type=str)
    about = msgspec.json.decode(text, type=AboutOrder)
    return [Hint(str(message.msg_id), order_id=str(about.p_id))]
