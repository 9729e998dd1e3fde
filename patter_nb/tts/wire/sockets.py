"""WebSockets to a vendor: opened before they are needed, kept between two pieces of speech, and left in the middle of one.

They belong to the loop's pool of connections, as requests do. What lies idle goes on being read, so that a vendor's pings are answered and
one that it closed is not taken for an open one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import aiohttp

from patter_nb.errors import MalformedStream, PatterError
from patter_nb.tts.wire.failing import BrokeOff, Failed, Silent, refused
from patter_nb.wire.pool import CONNECT_S
from patter_nb.wire.refusals import Source
from patter_nb.wire.websocket import HandshakeRefused, connected

__all__ = ["Shelf", "Socket", "opened"]

logger = logging.getLogger("patter_nb")

_GOODBYE_S: Final = 0.01
"""How long a vendor's own word of farewell is waited for: nobody reads it, and who interrupts should not wait."""
_SHOWN: Final = 80


async def opened(url: str, headers: Mapping[str, str], source: Source, *, timeout_s: float) -> Socket:
    """A new WebSocket to `url` (https:// or wss://). Raises `Failed` with what stood in the way."""
    try:
        ws = await connected(url, headers, source, timeout_s=min(CONNECT_S, timeout_s), goodbye_s=_GOODBYE_S)
    except HandshakeRefused as said:
        raise refused(said.refusal, source, asked_wait_s=said.asked_wait_s) from None
    except PatterError as error:
        raise Failed(error) from error
    return Socket(ws, source)


class Socket:
    """One WebSocket that carries JSON. `kept`: it lay idle before; `answered`: something has come since."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse[bool], source: Source) -> None:
        self._ws = ws
        self._source = source
        self._receiving: asyncio.Task[Any] | None = None
        self.opened_s = asyncio.get_running_loop().time()
        self.kept = self.answered = False
        self._idle = False

    @property
    def is_open(self) -> bool:
        """Whether nothing has come that says otherwise."""
        ended = self._receiving is not None and self._receiving.done() and not _is_text(self._receiving)
        return not (self._ws.closed or ended)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one message. Raises `BrokeOff`."""
        try:
            await self._ws.send_str(json.dumps(message))
        except (aiohttp.ClientError, ConnectionError) as error:
            raise BrokeOff(f"the connection failed: {error or type(error).__name__}") from error

    async def messages(self, sending: Coroutine[Any, Any, None], *, timeout_s: float) -> AsyncIterator[Mapping[str, Any]]:
        """What the vendor says, while `sending` tells it the text; closing this ends `sending`.

        Once everything was told, the vendor may be silent for `timeout_s`. Raises `BrokeOff`, `MalformedStream`, and what `sending` does.
        """
        sender = asyncio.ensure_future(sending)
        try:
            while True:
                yield await self._next(sender, timeout_s)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _next(self, sender: asyncio.Task[None], timeout_s: float) -> Mapping[str, Any]:
        receiving = self._receive()
        while True:
            if sender.done() and (error := sender.exception()) is not None and not isinstance(error, BrokeOff):
                raise error  # where the connection broke, the vendor may have said why
            if receiving.done():
                break
            waits: set[asyncio.Task[Any]] = {receiving} if sender.done() else {receiving, sender}
            done, _ = await asyncio.wait(waits, timeout=timeout_s if sender.done() else None, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise Silent(f"nothing came for {timeout_s:g} s")
        self._receiving = None
        return self._read(receiving.result())

    def _receive(self) -> asyncio.Task[Any]:
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._ws.receive())
        return self._receiving

    def _read(self, message: aiohttp.WSMessage) -> Mapping[str, Any]:
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                self.answered = True
                return _parsed(message.data, self._source)
            case aiohttp.WSMsgType.BINARY:
                raise _malformed(f"{len(message.data)} bytes that are no text", self._source)
            case aiohttp.WSMsgType.CLOSE:
                reason = f": {message.extra}" if message.extra else ""
                raise BrokeOff(f"the vendor closed the connection ({message.data}{reason})", message.data)
            case _:
                raise BrokeOff("the connection was lost")

    def watch(self, ended: Callable[[Socket], None]) -> None:
        """Drop whatever comes, until the socket is taken again; `ended` is called if it closes meanwhile."""
        self.kept, self.answered, self._idle = True, False, True

        def look(receiving: asyncio.Task[Any]) -> None:
            if self._receiving is not receiving or not self._idle:
                return
            if receiving.cancelled() or not _is_text(receiving):
                ended(self)
            else:
                self._receiving = None
                self._receive().add_done_callback(look)

        self._receive().add_done_callback(look)

    def taken(self) -> None:
        """What comes from now on is for whoever speaks."""
        self._idle = False

    async def aclose(self) -> None:
        """Say farewell and close, without waiting for an answer."""
        if self._receiving is not None:
            receiving, self._receiving = self._receiving, None
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        await self._ws.close()


class Shelf:
    """The sockets of one voice that nobody speaks on, for each loop. Each is good for `kept_s` seconds after it was opened."""

    def __init__(self, opening: Callable[[], Awaitable[Socket]], *, kept_s: float) -> None:
        self._opening = opening
        self._kept_s = kept_s
        self._boards: WeakKeyDictionary[asyncio.AbstractEventLoop, _Board] = WeakKeyDictionary()

    def _board(self) -> _Board:
        return self._boards.setdefault(asyncio.get_running_loop(), _Board())

    async def take(self, *, fresh: bool = False) -> Socket:
        """An open socket: one that lies here, the one that is being opened, or else, and where it has to be `fresh`, a new one.

        Raises `Failed`.
        """
        board = self._board()
        if board.ahead is not None:
            await asyncio.wait((board.ahead,))
        if fresh:
            await self._clear(board)
        latest = asyncio.get_running_loop().time() - self._kept_s
        while board.idle:
            socket = board.idle.popleft()
            socket.taken()
            if socket.is_open and socket.opened_s > latest:
                return socket
            await socket.aclose()
        return await self._opening()

    def put(self, socket: Socket) -> None:
        """Keep a socket for the next who speaks."""
        board = self._board()
        board.idle.append(socket)
        socket.watch(lambda ended: board.idle.remove(ended) if ended in board.idle else None)

    def stock(self) -> None:
        """Have one opened ahead, unless there is one."""
        board = self._board()
        if not board.idle and board.ahead is None:
            board.ahead = asyncio.ensure_future(self._fill(board))

    async def _fill(self, board: _Board) -> None:
        try:
            self.put(await self._opening())
        except Failed as failed:
            logger.debug("no connection could be opened ahead: %s", failed)  # who needs it tries again, and is told
        finally:
            board.ahead = None

    async def fill(self) -> None:
        """Wait until one lies here. Raises `PatterError`."""
        if not self._board().idle:
            try:
                self.put(await self._opening())
            except Failed as failed:
                raise failed.error from failed.__cause__

    async def _clear(self, board: _Board) -> None:
        while board.idle:
            await board.idle.popleft().aclose()

    async def aclose(self) -> None:
        """Close everything that lies here."""
        board = self._board()
        if board.ahead is not None:
            board.ahead.cancel()
            await asyncio.gather(board.ahead, return_exceptions=True)
        await self._clear(board)


class _Board:
    """One loop's part of a shelf."""

    def __init__(self) -> None:
        self.idle: deque[Socket] = deque()
        self.ahead: asyncio.Task[None] | None = None


def _is_text(receiving: asyncio.Task[Any]) -> bool:
    return not receiving.cancelled() and receiving.exception() is None and receiving.result().type is aiohttp.WSMsgType.TEXT


def _parsed(text: str, source: Source) -> Mapping[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"{text[:_SHOWN]!r}", source) from error
    if not isinstance(message, dict):
        raise _malformed(f"{text[:_SHOWN]!r}", source)
    return message


def _malformed(what: str, source: Source) -> PatterError:
    told = f"{source.provider} sent {what}, which is no message of its protocol."
    return MalformedStream(told, hint="Check base_url if you set it.", provider=source.provider, model=source.model)
