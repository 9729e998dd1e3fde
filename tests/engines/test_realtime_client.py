"""OpenAI's Realtime by an official client of one's own: what of it is used, which objects are none, and what goes wrong as it connects."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from aiohttp import web
from anthropic import AsyncAnthropic
from local_web import Server, serving
from talking import until

from patter_nb.engines.openai import OpenAIRealtime
from patter_nb.errors import (
    AuthenticationError,
    ConnectionFailed,
    MalformedStream,
    ModelNotFound,
    PatterConfigError,
    PatterError,
    RateLimitError,
    RequestTimeout,
)
from patter_nb.patter import Patter
from patter_nb.testing.wire.realtime import RealtimeServer


class Noting(RealtimeServer):
    """Keeps what each handshake said of itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: list[tuple[Mapping[str, str], Mapping[str, str]]] = []

    async def _admit(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((dict(request.headers), dict(request.query)))
        return await super()._admit(request)


def http(url: str) -> str:
    return url.replace("ws", "http", 1)


async def opened(engine: OpenAIRealtime) -> None:
    """Open it, for an agent that is its own, and close it."""
    await engine.open(Patter().agent("Be brief.", engine=engine), ())
    await engine.aclose()


async def test_the_clients_key_address_and_headers_are_used_and_ours_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of the environment")
    async with Noting() as server:
        client = openai.AsyncOpenAI(
            api_key="test-key", base_url=http(server.url), default_headers={"X-Team": "boats"}, default_query={"via": "gateway"}
        )
        await opened(OpenAIRealtime("another-key", base_url="ws://127.0.0.1:1/v1", model="gpt-realtime", client=client))
    ((headers, query),) = server.asked
    assert (headers["Authorization"], headers["X-Team"]) == ("Bearer test-key", "boats")
    assert query == {"model": "gpt-realtime", "via": "gateway"}


async def test_a_key_that_is_asked_for_is_asked_for_at_each_connection() -> None:
    keys = ["old", "test-key"]

    async def next_key() -> str:
        return keys.pop(0)

    async with RealtimeServer() as server:
        engine = OpenAIRealtime(client=openai.AsyncOpenAI(api_key=next_key, base_url=http(server.url)))
        with pytest.raises(AuthenticationError, match="Incorrect API key"):
            await opened(engine)
        await opened(engine)
    assert not keys


async def test_no_key_of_ours_is_needed_and_it_opens_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with RealtimeServer() as server:
        engine = OpenAIRealtime(client=openai.AsyncOpenAI(api_key="test-key", base_url=http(server.url)))
        await engine.open(Patter().agent(engine=engine), ())
        with pytest.raises(PatterConfigError, match="open already"):
            await opened(engine)
        await engine.aclose()
        await until(lambda: not server.conversations)
        await opened(engine)
    assert "test-key" not in repr(engine)


async def test_what_is_sent_on_a_connection_that_dropped_is_lost_and_the_end_is_told_with_its_code() -> None:
    async with RealtimeServer() as server:
        engine = OpenAIRealtime(client=openai.AsyncOpenAI(api_key="test-key", base_url=http(server.url)))
        await engine.open(Patter().agent(engine=engine), ())
        await until(lambda: server.conversations)
        await server.drop()
        await engine.send_text("Anybody?")
        with pytest.raises(ConnectionFailed, match="code 1001"):
            async for _ in engine.events():
                pass
        await engine.send_text("Anybody?")
        await engine.aclose()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: openai.OpenAI(api_key="k"), "client=<OpenAI>, which is not asynchronous"),
        (lambda: AsyncAnthropic(api_key="k"), "client=<AsyncAnthropic>, which has no realtime.connect"),
        (lambda: openai.AsyncOpenAI, "client=<type>, which has no realtime.connect"),
        (httpx.AsyncClient, "client=<AsyncClient>, which has no realtime.connect"),
        (lambda: "sk-not-a-client", "client=<str>, which has no realtime.connect"),
    ],
    ids=["sync", "another vendor's", "the class", "http", "a key"],
)
def test_an_object_that_is_no_asynchronous_client_is_refused_at_once(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(PatterConfigError, match=told) as caught:
        OpenAIRealtime(client=make())
    assert "openai.AsyncOpenAI(...)" in str(caught.value)
    assert "sk-not" not in str(caught.value)


async def test_a_client_without_its_websockets_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("websockets", "websockets.asyncio.client", "openai.lib._websocket"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PatterConfigError, match=r'pip install --upgrade "openai\[realtime\]"'):
        await opened(OpenAIRealtime(client=openai.AsyncOpenAI(api_key="k", base_url="http://127.0.0.1:1/v1")))


async def test_what_a_clients_own_authentication_raises_is_of_the_family() -> None:
    async def fails() -> str:
        raise LookupError("the vault is closed")

    with pytest.raises(PatterError, match=r"the vault is closed.*authentication") as caught:
        await opened(OpenAIRealtime(client=openai.AsyncOpenAI(api_key=fails, base_url="http://127.0.0.1:1/v1")))
    assert isinstance(caught.value.__cause__, LookupError)


# --- what goes wrong as it connects, the same by either way


def by_own_socket(url: str) -> OpenAIRealtime:
    return OpenAIRealtime("test-key", base_url=url.replace("http", "ws", 1))


def by_client(url: str) -> OpenAIRealtime:
    return OpenAIRealtime(client=openai.AsyncOpenAI(api_key="test-key", base_url=url))


either_way = pytest.mark.parametrize("way", [by_own_socket, by_client])
Way = Callable[[str], OpenAIRealtime]


@asynccontextmanager
async def refusing(status: int, text: str = "", **headers: str) -> AsyncIterator[Server]:
    async def answer(request: web.Request) -> web.Response:
        response = web.Response(status=status, text=text, headers=headers)
        response.headers.add("Set-Cookie", "one=1")
        response.headers.add("Set-Cookie", "two=2")
        return response

    async with serving(answer) as server:
        yield server


@either_way
@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (404, ModelNotFound), (429, RateLimitError)])
async def test_a_refusal_is_the_error_that_it_means(way: Way, status: int, kind: type[PatterError]) -> None:
    async with refusing(status, **{"Retry-After": "7", "x-request-id": "req_1"}) as server:
        with pytest.raises(kind) as caught:
            await opened(way(f"{server.url}/v1"))
    assert (caught.value.provider, caught.value.status, caught.value.request_id) == ("openai", status, "req_1")
    if isinstance(caught.value, RateLimitError):
        assert caught.value.retry_after_s == 7


@either_way
async def test_a_page_in_place_of_a_websocket_is_told_so(way: Way) -> None:
    async with refusing(200, "<html>Welcome</html>") as server:
        with pytest.raises(MalformedStream, match=r"HTTP 200 where a WebSocket should open.*base_url"):
            await opened(way(f"{server.url}/v1"))


@either_way
async def test_where_nobody_listens_it_could_not_be_reached(way: Way, unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionFailed, match=r"could not be reached.*base_url"):
        await opened(way(f"http://127.0.0.1:{unused_tcp_port}/v1"))


@either_way
async def test_what_is_no_http_is_of_the_family(way: Way) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        with pytest.raises((MalformedStream, ConnectionFailed)):
            await opened(way(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"))


async def test_a_vendor_that_never_answers_a_client_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.engines.openai.client.CONNECT_S", 0.2)
    left = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        await left.wait()
        return web.Response()

    async with serving(never) as server:
        with pytest.raises(RequestTimeout, match="in time"):
            await opened(by_client(f"{server.url}/v1"))
        left.set()
