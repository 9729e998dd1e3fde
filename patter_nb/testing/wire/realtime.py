"""OpenAI's Realtime API as a server on this machine: real sockets, the vendor's messages, sound both ways, and what is said from a script.

From OpenAI's API reference, "Realtime", in its general availability. Whether the person speaks is scripted in milliseconds of the sound
that was received, so that a test needs no model; the sound itself is kept.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

from aiohttp import WSCloseCode, WSMsgType, web

from patter_nb.testing.scripted import Call
from patter_nb.testing.wire.engine_server import RATE, EngineServer, Spoken, Utterance

__all__ = ["RealtimeServer", "Refused", "Spoken", "Utterance"]

MS_BYTES = RATE * 2 // 1000


@dataclass(frozen=True, slots=True)
class Refused:
    """A response that fails, with the vendor's code and message."""

    code: str
    message: str


Reply: TypeAlias = str | Spoken | Call | Refused | Sequence[Call | str | Spoken] | Exception
"""What a response is: words, calls, both, a failure; an exception closes the socket in the middle of it."""


class RealtimeServer(EngineServer["Reply", "_Conversation"]):
    """Answers on ws://127.0.0.1 as OpenAI does: `replies` in the order in which responses are created, `hears` as the sound comes in.

    `received` holds every message of the client, `heard` its sound (24 kHz), `sessions` what each connection was told of the session.
    It takes the key "test-key". A response begins after `thinks_s`; a message of a type in `refuses` gets that code and message as an
    error. What the person says is written down word by word, by whisper-1 at once. Without `keeps_metadata` it gives a response's metadata
    not back, as servers that only resemble OpenAI's.
    Leaving the block raises `AssertionError` for replies that nobody asked for.
    """

    def __init__(
        self,
        replies: Iterable[Reply] = (),
        *,
        hears: Iterable[Utterance] = (),
        key: str = "test-key",
        thinks_s: float = 0.0,
        refuses: Mapping[str, tuple[str, str]] | None = None,
        keeps_metadata: bool = True,
    ) -> None:
        super().__init__(replies, hears)
        self.thinks_s = thinks_s
        self.refuses = dict(refuses or {})
        self.keeps_metadata = keeps_metadata
        self._key = key
        self._ids = count(1)
        self.sessions: list[dict[str, Any]] = []

    def routes(self) -> Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        return {"/v1/realtime": self._admit}

    def base_url(self, port: int) -> str:
        return f"ws://127.0.0.1:{port}/v1"

    def conversation(self, ws: web.WebSocketResponse, request: web.Request) -> _Conversation:
        return _Conversation(self, ws, request.query["model"])

    async def run(self, conversation: _Conversation) -> None:
        await conversation.run(self._hears)

    async def _admit(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return web.json_response({"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}, status=401)
        return await self._serve(request)

    def next_id(self, kind: str) -> str:
        """An id that nobody has yet."""
        return f"{kind}_{next(self._ids)}"


class _Conversation:
    """One connection."""

    def __init__(self, server: RealtimeServer, ws: web.WebSocketResponse, model: str) -> None:
        self.ws = ws
        self._server = server
        self._model = model
        self._bytes = 0
        self._speaking: Utterance | None = None
        self._response: asyncio.Task[None] | None = None
        self._response_id = ""
        self._writes = "whisper-1"

    async def send(self, kind: str, **fields: Any) -> None:
        if not self.ws.closed:
            message = {"type": kind, "event_id": self._server.next_id("event"), **fields}
            self._server.sent.append(message)
            await self.ws.send_json(message)

    async def run(self, hears: deque[Utterance]) -> None:
        await self.send("session.created", session={"type": "realtime", "model": self._model})
        try:
            async for frame in self.ws:
                if frame.type is WSMsgType.TEXT:
                    message = frame.json()
                    self._server.received.append(message)
                    await self._take(message, hears)
        finally:
            if self._response is not None:
                self._response.cancel()

    async def _take(self, message: dict[str, Any], hears: deque[Utterance]) -> None:
        if (refusal := self._server.refuses.get(message["type"])) is not None:
            await self._error(*refusal, event_id=message.get("event_id"))
            return
        match message["type"]:
            case "session.update":
                self._server.sessions.append(message["session"])
                heard = message["session"].get("audio", {}).get("input", {})
                self._writes = heard.get("transcription", {}).get("model", self._writes)
                await self.send("session.updated", session=message["session"])
            case "input_audio_buffer.append":
                sound = base64.b64decode(message["audio"])
                self._server.heard += sound
                self._bytes += len(sound)
                await self._hear(hears)
            case "conversation.item.create":
                item = {"id": self._server.next_id("item"), **message["item"]}
                await self.send("conversation.item.added", item=item)
                await self.send("conversation.item.done", item=item)
            case "response.create":
                if self._response is not None and not self._response.done():
                    active = "There is a response under way."
                    await self._error("conversation_already_has_active_response", active, event_id=message.get("event_id"))
                else:
                    self._respond(message.get("response") or {})
            case "response.cancel":
                if self._response is None or self._response.done():
                    await self._error("response_cancel_not_active", "There is no response to cancel.")
                else:
                    await self._give_up()
            case "conversation.item.truncate":
                told = {key: message[key] for key in ("item_id", "content_index", "audio_end_ms")}
                await self.send("conversation.item.truncated", **told)

    async def _error(self, code: str, message: str, event_id: str | None = None) -> None:
        await self.send("error", error={"type": "invalid_request_error", "code": code, "message": message, "event_id": event_id})

    async def _hear(self, hears: deque[Utterance]) -> None:
        now_ms = self._bytes / MS_BYTES
        if self._speaking is None and hears and now_ms >= hears[0].start_ms:
            self._speaking = hears.popleft()
            await self._give_up()
            await self.send("input_audio_buffer.speech_started", audio_start_ms=round(self._speaking.start_ms), item_id=self._next_item())
        if self._speaking is not None and now_ms >= self._speaking.stop_ms:
            said, self._speaking = self._speaking, None
            await self.send("input_audio_buffer.speech_stopped", audio_end_ms=round(said.stop_ms), item_id=self._item)
            await self.send("input_audio_buffer.committed", item_id=self._item)
            if not said.late:
                await self._write_down(said)
            self._respond({}, written=said if said.late else None)

    def _next_item(self) -> str:
        self._item = self._server.next_id("item")
        return self._item

    async def _write_down(self, said: Utterance) -> None:
        if said.text is None:
            return
        kind = "conversation.item.input_audio_transcription"
        for delta in [said.text] if self._writes == "whisper-1" else re.findall(r"\s*\S+", said.text):
            await self.send(f"{kind}.delta", item_id=self._item, content_index=0, delta=delta)
        usage = {"type": "duration", "seconds": (said.stop_ms - said.start_ms) / 1000}
        await self.send(f"{kind}.completed", item_id=self._item, content_index=0, transcript=said.text, usage=usage)

    def _respond(self, asked: dict[str, Any], written: Utterance | None = None) -> None:
        self._response_id = self._server.next_id("resp")
        self._response = asyncio.ensure_future(self._answer(self._response_id, asked, written))

    async def _give_up(self) -> None:
        if self._response is None or self._response.done():
            return
        self._response.cancel()
        await asyncio.wait((self._response,))
        await self._done("cancelled", [])

    async def _answer(self, id: str, asked: dict[str, Any], written: Utterance | None) -> None:
        await asyncio.sleep(self._server.thinks_s)
        metadata = asked.get("metadata") if self._server.keeps_metadata else None
        await self.send("response.created", response={"id": id, "status": "in_progress", "metadata": metadata})
        reply = self._server.next_reply()
        if isinstance(reply, Refused):
            await self._done("failed", [], error={"code": reply.code, "type": reply.code, "message": reply.message})
            return
        parts: list[Any] = [reply] if isinstance(reply, (str, Spoken, Call, Exception)) else list(reply)
        output: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, Exception):
                await self.ws.close(code=WSCloseCode.INTERNAL_ERROR)
                return
            where = {"response_id": id, "output_index": len(output)}
            item = await (self._call(where, part) if isinstance(part, Call) else self._speak(where, part))
            await self.send("response.output_item.done", **where, item=item)
            output.append(item)
            if written is not None:
                await self._write_down(written)
                written = None
        await self._done("completed", output)

    async def _done(self, status: str, output: list[dict[str, Any]], error: dict[str, str] | None = None) -> None:
        usage = {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10}
        usage |= {"input_token_details": {"text_tokens": 12, "audio_tokens": 8, "cached_tokens": 4}}  # type: ignore[dict-item]
        usage |= {"output_token_details": {"text_tokens": 3, "audio_tokens": 7}}  # type: ignore[dict-item]
        response: dict[str, Any] = {"id": self._response_id, "status": status, "output": output, "usage": None}
        if status in ("completed", "cancelled"):
            response["usage"] = usage
        response["status_details"] = {"type": status, "error": error} if error is not None else None
        await self.send("response.done", response=response)

    async def _speak(self, where: Mapping[str, Any], part: str | Spoken) -> dict[str, Any]:
        said = Spoken(part) if isinstance(part, str) else part
        item: dict[str, Any] = {"id": self._server.next_id("item"), "type": "message", "role": "assistant"}
        await self.send("response.output_item.added", **where, item={**item, "status": "in_progress", "content": []})
        where = {**where, "item_id": item["id"], "content_index": 0}
        await self.send("response.content_part.added", **where, part={"type": "audio", "transcript": ""})
        sound, words = said.sound().astype("<i2").tobytes(), said.text.split(" ")
        size = max(2, len(sound) // max(1, len(words)) // 2 * 2) + self._server.odd
        for number, word in enumerate(words):
            delta = word if number == 0 else f" {word}"
            await self.send("response.output_audio_transcript.delta", **where, delta=delta)
            block = sound[number * size : (number + 1) * size if number < len(words) - 1 else None]
            await self.send("response.output_audio.delta", **where, delta=base64.b64encode(block).decode())
            if said.paced:
                await asyncio.sleep(len(block) / 2 / RATE)
        await self.send("response.output_audio.done", **where)
        await self.send("response.output_audio_transcript.done", **where, transcript=said.text)
        await self.send("response.content_part.done", **where, part={"type": "audio", "transcript": said.text})
        return {**item, "status": "completed", "content": [{"type": "output_audio", "transcript": said.text}]}

    async def _call(self, where: Mapping[str, Any], call: Call) -> dict[str, Any]:
        arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
        item = {"id": self._server.next_id("item"), "type": "function_call", "call_id": self._server.next_id("call"), "name": call.name}
        await self.send("response.output_item.added", **where, item={**item, "status": "in_progress", "arguments": ""})
        where = {**where, "item_id": item["id"], "call_id": item["call_id"]}
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            await self.send("response.function_call_arguments.delta", **where, delta=piece)
        await self.send("response.function_call_arguments.done", **where, name=call.name, arguments=arguments)
        return {**item, "arguments": arguments, "status": "completed"}
