"""The WebSockets of a voice server: ElevenLabs' stream-input, one text a socket, and Cartesia's, with as many contexts as one likes."""

from __future__ import annotations

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from patter_nb.testing.wire.voices import Refusing, Saying, Spoken

if TYPE_CHECKING:
    from patter_nb.testing.wire.voices import VoiceServer

_FIRST_KEYS = {"text", "voice_settings", "generation_config", "try_trigger_generation", "xi_api_key", "pronunciation_dictionary_locators"}
_TEXT_KEYS = {"text", "try_trigger_generation", "voice_settings", "generator_config", "flush"}
_QUERY = {"model_id", "output_format", "auto_mode", "inactivity_timeout", "language_code", "enable_logging", "enable_ssml_parsing"}
_REQUEST_KEYS = {"context_id", "model_id", "transcript", "voice", "output_format", "language", "continue", "max_buffer_delay_ms"}
_REQUEST_KEYS |= {"generation_config", "add_timestamps", "add_phoneme_timestamps", "use_normalized_timestamps", "flush", "speed"}
_POLICY = 1008


def sockets(server: VoiceServer) -> list[web.RouteDef]:
    """The routes."""

    async def elevenlabs(request: web.Request) -> web.StreamResponse:
        model = request.query.get("model_id", "eleven_multilingual_v2")
        if model.startswith("eleven_v3"):
            return web.json_response({"detail": {"status": "model_not_supported", "message": "No WebSocket for this model."}}, status=400)
        return await _ElevenLabs(server, request).run()

    async def cartesia(request: web.Request) -> web.StreamResponse:
        given = request.headers.get("X-API-Key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given != server.key:
            return web.Response(status=401, text="Unauthorized")
        if not (request.headers.get("Cartesia-Version") or request.query.get("cartesia_version")):
            return web.Response(status=400, text="Missing Cartesia-Version header")
        return await _Cartesia(server, request).run()

    return [web.get("/v1/text-to-speech/{voice}/stream-input", elevenlabs), web.get("/tts/websocket", cartesia)]


class _Conversation(ABC):
    """One WebSocket. Texts are spoken in tasks of their own, so that what the client says meanwhile is heard."""

    def __init__(self, server: VoiceServer, request: web.Request) -> None:
        self.server = server
        self.request = request
        self.socket = web.WebSocketResponse()
        self.connection = server.connection_of(request)
        self.speaking: dict[str, asyncio.Task[None]] = {}
        self.told: dict[str, asyncio.Queue[str | None]] = {}
        self.spoken: dict[str, Spoken] = {}

    async def run(self) -> web.WebSocketResponse:
        await self.socket.prepare(self.request)
        self.server.handshakes.append({**self.request.query, **{name.lower(): value for name, value in self.request.headers.items()}})
        self.server.idle.add(self.socket)
        await self.server.tell()
        try:
            async for message in self.socket:
                if message.type is WSMsgType.TEXT:
                    self.server.idle.discard(self.socket)
                    await self.take(json.loads(message.data))
        finally:
            self.server.idle.discard(self.socket)
            for spoken in self.spoken.values():
                spoken.end("left")
            for task in self.speaking.values():
                task.cancel()
            await asyncio.gather(*self.speaking.values(), return_exceptions=True)
            await self.server.tell()
        return self.socket

    @abstractmethod
    async def take(self, message: Mapping[str, Any]) -> None:
        """One message of the client's."""

    @abstractmethod
    def sound(self, name: str, block: bytes) -> Mapping[str, Any]:
        """The message that carries a block."""

    @abstractmethod
    async def finish(self, name: str) -> None:
        """Say that it was all."""

    @abstractmethod
    async def refuse(self, name: str | None, refusing: Refusing) -> None:
        """Say no."""

    async def begin(self, name: str, spoken: Spoken) -> None:
        self.spoken[name], self.told[name] = spoken, asyncio.Queue()
        await self.server.begin(spoken)
        task = self.speaking[name] = asyncio.ensure_future(self._speak(name, spoken, self.server.next_saying()))
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConnectionError):  # the client may have gone
            self.server.failures.append(error)
            if self.request.transport is not None:
                self.request.transport.close()

    async def add(self, name: str, text: str | None) -> None:
        """More of a text; None: it is whole."""
        if text:
            self.spoken[name].pieces.append(text)
            await self.server.tell()
        self.told[name].put_nowait(text)

    async def _speak(self, name: str, spoken: Spoken, saying: Saying) -> None:
        head = saying.prefix
        while True:
            text = await self.told[name].get()
            blocks = [b""] if text is None else self.server.blocks_of(text) if text.strip() else []
            for block in blocks:
                if spoken.blocks == saying.after or (text is None and saying.after is None):
                    if isinstance(saying.then, asyncio.Event):
                        await saying.then.wait()
                    elif saying.then != "end":
                        return await self._stop(name, saying)
                if head + block:
                    await self.socket.send_json(self.sound(name, head + block))
                    head = b""
                    spoken.blocks += 1
            if text is None:
                spoken.end("whole")
                await self.finish(name)
                return await self.server.tell()

    async def _stop(self, name: str, saying: Saying) -> None:
        transport = self.request.transport
        assert transport is not None
        if saying.then == "quiet":
            return
        self.spoken[name].end("failed")
        match saying.then:
            case Refusing():
                await self.refuse(name, saying.then)
            case bytes() if saying.then.startswith(b"\x00"):
                await self.socket.send_bytes(saying.then)
            case bytes():
                await self.socket.send_str(saying.then.decode())
            case "close":
                await self.socket.close(code=1011, message=b"internal error")
            case _:
                transport.abort()


class _ElevenLabs(_Conversation):
    async def take(self, message: Mapping[str, Any]) -> None:
        query, voice = self.request.query, self.request.match_info["voice"]
        if not self.spoken:
            refusing = self._refusal(message, voice)
            await self.begin("", Spoken("elevenlabs", self.connection, query.get("model_id", ""), voice, {**query, **message}))
            if refusing is not None:
                self.spoken[""].end("failed")
                await self.refuse("", refusing)
            return
        if unknown := message.keys() - _TEXT_KEYS:
            await self.refuse("", Refusing(400, f"Unknown: {', '.join(sorted(unknown))}", "invalid_message"))
        elif message["text"].strip():
            await self.add("", message["text"])
        elif message["text"] == "":
            await self.add("", None)

    def _refusal(self, message: Mapping[str, Any], voice: str) -> Refusing | None:
        given = self.request.headers.get("xi-api-key") or message.get("xi_api_key")
        if given != self.server.key:
            return Refusing(401, "Invalid API key", "invalid_api_key")
        if unknown := (self.request.query.keys() - _QUERY) | (message.keys() - _FIRST_KEYS):
            return Refusing(400, f"Unknown: {', '.join(sorted(unknown))}", "invalid_message")
        if message.get("text") != " ":
            return Refusing(400, "The initial text must be a blank space", "invalid_message")
        if voice not in self.server.voices:
            return Refusing(404, f"A voice with voice_id {voice} does not exist.", "voice_id_does_not_exist")
        if self.request.query.get("model_id") not in self.server.models:
            return Refusing(404, "A model with that ID does not exist.", "model_not_found")
        return None

    def sound(self, name: str, block: bytes) -> Mapping[str, Any]:
        return {"audio": base64.b64encode(block).decode(), "isFinal": None, "normalizedAlignment": None, "alignment": None}

    async def finish(self, name: str) -> None:
        await self.socket.send_json({"audio": None, "isFinal": True})
        await self.socket.close(code=1000)

    async def refuse(self, name: str | None, refusing: Refusing) -> None:
        await self.socket.send_json({"message": refusing.message, "error": refusing.code or "error", "code": _POLICY})
        await self.socket.close(code=_POLICY, message=refusing.message.encode()[:120])


class _Cartesia(_Conversation):
    async def take(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("context_id"))
        if message.get("cancel"):
            if name in self.speaking and not self.spoken[name].over.is_set():
                self.spoken[name].end("cancelled")
                self.speaking[name].cancel()
                await self.server.tell()
            return
        if name not in self.spoken:
            refusing = self._refusal(message)
            if refusing is not None:
                await self.refuse(name, refusing)
                return
            await self.begin(name, Spoken("cartesia", self.connection, message["model_id"], message["voice"]["id"], message))
        if message["transcript"]:
            await self.add(name, message["transcript"])
        if not message.get("continue"):
            await self.add(name, None)

    def _refusal(self, message: Mapping[str, Any]) -> Refusing | None:
        if unknown := message.keys() - _REQUEST_KEYS:
            return Refusing(400, f"Invalid request: unknown {', '.join(sorted(unknown))}")
        output = message.get("output_format")
        if output != {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000}:
            return Refusing(400, f"Invalid output format: {output}")
        if message.get("model_id") not in self.server.models:
            return Refusing(400, "Invalid model: The model is not valid, make sure it is a valid model ID.")
        if message["voice"].get("mode") != "id" or message["voice"].get("id") not in self.server.voices:
            return Refusing(404, "Voice not found: The voice does not exist, or you have no access to it.")
        return None

    def sound(self, name: str, block: bytes) -> Mapping[str, Any]:
        data = base64.b64encode(block).decode()
        return {"type": "chunk", "context_id": name, "data": data, "done": False, "status_code": 206, "step_time": 12.5}

    async def finish(self, name: str) -> None:
        await self.socket.send_json({"type": "done", "context_id": name, "done": True, "status_code": 200})

    async def refuse(self, name: str | None, refusing: Refusing) -> None:
        error = {"type": "error", "context_id": name, "done": True, "status_code": refusing.status}
        if self.request.headers.get("Cartesia-Version", "") > "2025-04-16":
            title, _, rest = refusing.message.partition(": ")
            await self.socket.send_json(error | {"title": title, "message": rest, "error_code": refusing.code})
        else:
            await self.socket.send_json(error | {"error": refusing.message})
