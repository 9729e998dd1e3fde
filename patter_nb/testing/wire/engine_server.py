"""What the servers that speak as engines' vendors have in common: they begin and end, are dropped, and say what a script says."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from aiohttp import WSCloseCode, web

from patter_nb.audio.frames import Pcm

__all__ = ["RATE", "EngineServer", "Spoken", "Utterance"]

RATE = 24_000
"""Hz of what is spoken."""
Reply = TypeVar("Reply")
Conversation = TypeVar("Conversation")


@dataclass(frozen=True, slots=True)
class Utterance:
    """The person speaks from `start_ms` to `stop_ms` of the sound; `text` is what is written down, after the answer began if `late`.

    Nothing ever is where it is None.
    """

    start_ms: float
    stop_ms: float
    text: str | None
    late: bool = True


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer: `text`, with `pcm` (24 kHz) as its sound; without, a hum of 60 ms a character. `paced`: the sound comes as it is heard."""

    text: str
    pcm: Pcm | None = field(default=None, repr=False)
    paced: bool = False

    def sound(self) -> Pcm:
        """The sound."""
        if self.pcm is not None:
            return self.pcm
        at = np.arange(RATE * 60 // 1000 * len(self.text))
        hum: Pcm = (6000 * np.sin(2 * np.pi * 220 * at / RATE)).astype(np.int16)
        return hum


class EngineServer(Generic[Reply, Conversation]):
    """A server on 127.0.0.1 that says `replies` in order, and hears `hears` as the sound comes in.

    `received` holds every message of the client, `heard` its sound. With `odd` set, blocks of sound have an odd number of bytes where
    the sound is longer. Leaving the block raises `AssertionError` where more was asked for than there are replies, and for replies and
    utterances that are left.
    """

    def __init__(self, replies: Iterable[Reply], hears: Iterable[Utterance], *, odd: bool = False) -> None:
        self.odd = odd
        self._replies = deque(replies)
        self._hears = deque(hears)
        self._unexpected = 0
        self._runner: web.AppRunner | None = None
        self.conversations: dict[web.WebSocketResponse, Conversation] = {}
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.heard = bytearray()
        self.url = ""

    @abstractmethod
    def routes(self) -> Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """What answers at which path."""

    @abstractmethod
    def base_url(self, port: int) -> str:
        """The `base_url` of an engine that is to come here."""

    @abstractmethod
    def conversation(self, ws: web.WebSocketResponse, request: web.Request) -> Conversation:
        """What takes the messages of a connection."""

    @abstractmethod
    async def run(self, conversation: Conversation) -> None:
        """Take them, until there are no more."""

    async def __aenter__(self) -> Self:
        app = web.Application()
        for path, answer in self.routes().items():
            app.router.add_get(path, answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = self.base_url(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.drop()
        assert self._runner is not None
        await self._runner.cleanup()
        if kind is None and self._unexpected:
            raise AssertionError(f"{type(self).__name__} was asked {self._unexpected} times more than it has replies.")
        if kind is None and self._replies:
            raise AssertionError(f"{type(self).__name__} was not asked for {[*self._replies]}.")
        if kind is None and self._hears:
            raise AssertionError(f"{type(self).__name__} was not given the sound of {[*self._hears]}.")

    async def drop(self) -> None:
        """Close every connection, as a network that fails does."""
        for ws in tuple(self.conversations):
            await ws.close(code=WSCloseCode.GOING_AWAY)

    async def hang_up(self, code: int, reason: str) -> None:
        """Close every connection for a reason, as vendors do that refuse to go on."""
        for ws in tuple(self.conversations):
            await ws.close(code=code, message=reason.encode())

    async def babble(self, text: str) -> None:
        """Send what is no message."""
        for ws in tuple(self.conversations):
            await ws.send_str(text)

    def messages(self, kind: str) -> list[dict[str, Any]]:
        """What the client sent of this type, in order."""
        return [message for message in self.received if message.get("type") == kind]

    def next_reply(self) -> Reply:
        """What is said next."""
        if not self._replies:
            self._unexpected += 1
            raise AssertionError(f"{type(self).__name__} was asked for more than it has replies.")
        return self._replies.popleft()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(max_msg_size=0)
        await ws.prepare(request)
        self.conversations[ws] = self.conversation(ws, request)
        try:
            await self.run(self.conversations[ws])
        finally:
            del self.conversations[ws]
        return ws
