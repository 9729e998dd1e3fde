"""The far side of the wire for voices: a server here that speaks as ElevenLabs, OpenAI and Cartesia do, and keeps what it was told.

Protocols from the vendors' API references, and taken for the vendor's by its own client (tests/tts/test_voice_sdks.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from aiohttp import web

from patter_nb.audio.frames import Pcm

__all__ = ["Refusing", "Saying", "Spoken", "VoiceServer"]

RATE: Final = 24_000
Vendor: TypeAlias = Literal["openai", "elevenlabs", "cartesia"]

_MODELS: Final = (
    *("gpt-4o-mini-tts", "tts-1", "tts-1-hd"),
    *("eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_multilingual_v2"),
    *("sonic-3", "sonic-2", "sonic-turbo"),
)
_VOICES: Final = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse"),
    *("EXAVITQu4vr4xnSDxMaL", "21m00Tcm4TlvDq8ikWAM"),
    *("f786b574-daa5-4673-aa0c-cbe3e8534c02", "a0e99841-438c-4a64-b679-ae501e7d6091"),
)


@dataclass(frozen=True, slots=True)
class Refusing:
    """The vendor says no, in its own form: HTTP `status` or what it would be, its word for it, and headers where there are any."""

    status: int = 429
    message: str = "Slow down."
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Saying:
    """How one text is spoken: `prefix` before the sound, and after `after` blocks of it (None: after the last) what happens then.

    "end": all is well. "close": the connection is closed in good order without the end, "reset": torn down, "quiet": nothing more comes.
    A `Refusing` is said in mid-stream (or, after 0 blocks, instead of it), an event waited for; text or bytes are sent as they are.
    """

    prefix: bytes = b""
    after: int | None = None
    then: Literal["end", "close", "reset", "quiet"] | Refusing | asyncio.Event | bytes = "end"
    content_type: str = "audio/pcm"


class Spoken:
    """One text as it came: its `pieces`, who was asked for which model and voice with which options, by which connection.

    `outcome` is None until it is `over`: "whole", "cancelled" by the client, "left" by a client that closed, or "failed" here.
    """

    def __init__(self, vendor: Vendor, connection: int, model: str, voice: str, options: Mapping[str, Any]) -> None:
        self.vendor = vendor
        self.connection = connection
        self.model = model
        self.voice = voice
        self.options = options
        self.pieces: list[str] = []
        self.blocks = 0
        self.outcome: Literal["whole", "cancelled", "left", "failed"] | None = None
        self.over = asyncio.Event()

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def end(self, outcome: Literal["whole", "cancelled", "left", "failed"]) -> None:
        """It is over; what was said of it first stands."""
        self.outcome = self.outcome or outcome
        self.over.set()


class VoiceServer:
    """Voices on 127.0.0.1, mono PCM16 at 24,000 Hz in pieces of `block_bytes` bytes (an odd number is no mistake: vendors cut anywhere).

    `voice` gives the sound of a text; without one it hums, 60 ms a character. It takes the key "test-key", and the `models` and `voices`
    it is given. Texts are spoken as the `sayings` say, in order, and without one as they should be. `spoken` holds what came. Leaving
    the block raises `AssertionError` where something failed here, in `voice`, say, and for sayings that nobody asked for.

    >>> async def main() -> None:
    ...     async with VoiceServer() as server, aiohttp.ClientSession() as client:
    ...         body = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "response_format": "pcm"}
    ...         headers = {"authorization": "Bearer test-key"}
    ...         async with client.post(f"{server.openai_url}/audio/speech", json=body, headers=headers) as response:
    ...             print(response.status, len(await response.read()), server.spoken[0].text)
    >>> import aiohttp
    >>> asyncio.run(main())
    200 17280 Hello.
    """

    def __init__(
        self,
        voice: Callable[[str], Pcm] | None = None,
        *,
        sayings: Iterable[Saying] = (),
        block_bytes: int = 4_800,
        key: str = "test-key",
        models: Collection[str] = _MODELS,
        voices: Collection[str] = _VOICES,
    ) -> None:
        self._voice = voice or _hum
        self._sayings = deque(sayings)
        self.block_bytes = block_bytes
        self.key = key
        self.models = models
        self.voices = voices
        self.spoken: list[Spoken] = []
        self.handshakes: list[Mapping[str, str]] = []
        """The query and headers (names in lower case) of every WebSocket that was opened."""
        self.connections: list[asyncio.Transport] = []
        self.failures: list[BaseException] = []
        self.idle: set[web.WebSocketResponse] = set()
        """WebSockets on which nothing was said yet."""
        self._changed = asyncio.Condition()
        self._address = ""

    @property
    def openai_url(self) -> str:
        return f"{self._address}/v1"

    @property
    def elevenlabs_url(self) -> str:
        return self._address

    @property
    def cartesia_url(self) -> str:
        return self._address

    def then(self, *sayings: Saying) -> None:
        """How the next texts are spoken."""
        self._sayings.extend(sayings)

    def next_saying(self) -> Saying:
        return self._sayings.popleft() if self._sayings else Saying()

    def blocks_of(self, text: str) -> list[bytes]:
        """The sound of a text, as it is cut for the wire."""
        sound = self._voice(text).astype("<i2").tobytes()
        return [sound[start : start + self.block_bytes] for start in range(0, len(sound), self.block_bytes)]

    def connection_of(self, request: web.Request) -> int:
        """The number of the connection by which a request came, from 0."""
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        if transport not in self.connections:
            self.connections.append(transport)
        return self.connections.index(transport)

    async def begin(self, spoken: Spoken) -> None:
        self.spoken.append(spoken)
        await self.tell()

    async def tell(self) -> None:
        """Something changed, for those who wait."""
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
        """Wait for what the client does. Raises `AssertionError` after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"VoiceServer waited {timeout_s} s in vain; it was told {[one.text for one in self.spoken]}.") from None

    async def heard(self, count: int) -> Spoken:
        """Wait for text number `count`, from 1, to begin."""
        await self.until(lambda: len(self.spoken) >= count and bool(self.spoken[count - 1].pieces))
        return self.spoken[count - 1]

    async def opened(self, count: int) -> None:
        """Wait until so many WebSockets were opened in all."""
        await self.until(lambda: len(self.handshakes) >= count)

    async def end_idle(self) -> None:
        """Close the WebSockets on which nothing was said, as a vendor does after a while."""
        for socket in list(self.idle):
            await socket.close(code=1008, message=b"input_timeout_exceeded")

    async def __aenter__(self) -> VoiceServer:
        from patter_nb.testing.wire.voice_requests import requests
        from patter_nb.testing.wire.voice_sockets import sockets

        application = web.Application()
        application.add_routes([*requests(self), *sockets(self)])
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._address = f"http://{host}:{port}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for transport in self.connections:
            transport.abort()
        await self._runner.cleanup()
        if self.failures and error is None:
            raise AssertionError("VoiceServer could not speak.") from self.failures[0]
        if self._sayings and error is None:
            raise AssertionError(f"VoiceServer has {len(self._sayings)} sayings that nobody asked for; the next is {self._sayings[0]!r}.")


def _hum(text: str) -> Pcm:
    count = len(text) * RATE * 60 // 1000
    hum: Pcm = (2000 * np.sin(np.arange(count) * (2 * np.pi * 220 / RATE))).astype(np.int16)
    return hum
