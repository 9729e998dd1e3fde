"""The voices that have to behave alike: each vendor's by each of its ways, and those of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from patter_nb import CartesiaTTS, ElevenLabsTTS, OpenAITTS, PiperTTS
from patter_nb.audio.frames import Pcm
from patter_nb.testing import ScriptedTTS
from patter_nb.testing.wire.voices import VoiceServer
from patter_nb.tts.base import TTS
from patter_nb.tts.wire.vendor import VendorTTS
from patter_nb.wire.pool import pool

KEY = "test-key"


@dataclass(frozen=True)
class Way:
    """A vendor's voice by one of its ways. `socket`: over a WebSocket; `shared`: which serves one text after the other."""

    name: str
    tts: Callable[..., VendorTTS]
    url: Callable[[VoiceServer], str]
    socket: bool = False
    shared: bool = False

    def make(self, server: VoiceServer, **options: Any) -> VendorTTS:
        """The voice, whose every wait before it asks again is short."""
        tts = self.tts(KEY, **{"base_url": self.url(server), **options})
        tts.retrying = replace(tts.retrying, base_s=0.001)
        return tts

    @asynccontextmanager
    async def to(self, server: VoiceServer, **options: Any) -> AsyncIterator[VendorTTS]:
        """The same, which leaves nothing behind but the loop's pool of connections."""
        pool()
        before = asyncio.all_tasks()
        tts = self.make(server, **options)
        try:
            yield tts
        finally:
            await tts.aclose()
        assert not still_running(before)


def _elevenlabs_http(*arguments: Any, **options: Any) -> ElevenLabsTTS:
    return ElevenLabsTTS(*arguments, streaming=False, **options)


WAYS = (
    Way("openai", OpenAITTS, lambda server: server.openai_url),
    Way("elevenlabs", ElevenLabsTTS, lambda server: server.elevenlabs_url, socket=True),
    Way("elevenlabs-http", _elevenlabs_http, lambda server: server.elevenlabs_url),
    Way("cartesia", CartesiaTTS, lambda server: server.cartesia_url, socket=True, shared=True),
)


def ways(*, socket: bool | None = None, but: Sequence[str] = ()) -> pytest.MarkDecorator:
    """Runs a test once for each way."""
    chosen = [way for way in WAYS if socket in (None, way.socket) and way.name not in but]
    return pytest.mark.parametrize("way", chosen, ids=[way.name for way in chosen])


every_way = ways()


@asynccontextmanager
async def _cloud(way: Way) -> AsyncIterator[TTS]:
    async with VoiceServer(noise) as server, way.to(server) as tts:
        yield tts


@asynccontextmanager
async def _piper() -> AsyncIterator[TTS]:
    tts = PiperTTS()
    yield tts
    await tts.aclose()


@asynccontextmanager
async def _scripted() -> AsyncIterator[TTS]:
    yield ScriptedTTS()


EVERY_VOICE = [
    *(pytest.param(lambda way=way: _cloud(way), id=way.name) for way in WAYS),
    pytest.param(_piper, id="piper", marks=pytest.mark.models),
    pytest.param(_scripted, id="scripted"),
]


def still_running(before: Collection[asyncio.Task[Any]]) -> list[str]:
    """The tasks of voices that were not there `before`; what runs besides belongs to the server."""
    coroutines: list[Any] = [task.get_coro() for task in asyncio.all_tasks() if task not in before]
    return [
        str(one) for one in coroutines if one.cr_code.co_filename.endswith("client_ws.py") or "/patter_nb/tts/" in one.cr_code.co_filename
    ]


def noise(text: str) -> Pcm:
    """Another sound for every text, quiet at its beginning as sound is."""
    samples = np.random.default_rng(len(text.strip())).integers(-8000, 8000, 9_000, dtype=np.int16)
    samples[:100] = 1
    return samples


async def blocks_of(tts: TTS, text: str | AsyncIterator[str]) -> list[Pcm]:
    """All blocks, each of the promised form."""
    blocks = [block async for block in tts.synthesize(text)]
    assert all(block.dtype == np.int16 and block.ndim == 1 and len(block) for block in blocks)
    return blocks


async def sound_of(tts: TTS, text: str | AsyncIterator[str]) -> bytes:
    return b"".join(block.tobytes() for block in await blocks_of(tts, text))


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text
