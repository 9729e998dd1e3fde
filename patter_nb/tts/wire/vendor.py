"""What every vendor's voice shares: its key, its options, and the one policy of asking again, which ends with the first sound."""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from patter_nb import __version__
from patter_nb.audio.frames import AudioFormat, Pcm
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.keywords import reject_unknown
from patter_nb.tasks import closing
from patter_nb.tts.wire.failing import BrokeOff, Failed
from patter_nb.tts.wire.sound import Sound
from patter_nb.tts.wire.words import Words
from patter_nb.wire.refusals import Source
from patter_nb.wire.retrying import Retrying

__all__ = ["Stale", "VendorTTS"]

logger = logging.getLogger("patter_nb")


class Stale(Exception):
    """A connection that was kept had been closed by the vendor meanwhile: no attempt was made yet."""


class VendorTTS(ABC):
    """A voice behind a vendor's API: mono PCM16 at 24,000 Hz, in blocks as they come.

    api_key      default: the environment variable `key_name`, read now
    base_url     default: the vendor's own address
    timeout_s    how long the vendor may be silent while it owes sound, in seconds
    max_retries  how often it is asked again before the first sound, on a rate limit, its own failure, or a lost connection

    Raises `PatterConfigError` where there is no key, or a value makes no sense, `TypeError` for an unknown keyword.
    """

    provider: ClassVar[str]
    key_name: ClassVar[str]
    models: ClassVar[Sequence[str]] = ()
    voices: ClassVar[Sequence[str]] = ()
    """Names to suggest where a model or a voice is not found; any other may be passed."""
    costs = True

    def __init__(
        self,
        api_key: str | None,
        *,
        model: str,
        voice: str,
        base_url: str,
        timeout_s: float,
        max_retries: int,
        options: Mapping[str, Any],
        unknown: Mapping[str, Any],
    ) -> None:
        name = type(self).__name__
        reject_unknown(name, unknown, ("api_key", "model", "voice", "base_url", "timeout_s", "max_retries", *options))
        for keyword, value in (("model", model), ("voice", voice)):
            if not isinstance(value, str) or not value.strip():
                raise PatterConfigError(f"{name} cannot use {keyword}={value!r:.80}.", hint=f'Pass a name, {keyword}="...".')
        if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
            raise PatterConfigError(f"{name} cannot use base_url={base_url!r:.80}.", hint="It begins with https://, or http://.")
        if not timeout_s > 0 or max_retries < 0:
            told = f"{name} cannot work with timeout_s={timeout_s!r}, max_retries={max_retries!r}."
            raise PatterConfigError(told, hint="Pass seconds above 0, and a number of 0 or more.")
        key_hint = f"Set the environment variable {self.key_name} to a valid key, or pass api_key=."
        key = (api_key or os.environ.get(self.key_name) or "").strip()
        if not key:
            raise PatterConfigError(f"{name} has no API key.", hint=key_hint)
        self.model = model
        self.voice = voice
        self.base_url = base_url.rstrip("/")
        self.timeout_s = timeout_s
        self.retrying = Retrying(max_retries)
        self.options = {key: value for key, value in options.items() if value is not None}
        """The vendor's own options, as they were passed."""
        self._key = key
        self._source = Source(self.provider, model, key_hint, self._suggest("model", self.models, model), key)

    @staticmethod
    def _suggest(keyword: str, names: Sequence[str], given: str) -> str:
        others = [name for name in names if name != given]
        return f"Others are {', '.join(others)}." if others else f"Check {keyword}=."

    @property
    def _voice_source(self) -> Source:
        """Who refused, where it is the voice that is not found."""
        return replace(self._source, model_hint=self._suggest("voice", self.voices, self.voice))

    @property
    def format(self) -> AudioFormat:
        return AudioFormat(24_000)

    @property
    def _user_agent(self) -> dict[str, str]:
        return {"User-Agent": f"patter-nb/{__version__}"}

    def __repr__(self) -> str:
        """Never with the key."""
        return f"{type(self).__name__}(model={self.model!r}, voice={self.voice!r})"

    # --- the vendor's own

    @abstractmethod
    def _attempt(self, words: Words, *, fresh: bool) -> AsyncIterator[bytes]:
        """Ask once for the sound of `words`; `fresh`: by a new connection. Closing it stops the vendor.

        Raises `Failed`, `BrokeOff`, `Stale`, or a `PatterError`.
        """

    @abstractmethod
    async def _warm(self) -> None:
        """Open the connection that the first words will use. Raises `Failed` or `PatterError`."""

    def _portions(self, words: Words) -> AsyncIterator[Words]:
        """What is asked for at once: everything, unless a vendor wants it by sentences."""
        return _only(words)

    # --- the protocol

    async def synthesize(self, text: str | AsyncIterator[str]) -> AsyncIterator[Pcm]:
        """The sound of `text` in blocks as they come. Closing the iterator stops the vendor, within one block.

        The pieces of an iterator are spoken as one text; where they hold no word, nobody is asked. What it raises travels on.
        Raises a `PatterError`: what a refusal means, `ConnectionFailed` or `RequestTimeout` before any sound, `TruncatedStream` after
        it, `AudioError` for sound of another form, `MalformedStream`. Nothing is asked again once sound has come.
        """
        words = Words(text)
        try:
            if await words.begin():
                async with closing(self._portions(words)) as portions:
                    async for portion in portions:
                        async with closing(self._spoken(portion)) as blocks:
                            async for block in blocks:
                                yield block
        finally:
            await words.aclose()

    async def _spoken(self, words: Words) -> AsyncIterator[Pcm]:
        attempt, fresh = 0, False
        while True:
            sound = Sound(self._source, self.format.sample_rate)
            try:
                async with closing(self._attempt(words, fresh=fresh)) as pieces:
                    async for piece in pieces:
                        if len(block := sound.push(piece)):
                            yield block
                if len(rest := sound.flush()):
                    yield rest
                return
            except Stale:
                fresh = True
                continue
            except (Failed, BrokeOff, PatterError) as failure:
                error, wait_s = self._judged(failure, attempt, begun=sound.begun)
                if wait_s is None or failure is words.failure:
                    raise error from failure.__cause__
            logger.info("%s is asked again in %.1f s: %s", self.provider, wait_s, error.message)
            attempt, fresh = attempt + 1, False
            await asyncio.sleep(wait_s)

    def _judged(self, failure: Failed | BrokeOff | PatterError, attempt: int, *, begun: bool) -> tuple[PatterError, float | None]:
        """The error that it is, and how long to wait before the next attempt; None for no other."""
        if isinstance(failure, BrokeOff):
            error, asked_s = failure.error(self._source, begun=begun), None
        elif isinstance(failure, Failed):
            error, asked_s = failure.error, failure.asked_wait_s
        else:
            error, asked_s = failure, None
        error.message = self._source.hide(error.message)
        error.args = (error.message,)
        return error, None if begun else self.retrying.wait_s(error, attempt, asked_s)

    async def warmup(self) -> None:
        """Open the connection that the first words will use. A vendor that cannot be reached now is not an error yet."""
        try:
            await self._warm()
        except (Failed, PatterError) as error:
            logger.warning("%s could not be warmed up: %s", self.provider, error)

    async def aclose(self) -> None:  # noqa: B027  # not abstract: there may be nothing to do
        """Give back what is held: connections belong to the event loop's pool."""


async def _only(words: Words) -> AsyncIterator[Words]:
    yield words
