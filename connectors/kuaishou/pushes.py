"""Inbound pushes: encrypted under a shared key and not signed, so that each is a hint and proves nothing.

The body is Base64 of AES-128-CBC, PKCS7, with an IV of zero bytes (`PlatformEventSecurityUtil` of Kuaishou's demo). The
platform sends again, up to three times, what is not answered with HTTP 200 and `{"result":1}`, and then never.
"""

import base64
import binascii

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from connectors.base import Hint, Reply
from connectors.errors import Forged
from connectors.kuaishou.requests import Credentials

BODY_BYTES_MAX = 256 * 1024
_IV = bytes(16)
_BLOCK_BITS = 128
# Orders name themselves `oid`, refunds name theirs `orderId`.
_ORDERS, _REFUNDS = "kwaishop_order_", "kwaishop_aftersales_"


class Message(msgspec.Struct, rename="camel"):
    """A push in the clear; `event_id` is the same in every repetition, `info` is JSON again, `test` a heartbeat."""

    event_id: str | int
    event: str
    info: str = ""
    app_key: str = ""
    test: bool = False


class OrderInfo(msgspec.Struct, rename="camel"):
    """The `info` of an order's or a refund's event: the order's id under one of two names."""

    oid: int | str | None = None
    order_id: int | str | None = None


def open_push(body: bytes, credentials: Credentials) -> list[Hint]:
    """The order that a push is about; [] for heartbeats and for events of other things. Raises `Forged`."""
    try:
        message = msgspec.json.decode(decrypted(body, credentials.message_secret), type=Message)
        if message.app_key not in {"", credentials.app_key}:
            raise Forged("a push for another app")
        if message.test or not message.event.startswith((_ORDERS, _REFUNDS)):
            return []
        info = msgspec.json.decode(message.info, type=OrderInfo)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Forged("a push that is not a message of Kuaishou's") from None
    order_id = info.order_id if message.event.startswith(_REFUNDS) else info.oid
    if not str(order_id or "").isdecimal() or not str(message.event_id):
        raise Forged("a push about an order that has no id")
    return [Hint(str(message.event_id), order_id=str(order_id))]


def is_message_secret(secret: str) -> bool:
    """True if pushes can be decrypted with it: with anything else every one of them would seem forged."""
    try:
        return len(base64.b64decode(secret, validate=True)) * 8 == _BLOCK_BITS
    except (binascii.Error, ValueError):
        return False


def decrypted(body: bytes, message_secret: str) -> bytes:
    """The plain text of a push; raises `Forged`."""
    if len(body) > BODY_BYTES_MAX:
        raise Forged("a push that is too long")
    try:
        sealed = base64.b64decode(body.strip(), validate=True)
        decryptor = Cipher(algorithms.AES(base64.b64decode(message_secret)), modes.CBC(_IV)).decryptor()
        padded = decryptor.update(sealed) + decryptor.finalize()
        unpadder = PKCS7(_BLOCK_BITS).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except (binascii.Error, ValueError):
        raise Forged("a push that is not encrypted with the message secret") from None


def reply(*, taken: bool) -> Reply:
    """HTTP 200 and `{"result":1}` end the redelivery; anything else asks for it."""
    return Reply(200, b'{"result":1}') if taken else Reply(503, b'{"result":0}')
