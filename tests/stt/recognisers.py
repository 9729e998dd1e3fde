"""The recognisers that have to behave alike, each with the far side that it is heard by, and a listener for what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from patter_nb import AssemblyAISTT, CartesiaSTT, DeepgramSTT, OpenAITranscribeSTT, WhisperSTT
from patter_nb.audio.frames import AudioFormat, Frame, Pcm
from patter_nb.errors import PatterError
from patter_nb.stt.base import STT, Transcript
from patter_nb.stt.wire.vendor import VendorSTT
from patter_nb.testing.wire.speech_sockets import SpeechCall, SpeechServer

KEY = "test-key"


@dataclass(frozen=True)
class Vendor:
    """What differs between vendors. `times` and `confidence`: whether there are any; `by_itself`: partials and finals before `finalize`.

    `asking` is the text that ends an utterance, `farewell` the one before the close.
    """

    name: str
    kind: Callable[..., VendorSTT]
    path: str
    key_name: str
    asking: str | None
    farewell: str | None
    model: str | None = None
    rate: int = 16_000
    times: bool = True
    confidence: bool = True
    by_itself: bool = True

    @property
    def socket(self) -> bool:
        """Whether it is one connection for the whole stream."""
        return self.asking is not None

    def stt(self, server: SpeechServer | str, *, key: str | None = KEY, **options: Any) -> VendorSTT:
        """A recogniser whose vendor is `server`, or an address. It asks once, if not told otherwise."""
        base_url = server if isinstance(server, str) else server.url
        given = {"base_url": f"{base_url}{self.path}", "max_retries": 0} | ({"model": self.model} if self.model else {})
        return self.kind(key, **given | options)


DEEPGRAM = Vendor("deepgram", DeepgramSTT, "", "DEEPGRAM_API_KEY", '{"type": "Finalize"}', '{"type": "CloseStream"}')
ASSEMBLYAI = Vendor("assemblyai", AssemblyAISTT, "", "ASSEMBLYAI_API_KEY", '{"type": "ForceEndpoint"}', '{"type": "Terminate"}')
CARTESIA = Vendor("cartesia", CartesiaSTT, "", "CARTESIA_API_KEY", "finalize", "done", confidence=False)
OPENAI = Vendor(
    *("openai", OpenAITranscribeSTT, "/v1", "OPENAI_API_KEY", '{"type": "input_audio_buffer.commit"}', None),
    rate=24_000,
    times=False,
    by_itself=False,
)
WHISPER = Vendor(
    "openai whisper-1", OpenAITranscribeSTT, "/v1", "OPENAI_API_KEY", None, None, model="whisper-1", confidence=False, by_itself=False
)


def whisper_at_openai(key: str | None = None, *, model: str = "whisper-1", **options: Any) -> Any:
    return WhisperSTT(key, model=model, **options)


WHISPER_STT = Vendor("whisper", whisper_at_openai, "/v1", "OPENAI_API_KEY", None, None, confidence=False, by_itself=False)

VENDORS = (DEEPGRAM, ASSEMBLYAI, CARTESIA, OPENAI, WHISPER, WHISPER_STT)
SOCKETS = tuple(vendor for vendor in VENDORS if vendor.socket)

installed = pytest.mark.skipif(not find_spec("faster_whisper"), reason='needs pip install "patter-nb[whisper]"')
"""For Whisper on this machine."""
every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
every_socket = pytest.mark.parametrize("vendor", SOCKETS, ids=lambda vendor: vendor.name)


def wire(stt: Any) -> VendorSTT:
    """What speaks to the vendor: the recogniser, or the part of it."""
    found: VendorSTT = stt._ears if isinstance(stt, WhisperSTT) else stt
    return found


def frames(ms: int, *, first: int = 0, level: int = 2000) -> Iterator[Frame]:
    """Frames of a tone, numbered from `first`: no two of a stream are alike."""
    for seq in range(first, first + ms // 20):
        phase = np.arange(seq * 320, seq * 320 + 320) * (2 * np.pi * (200 + seq % 50) / 16_000)
        yield Frame((level * np.sin(phase)).astype(np.int16), seq, seq * 20.0)


def sound(pushed: list[Frame]) -> Pcm:
    return np.concatenate([frame.pcm for frame in pushed])


class Hearing:
    """What a recogniser said, and the errors that came out of it; reading goes on after one, as a session does."""

    def __init__(self, stt: STT) -> None:
        self.stt = stt
        self.said: list[Transcript] = []
        self.pushed: list[Frame] = []
        self._came = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    @property
    def finals(self) -> list[str]:
        return [one.text for one in self.said if one.is_final]

    @property
    def partials(self) -> list[str]:
        return [one.text for one in self.said if not one.is_final]

    async def push(self, ms: int, *, first: int | None = None) -> None:
        """Speak for so long, from frame `first`, or where it stopped."""
        start = first if first is not None else (self.pushed[-1].seq + 1 if self.pushed else 0)
        for frame in frames(ms, first=start):
            self.pushed.append(frame)
            await self.stt.push(frame)

    async def until(self, met: Callable[[], object]) -> None:
        """Wait for something that comes with a transcript. An error that comes meanwhile is raised."""
        async with asyncio.timeout(10), self._came:
            while not met():
                if self._reading is None or self._reading.done():
                    self._raise()
                    self._reading = asyncio.ensure_future(self._read())
                await self._came.wait()

    async def final(self, number: int = 1) -> Transcript:
        """The final transcript of this number."""
        await self.until(lambda: len(self.finals) >= number)
        return [one for one in self.said if one.is_final][number - 1]

    async def failure(self) -> PatterError:
        """The error that comes out of `transcripts()`."""
        with pytest.raises(PatterError) as caught:
            await self.until(lambda: False)
        return caught.value

    def _raise(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.result()
            raise AssertionError("transcripts() ended")

    async def _read(self) -> None:
        try:
            async for transcript in self.stt.transcripts():
                self.said.append(transcript)
                async with self._came:
                    self._came.notify_all()
        finally:
            async with self._came:
                self._came.notify_all()

    async def close(self) -> None:
        await self.stt.aclose()
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=10)
            assert self._reading.done(), "aclose() does not end transcripts()"


@asynccontextmanager
async def hearing(stt: STT, *, rate: int = 16_000) -> AsyncIterator[Hearing]:
    """An open recogniser that is listened to."""
    await stt.open(AudioFormat(rate))
    heard = Hearing(stt)
    heard._reading = asyncio.ensure_future(heard._read())
    try:
        yield heard
    finally:
        await heard.close()


def call(server: SpeechServer, number: int = -1) -> SpeechCall:
    return server.calls[number]
