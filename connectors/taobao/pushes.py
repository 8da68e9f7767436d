"""The message channel (TMC): hints that something happened, at least once, over a connection of our own.

Messages carry no signature; what makes them believable is that we opened the connection and signed for it. They are
hints only: how long the platform keeps them is not documented, and the walk over the orders is the truth. Without the
address of a WebSocket, they are fetched by `taobao.tmc.messages.consume` (its API metadata: 10 to 200 at once).
"""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from connectors.addresses import is_local
from connectors.base import Hint, ListingKey
from connectors.contract import GatewayError
from connectors.errors import ConnectorError, Misunderstood, Rejected
from connectors.taobao.answers import Confirmation, Id, Message, MessagesAnswer, identity
from connectors.taobao.requests import Pace, Requests
from connectors.taobao.signing import SignMethod, sign
from connectors.taobao.toplink import Frame, FrameType, Kind, decode, encode
from connectors.transport import READING
from gateway import metrics

log = logging.getLogger(__name__)
Heard = Callable[[Hint], Awaitable[None]]

MESSAGES_AT_ONCE = 200
MESSAGES_HEARD_AT_ONCE = 32
FRAME_BYTES_MAX = 1024 * 1024
CONTENT_BYTES_MAX = 1024 * 1024
_GZIP = zlib.MAX_WBITS | 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SDK = "stockgate"


class _Content(msgspec.Struct, frozen=True):
    """What a message is about: `taobao_trade_*` and `taobao_refund_*` name a trade, `taobao_item_*` an item."""

    tid: Id | None = None
    num_iid: Id | None = None
    sku_id: Id | None = None


class _Message(NamedTuple):
    number: int
    topic: str
    content: str | bytes


def hint_of(message_id: str, topic: str, content: str | bytes) -> Hint | None:
    """What a message hints at, None if it is about nothing of ours; raises `Misunderstood`."""
    try:
        read = msgspec.json.decode(_unpacked(content), type=_Content, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, zlib.error, RecursionError) as error:
        raise Misunderstood(f"message {topic}: {type(error).__name__} in its content") from None
    tid, item_id = identity(read.tid), identity(read.num_iid)
    if topic.startswith(("taobao_trade_", "taobao_refund_")) and tid:
        return Hint(message_id, order_id=tid)
    if topic.startswith("taobao_item_") and item_id:
        return Hint(message_id, key=ListingKey(item_id, identity(read.sku_id)))
    return None


def _unpacked(content: str | bytes) -> str | bytes:
    if isinstance(content, str):
        return content
    unpacking = zlib.decompressobj(_GZIP)
    data = unpacking.decompress(content, CONTENT_BYTES_MAX)
    if unpacking.unconsumed_tail:
        raise Misunderstood("a message unpacks to more than any has")
    return data


class Messages:
    """One seller's messages, one by one, until cancelled."""

    def __init__(self, requests: Requests, pace: Pace) -> None:
        """Fetch through these if there is no WebSocket."""
        self._requests, self._pace = requests, pace

    async def listen(self, heard: Heard) -> None:
        """Hand every hint to `heard` and confirm what it has taken in; come back after any trouble."""
        once = self._by_websocket if self._requests.credentials.messages_url else self._by_http
        while True:
            try:
                await once(heard)
                pause = self._pace.reconnect_seconds
            except (OSError, TimeoutError, WebSocketException, ConnectorError) as error:
                said = error.message if isinstance(error, ConnectorError) else ""
                log.warning("message channel lost", extra={"error": type(error).__name__, "said": said})
                pause = self._pace.after_error_seconds
            await asyncio.sleep(pause)
            await self._requests.transport.limiter.lifted()

    async def _taken(self, heard: Heard, message_id: str, topic: str, content: str | bytes) -> bool:
        """True if the message need not come again."""
        try:
            hint = hint_of(message_id, topic, content)
        except Misunderstood as error:
            # It would not be clearer the next time.
            log.warning("message not understood", extra={"said": error.message})
            return True
        try:
            if hint:
                await heard(hint)
        except (TimeoutError, ConnectorError, GatewayError) as error:
            log.info("message not taken in", extra={"topic": topic, "error": type(error).__name__})
            return False
        # Whatever it is, this message comes again, and the others go on.
        except Exception:
            log.exception("message not taken in", extra={"topic": topic})
            metrics.loop_failures.add(1, {"loop": "messages"})
            return False
        return True

    # ---- over HTTP

    async def _by_http(self, heard: Heard) -> None:
        group = self._requests.credentials.group_name
        params = {"group_name": group, "quantity": str(MESSAGES_AT_ONCE)}
        while True:
            answer = await self._requests.read(
                "taobao.tmc.messages.consume", params, MessagesAnswer, priority=READING, session=False
            )
            messages = answer.messages.tmc_message
            turns = asyncio.Semaphore(MESSAGES_HEARD_AT_ONCE)

            async def in_turn(message: Message, turns: asyncio.Semaphore = turns) -> bool:
                async with turns:
                    return await self._taken(heard, identity(message.id), message.topic, message.content)

            are_taken = await asyncio.gather(*map(in_turn, messages))
            if taken := [identity(one.id) for one, is_taken in zip(messages, are_taken, strict=True) if is_taken]:
                await self._confirm(taken)
            if len(messages) < MESSAGES_AT_ONCE:
                await asyncio.sleep(self._pace.consume_seconds)

    async def _confirm(self, message_ids: list[str]) -> None:
        params = {
            "group_name": self._requests.credentials.group_name,
            "s_message_ids": ",".join(message_ids),
        }
        # Confirmed twice is confirmed.
        await self._requests.read("taobao.tmc.messages.confirm", params, Confirmation, priority=READING, session=False)

    # ---- over a WebSocket

    async def _by_websocket(self, heard: Heard) -> None:
        url, ping = self._requests.credentials.messages_url, self._pace.ping_seconds
        # Like every other call: nobody asks a proxy for what is on this machine.
        proxy: Literal[True] | None = None if is_local(url) else True
        async with connect(url, max_size=FRAME_BYTES_MAX, ping_interval=ping, proxy=proxy) as connection:
            token = await self._introduce(connection)
            # One message that takes its time must not hold up the others.
            turns = asyncio.Semaphore(MESSAGES_HEARD_AT_ONCE)
            tasks = {asyncio.create_task(self._pull(connection, token))}
            try:
                async for data in connection:
                    if message := _heard(data):
                        await turns.acquire()
                        hearing = asyncio.create_task(self._hear(connection, token, message, heard))
                        tasks.add(hearing)
                        hearing.add_done_callback(tasks.discard)
                        hearing.add_done_callback(lambda _: turns.release())
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _introduce(self, connection: ClientConnection) -> str:
        """CONNECT, signed; the token that later frames carry."""
        credentials = self._requests.credentials
        milliseconds = self._requests.transport.platform_now() - _EPOCH
        signed = {
            "app_key": credentials.app_key,
            "group_name": credentials.group_name,
            "timestamp": str(milliseconds // timedelta(milliseconds=1)),
        }
        # Only MD5 is known here: the frame has no field to say otherwise.
        custom = {**signed, "sign": sign(signed, credentials.app_secret, SignMethod.MD5), "sdk": _SDK}
        await connection.send(encode(Frame(FrameType.CONNECT, custom, flag=1)))
        async with asyncio.timeout(self._requests.transport.limits.deadline_seconds):
            answer = _frame(await connection.recv())
        if answer.type is not FrameType.CONNECT_ACK:
            raise Misunderstood("the message channel answers CONNECT with something else")
        if not answer.token:
            words = self._requests.without_secrets(answer.phrase)
            raise Rejected(f"message channel: {words}", code=str(answer.status or ""))
        return answer.token

    async def _pull(self, connection: ClientConnection, token: str) -> None:
        request = encode(Frame(FrameType.SEND, {"__kind": Kind.PULL}, token=token))
        try:
            while True:
                await connection.send(request)
                await asyncio.sleep(self._pace.pull_seconds)
        except ConnectionClosed:
            return  # the reader notices too

    async def _hear(self, connection: ClientConnection, token: str, message: _Message, heard: Heard) -> None:
        if await self._taken(heard, str(message.number), message.topic, message.content):
            answer = Frame(FrameType.SEND, {"__kind": Kind.CONFIRM, "id": message.number}, token=token)
        else:
            answer = Frame(
                FrameType.SEND, {"__kind": Kind.FAILED, "id": message.number, "msg": "not taken in"}, token=token
            )
        # If the connection is gone, the message comes again over the next one.
        with suppress(ConnectionClosed):
            await connection.send(encode(answer))


def _heard(data: str | bytes) -> _Message | None:
    """The message in a frame, if it is understood: another frame is no reason to lose the connection, and the others.

    Not confirmed, it comes again; the walk through the orders finds what it was about.
    """
    try:
        return _message(_frame(data))
    except Misunderstood as error:
        log.warning("frame not understood", extra={"said": error.message})
        return None


def _message(frame: Frame) -> _Message | None:
    """What a DATA frame carries; None for every other frame. Raises `Misunderstood`."""
    custom = frame.custom
    if frame.type is not FrameType.SEND or custom.get("__kind") != Kind.DATA:
        return None
    number, topic, content = custom.get("id"), custom.get("topic"), custom.get("content")
    if not (isinstance(number, int) and isinstance(topic, str) and isinstance(content, str | bytes)):
        raise Misunderstood("a message without its id, topic or content")
    return _Message(number, topic, content)


def _frame(data: str | bytes) -> Frame:
    if isinstance(data, str):
        raise Misunderstood("a TopLink frame is binary")
    return decode(data)
