"""ElevenLabs' agents as a server on this machine: the signed URL, the WebSocket, sound both ways, and what is said from a script.

From ElevenLabs' API reference, "Agents WebSocket". Whether the person speaks is scripted in milliseconds of the sound that was received.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

from aiohttp import WSMsgType, web

from patter_nb.audio import mulaw
from patter_nb.audio.resampling import resample
from patter_nb.testing.scripted import Call
from patter_nb.testing.wire.engine_server import RATE, EngineServer, Spoken, Utterance

__all__ = ["ConvAIServer"]

Reply: TypeAlias = str | Spoken | Call | Sequence[Call]
BLOCK_MS = 100


class ConvAIServer(EngineServer["Reply", "_Conversation"]):
    """Answers as an agent of ElevenLabs does: `replies` in order, `hears` as the sound comes in. It takes the key "test-key" and the
    agent "agent-1".

    `audio_format` is what it speaks ("pcm_16000", "ulaw_8000"), `odd`: its blocks have odd byte counts. With `stale` it sends a block of
    before an interruption once more behind it. The agent's settings say that a conversation lasts `max_duration_s`, None: the key may not
    read them. Nothing ends one. `read` counts who asked for that, `signed` the URLs that were given out. `received` holds every message of
    the client, `heard` its sound.
    Leaving the block raises `AssertionError` for replies that nobody asked for.
    """

    def __init__(
        self,
        replies: Iterable[Reply] = (),
        *,
        hears: Iterable[Utterance] = (),
        audio_format: str = "pcm_16000",
        odd: bool = False,
        stale: bool = False,
        max_duration_s: int | None = 600,
    ) -> None:
        super().__init__(replies, hears, odd=odd)
        self.audio_format = audio_format
        self.stale = stale
        self.max_duration_s = max_duration_s
        self.read = self.signed = 0
        self.calls = count(1)

    def routes(self) -> Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        conversation = "/v1/convai/conversation"
        return {f"{conversation}/get-signed-url": self._sign, conversation: self._serve, "/v1/convai/agents/{agent}": self._tell_of_agent}

    def base_url(self, port: int) -> str:
        return f"http://127.0.0.1:{port}"

    def conversation(self, ws: web.WebSocketResponse, request: web.Request) -> _Conversation:
        return _Conversation(self, ws, self._hears)

    async def run(self, conversation: _Conversation) -> None:
        await conversation.run()

    async def _sign(self, request: web.Request) -> web.Response:
        if request.headers.get("xi-api-key") != "test-key":
            return web.json_response({"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}, status=401)
        if request.query.get("agent_id") != "agent-1":
            return web.json_response({"detail": {"status": "agent_not_found", "message": "No such agent"}}, status=404)
        self.signed += 1
        signed = f"{self.url.replace('http', 'ws', 1)}/v1/convai/conversation?agent_id=agent-1&conversation_signature=s"
        return web.json_response({"signed_url": signed})

    async def _tell_of_agent(self, request: web.Request) -> web.Response:
        self.read += 1
        if request.headers.get("xi-api-key") != "test-key" or self.max_duration_s is None:
            told = "The API key you used is missing the permission convai_read to execute this operation."
            return web.json_response({"detail": {"status": "missing_permissions", "message": told}}, status=401)
        if request.match_info["agent"] != "agent-1":
            return web.json_response({"detail": {"status": "agent_not_found", "message": "No such agent"}}, status=404)
        settings = {"conversation": {"text_only": False, "max_duration_seconds": self.max_duration_s}}
        metadata = {"created_at_unix_secs": 1_780_000_000, "updated_at_unix_secs": 1_780_000_000}
        return web.json_response({"agent_id": "agent-1", "name": "Test", "conversation_config": settings, "metadata": metadata})


class _Conversation:
    """One connection."""

    def __init__(self, server: ConvAIServer, ws: web.WebSocketResponse, hears: deque[Utterance]) -> None:
        self._server = server
        self._ws = ws
        self._hears = hears
        self._events = count(1)
        self._ms = 0.0
        self._person: Utterance | None = None
        self._words = 0
        self._speaking: asyncio.Task[None] | None = None
        self._pending = 0
        self._said = ""
        self._last: dict[str, Any] = {}

    async def send(self, kind: str, **event: Any) -> None:
        await self._tell({"type": kind, f"{kind}_event": event})

    async def _tell(self, message: dict[str, Any]) -> None:
        if not self._ws.closed:
            self._server.sent.append(message)
            await self._ws.send_json(message)

    async def run(self) -> None:
        try:
            async for frame in self._ws:
                if frame.type is WSMsgType.TEXT:
                    message = frame.json()
                    self._server.received.append(message)
                    await self._take(message)
        finally:
            if self._speaking is not None:
                self._speaking.cancel()

    async def _take(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "conversation_initiation_client_data":
                formats = {"agent_output_audio_format": self._server.audio_format, "user_input_audio_format": "pcm_16000"}
                await self.send("conversation_initiation_metadata", conversation_id="conv-1", **formats)
                await self.send("ping", event_id=next(self._events), ping_ms=20)
                first = message["conversation_config_override"]["agent"]["first_message"]
                if first:
                    self._say(Spoken(first))
            case "user_message":
                await self._break_off()
                self._answer()
            case "client_tool_result":
                self._pending -= 1
                if not self._pending:
                    self._answer()
            case None if "user_audio_chunk" in message:
                sound = base64.b64decode(message["user_audio_chunk"])
                self._server.heard += sound
                self._ms += len(sound) / 32
                await self._hear()

    async def _break_off(self) -> None:
        if self._speaking is not None and not self._speaking.done():
            self._speaking.cancel()
            await self._interrupt()

    async def _interrupt(self) -> None:
        """Say that what was said is over, and how much of it was heard by the vendor's reckoning."""
        await self.send("interruption", event_id=next(self._events))
        told = {"original_agent_response": self._said, "corrected_agent_response": f"{self._said[: len(self._said) // 2]}..."}
        await self.send("agent_response_correction", **told, event_id=next(self._events))

    async def _hear(self) -> None:
        if self._person is None and self._hears and self._ms >= self._hears[0].start_ms:
            self._person = self._hears.popleft()
            if self._speaking is not None and not self._speaking.done():
                self._speaking.cancel()
            if self._last:
                await self._interrupt()
                if self._server.stale:
                    await self._tell(self._last)
            self._words = 0
        if self._person is not None:
            await self._write_down(self._person)
        if self._person is not None and self._ms >= self._person.stop_ms:
            said, self._person = self._person, None
            transcript = {"user_transcript": said.text, "event_id": next(self._events)}
            await self._tell({"type": "user_transcript", "user_transcription_event": transcript})
            self._answer()

    async def _write_down(self, said: Utterance) -> None:
        """What was said of it so far, word by word; the last one comes with the whole."""
        words = (said.text or "").split(" ")
        spoken = (self._ms - said.start_ms) / (said.stop_ms - said.start_ms) * len(words)
        while self._words < min(int(spoken), len(words) - 1):
            self._words += 1
            tentative = {"user_transcript": " ".join(words[: self._words]), "event_id": next(self._events)}
            await self._tell({"type": "tentative_user_transcript", "tentative_user_transcription_event": tentative})

    def _answer(self) -> None:
        reply = self._server.next_reply()
        calls = [reply] if isinstance(reply, Call) else [] if isinstance(reply, (str, Spoken)) else list(reply)
        if calls:
            self._pending = len(calls)
            self._speaking = asyncio.ensure_future(self._call(calls))
        else:
            self._say(Spoken(reply) if isinstance(reply, str) else reply)  # type: ignore[arg-type]  # calls are gone

    def _say(self, said: Spoken) -> None:
        self._speaking = asyncio.ensure_future(self._speak(said))

    async def _call(self, calls: Sequence[Call]) -> None:
        for call in calls:
            at = next(self._events)
            id = f"tool_{next(self._server.calls)}"
            told = {"tool_name": call.name, "tool_call_id": id, "parameters": call.arguments, "event_id": at}
            await self._tell({"type": "client_tool_call", "client_tool_call": told})

    async def _speak(self, said: Spoken) -> None:
        self._said = said.text
        await self.send("agent_response", agent_response=said.text, event_id=next(self._events))
        kind, _, rate = self._server.audio_format.partition("_")
        pcm = resample(said.sound(), RATE, int(rate))
        sound = mulaw.encode(pcm) if kind == "ulaw" else pcm.astype("<i2").tobytes()
        size = int(rate) * BLOCK_MS // 1000 * (1 if kind == "ulaw" else 2) + (1 if self._server.odd else 0)
        for at in range(0, len(sound), size):
            block = base64.b64encode(sound[at : at + size]).decode()
            self._last = {"type": "audio", "audio_event": {"audio_base_64": block, "event_id": next(self._events)}}
            await self._tell(self._last)
            if said.paced:
                await asyncio.sleep(BLOCK_MS / 1000)
