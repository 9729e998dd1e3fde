"""The connection of an engine: one WebSocket that carries JSON.

An engine's conversation lies at the vendor's side. A socket that drops loses it there, not here: the session opens the engine again, which
restores what was said.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import aiohttp

from patter_nb.engines.base import EngineEvent
from patter_nb.errors import ConnectionFailed, MalformedStream, PatterConfigError
from patter_nb.llm.base import Message
from patter_nb.wire.refusals import Source, refusal_error
from patter_nb.wire.websocket import HandshakeRefused, connected

if TYPE_CHECKING:
    from patter_nb.agent import Agent

__all__ = ["SocketEngine"]

_ENDS: Final = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


class SocketEngine(ABC):
    """Base of the engines that speak JSON over a WebSocket. An engine says where it connects, how it begins, and what messages mean."""

    provider: ClassVar[str]
    asking_interrupts: ClassVar[bool] = False
    idle_s: ClassVar[float | None] = None
    """After this long without a message the engine is asked what that means."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._agent: Agent | None = None
        self._left = False
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
        if self._ws is not None and not self._ws.closed:
            raise PatterConfigError(f"This {type(self).__name__} is open already.", hint="Make one for each session.")
        self._agent, self._left = agent, False
        await self._connect()
        try:
            await self.begin(agent, history)
        except BaseException:
            await self.aclose()
            raise

    async def _connect(self) -> None:
        url, headers = await self.address()
        try:
            self._ws = await connected(url, headers, self.source)
        except HandshakeRefused as refused:
            raise refusal_error(refused.refusal, self.source) from None

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; where the connection has just dropped it is lost, as whoever follows `events` learns at once."""
        if self._ws is None or self._ws.closed:
            return
        try:
            await self._ws.send_str(json.dumps(message, ensure_ascii=False))
        except (aiohttp.ClientError, ConnectionError):
            return

    async def events(self) -> AsyncIterator[EngineEvent]:
        """What the engine does. Ends where this side ended the conversation, raises `ConnectionFailed` where the other did."""
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
        ws = self._ws
        assert ws is not None
        while True:
            try:
                frame = await ws.receive(self.idle_s)
            except TimeoutError:
                yield None
                continue
            if frame.type in _ENDS:
                return
            if frame.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):  # JSON in either
                continue
            try:
                message = json.loads(frame.data)
            except ValueError as error:
                raise self._malformed(frame.data) from error
            if not isinstance(message, dict):
                raise self._malformed(frame.data)
            yield message

    def idle(self) -> Iterable[EngineEvent]:
        """What it means that nothing came for `idle_s`."""
        return ()

    def is_spent(self) -> bool:
        """Whether the vendor is about to end this conversation, and nobody would notice now if it began anew."""
        return False

    async def reopen(self) -> None:
        """Begin anew before the vendor ends the conversation: `events` ends, and the engine is opened again."""
        await self.aclose()

    def _malformed(self, text: str | bytes) -> MalformedStream:
        told = f"{self.source.provider} sent a message that is not of its form: {text[:200]!r}"
        return MalformedStream(told, provider=self.source.provider, model=self.source.model, hint="Is base_url the address of this API?")

    def _lost(self) -> ConnectionFailed:
        why = "" if self._ws is None or self._ws.close_code is None else f" (code {self._ws.close_code})"
        told = f"{self.source.provider} closed the connection{why}."
        hint = "Set the engine again: session.engine = ..., or go on with a pipeline: session.use(engine=None, stt=..., llm=..., tts=...)."
        return ConnectionFailed(told, provider=self.source.provider, model=self.source.model, hint=hint)

    async def aclose(self) -> None:
        """End the conversation, and let go of its connection."""
        self._left = True
        if self._ws is not None:
            await self._ws.close()
