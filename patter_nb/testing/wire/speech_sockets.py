"""The far side of speech to text for tests: a server on this machine that hears a script as the vendors do, over their own protocols.

The sound that came is kept, so that a test can compare it with what was spoken, or recognise it again.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import wave
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final

from aiohttp import WSMsgType, web

from patter_nb.testing.wire.speech_dialects import MODELS, AssemblyDialect, CartesiaDialect, DeepgramDialect, Dialect, Unacceptable
from patter_nb.testing.wire.speech_hearing import Hearing, SpeechCall
from patter_nb.testing.wire.speech_openai import OpenAIDialect
from patter_nb.testing.wire.speech_script import Fault, Said, Turned, placed

__all__ = ["SpeechCall", "SpeechServer"]

_DIALECTS: Final[Mapping[str, Callable[[], Dialect]]] = {
    "/v1/listen": DeepgramDialect,
    "/v3/ws": AssemblyDialect,
    "/stt/websocket": CartesiaDialect,
    "/v1/realtime": OpenAIDialect,
}


class SpeechServer:
    """Speaks as Deepgram, AssemblyAI, Cartesia and OpenAI (Realtime, and uploads) do. `heard` has an entry for each utterance, in order.

    An entry is a text or a `Said`. `turned` refuses that many handshakes first. It takes the key "test-key" (`key=None`: any). Leaving the
    block raises `AssertionError` for a `finalize` without an entry, for entries that nobody asked for, and for what broke here.
    """

    def __init__(self, heard: Iterable[str | Said] = (), *, turned: Iterable[Turned] = (), key: str | None = "test-key") -> None:
        self._heard = deque(Said(entry) if isinstance(entry, str) else entry for entry in heard)
        self._turned = deque(turned)
        self._key = key
        self._problems: list[str] = []
        self._changed = asyncio.Condition()
        self._runner: web.ServerRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self.url = ""
        self.calls: list[SpeechCall] = []
        self.handshakes = 0

    def then(self, *heard: str | Said) -> None:
        """Add entries to the script."""
        self._heard.extend(Said(entry) if isinstance(entry, str) else entry for entry in heard)

    async def until(self, met: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
        """Wait for something that a client's message changes. Raises `AssertionError` after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(met)
        except TimeoutError:
            raise AssertionError(f"SpeechServer waited {timeout_s} s in vain; it has {len(self.calls)} calls.") from None

    async def say(self, message: str) -> None:
        """Send this text over every socket, whatever the script says."""
        for socket in list(self._sockets):
            await socket.send_str(message)

    async def hang_up(self, *, code: int = 1000, reason: str = "") -> None:
        """Close every socket, as a vendor does that has heard nothing for too long."""
        for socket in list(self._sockets):
            await socket.close(code=code, message=reason.encode())

    async def __aenter__(self) -> SpeechServer:
        self._runner = web.ServerRunner(web.Server(self._answer, handler_cancellation=True), shutdown_timeout=0.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._runner is not None
        await self.hang_up()
        await self._runner.cleanup()
        if error is None:
            assert not self._problems, self._problems
            assert not self._heard, f"SpeechServer has {len(self._heard)} entries that nobody asked for; the next is {self._heard[0]!r}."

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.handshakes += 1
        try:
            if self._turned:
                return _refused(self._turned.popleft())
            if request.path == "/v1/audio/transcriptions":
                return await self._upload(request)
            dialect = _DIALECTS.get(request.path)
            if dialect is None:
                return web.Response(status=404, text=f"no such path: {request.path}")
            return await self._call(request, dialect())
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            self._problems.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            await self._notify()

    # --- a socket

    async def _call(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=1.0)
        refusal: Unacceptable | None = None
        try:
            welcome = dialect.welcome(request.query, request.headers, self._key)
        except Unacceptable as unacceptable:
            welcome, refusal = [], unacceptable
        if isinstance(welcome, Turned):
            return _refused(welcome)
        await socket.prepare(request)
        call = SpeechCall(request, dialect.rate)
        self.calls.append(call)
        self._sockets.add(socket)
        hearing = Hearing(call, dialect, socket, request, self._next)
        try:
            if refusal is not None:
                await hearing.refuse(refusal)
                return socket
            await hearing.say(welcome)
            await self._notify()
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await hearing.take(message.data)
                    await self._notify()
        except ConnectionError:
            pass  # the client has gone; the test knows
        finally:
            self._sockets.discard(socket)
            call.closed.set()
        return socket

    def _next(self, *, used: bool) -> Said | None:
        """The entry of the utterance under way; `used`: it is over."""
        if not used:
            return self._heard[0] if self._heard else None
        if not self._heard:
            self._problems.append("SpeechServer was asked for more than scripted.")
            return None
        return self._heard.popleft()

    # --- an upload

    async def _upload(self, request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post()
        file = form.get("file")
        if self._key is not None and request.headers.get("Authorization") != f"Bearer {self._key}":
            return _openai_error(401, "Incorrect API key provided.", "invalid_api_key")
        if (model := str(form.get("model"))) not in MODELS:
            return _openai_error(404, f"The model `{model}` does not exist.", "model_not_found")
        assert isinstance(file, web.FileField), "an upload has no file"
        with file.file as came, wave.open(io.BytesIO(came.read())) as sound:
            call = SpeechCall(request, sound.getframerate())
            call.query = {name: value for name, value in form.items() if isinstance(value, str)}
            call.hear(sound.readframes(sound.getnframes()))
        self.calls.append(call)
        await self._notify()
        said = self._next(used=True) or Said("")
        if said.hold is not None:
            await said.hold.wait()
        if (fault := said.fault) is not None:
            return await _broken_upload(request, fault)
        words = [{"word": word.text, "start": word.start_ms / 1000, "end": word.stop_ms / 1000} for word in placed(said, 0.0)]
        answer: dict[str, Any] = {"task": "transcribe", "language": "english", "duration": call.ms / 1000, "text": said.text}
        asked = form.getall("timestamp_granularities[]", ["segment"])
        details = {"word": {"words": words}, "segment": {"segments": _segments(said, call)}}
        for kind in asked:
            answer |= details[str(kind)]
        return web.json_response(answer)


def _segments(said: Said, call: SpeechCall) -> list[dict[str, Any]]:
    """Whisper's view of an utterance: one segment, none where it wrote nothing."""
    about = {"id": 0, "seek": 0, "start": 0.0, "end": call.ms / 1000, "text": f" {said.text}", "tokens": [50364]}
    figures = {"temperature": 0.0, "compression_ratio": 0.9, "avg_logprob": math.log(said.confidence), "no_speech_prob": said.no_speech}
    return [about | figures] if said.text else []


async def _broken_upload(request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
    match fault.kind:
        case "error":
            code = "insufficient_quota" if fault.status == 402 else None
            return _openai_error(429 if fault.status == 402 else fault.status, fault.message, code)
        case "garbage" | "bytes" | "frame":
            return web.Response(body=b'{"text": "what', content_type="application/json")
        case "foreign":
            return web.json_response(["what"])
        case "silence":
            await asyncio.Event().wait()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def _openai_error(status: int, message: str, code: str | None) -> web.Response:
    error: dict[str, Any] = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)


def _refused(turned: Turned) -> web.Response:
    return web.Response(status=turned.status, text=json.dumps({"error": {"message": turned.message}}), headers=turned.headers)
