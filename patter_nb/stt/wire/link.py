"""One WebSocket to a vendor, by the loop's pool: the handshake's refusals, text in, text or bytes out, and how it ended.

It knows no vendor and keeps no time but that of the handshake. A connection that died without a word is found by WebSocket pings.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import aiohttp

from patter_nb.errors import ConnectionFailed, MalformedStream, RequestTimeout
from patter_nb.stt.wire.told import Declined
from patter_nb.wire.pool import pool
from patter_nb.wire.refusals import Refusal, Source
from patter_nb.wire.retrying import asked_wait_s

__all__ = ["Closed", "Link", "Message", "dial"]

Message: TypeAlias = str | bytes
"""What is sent: text and bytes are different kinds of frames."""

PING_S: Final = 20.0
CLOSE_S: Final = 1.0
"""How long the vendor may take to say goodbye; then the socket is closed without."""
_LONGEST_MESSAGE: Final = 2**22
_REQUEST_IDS: Final = ("dg-request-id", "x-request-id", "cf-ray")
_EXPLAINED: Final = "dg-error"
"""The header in which Deepgram says what it did not take; a WebSocket's client is not shown the body."""


class Closed(Exception):
    """The connection is over: with the vendor's `code` and `reason`, or without (code 1006 of RFC 6455)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"code {code}{f', {reason}' if reason else ''}")
        self.code = code
        self.reason = reason


class Link:
    """A WebSocket that is open. It belongs to the loop in which it was dialled."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, source: Source) -> None:
        self.loop = asyncio.get_running_loop()
        self._socket = socket
        self._source = source

    @property
    def is_closed(self) -> bool:
        return self._socket.closed

    async def send(self, message: Message) -> None:
        """Send one frame. Raises `Closed`."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (aiohttp.ClientError, OSError) as error:
            raise Closed(self._socket.close_code or 1006, str(error)) from error

    async def receive(self) -> Mapping[str, Any]:
        """The next message, a JSON object. Raises `Closed`, and `MalformedStream` for anything else."""
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return self._object(message.data)
        if message.type is aiohttp.WSMsgType.BINARY:
            raise self._malformed(f"{len(message.data)} bytes where text was due")
        if isinstance(message.data, aiohttp.WebSocketError):
            raise self._malformed(str(message.data)) from message.data
        reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE and message.extra else ""
        broken = self._socket.exception()
        raise Closed(self._socket.close_code or 1006, reason or (str(broken) if broken else ""))

    async def close(self, farewell: Sequence[Message] = ()) -> None:
        """Say `farewell`, if the vendor still listens, and close."""
        try:
            for message in farewell:
                await self.send(message)
        except Closed:
            pass  # it is what is wanted
        await self._socket.close()

    def _object(self, text: str) -> Mapping[str, Any]:
        try:
            told = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._malformed(f"{text!r:.100}") from error
        if not isinstance(told, dict):
            raise self._malformed(f"{text!r:.100}")
        return told

    def _malformed(self, what: str) -> MalformedStream:
        return malformed(self._source, what)


def malformed(source: Source, what: str) -> MalformedStream:
    """The error for a message that is not of the vendor's form."""
    hint = "Check base_url if you set it; otherwise the vendor has changed its form: use another provider, session.use(stt=...)."
    told = f"{source.provider} sent what is no message of its own: {what}."
    return MalformedStream(told, hint=hint, provider=source.provider, model=source.model)


async def dial(url: str, headers: Mapping[str, str], source: Source, *, timeout_s: float) -> Link:
    """Open a WebSocket. Raises `Declined` for a refusal, `ConnectionFailed`, `RequestTimeout`, and `MalformedStream` for no WebSocket."""
    shared = pool()
    name, model = source.provider, source.model
    try:
        async with asyncio.timeout(timeout_s):
            socket = await shared.session.ws_connect(
                url,
                headers=headers,
                proxy=shared.proxy_for(url),
                heartbeat=PING_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                max_msg_size=_LONGEST_MESSAGE,
            )
    except TimeoutError as error:
        told = f"{name} did not answer within {timeout_s:g} s."
        raise RequestTimeout(told, hint="Try again in a moment, or raise timeout_s.", provider=name, model=model) from error
    except aiohttp.WSServerHandshakeError as error:
        if error.status < 400:
            raise malformed(source, f"HTTP {error.status} where a WebSocket was due") from error
        raise Declined(_refusal(error), asked_wait_s(error.headers or {})) from None  # the client's error shows the headers, and the key
    except (aiohttp.ClientError, OSError) as error:
        told = f"{name} could not be reached at {url.partition('?')[0]}: {error or type(error).__name__}."
        raise ConnectionFailed(told, hint="Check the network, and base_url if you set it.", provider=name, model=model) from error
    return Link(socket, source)


def _refusal(error: aiohttp.WSServerHandshakeError) -> Refusal:
    told = {key.lower(): value for key, value in (error.headers or {}).items()}
    phrase = HTTPStatus(error.status).phrase if error.status in set(HTTPStatus) else "no explanation"
    request_id = next((told[key] for key in _REQUEST_IDS if key in told), None)
    return Refusal(error.status, told.get(_EXPLAINED, phrase), request_id=request_id)
