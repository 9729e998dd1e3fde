"""Google's Live API as a server on this machine: the WebSocket, sound both ways, and what is said from a script.

From Google's reference "Live API - WebSockets". As there, messages of the server are JSON in binary frames. Whether the person speaks is
scripted in milliseconds of the sound that was received.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

from aiohttp import WSMsgType, web

from patter_nb.testing.scripted import Call
from patter_nb.testing.wire.engine_server import RATE, EngineServer, Spoken, Utterance

__all__ = ["GeminiLiveServer"]

Reply: TypeAlias = str | Spoken | Call | Sequence[Call]
_PATH = "/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent"


class GeminiLiveServer(EngineServer["Reply", "_Conversation"]):
    """Answers as Google's Live API does: `replies` in order, `hears` as the sound comes in. It takes the key "test-key".

    `setups` holds what each connection was told at its beginning, `received` every other message of the client, `heard` its sound.
    `before_setup` is awaited before it says that it is set up. With `refuses` it closes a conversation as it begins, with this code and
    reason; a wrong key is refused in the same way.
    Leaving the block raises `AssertionError` for replies that nobody asked for.
    """

    def __init__(self, replies: Iterable[Reply] = (), *, hears: Iterable[Utterance] = (), refuses: tuple[int, str] | None = None) -> None:
        super().__init__(replies, hears)
        self.refuses = refuses
        self.before_setup: Callable[[], Awaitable[object]] = _at_once
        self.setups: list[dict[str, Any]] = []
        self.calls = count(1)

    def routes(self) -> Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        return {_PATH: self._serve}

    def base_url(self, port: int) -> str:
        return f"ws://127.0.0.1:{port}"

    def conversation(self, ws: web.WebSocketResponse, request: web.Request) -> _Conversation:
        key_fits = "test-key" in (request.headers.get("x-goog-api-key"), request.query.get("key"))
        return _Conversation(self, ws, self._hears, None if key_fits else (1007, "API key not valid. Please pass a valid API key."))

    async def run(self, conversation: _Conversation) -> None:
        await conversation.run()

    async def announce_end(self) -> None:
        """Say on every connection that it will soon be closed."""
        for conversation in tuple(self.conversations.values()):
            await conversation.send({"goAway": {"timeLeft": "10s"}})


async def _at_once() -> None:
    """Wait for nothing."""


class _Conversation:
    """One connection."""

    def __init__(
        self, server: GeminiLiveServer, ws: web.WebSocketResponse, hears: deque[Utterance], refusal: tuple[int, str] | None
    ) -> None:
        self._refusal = refusal or server.refuses
        self._server = server
        self._ws = ws
        self._hears = hears
        self._ms = 0.0
        self._person: Utterance | None = None
        self._speaking: asyncio.Task[None] | None = None

    async def send(self, message: dict[str, Any]) -> None:
        if not self._ws.closed:
            self._server.sent.append(message)
            await self._ws.send_bytes(json.dumps(message).encode())

    async def run(self) -> None:
        try:
            async for frame in self._ws:
                if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._take(json.loads(frame.data))
        finally:
            if self._speaking is not None:
                self._speaking.cancel()

    async def _take(self, message: dict[str, Any]) -> None:
        if "setup" in message:
            if self._refusal is not None:
                await self._ws.close(code=self._refusal[0], message=self._refusal[1].encode())
                return
            self._server.setups.append(message["setup"])
            await self._server.before_setup()
            await self.send({"setupComplete": {}})
            return
        self._server.received.append(message)
        match message:
            case {"clientContent": {"turnComplete": True}} | {"toolResponse": _}:
                await self._break_off()
                self._answer()
            case {"realtimeInput": {"audio": {"data": str(data)}}}:
                sound = base64.b64decode(data)
                self._server.heard += sound
                self._ms += len(sound) / 32
                await self._hear()

    async def _hear(self) -> None:
        if self._person is None and self._hears and self._ms >= self._hears[0].start_ms:
            self._person = self._hears.popleft()
            await self._break_off()
        if self._person is not None and self._ms >= self._person.stop_ms:
            said, self._person = self._person, None
            for word in (said.text or "").split(" "):
                await self.send({"serverContent": {"inputTranscription": {"text": f" {word}"}}})
            self._answer()

    async def _break_off(self) -> None:
        if self._speaking is not None and not self._speaking.done():
            self._speaking.cancel()
            await self.send({"serverContent": {"interrupted": True}})

    def _answer(self) -> None:
        reply = self._server.next_reply()
        if isinstance(reply, (str, Spoken)):
            self._speaking = asyncio.ensure_future(self._speak(Spoken(reply) if isinstance(reply, str) else reply))
        else:
            calls = [reply] if isinstance(reply, Call) else list(reply)
            self._speaking = asyncio.ensure_future(self._call(calls))

    async def _call(self, calls: Sequence[Call]) -> None:
        told = [{"id": f"function-call-{next(self._server.calls)}", "name": call.name, "args": call.arguments} for call in calls]
        await self.send({"toolCall": {"functionCalls": told}})

    async def _speak(self, said: Spoken) -> None:
        sound, words = said.sound().astype("<i2").tobytes(), said.text.split(" ")
        size = max(2, len(sound) // len(words) // 2 * 2) + self._server.odd
        for number, word in enumerate(words):
            block = sound[number * size : (number + 1) * size if number < len(words) - 1 else None]
            data = {"mimeType": f"audio/pcm;rate={RATE}", "data": base64.b64encode(block).decode()}
            await self.send({"serverContent": {"modelTurn": {"parts": [{"inlineData": data}]}}})
            await self.send({"serverContent": {"outputTranscription": {"text": word if number == 0 else f" {word}"}}})
            if said.paced:
                await asyncio.sleep(len(block) / 2 / RATE)
        usage: dict[str, Any] = {"promptTokenCount": 12, "responseTokenCount": 7, "totalTokenCount": 19}
        usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": 4}, {"modality": "AUDIO", "tokenCount": 8}]
        usage["responseTokensDetails"] = [{"modality": "AUDIO", "tokenCount": 7}]
        await self.send({"serverContent": {"generationComplete": True}})
        await self.send({"serverContent": {"turnComplete": True}, "usageMetadata": usage})
