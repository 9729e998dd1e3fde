"""The connection of an engine: one WebSocket that carries JSON, our own or that of a vendor's client.

An engine's conversation lies at the vendor's side. A socket that drops loses it there, not here: the session opens the engine again, which
restores what was said.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import aiohttp

from patter_nb.clock import Clock, SystemClock
from patter_nb.engines.base import EngineEvent
from patter_nb.engines.closing import refusal_of_close
from patter_nb.errors import (
    BadRequest,
    ConnectionFailed,
    MalformedStream,
    PatterConfigError,
    PatterError,
    QuotaExceeded,
    RateLimitError,
    RequestTimeout,
    ServerError,
)
from patter_nb.llm.base import Message
from patter_nb.llm.wire.recording import Conversation, conversed
from patter_nb.tasks import closing
from patter_nb.wire.pool import CONNECT_S
from patter_nb.wire.refusals import Refusal, Source, refusal_error
from patter_nb.wire.websocket import HandshakeRefused, connected

if TYPE_CHECKING:
    from patter_nb.agent import Agent

__all__ = ["OwnSocket", "Socket", "SocketEngine"]

_OTHER: Final = "session.engine = ..., or go on with a pipeline: session.use(engine=None, stt=..., llm=..., tts=...)."
_HINTS: Final[Mapping[type[PatterError], str]] = {
    QuotaExceeded: f"Add credit to the account, or take another engine, {_OTHER}",
    RateLimitError: f"Wait a moment, ask for a higher limit, or take another engine, {_OTHER}",
    ServerError: f"It is the vendor's failure; try again in a moment, or take another engine, {_OTHER}",
}
_ENDS: Final = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


class Socket(Protocol):
    """An open WebSocket, whoever opened it."""

    @property
    def closed(self) -> bool:
        """Whether either side has ended it, as far as is known here."""

    @property
    def close_code(self) -> int | None:
        """The number that the other side gave for the end, None where it gave none."""

    @property
    def close_reason(self) -> str:
        """Its words for that, or ""."""

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message as JSON. Where the connection has just dropped it is lost, as whoever receives learns at once."""

    async def receive(self, idle_s: float | None) -> str | bytes | None:
        """The next message, None where there will be no more. Raises `TimeoutError` where none comes for `idle_s`."""

    async def close(self) -> None:
        """Say farewell, wait a second for the answer, and let go."""


class OwnSocket:
    """A WebSocket of the loop's pool."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self.close_reason = ""

    @property
    def closed(self) -> bool:
        return self._ws.closed

    @property
    def close_code(self) -> int | None:
        return self._ws.close_code

    async def send(self, message: Mapping[str, Any]) -> None:
        with suppress(aiohttp.ClientError, ConnectionError):
            await self._ws.send_str(json.dumps(message, ensure_ascii=False))

    async def receive(self, idle_s: float | None) -> str | bytes | None:
        while (frame := await self._ws.receive(idle_s)).type not in _ENDS:
            if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):  # JSON in either
                data: str | bytes = frame.data
                return data
        if frame.type is aiohttp.WSMsgType.CLOSE:
            self.close_reason = frame.extra or ""
        return None

    async def close(self) -> None:
        await self._ws.close()


class SocketEngine(ABC):
    """Base of the engines that speak JSON over a WebSocket. An engine says where it connects, how it begins, and what messages mean."""

    provider: ClassVar[str]
    key_names: ClassVar[tuple[str, ...]]
    """Environment variables that its key comes from, the first that is set."""
    setting_names: ClassVar[tuple[str, ...]] = ()
    """Environment variables without which it cannot be made, unless it is told otherwise."""
    asking_interrupts: ClassVar[bool] = False
    takes_over_calls: ClassVar[bool] = False
    idle_s: ClassVar[float | None] = None
    """After this long without a message the engine is asked what that means."""
    form_hint: ClassVar[str | None] = None
    """What to do where the vendor does not take what it was told, None: its own words say it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.clock: Clock = SystemClock()
        """Tells how long a conversation has lasted. A test puts a `patter_nb.testing.Clock` here."""
        self._opened_ms = 0.0
        self._socket: Socket | None = None
        self._agent: Agent | None = None
        self._left = False
        self._kept: Conversation | None = None
        self.replies: list[Mapping[str, Any]] = []
        """What `take` has to answer at once."""

    @abstractmethod
    async def address(self) -> tuple[str, Mapping[str, str]]:
        """The URL to connect to, and the headers that go with it."""

    @abstractmethod
    async def begin(self, agent: Agent, history: Sequence[Message]) -> None:
        """Say who the agent is and what was said before, on a connection just opened."""

    @abstractmethod
    def take(self, message: Mapping[str, Any]) -> Iterable[EngineEvent]:
        """What a message of the vendor's means. Raises a `PatterError` for one that is an error."""

    async def open(self, agent: Agent, history: Sequence[Message]) -> None:
        """Connect and begin. Raises `ConnectionFailed`, `AuthenticationError` and whatever else the vendor says."""
        if self._socket is not None:
            if not self._socket.closed and not self._left:
                raise PatterConfigError(f"This {type(self).__name__} is open already.", hint="Make one for each session.")
            await self._socket.close()  # whoever began to may have been cancelled meanwhile
        self._agent, self._left, self._kept = agent, False, None
        try:
            self._socket = await self.connect()
        except HandshakeRefused as refused:
            raise self.error(refused.refusal, retry_after_s=refused.asked_wait_s) from None
        self._opened_ms = self.clock.now_ms()
        if self._kept is None:  # a vendor's client connected
            self._kept = conversed(self.source.provider, self.source.model, None, {})
        try:
            await self.begin(agent, history)
        except BaseException:
            await self.aclose()
            raise

    async def connect(self) -> Socket:
        """A new WebSocket to the vendor. Raises `HandshakeRefused`, or a `PatterError`."""
        url, headers = await self.address()
        self._kept = conversed(self.source.provider, self.source.model, url, headers)
        return OwnSocket(await connected(url, headers, self.source))

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; where the connection has just dropped it is lost, as whoever follows `events` learns at once."""
        if self._socket is not None and not self._socket.closed:
            if self._kept is not None:
                self._kept.told(message)
            await self._socket.send(message)

    async def answer(self) -> Mapping[str, Any]:
        """The next message, for an engine that has to wait for one before it goes on. Raises what `events` would, and `RequestTimeout`."""
        try:
            async with asyncio.timeout(CONNECT_S), closing(self._messages()) as messages:
                async for message in messages:
                    if message is not None:
                        return message
        except TimeoutError as error:
            told = f"{self.source.provider} did not begin a conversation within {CONNECT_S:g} s."
            raise RequestTimeout(told, hint="Try again in a moment.", provider=self.source.provider, model=self.source.model) from error
        raise self._lost()

    def error(self, refusal: Refusal, *, retry_after_s: float | None = None) -> PatterError:
        """The error of our family for what the vendor said."""
        error = refusal_error(refusal, self.source, retry_after_s=retry_after_s)
        hint = self.form_hint if isinstance(error, BadRequest) else _HINTS.get(type(error))
        error.hint = hint or error.hint
        return error

    def closed_for(self, code: int, reason: str) -> Refusal | None:
        """What the vendor means by ending the connection so; None: no more than that it is over."""
        return refusal_of_close(code, reason)

    async def events(self) -> AsyncIterator[EngineEvent]:
        """What the engine does. Ends where this side ended the conversation, raises `ConnectionFailed` where the other did without a
        reason, or the error that its reason is.
        """
        async for message in self._messages():
            for event in self.idle() if message is None else self.take(message):
                yield event
            while self.replies:
                await self.send(self.replies.pop(0))
            if self.is_spent():
                await self.reopen()
        if not self._left:
            raise self._lost()

    async def _messages(self) -> AsyncIterator[Mapping[str, Any] | None]:
        """The messages as they come; None where none has come for `idle_s`."""
        socket = self._socket
        assert socket is not None
        while True:
            try:
                data = await socket.receive(self.idle_s)
            except TimeoutError:
                yield None
                continue
            if data is None:
                return
            try:
                message = json.loads(data)
            except ValueError as error:
                raise self._malformed(data) from error
            if not isinstance(message, dict):
                raise self._malformed(data)
            if self._kept is not None:
                self._kept.heard(message)
            yield message

    def idle(self) -> Iterable[EngineEvent]:
        """What it means that nothing came for `idle_s`."""
        return ()

    @property
    def age_s(self) -> float:
        """How long this conversation has been open."""
        return (self.clock.now_ms() - self._opened_ms) / 1000

    def is_spent(self) -> bool:
        """Whether the vendor is about to end this conversation, and nobody would notice now if it began anew."""
        return False

    async def reopen(self) -> None:
        """Begin anew before the vendor ends the conversation: `events` ends, and the engine is opened again."""
        await self.aclose()

    def _malformed(self, text: str | bytes) -> MalformedStream:
        told = f"{self.source.provider} sent a message that is not of its form: {text[:200]!r}"
        return MalformedStream(told, provider=self.source.provider, model=self.source.model, hint="Is base_url the address of this API?")

    def _lost(self) -> PatterError:
        """The error that the end of the connection is."""
        code, reason = (None, "") if self._socket is None else (self._socket.close_code, self._socket.close_reason)
        why = "" if code is None else f" (code {code})"
        told = f"{self.source.provider} closed the connection{why}{f': {reason}' if reason else '.'}"
        if code is None or (refusal := self.closed_for(code, reason)) is None:
            return ConnectionFailed(told, provider=self.source.provider, model=self.source.model, hint=f"Set the engine again, {_OTHER}")
        error = self.error(refusal)
        error.message, error.args, error.status = told, (told,), None
        return error

    async def aclose(self) -> None:
        """End the conversation, and let go of its connection."""
        self._left = True
        if self._socket is not None:
            await self._socket.close()
