"""The server does what its script says, byte by byte, keeps what it was sent, and complains like the other doubles."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgpack
import pytest

from patter_nb.llm.wire.sse import EventParser
from patter_nb.testing import Call, Hold, WireServer
from patter_nb.testing.wire import (
    CallFragment,
    Cut,
    End,
    Event,
    Finish,
    HttpError,
    KeepAlive,
    Raw,
    Reasoning,
    Refusal,
    Reply,
    Stall,
    StreamError,
    Usage,
    WireRequest,
)

KEY = {"authorization": "Bearer test-key"}
ASK = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
ASK_USAGE = {**ASK, "stream_options": {"include_usage": True}}


@asynccontextmanager
async def asking(server: WireServer, body: Any = ASK, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
    url = f"{server.openai_url}/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers={**KEY, **headers}) as response:
        yield response


async def stream_of(server: WireServer, body: Any = ASK) -> bytes:
    async with asking(server, body) as response:
        assert response.status == 200, await response.text()
        return await response.read()


def deltas(stream: bytes) -> list[dict[str, Any]]:
    events = [event.data for event in EventParser().feed(stream)]
    chunks = [json.loads(data) for data in events if data != b"[DONE]"]
    return [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]


class Wire:
    """A socket and nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def ask(self, body: Any = ASK, path: str = "/v1/chat/completions") -> None:
        text = json.dumps(body)
        self.writer.write(f"POST {path} HTTP/1.1\r\nAuthorization: Bearer test-key\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


@asynccontextmanager
async def wired(server: WireServer) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.openai_url.split(":")[2].split("/")[0]))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


# --- what it keeps


async def test_requests_are_kept_whole() -> None:
    async with WireServer(["Hello."]) as server:
        await stream_of(server)
        (request,) = server.requests
    assert isinstance(request, WireRequest)
    assert (request.number, request.connection, request.method, request.path, request.query) == (0, 0, "POST", "/v1/chat/completions", {})
    assert (request.headers["authorization"], request.headers["content-type"]) == ("Bearer test-key", "application/json")
    assert request.body == ASK == json.loads(request.raw)
    assert server.bodies == [ASK]


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("is_zipped", [True, False])
async def test_bodies_are_decoded_however_they_are_packed(is_packed: bool, is_zipped: bool) -> None:
    packed = msgpack.packb(ASK) if is_packed else json.dumps(ASK).encode()
    data = gzip.compress(packed) if is_zipped else packed
    headers = {**KEY, "content-type": "application/vnd.msgpack" if is_packed else "application/json"}
    headers |= {"content-encoding": "gzip"} if is_zipped else {}
    async with WireServer(["Hello."]) as server, aiohttp.ClientSession() as session:
        async with session.post(f"{server.cerebras_url}/chat/completions", data=data, headers=headers) as response:
            assert b"Hello." in await response.read()
        assert server.bodies == [ASK]
        assert server.requests[0].raw == data


async def test_a_body_in_chunks_is_put_together() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        text = json.dumps(ASK).encode()
        for start in range(0, len(text), 20):
            yield text[start : start + 20]

    async with WireServer(["Hello."]) as server, aiohttp.ClientSession() as session:
        headers = {**KEY, "content-type": "application/json"}
        async with session.post(f"{server.openai_url}/chat/completions", data=pieces(), headers=headers) as response:
            assert b"Hello." in await response.read()
        assert server.bodies == [ASK]


async def test_a_connection_is_counted_once_for_all_its_requests() -> None:
    async with WireServer(["One.", "Two.", "Three."]) as server:
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(f"{server.openai_url}/chat/completions", json=ASK, headers=KEY) as response:
                    await response.read()
            (connection,) = server.connections
            assert (connection.requests, connection.closed_by) == (3, None)
        await server.closed()
        assert connection.closed_by == "client"


async def test_requests_that_come_at_once_are_answered_in_turn() -> None:
    async with WireServer(["One.", "Two."]) as server, wired(server) as wire:
        wire.ask()
        wire.ask()
        assert b"One." in await wire.reader.readuntil(b"\r\n0\r\n\r\n")
        assert b"Two." in await wire.reader.readuntil(b"\r\n0\r\n\r\n")


async def test_a_request_is_waited_for() -> None:
    async with WireServer([Stall()]) as server, wired(server) as wire:
        waiting = asyncio.ensure_future(server.received())
        wire.ask()
        assert (await waiting).body == ASK
        with pytest.raises(AssertionError, match="has received 1 of 2 requests"):
            await server.received(2, timeout_s=0.01)
        with pytest.raises(AssertionError, match=r"\[0\] are still open"):
            await server.closed(timeout_s=0.01)


# --- what it sends


async def test_a_text_is_one_piece_and_what_the_vendor_adds_is_added() -> None:
    async with WireServer([["Hel", "lo."]]) as server:
        assert deltas(await stream_of(server)) == [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo."}, {}]


async def test_a_call_comes_in_fragments_with_an_id_of_its_own() -> None:
    async with WireServer([["Wait.", Call("a", {"x": 1}), Call("b")]] * 2) as server:
        first, second = [deltas(await stream_of(server)) for _ in range(2)]
    calls = [delta["tool_calls"][0] for delta in first if "tool_calls" in delta]
    assert calls == [
        {"index": 0, "id": "call_0_0", "type": "function", "function": {"name": "a", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x"'}},
        {"index": 0, "function": {"arguments": ": 1}"}},
        {"index": 1, "id": "call_0_1", "type": "function", "function": {"name": "b", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{"}},
        {"index": 1, "function": {"arguments": "}"}},
    ]
    assert "call_0_0" not in json.dumps(second)


async def test_fragments_are_sent_as_they_are_scripted() -> None:
    steps = [CallFragment(2, "x", "a"), CallFragment(None, None, None, ""), CallFragment(2, "", "", "{}")]
    async with WireServer([steps]) as server:
        calls = [delta["tool_calls"][0] for delta in deltas(await stream_of(server)) if "tool_calls" in delta]
    assert calls == [
        {"index": 2, "id": "x", "type": "function", "function": {"name": "a"}},
        {"function": {"arguments": ""}},
        {"index": 2, "id": "", "type": "function", "function": {"name": "", "arguments": "{}"}},
    ]


async def test_usage_comes_behind_the_finish_and_only_when_asked_for() -> None:
    reply = ["Hi", Usage(3, 5, cache_read=7, reasoning=2)]
    async with WireServer([reply, reply, ["Hi", Usage(3, 5, details=False)]]) as server:
        assert b"usage" not in await stream_of(server)
        asked = [json.loads(event.data) for event in EventParser().feed(await stream_of(server, ASK_USAGE))[:-1]]
        bare = [json.loads(event.data) for event in EventParser().feed(await stream_of(server, ASK_USAGE))[:-1]]
    assert [chunk["usage"] for chunk in asked[:-1]] == [None] * 3
    assert asked[-2]["choices"][0]["finish_reason"] == "stop"
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 7, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
    }
    assert (bare[-1]["usage"]["prompt_tokens_details"], bare[-1]["usage"]["completion_tokens_details"]) == (None, None)


async def test_what_is_not_of_the_message_stands_between() -> None:
    told = [Reasoning("Hm.", key="reasoning_content"), Event({"x": 1}, "extra"), Raw(b": raw\n\n"), Refusal("No.")]
    async with WireServer([[KeepAlive(), *told, StreamError(500, "Oh.")]]) as server:
        stream = await stream_of(server)
    assert stream.startswith(b": keep-alive\n\ndata: {")
    assert b'event: extra\ndata: {"x":1}\n\n: raw\n\ndata: ' in stream
    assert deltas(stream) == [{"role": "assistant", "content": ""}, {"reasoning_content": "Hm."}, {"refusal": "No."}, {}]
    assert stream.endswith(b'data: {"error":{"message":"Oh.","type":"server_error","param":null,"code":"server_error"}}\n\n')


async def test_a_finish_of_ones_own_is_the_only_one() -> None:
    async with WireServer([["Hi", Finish("length")], [Finish("stop"), "behind it"]]) as server:
        assert (await stream_of(server)).count(b'"finish_reason":"') == 1
        stream = await stream_of(server)
    assert stream.index(b'"finish_reason":"stop"') < stream.index(b"behind it")


async def test_each_event_is_a_chunk_or_each_byte_is_or_all_is_one() -> None:
    text = "caffè ☕"
    async with WireServer([Reply(text, pieces=pieces) for pieces in ("events", "bytes", "whole")]) as server, wired(server) as wire:  # type: ignore[arg-type]
        sizes = []
        for _ in range(3):
            wire.ask()
            answer = await wire.reader.readuntil(b"\r\n0\r\n\r\n")
            _, _, body = answer.partition(b"\r\n\r\n")
            sizes.append(chunk_sizes(body))
    events, single, whole = sizes
    assert (len(events), len(whole)) == (4, 1)
    assert sum(events) == sum(whole) == len(single)
    assert set(single) == {1}


def chunk_sizes(body: bytes) -> list[int]:
    sizes = []
    while (size := int(body[: body.index(b"\r\n")], 16)) > 0:
        sizes.append(size)
        body = body[body.index(b"\r\n") + 2 + size + 2 :]
    return sizes


async def test_a_character_that_utf_8_does_not_have_is_escaped() -> None:
    async with WireServer([["\ud83d", "\udd25 caffè"]]) as server:
        stream = await stream_of(server)
    assert rb'"content":"\ud83d"' in stream
    assert "caffè".encode() in stream
    assert deltas(stream)[1:3] == [{"content": "\ud83d"}, {"content": "\udd25 caffè"}]


async def test_an_error_has_its_status_headers_and_the_vendors_form() -> None:
    error = HttpError(429, "Slow down.", headers={"retry-after": "2"})
    async with WireServer([error, HttpError(502, body=b"<html>", headers={"content-type": "text/html"})]) as server:
        async with asking(server) as response:
            assert (response.status, response.headers["retry-after"], response.headers["x-request-id"]) == (429, "2", "req_0")
            told = {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
            assert await response.json() == {"error": told}
        async with asking(server) as response:
            assert (response.status, await response.read(), response.content_type) == (502, b"<html>", "text/html")


async def test_a_reply_may_be_made_of_the_request() -> None:
    async with WireServer([lambda request: request.body["messages"][0]["content"] + "!"]) as server:
        assert {"content": "Hi!"} in deltas(await stream_of(server))


async def test_the_script_can_grow() -> None:
    async with WireServer() as server:
        server.then("One.", "Two.")
        assert b"One." in await stream_of(server)
        assert b"Two." in await stream_of(server)


# --- where it breaks off, and where it waits


async def test_a_hold_before_everything_keeps_the_status_line_back() -> None:
    go = asyncio.Event()
    async with WireServer([[Hold(go), "Hi"]]) as server, wired(server) as wire:
        wire.ask()
        await server.received()
        reading = asyncio.ensure_future(wire.reader.readline())
        await asyncio.sleep(0)
        assert not reading.done()
        go.set()
        assert await reading == b"HTTP/1.1 200 OK\r\n"
        await wire.reader.readuntil(b"\r\n0\r\n\r\n")


async def test_a_hold_lets_out_what_stands_before_it() -> None:
    go = asyncio.Event()
    async with WireServer([Reply(["Hi", Hold(go), "there"], pieces="whole")]) as server, wired(server) as wire:
        wire.ask()
        assert b'"Hi"' in await wire.reader.readuntil(b'"content":"Hi"')
        go.set()
        assert b'"there"' in await wire.reader.readuntil(b"[DONE]")


@pytest.mark.parametrize("pieces", ["events", "whole"])
async def test_a_stall_ends_when_the_client_is_gone(pieces: Any) -> None:
    async with WireServer([Reply(["Hi", Stall()], pieces=pieces), "And on."]) as server:
        async with wired(server) as wire:
            wire.ask()
            await wire.reader.readuntil(b'"Hi"')
        await server.closed(0)
        assert server.connections[0].closed_by == "client"
        assert b"And on." in await stream_of(server)


async def test_the_body_may_stay_open_behind_the_end() -> None:
    async with WireServer([["Hi", End(), Stall()]]) as server, wired(server) as wire:
        wire.ask()
        assert await wire.reader.readuntil(b"data: [DONE]\n\n")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_cut_closes_the_socket_in_the_middle(how: Any) -> None:
    async with WireServer([["Hi", Cut(how), "never"]]) as server, wired(server) as wire:
        wire.ask()
        await wire.reader.readuntil(b'"Hi"')
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await wire.reader.readuntil(b"\r\n0\r\n\r\n")
        await server.closed()
        assert server.connections[0].closed_by == "server"


async def test_a_body_may_end_in_good_order_without_the_rest() -> None:
    async with WireServer([["Hi", Cut("end")]]) as server:
        stream = await stream_of(server)
    assert b"Hi" in stream
    assert b"[DONE]" not in stream


@pytest.mark.parametrize("pieces", ["events", "bytes", "whole"])
async def test_a_body_is_cut_after_so_many_bytes(pieces: Any) -> None:
    async with WireServer([Reply("Hello there.", pieces=pieces, cut_after=200)]) as server:
        async with asking(server) as response:
            got = bytearray()
            with pytest.raises(aiohttp.ClientPayloadError):
                async for piece in response.content.iter_any():
                    got += piece
        assert len(got) == 200


# --- what it complains about


async def test_a_request_more_than_scripted_fails_the_client_and_the_block() -> None:
    with pytest.raises(AssertionError, match="more often than scripted: POST /v1/chat/completions"):
        async with WireServer() as server, asking(server) as response:
            assert response.status == 400
            assert "once more than scripted" in await response.text()


async def test_replies_that_nobody_asked_for_fail_the_block() -> None:
    with pytest.raises(AssertionError, match=r"1 replies that nobody asked for; the next is 'Hello.'"):
        async with WireServer(["Hello."]):
            pass


async def test_an_error_in_the_block_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        async with WireServer(["Hello."]):
            1 / 0  # noqa: B018


async def test_a_reply_that_cannot_be_sent_fails_the_block() -> None:
    def broken(request: WireRequest) -> str:
        raise ZeroDivisionError("in the script")

    with pytest.raises(AssertionError, match="could not send an answer on connection 0") as caught:
        async with WireServer([broken]) as server:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await stream_of(server)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_leaving_the_block_ends_what_is_under_way() -> None:
    before = asyncio.all_tasks()
    async with WireServer([Stall()]) as server, wired(server) as wire:
        wire.ask()
        await server.received()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("path", ["/v1/completions", "/openai/v1/models/x", "/"])
async def test_an_address_that_no_vendor_has_is_not_found(path: str) -> None:
    async with WireServer() as server, aiohttp.ClientSession() as session:
        for method in ("GET", "POST"):
            async with session.request(method, server.google_url + path) as response:
                assert response.status == 404


async def test_without_a_key_of_its_own_it_takes_any() -> None:
    async with WireServer(["Hello."], key=None) as server, aiohttp.ClientSession() as session:
        async with session.post(f"{server.openai_url}/chat/completions", json=ASK) as response:
            assert response.status == 200
            await response.read()


async def test_models_of_ones_own_are_all_it_knows() -> None:
    async with WireServer(["Hello."], models=["mine"]) as server:
        async with asking(server) as response:
            assert response.status == 404
        assert b"Hello." in await stream_of(server, {**ASK, "model": "mine"})
