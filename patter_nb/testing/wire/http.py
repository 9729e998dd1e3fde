"""HTTP/1.1 as a server speaks it, byte by byte: what libraries hide (who closed, when, after how much of a body) is what tests ask."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request as it came. `headers` have lower-case names; `connection` counts connections from 0, `number` requests from 0.

    `body` is the decoded JSON or MessagePack (gzip or not), None for no body or one that is neither; `raw` is what came.
    """

    number: int
    connection: int
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    body: Any


class ClientGone(Exception):
    """The client closed its side; the rest of the answer has nobody to go to."""


class HttpConnection(asyncio.Protocol):
    """One connection of a client; `answer` is awaited for each request in turn.

    `requests` counts them, `closed` is set when the socket is no more, `closed_by` says who did it, and `failure` what went wrong here.
    """

    def __init__(
        self, number: int, answer: Callable[[HttpConnection, WireRequest], Coroutine[Any, Any, None]], count: Callable[[], int]
    ) -> None:
        self.number = number
        self.requests = 0
        self.closed = asyncio.Event()
        self.closed_by: Literal["client", "server"] | None = None
        self.failure: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self._answer = answer
        self._count = count
        self._buffer = bytearray()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed_by = self.closed_by or "client"
        self.closed.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _next(self) -> None:
        """Begin with the next request, if one has come whole and no answer is under way."""
        if self.task is not None or self.closed.is_set():
            return
        request = self._take_request()
        if request is not None:
            self.requests += 1
            self.task = asyncio.get_running_loop().create_task(self._answer(self, request), name=f"wire connection {self.number}")
            self.task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self.task = None
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ClientGone):
            self.failure = error
            self.close(reset=True)
        self._next()

    def _take_request(self) -> WireRequest | None:
        head, found, rest = bytes(self._buffer).partition(_HEAD_END)
        if not found:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        taken = _body(rest, headers)
        if taken is None:
            return None
        raw, used = taken
        del self._buffer[: len(head) + len(_HEAD_END) + used]
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        return WireRequest(self._count(), self.number, method, url.path, query, headers, raw, decoded(raw, headers))

    async def respond(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """A whole response, whose length is told."""
        self._head(status, {"content-type": "application/json", "content-length": str(len(body)), **headers})
        await self._write(body)
        self._after(headers)

    async def begin(self, headers: Mapping[str, str]) -> None:
        """A streamed response of status 200; its body follows with `send` and ends with `finish`."""
        self._head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked", **headers})
        await self._write(b"")

    async def send(self, piece: bytes) -> None:
        """One HTTP chunk, in one write. Raises `ClientGone` when nobody is there."""
        if piece:
            await self._write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    async def finish(self, headers: Mapping[str, str]) -> None:
        """The body's end; with a header "connection: close" the socket's too."""
        await self._write(b"0\r\n\r\n")
        self._after(headers)

    def close(self, *, reset: bool = False) -> None:
        """Close from this side: in good order, or with what is still to be sent thrown away."""
        self.closed_by = self.closed_by or "server"
        if reset:
            self._transport.abort()
        else:
            self._transport.close()

    async def until(self, event: asyncio.Event | None) -> None:
        """Wait for the event, or, without one, for ever. Raises `ClientGone` when the client closes before."""
        waits = [asyncio.ensure_future(one.wait()) for one in (event, self.closed) if one is not None]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if event is None or not event.is_set():
            raise ClientGone

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Overloaded"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self._transport.write("\r\n".join(lines).encode("latin-1") + _HEAD_END)

    async def _write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ClientGone
        self._transport.write(data)
        await self._writable.wait()
        await asyncio.sleep(0)  # events never come all at once; a client in the same loop reads in between

    def _after(self, headers: Mapping[str, str]) -> None:
        if headers.get("connection") == "close":
            self.close()


def _body(data: bytes, headers: Mapping[str, str]) -> tuple[bytes, int] | None:
    """The body at the front of `data` and how many bytes it takes up there; None until it is whole."""
    if headers.get("transfer-encoding") != "chunked":
        length = int(headers.get("content-length", "0"))
        return (data[:length], length) if len(data) >= length else None
    out, place = b"", 0
    while (line_end := data.find(b"\r\n", place)) >= 0:
        size = int(data[place:line_end].split(b";")[0], 16)
        start, place = line_end + 2, line_end + 2 + size + 2
        if len(data) < place:
            return None
        if size == 0:
            return out, place
        out += data[start : start + size]
    return None


def decoded(raw: bytes, headers: Mapping[str, str]) -> Any:
    """What the body says, by its content type and encoding; None where it says nothing."""
    try:
        plain = gzip.decompress(raw) if headers.get("content-encoding") == "gzip" else raw
        if headers.get("content-type", "").partition(";")[0] == "application/vnd.msgpack":
            import msgpack  # type: ignore[import-untyped]

            return msgpack.unpackb(plain)
        return json.loads(plain) if plain else None
    except (ValueError, EOFError, OSError):
        return None
