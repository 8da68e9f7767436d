"""The message channel's WebSocket: TopLink v2, as Alibaba's SDKs for .NET and Node.js speak it."""

import asyncio
import gzip
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest

from starlette.websockets import WebSocket, WebSocketDisconnect

from connectors.errors import Misunderstood
from connectors.sandbox.faults import Faults
from connectors.sandbox.shop import Shop
from connectors.sandbox.taobao.gate import time_of
from connectors.sandbox.taobao.mailbox import QUANTITY_MAX, Mailbox, Message
from connectors.sandbox.taobao.settings import Settings
from connectors.taobao.signing import SignMethod, sign
from connectors.taobao.toplink import Frame, FrameType, Kind, Value, decode, encode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIGNED = ("app_key", "group_name", "timestamp")
_REFUSED = 1008


@dataclass
class _Session:
    socket: WebSocket
    token: str
    taken: asyncio.Lock = field(default_factory=asyncio.Lock)


class Channel:
    """Every open connection of the app; a message goes to one of them."""

    def __init__(self, shop: Shop, faults: Faults, settings: Settings, mailbox: Mailbox) -> None:
        """Deliver from this mailbox."""
        self._shop, self._faults, self._settings, self._mailbox = shop, faults, settings, mailbox
        self._sessions: list[_Session] = []
        self._stirred = asyncio.Event()
        mailbox.heard.append(self._stirred.set)

    @property
    def connections(self) -> int:
        """How many clients have introduced themselves."""
        return len(self._sessions)

    async def endpoint(self, socket: WebSocket) -> None:
        """One connection, from CONNECT to its end."""
        if self._faults.away:
            await socket.close()
            return
        await socket.accept()
        session: _Session | None = None
        try:
            session = await self._introduced(socket)
            while session:
                await self._hear(session, await _frame(socket))
        except (WebSocketDisconnect, Misunderstood):
            pass
        finally:
            if session:
                self._sessions.remove(session)
        await _closed(socket)

    async def run(self) -> None:
        """Deliver what is due, as long as anybody is there, until cancelled."""
        while True:
            self._stirred.clear()
            if self._sessions and not self._faults.away:
                for message in self._mailbox.take(QUANTITY_MAX):
                    await self._deliver(message)
            wait = self._mailbox.wait_seconds if self._sessions else None
            if wait == 0.0 and not self._faults.away:
                continue
            try:
                async with asyncio.timeout(wait or None):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def drop(self) -> None:
        """End every connection, as a platform that is being deployed does."""
        for session in list(self._sessions):
            await _closed(session.socket)

    async def send_raw(self, data: bytes) -> None:
        """Send these bytes to everybody, whatever they are."""
        for session in list(self._sessions):
            await session.socket.send_bytes(data)

    async def _introduced(self, socket: WebSocket) -> _Session | None:
        """A session, if the first frame is a CONNECT that the app has signed."""
        frame = await _frame(socket)
        if frame.type is not FrameType.CONNECT:
            raise Misunderstood("the first frame is no CONNECT")
        if refusal := self._refusal(frame):
            answer = Frame(FrameType.CONNECT_ACK, status=refusal[0], phrase=refusal[1], flag=frame.flag)
            await socket.send_bytes(encode(answer))
            return None
        session = _Session(socket, secrets.token_hex(16))
        await socket.send_bytes(encode(Frame(FrameType.CONNECT_ACK, flag=frame.flag, token=session.token)))
        self._sessions.append(session)
        self._stirred.set()
        return session

    def _refusal(self, frame: Frame) -> tuple[int, str] | None:
        signed = {name: str(frame.custom.get(name) or "") for name in _SIGNED}
        if signed["app_key"] != self._settings.app_key:
            return 401, "invalid app_key"
        stated = time_of(signed["timestamp"])
        if stated is None or abs(self._shop.time - stated) > self._settings.skew_max:
            return 401, "invalid timestamp"
        expected = sign(signed, self._settings.app_secret, SignMethod.MD5)
        if not compare_digest(str(frame.custom.get("sign") or "").encode(), expected.encode()):
            return 401, "invalid sign"
        return None

    async def _hear(self, session: _Session, frame: Frame) -> None:
        if frame.token != session.token:
            raise Misunderstood("a frame without the token of its connection")
        kind, number = frame.custom.get("__kind"), frame.custom.get("id")
        if kind == Kind.CONFIRM and isinstance(number, int):
            self._mailbox.confirm(number)
        elif kind == Kind.PULL:
            self._stirred.set()

    async def _deliver(self, message: Message) -> None:
        session = self._sessions[message.deliveries % len(self._sessions)] if self._sessions else None
        if session is None:
            return  # it comes again
        frame = Frame(FrameType.SEND, self._custom(message), token=session.token)
        try:
            await session.socket.send_bytes(encode(frame))
        except (WebSocketDisconnect, RuntimeError):
            return  # it comes again

    def _custom(self, message: Message) -> dict[str, Value]:
        milliseconds = int((message.time - _EPOCH).total_seconds() * 1000)
        content = message.content
        return {
            "__kind": Kind.DATA,
            "id": message.id,
            "topic": message.topic,
            "content": gzip.compress(content.encode()) if self._settings.gzips_content else content,
            "publisher": self._settings.app_key,
            "time": milliseconds,
            "outtime": milliseconds,
            "userid": self._settings.seller_id,
            "nick": self._settings.seller_nick,
            "dataid": str(message.id),
            "retried": message.deliveries - 1,
        }


async def _frame(socket: WebSocket) -> Frame:
    received = await socket.receive()
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", _REFUSED))
    data = received.get("bytes")
    if data is None:
        raise Misunderstood("a text frame")
    return decode(data)


async def _closed(socket: WebSocket) -> None:
    try:
        await socket.close()
    except (RuntimeError, WebSocketDisconnect):
        return  # it already was
