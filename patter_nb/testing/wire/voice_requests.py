"""The requests of a voice server: OpenAI's speech, and ElevenLabs' streamed speech, each with the vendor's own refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from patter_nb.testing.wire.voices import Refusing, Saying, Spoken, Vendor

if TYPE_CHECKING:
    from patter_nb.testing.wire.voices import VoiceServer

_OPENAI_KEYS = {"model", "voice", "input", "response_format", "speed", "instructions", "stream_format"}
_ELEVENLABS_KEYS = {"text", "model_id", "language_code", "voice_settings", "seed", "previous_text", "next_text"}
_ELEVENLABS_WORDS = {400: ("invalid_request", "bad_request"), 401: ("authentication_error", "unauthorized")}
"""What it says beside its own word, by HTTP status, as it was seen to without a key."""


def requests(server: VoiceServer) -> list[web.RouteDef]:
    """The routes."""
    voices = _Requests(server)
    return [
        web.get("/v1/models", voices.models),
        web.post("/v1/audio/speech", voices.openai),
        web.post("/v1/text-to-speech/{voice}/stream", voices.elevenlabs),
    ]


class _Requests:
    def __init__(self, server: VoiceServer) -> None:
        self._server = server

    async def models(self, request: web.Request) -> web.Response:
        self._server.connection_of(request)
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self._server.models]})

    async def openai(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        refusing = self._openai_refusal(request, body)
        if refusing is not None:
            return _openai_error(refusing)
        spoken = self._spoken("openai", request, str(body["model"]), str(body["voice"]), body)
        spoken.pieces.append(str(body["input"]))
        return await self._speak(request, spoken)

    def _openai_refusal(self, request: web.Request, body: Mapping[str, Any]) -> Refusing | None:
        if request.headers.get("Authorization") != f"Bearer {self._server.key}":
            return Refusing(401, "Incorrect API key provided.", "invalid_api_key")
        if unknown := body.keys() - _OPENAI_KEYS:
            return Refusing(400, f"Unrecognized request argument supplied: {', '.join(sorted(unknown))}")
        if not isinstance(body.get("input"), str) or not 1 <= len(body["input"]) <= 4096:
            return Refusing(400, "input: String should have 1 to 4096 characters")
        if body.get("model") not in self._server.models:
            return Refusing(404, f"The model `{body.get('model')}` does not exist or you do not have access to it.", "model_not_found")
        if body.get("voice") not in self._server.voices:
            return Refusing(400, f"Invalid value: '{body.get('voice')}'. Supported voices are: 'alloy', 'echo'.", "invalid_value")
        return None

    async def elevenlabs(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        refusing = self._elevenlabs_refusal(request, body)
        if refusing is not None:
            return _elevenlabs_error(refusing)
        options = {**body, **request.query}
        spoken = self._spoken("elevenlabs", request, str(body["model_id"]), request.match_info["voice"], options)
        spoken.pieces.append(str(body["text"]))
        return await self._speak(request, spoken)

    def _elevenlabs_refusal(self, request: web.Request, body: Mapping[str, Any]) -> Refusing | None:
        if request.headers.get("xi-api-key") != self._server.key:
            return Refusing(401, "Invalid API key", "invalid_api_key")
        if (unknown := body.keys() - _ELEVENLABS_KEYS) or not isinstance(body.get("text"), str):
            return Refusing(422, f"no text, or unknown: {', '.join(sorted(unknown))}")
        if body.get("model_id") not in self._server.models:
            return Refusing(400, f"A model with model ID {body.get('model_id')} does not exist.", "model_not_found")
        if request.match_info["voice"] not in self._server.voices:
            return Refusing(404, "A voice with the voice_id was not found.", "voice_not_found")
        return None

    def _spoken(self, vendor: Vendor, request: web.Request, model: str, voice: str, options: Mapping[str, Any]) -> Spoken:
        return Spoken(vendor, self._server.connection_of(request), model, voice, options)

    async def _speak(self, request: web.Request, spoken: Spoken) -> web.StreamResponse:
        await self._server.begin(spoken)
        saying = self._server.next_saying()
        try:
            return await self._said(request, spoken, saying)
        except (asyncio.CancelledError, ConnectionError):
            spoken.end("left")
            raise
        except Exception as error:
            self._server.failures.append(error)
            raise
        finally:
            spoken.end("failed")
            await self._server.tell()

    async def _said(self, request: web.Request, spoken: Spoken, saying: Saying) -> web.StreamResponse:
        if saying.after == 0 and isinstance(saying.then, Refusing):
            return _openai_error(saying.then) if spoken.vendor == "openai" else _elevenlabs_error(saying.then)
        response = web.StreamResponse(headers={"Content-Type": saying.content_type})
        if saying.after != 0:
            await response.prepare(request)
            if saying.prefix:
                await response.write(saying.prefix)
        for place, block in enumerate([*self._server.blocks_of(spoken.text), b""]):
            if place == saying.after and saying.then != "end" and await self._stops(request, response, spoken, saying):
                return response
            if not response.prepared:
                await response.prepare(request)
            if block:
                await response.write(block)
                spoken.blocks += 1
                await asyncio.sleep(0)
        await response.write_eof()
        spoken.end("whole")
        return response

    async def _stops(self, request: web.Request, response: web.StreamResponse, spoken: Spoken, saying: Saying) -> bool:
        """Do what is to happen in mid-stream; whether it was the end."""
        transport = request.transport
        assert transport is not None
        if isinstance(saying.then, asyncio.Event):
            await saying.then.wait()
            return False
        if saying.then == "quiet":
            await asyncio.get_running_loop().create_future()  # until the client leaves
        spoken.end("failed")
        if saying.then == "reset":
            transport.abort()
        elif isinstance(saying.then, bytes):
            await response.prepare(request)
            await response.write(saying.then)
            await response.write_eof()
        else:
            transport.close()
        return True


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _openai_error(refusing: Refusing) -> web.Response:
    kind = "insufficient_quota" if refusing.code == "insufficient_quota" else "invalid_request_error"
    error = {"message": refusing.message, "type": kind, "param": None, "code": refusing.code}
    return web.json_response({"error": error}, status=refusing.status, headers={"x-request-id": "req_voice", **refusing.headers})


def _elevenlabs_error(refusing: Refusing) -> web.Response:
    if refusing.status == 422:
        return web.json_response({"detail": [{"loc": ["body", "text"], "msg": refusing.message, "type": "value_error"}]}, status=422)
    kind, code = _ELEVENLABS_WORDS.get(refusing.status, (refusing.code, refusing.code))
    detail = {"type": kind, "code": code, "message": refusing.message, "status": refusing.code, "request_id": "voice"}
    return web.json_response({"detail": detail}, status=refusing.status, headers=dict(refusing.headers))
