"""One WebSocket to a vendor: text or bytes out, text in, and how it ended. It knows no vendor and keeps no time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import aiohttp

from patter_nb.errors import MalformedStream
from patter_nb.stt.wire.told import Declined
from patter_nb.wire.refusals import Source
from patter_nb.wire.websocket import HandshakeRefused, connected

__all__ = ["Closed", "Link", "Message", "dial"]

Message: TypeAlias = str | bytes
"""What is sent: text and bytes are different kinds of frames."""


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
    try:
        return Link(await connected(url, headers, source, timeout_s=timeout_s), source)
    except HandshakeRefused as refused:
        raise Declined(refused.refusal, refused.asked_wait_s) from None
