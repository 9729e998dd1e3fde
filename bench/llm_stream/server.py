"""The far side: replays answers of three formats as fast as it is asked to, from another process: python server.py prints its port.

A base address says what is sent: http://127.0.0.1:PORT/CHUNKS/RATE, RATE in chunks a second, 0 for at once; each event is an HTTP chunk of
its own, as vendors send them. A request whose body names the tool's result is answered in words, one with tools by a call. A text is the
time of the machine's monotonic clock at which it was sent, where a rate is asked for. GET /closed tells when clients closed connections
in mid-answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

CALL_ID = "call_1"
closed: list[float] = []


def sse(data: dict[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def openai(texts: Iterator[str], call: bool) -> Iterator[bytes]:
    base = {"id": "chatcmpl-x1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "gpt-4o-mini-2024-07-18"}
    base |= {"service_tier": "default", "system_fingerprint": "fp_0123456789"}

    def delta(value: dict[str, Any], finish: str | None = None) -> bytes:
        return sse({**base, "choices": [{"index": 0, "delta": value, "logprobs": None, "finish_reason": finish}], "usage": None})

    if call:
        function = {"name": "get_weather", "arguments": '{"city": "Rome"}'}
        yield delta({"role": "assistant", "tool_calls": [{"index": 0, "id": CALL_ID, "type": "function", "function": function}]})
    for text in texts:
        yield delta({"content": text})
    yield delta({}, "tool_calls" if call else "stop")
    yield sse({**base, "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}})
    yield b"data: [DONE]\n\n"


def anthropic(texts: Iterator[str], call: bool) -> Iterator[bytes]:
    def event(kind: str, **data: Any) -> bytes:
        return sse({"type": kind, **data}, kind)

    message = {"id": "msg_x1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001", "content": []}
    usage = {"input_tokens": 20, "output_tokens": 1}
    yield event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage})
    if call:
        yield event("content_block_start", index=0, content_block={"type": "tool_use", "id": CALL_ID, "name": "get_weather", "input": {}})
        yield event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"city": "Rome"}'})
    else:
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for text in texts:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    yield event("content_block_stop", index=0)
    reason = "tool_use" if call else "end_turn"
    yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 9})
    yield event("message_stop")


def google(texts: Iterator[str], call: bool) -> Iterator[bytes]:
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 10, "totalTokenCount": 30}

    def part(value: dict[str, Any], **more: Any) -> bytes:
        candidate = {"content": {"parts": [value], "role": "model"}, "index": 0, **more}
        return sse({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "x1"})

    if call:
        yield part({"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}})
    for text in texts:
        yield part({"text": text})
    yield part({"text": ""}, finishReason="STOP")


FORMATS = {"openai": openai, "anthropic": anthropic, "google": google}


def format_of(path: str) -> str:
    return "google" if ":streamGenerateContent" in path else "anthropic" if path.endswith("/messages") else "openai"


async def answer(path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
    _, chunks, rate, *_ = path.split("/")
    count, pause_s = int(chunks), 1 / float(rate) if float(rate) else 0.0
    render = FORMATS[format_of(path)]
    call = b"get_weather" in body and b"Sunny" not in body
    words = iter(()) if call else (f"{time.monotonic():.6f} " if pause_s else "word " for _ in range(count))
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    due = time.monotonic()
    pieces = (b"%x\r\n%s\r\n" % (len(event), event) for event in render(words, call))
    if not pause_s:
        writer.write(b"".join(pieces) if count <= BURST else b"")
        for piece in pieces if count > BURST else ():
            writer.write(piece)
            if writer.transport.get_write_buffer_size() > 2**16:
                await writer.drain()
    else:
        for piece in pieces:
            writer.write(piece)
            due += pause_s
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            if writer.is_closing():
                raise ConnectionError
    writer.write(b"0\r\n\r\n")
    await writer.drain()


BURST = 50


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answering = False
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            path = first.split(" ")[1]
            if first.startswith("GET"):
                told = json.dumps(closed).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(told), told))
                await writer.drain()
                continue
            answering = True
            sending = asyncio.ensure_future(answer(path, body, writer))
            gone = asyncio.ensure_future(reader.read(1)) if "/watched/" in path else None
            if gone is not None:
                await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    closed.append(time.monotonic())
                    sending.cancel()
                    await asyncio.gather(gone, sending, return_exceptions=True)
                    return
                gone.cancel()
            await sending
            answering = False
    except (asyncio.IncompleteReadError, ConnectionError):
        if answering:
            closed.append(time.monotonic())
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
