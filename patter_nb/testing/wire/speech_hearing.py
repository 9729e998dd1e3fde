"""One connection of a client that speaks: what came of it, and what is said to it by the script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from aiohttp import web

from patter_nb.audio.frames import Pcm
from patter_nb.testing.wire.speech_dialects import Dialect, Unacceptable
from patter_nb.testing.wire.speech_script import Fault, Said, SpokenWord, placed


class SpeechCall:
    """One connection of a client, or one upload. `texts` are its text frames, `sizes` the bytes of each message with sound.

    `ended`: the client said goodbye in the vendor's way.
    """

    def __init__(self, request: web.BaseRequest, rate: int) -> None:
        self.path = request.path
        self.query: Mapping[str, str] = dict(request.query)
        self.headers: Mapping[str, str] = dict(request.headers)
        self.rate = rate
        self.texts: list[str] = []
        self.sizes: list[int] = []
        self.ended = False
        self.closed = asyncio.Event()
        self._sound = bytearray()

    @property
    def audio(self) -> Pcm:
        """All sound that came, mono PCM16 at `rate` Hz."""
        return np.frombuffer(bytes(self._sound), "<i2").astype(np.int16)

    @property
    def ms(self) -> float:
        """Milliseconds of sound that came."""
        return len(self._sound) / 2 * 1000 / self.rate

    def hear(self, pcm: bytes) -> None:
        self.sizes.append(len(pcm))
        self._sound += pcm


class Hearing:
    """Hears one connection by the script."""

    def __init__(
        self,
        call: SpeechCall,
        dialect: Dialect,
        socket: web.WebSocketResponse,
        request: web.BaseRequest,
        script: Callable[..., Said | None],
    ) -> None:
        self.gone = False
        self._call, self._dialect, self._socket, self._request, self._script = call, dialect, socket, request, script
        self._start_ms = 0.0
        self._shown = self._settled = 0

    async def say(self, messages: Iterable[str]) -> None:
        for message in messages:
            await self._socket.send_str(message)

    async def refuse(self, refusal: Unacceptable) -> None:
        await self.say(refusal.told)
        if refusal.closes:
            self.gone = True
            await self._socket.close(code=refusal.code, message=refusal.reason.encode())

    async def take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._call.texts.append(message)
        if self.gone:
            return
        try:
            asked = self._dialect.asked(message)
        except Unacceptable as refusal:
            await self.refuse(refusal)
            return
        if isinstance(asked, bytes):
            self._call.hear(asked)
            await self._listen()
        elif asked == "finalize":
            await self._finalize()
        elif asked == "end":
            self._call.ended = self.gone = True
            await self.say(self._dialect.goodbye())
            await self._socket.close()

    async def _listen(self) -> None:
        """Say what the newest sound completes, word for word."""
        said = self._script(used=False)
        if said is None or not self._dialect.by_itself:
            return
        words = placed(said, self._start_ms)
        while not self.gone and self._shown < len(words) and words[self._shown].stop_ms <= self._call.ms:
            self._shown += 1
            earlier, under_way = words[: self._settled], words[self._settled : self._shown]
            await self.say(self._dialect.interim(under_way, earlier))
            if self._shown == said.pauses_after:
                until_ms = words[self._shown - 1].stop_ms
                await self.say(self._dialect.final(under_way, earlier, finalized=False, until_ms=until_ms))
                self._settled = self._shown
            if said.fault is not None and said.fault.after_words == self._shown:
                self._script(used=True)
                await self._break(said.fault)

    async def _finalize(self) -> None:
        said = self._script(used=True)
        if said is None:
            return
        if said.hold is not None:
            await said.hold.wait()
        words: list[SpokenWord] = placed(said, self._start_ms)
        earlier, rest = words[: self._settled], words[self._settled :]
        self._start_ms, self._shown, self._settled = self._call.ms, 0, 0
        if said.fault is not None:
            await self._break(said.fault)
        elif said.answers:
            await self.say(self._dialect.final(rest, earlier, finalized=True, until_ms=self._call.ms))

    async def _break(self, fault: Fault) -> None:
        self.gone = True
        match fault.kind:
            case "drop":
                assert self._request.transport is not None
                self._request.transport.abort()
            case "close":
                await self._socket.close(code=fault.code, message=fault.reason.encode())
            case "garbage":
                await self._socket.send_str('{"type": "Results", "chan')
            case "foreign":
                await self._socket.send_str('{"type": ["transcript"], "error": 3, "Turn": null}')
            case "bytes":
                await self._socket.send_bytes(b"\x00\x01\x02")
            case "frame":
                assert self._request.transport is not None
                self._request.transport.write(b"\x81\x02\xff\xfe")  # RFC 6455: a whole text frame of two bytes
            case "error":
                messages, code = self._dialect.error(fault.status, fault.message)
                await self.say(messages)
                if code:
                    await self._socket.close(code=code, message=b"See Error message for details")
