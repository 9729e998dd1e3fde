"""The far side of the wire for tests: a server on this machine that answers as the vendors do, from a script, and keeps what it was sent.

A double of a model shows what an agent does; this shows what a client does, with real sockets and real bytes, and without a key.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from types import TracebackType
from typing import Any

from patter_nb.testing.scripted import Hold
from patter_nb.testing.wire.anthropic_wire import AnthropicWire
from patter_nb.testing.wire.formats import Rejected, WireFormat, wire_json, written
from patter_nb.testing.wire.google_wire import MODEL, GoogleWire
from patter_nb.testing.wire.http import HttpConnection, WireRequest
from patter_nb.testing.wire.openai_wire import AZURE, OpenAIWire
from patter_nb.testing.wire.script import Answer, Blocked, Cut, HttpError, Reply, Scripted, Stall, as_reply, complete

MODELS = (
    *("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "gpt-5-mini", "o4-mini", "test-model"),
    *("claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-sonnet-4-6", "claude-opus-4-7"),
    *("llama-3.3-70b-versatile", "llama-3.1-8b-instant", "openai/gpt-oss-120b"),
    *("gpt-oss-120b", "llama3.1-8b", "llama-3.3-70b", "qwen-3-235b-a22b-instruct-2507", "zai-glm-4.7"),
    *("gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.0-flash", "gemini-3-pro-preview", "gemini-3-flash-preview"),
)
"""What the server knows, if not told otherwise; any other model is not found."""

_PATHS: Mapping[str, WireFormat] = {
    "/v1/chat/completions": OpenAIWire(),
    "/openai/v1/chat/completions": OpenAIWire("groq"),
    "/cerebras/v1/chat/completions": OpenAIWire("cerebras"),
    "/v1/messages": AnthropicWire(),
}
_LISTS: Mapping[str, WireFormat] = {
    "/openai/v1/models": OpenAIWire("groq"),
    "/cerebras/v1/models": OpenAIWire("cerebras"),
    "/v1beta/models": GoogleWire(),
}


class WireServer:
    """A server on 127.0.0.1 that speaks the streams of OpenAI (and Azure), Anthropic, Groq, Cerebras and Gemini, and answers from a list.

    A reply is one step or a list of steps (see `patter_nb.testing.wire.script`): texts, each sent as one piece; `Call`; `CallFragment`;
    `Reasoning`; `Usage`; `Finish`; `Refusal`; `Blocked`; `KeepAlive`; `StreamError`; `Cut`; `Hold`; `Stall`; `End`; `Event`; `Raw`;
    alone an `HttpError`, or a `Reply` to say how the steps are sent. A function is asked for its reply with the `WireRequest`.

    It takes the key "test-key" (`key=None`: any or none) and the `models` it is given, and rejects, as the vendor does and without using
    up a reply, what the vendor rejects. Leaving the block raises `AssertionError` for a request after the last reply, for replies that
    nobody asked for, and for a reply that cannot be sent. `requests` holds all requests, `connections` all connections.

    >>> import asyncio, json, urllib.request
    >>> def ask(url: str) -> bytes:
    ...     body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    ...     headers = {"authorization": "Bearer test-key", "content-type": "application/json"}
    ...     request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)
    ...     with urllib.request.urlopen(request) as response:
    ...         return response.read()
    >>> async def main() -> None:
    ...     async with WireServer(["Hello."]) as server:
    ...         stream = await asyncio.to_thread(ask, server.openai_url)
    ...     print(b'"content":"Hello."' in stream, stream.endswith(b"data: [DONE]\\n\\n"), server.bodies[0]["messages"])
    >>> asyncio.run(main())
    True True [{'role': 'user', 'content': 'Hi'}]
    """

    def __init__(self, replies: Iterable[Scripted] = (), *, key: str | None = "test-key", models: Collection[str] = MODELS) -> None:
        self._replies = deque(replies)
        self._key = key
        self._models = tuple(models)
        self._unexpected: list[str] = []
        self._arrived = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._address = ""
        self.requests: list[WireRequest] = []
        self.connections: list[HttpConnection] = []

    @property
    def openai_url(self) -> str:
        """The base of OpenAI's API, as its clients want it."""
        return f"{self._address}/v1"

    @property
    def groq_url(self) -> str:
        """The base of Groq's API. Its own client wants it without "/openai/v1"."""
        return f"{self._address}/openai/v1"

    @property
    def cerebras_url(self) -> str:
        """The base of Cerebras's API, which takes MessagePack and gzip too."""
        return f"{self._address}/cerebras/v1"

    @property
    def azure_endpoint(self) -> str:
        """The endpoint of Azure's OpenAI, whose deployments are called as their models are."""
        return self._address

    @property
    def anthropic_url(self) -> str:
        """The base of Anthropic's API."""
        return self._address

    @property
    def google_url(self) -> str:
        """The base of Gemini's API, at the Developer API and at Vertex AI."""
        return self._address

    @property
    def bodies(self) -> list[Any]:
        """The decoded bodies of the requests that had one, in order."""
        return [request.body for request in self.requests if request.raw]

    def then(self, *replies: Scripted) -> None:
        """Add replies to the script."""
        self._replies.extend(replies)

    async def received(self, count: int = 1, *, timeout_s: float = 10.0) -> WireRequest:
        """Wait until `count` requests have come in all; the last of them. Raises `AssertionError` after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s), self._arrived:
                await self._arrived.wait_for(lambda: len(self.requests) >= count)
        except TimeoutError:
            raise AssertionError(f"WireServer has received {len(self.requests)} of {count} requests in {timeout_s} s.") from None
        return self.requests[count - 1]

    async def closed(self, connection: int | None = None, *, timeout_s: float = 10.0) -> None:
        """Wait until connection number `connection`, or every one, is closed. Raises `AssertionError` after `timeout_s`."""
        awaited = self.connections if connection is None else [self.connections[connection]]
        try:
            async with asyncio.timeout(timeout_s):
                for one in awaited:
                    await one.closed.wait()
        except TimeoutError:
            left = [one.number for one in awaited if not one.closed.is_set()]
            raise AssertionError(f"Of the client's connections, {left} are still open after {timeout_s} s.") from None

    def verify(self) -> None:
        """Raise `AssertionError` unless every reply was asked for and sent, and nothing else was asked for."""
        for connection in self.connections:
            if connection.failure is not None:
                raise AssertionError(f"WireServer could not send an answer on connection {connection.number}.") from connection.failure
        if self._unexpected:
            raise AssertionError(f"WireServer was asked more often than scripted: {', '.join(self._unexpected)}.")
        if self._replies:
            raise AssertionError(f"WireServer has {len(self._replies)} replies that nobody asked for; the next is {self._replies[0]!r}.")

    async def __aenter__(self) -> WireServer:
        self._server = await asyncio.get_running_loop().create_server(self._connect, "127.0.0.1", 0)
        self._address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [one.task for one in self.connections if one.task is not None]
        for connection in self.connections:
            connection.close(reset=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        if error is None:
            self.verify()

    def __repr__(self) -> str:
        return f"WireServer({self._address or 'not started'}, {len(self._replies)} replies left)"

    def _connect(self) -> HttpConnection:
        connection = HttpConnection(len(self.connections), self._answer, lambda: len(self.requests))
        self.connections.append(connection)
        return connection

    async def _answer(self, connection: HttpConnection, request: WireRequest) -> None:
        self.requests.append(request)
        async with self._arrived:
            self._arrived.notify_all()
        wire = _wire_of(request)
        if wire is None:
            told = {"error": {"message": f"Invalid URL ({request.method} {request.path})", "type": "invalid_request_error"}}
            await connection.respond(404, wire_json(told), {})
            return
        try:
            self._check_key(wire, request)
            if request.method == "GET":
                await connection.respond(200, wire_json(wire.list_models(self._models)), wire.request_id(request.number))
                return
            wire.check(request, self._models)
            answer = self._next_answer(request)
            reply = None if isinstance(answer, HttpError) else as_reply(answer)
            if reply is not None and isinstance(reply.steps, Blocked) and (refusal := wire.blocked(reply.steps.reason)) is not None:
                raise refusal
        except Rejected as rejected:
            await connection.respond(rejected.status, wire.error_body(rejected), wire.request_id(request.number))
            return
        if isinstance(answer, HttpError):
            body = answer.body if answer.body is not None else wire.error_body(Rejected(answer.status, answer.message, code=answer.code))
            await connection.respond(answer.status, body, {**wire.request_id(request.number), **answer.headers})
        else:
            await _play(connection, wire, as_reply(answer), request)

    def _check_key(self, wire: WireFormat, request: WireRequest) -> None:
        key = wire.key(request)
        if self._key is not None and key != self._key:
            raise wire.key_error(key)

    def _next_answer(self, request: WireRequest) -> Answer:
        if not self._replies:
            self._unexpected.append(f"{request.method} {request.path}")
            raise Rejected(400, f"WireServer was asked once more than scripted, with {request.method} {request.path}.")
        answer = self._replies.popleft()
        return answer(request) if callable(answer) else answer


def _wire_of(request: WireRequest) -> WireFormat | None:
    """The vendor whose address this is. Three of them list their models at the same one, where their clients' headers tell."""
    if request.method == "POST":
        azures = OpenAIWire() if AZURE.fullmatch(request.path) else None
        return _PATHS.get(request.path) or azures or (GoogleWire() if MODEL.fullmatch(request.path) else None)
    if request.method == "GET" and request.path == "/v1/models":
        told: Mapping[str, WireFormat] = {"anthropic-version": AnthropicWire(), "x-goog-api-key": GoogleWire()}
        return next((wire for header, wire in told.items() if header in request.headers), OpenAIWire())
    return _LISTS.get(request.path) if request.method == "GET" else None


async def _play(connection: HttpConnection, wire: WireFormat, reply: Reply, request: WireRequest) -> None:
    """Send the reply. The status line goes out with the first event, so that a hold before everything keeps even that back."""
    body = _Body(connection, reply, {**wire.request_id(request.number), **reply.headers})
    for item in written(wire, complete(reply.steps, id_prefix=wire.id_prefix(request)), request):
        if isinstance(item, bytes):
            await body.write(item)
            if body.is_cut:
                return
            continue
        await body.flush()
        if isinstance(item, Cut):
            await (body.finish() if item.how == "end" else body.close(reset=item.how == "reset"))
            return
        assert isinstance(item, (Hold, Stall))
        await connection.until(item.event if isinstance(item, Hold) else None)
    await body.finish()


class _Body:
    """The body of one answer, sent in the pieces that the reply asks for."""

    def __init__(self, connection: HttpConnection, reply: Reply, headers: Mapping[str, str]) -> None:
        self._connection = connection
        self._reply = reply
        self._headers = headers
        self._begun = False
        self._waiting = bytearray()
        self._left = reply.cut_after
        self.is_cut = False

    async def write(self, data: bytes) -> None:
        if self._left is not None:
            self.is_cut = len(data) >= self._left
            data = data[: self._left]
            self._left -= len(data)
        if self._reply.pieces == "whole":
            self._waiting += data
        else:
            await self._send(data)
        if self.is_cut:
            await self.close()

    async def _send(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            await self._connection.begin(self._headers)
        for piece in (data[n : n + 1] for n in range(len(data))) if self._reply.pieces == "bytes" else (data,):
            await self._connection.send(piece)

    async def flush(self) -> None:
        if self._waiting:
            waiting = bytes(self._waiting)
            self._waiting.clear()
            await self._send(waiting)

    async def finish(self) -> None:
        await self.flush()
        await self._send(b"")
        await self._connection.finish(self._headers)

    async def close(self, *, reset: bool = False) -> None:
        await self.flush()
        self._connection.close(reset=reset)
