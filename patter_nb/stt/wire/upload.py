"""Speech to text by one request for each utterance: the sound is kept until `finalize`, and sent as a WAV file.

Requests may overlap, their answers are given in the order in which they were spoken.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import aiohttp
import numpy as np

from patter_nb.audio.frames import Frame, Pcm
from patter_nb.errors import ConnectionFailed, PatterError, RequestTimeout
from patter_nb.stt.base import Transcript
from patter_nb.stt.wire.link import malformed
from patter_nb.stt.wire.sounding import Timeline
from patter_nb.stt.wire.stream import Stream
from patter_nb.stt.wire.vendor import USER_AGENT, VendorSTT
from patter_nb.wire.pool import CONNECT_S, pool
from patter_nb.wire.refusals import refusal_of
from patter_nb.wire.retrying import asked_wait_s
from patter_nb.wire.unreachable import cause_of

__all__ = ["UploadStream"]

logger = logging.getLogger("patter_nb")

_ERROR_BYTES: Final = 64 * 1024


class UploadStream(Stream):
    """`url`, `headers` and `fields` are those of a request; `read` makes a transcript of an answer's JSON. `rate` is in Hz."""

    def __init__(
        self,
        stt: VendorSTT,
        rate: int,
        *,
        url: str,
        headers: Mapping[str, str],
        fields: Sequence[tuple[str, str]],
        read: Callable[[Mapping[str, Any]], Transcript],
    ) -> None:
        super().__init__()
        self._stt, self._rate = stt, rate
        self._url, self._headers, self._fields, self._read = url, headers, fields, read
        self._last: asyncio.Task[None] | None = None
        self._recover()

    def _recover(self) -> None:
        self._pcm: list[Pcm] = []
        self._timeline = Timeline(self._rate)

    def push(self, frame: Frame) -> None:
        if not self._deaf and len(frame.pcm):
            self._timeline.push(frame)
            self._pcm.append(frame.pcm)

    def finalize(self) -> None:
        if not self._deaf:
            pcm, timeline = self._pcm, self._timeline
            self._recover()
            self._last = self._spawn(self._transcribe(self._last, pcm, timeline), f"{self._stt.provider} upload")

    async def _transcribe(self, before: asyncio.Task[None] | None, pcm: list[Pcm], timeline: Timeline) -> None:
        """Transcribe this utterance, and give it once that `before` it was given."""
        try:
            heard = await self._asked(np.concatenate(pcm)) if pcm else Transcript("", is_final=True)
        except PatterError as error:
            self._fail(error)
            return
        if before is not None:
            await asyncio.wait((before,))
        self._emit(replace(heard, words=timeline.placed(heard.words)))

    async def _asked(self, pcm: Pcm) -> Transcript:
        """What the vendor makes of the sound, asked again where that is worth it."""
        stt, attempt, body = self._stt, 0, wav_bytes(pcm, self._rate)
        while True:
            try:
                return await self._ask(body)
            except PatterError as error:
                wait_s = stt.retrying.wait_s(error, attempt, getattr(error, "retry_after_s", None))  # only a RateLimitError says it
                if wait_s is None:
                    raise
                logger.info("%s is asked again in %.1f s: %s", stt.provider, wait_s, error.message)
            attempt += 1
            await stt.clock.sleep_until(stt.clock.now_ms() + wait_s * 1000)

    async def _ask(self, body: bytes) -> Transcript:
        stt, shared = self._stt, pool()
        form = aiohttp.FormData(list(self._fields))
        form.add_field("file", body, filename="speech.wav", content_type="audio/wav")
        patience = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, stt.timeout_s), sock_read=stt.timeout_s)
        try:
            async with shared.session.post(
                self._url,
                data=form,
                headers={"User-Agent": USER_AGENT, **self._headers},
                timeout=patience,
                proxy=shared.proxy_for(self._url),
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    refusal = refusal_of(await response.content.read(_ERROR_BYTES), status=response.status, headers=response.headers)
                    raise stt.error(refusal, retry_after_s=asked_wait_s(response.headers, refusal.details))
                answer = await response.read()
        except TimeoutError as error:
            told = f"{stt.provider} did not answer within {stt.timeout_s:g} s."
            raise stt.failure(RequestTimeout, told, "Try again in a moment, or raise timeout_s.") from error
        except (aiohttp.ClientError, OSError) as error:
            why, cause = cause_of(error)
            told = f"{stt.provider} could not be reached at {self._url}: {why}."
            raise stt.failure(ConnectionFailed, told, "Check the network, and base_url if you set it.") from cause
        try:
            return self._read(json.loads(answer))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise malformed(stt.source, f"{answer!r:.100}") from error

    def _give_up(self, error: BaseException) -> BaseException:
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self._last = None
        return error


def wav_bytes(pcm: Pcm, rate: int) -> bytes:
    """A WAV file of mono PCM16."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(pcm, "<i2").tobytes())
    return out.getvalue()
