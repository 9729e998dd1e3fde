"""A web server of a few lines on this machine, for what is to be called over real connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    json: Any = None


@dataclass
class Server:
    """`url` and `host` ("127.0.0.1:port") of a running server, and what it was asked."""

    port: int
    asked: list[Asked] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    """A server that answers every request by `answer`, until the end of the block."""
    server = Server(0)

    async def handle(request: web.Request) -> web.StreamResponse:
        upgrades = request.headers.get("Upgrade", "").lower() == "websocket"
        body = b"" if upgrades else await request.read()
        parsed = await request.json() if body and request.content_type == "application/json" else None
        server.asked.append(Asked(request.method, request.path, {k.lower(): v for k, v in request.headers.items()}, body, parsed))
        return await answer(request)

    app = web.Application(client_max_size=10**9)
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


def saying(value: Any, *, status: int = 200) -> Answer:
    """An answer that is always this JSON."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(value, status=status)

    return answer
