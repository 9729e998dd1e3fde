"""What every vendor of speech to text shares: its key, its options, one session at a time, and what its refusals mean."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Final

from patter_nb import __version__
from patter_nb.audio.frames import AudioFormat, Frame
from patter_nb.clock import Clock, SystemClock
from patter_nb.errors import ModelNotFound, PatterConfigError, PatterError, QuotaExceeded, RateLimitError, ServerError
from patter_nb.keywords import reject_unknown
from patter_nb.stt.base import Transcript
from patter_nb.stt.wire.stream import Stream
from patter_nb.wire.refusals import Refusal, Source, refusal_error
from patter_nb.wire.retrying import Retrying

__all__ = ["USER_AGENT", "VendorSTT"]

USER_AGENT: Final = f"patter-nb/{__version__}"
_OTHER: Final = "use another provider: session.use(stt=...)."
_HINTS: Final[Mapping[type[PatterError], str]] = {
    QuotaExceeded: f"Add credit to the account, or {_OTHER}",
    RateLimitError: f"Wait a moment, ask for a higher limit, or {_OTHER}",
    ServerError: f"It is the vendor's failure; try again in a moment, or {_OTHER}",
}
_NO_MODEL: Final = re.compile(
    r"model.{0,60}(not exist|not found|not supported|not valid|invalid|unknown)|(no such|invalid|unknown).{0,20}model", re.IGNORECASE
)


class VendorSTT(ABC):
    """Speech to text behind a vendor's API.

    api_key      default: the environment variable of `key_name`, read now
    model        default: as each vendor's class says
    language     what is spoken, "en"; None leaves it to the vendor
    base_url     default: the vendor's own address
    timeout_s    how long the vendor may take to connect, and to answer a `finalize`, in seconds
    max_retries  how often a connection, or an upload, is tried again on a rate limit, the vendor's own failure, or a lost network

    One instance serves one session at a time: `open` while another has it raises `PatterConfigError`, so that no transcript reaches a
    stranger. A failure comes out of `transcripts()`, and the next call of `transcripts()` goes on with the next sound over a new
    connection; the rest of the utterance that failed is dropped. What was heard of it stands in the error's message, and as
    `partial_text` in the `TruncatedStream` that a broken connection is; it is given as no final, because half a sentence answered is
    worse than one asked for again.
    Word times are milliseconds on the capture clock, as `Frame.capture_ms`.
    Raises `PatterConfigError` where there is no key, `TypeError` for an unknown keyword.
    """

    provider: ClassVar[str]
    key_name: ClassVar[str]
    models: ClassVar[tuple[str, ...]]
    """Names to suggest where a model is not found; any other may be passed."""
    costs = True

    def __init__(
        self,
        api_key: str | None,
        *,
        model: str,
        language: str | None,
        base_url: str,
        timeout_s: float,
        max_retries: int,
        options: Mapping[str, Any],
        unknown: Mapping[str, Any],
    ) -> None:
        name = self.name
        reject_unknown(name, unknown, ("api_key", "model", "language", "base_url", "timeout_s", "max_retries", *options))
        if not isinstance(model, str) or not model:
            raise PatterConfigError(f"{name} cannot use model={model!r:.80}.", hint=f'For example model="{self.models[0]}".')
        if not timeout_s > 0 or max_retries < 0:
            told = f"{name} cannot work with timeout_s={timeout_s!r}, max_retries={max_retries!r}."
            raise PatterConfigError(told, hint="Pass seconds above 0, and a number of 0 or more.")
        self.model = model
        self.language = language
        self.base_url = _checked_url(name, base_url)
        self.timeout_s = timeout_s
        self.retrying = Retrying(max_retries)
        self.options = {key: value for key, value in options.items() if value is not None}
        """What is asked of the vendor beside model and language, as it was passed."""
        self.clock: Clock = SystemClock()
        """Tells when to keep a connection alive and how long to wait. A test puts a `patter_nb.testing.Clock` here."""
        self._key_hint = f"Set the environment variable {self.key_name} to a valid key, or pass api_key=."
        self._key = (api_key or os.environ.get(self.key_name, "")).strip()
        if not self._key:
            raise PatterConfigError(f"{name} has no API key.", hint=self._key_hint)
        others = ", ".join(one for one in self.models if one != model)
        model_hint = f"Other models are {others}." if others else "Check model=."
        self.source = Source(self.provider, model, self._key_hint, model_hint, self._key)
        self._stream: Stream | None = None

    def __repr__(self) -> str:
        """Never with the key."""
        return f"{self.name}(model={self.model!r})"

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return type(self).__name__

    @abstractmethod
    def _begin(self, format: AudioFormat) -> Stream:
        """A stream of sound in this format."""

    # --- the protocol

    async def open(self, format: AudioFormat) -> None:
        """Begin a stream of mono PCM16. Connecting goes on beside it; what fails at that comes out of `transcripts()`."""
        if self._stream is not None and not self._stream.over:
            hint = f"Give each session an instance of its own, stt={self.name}(...), or end the other one: aclose()."
            raise PatterConfigError(f"This {self.name} hears for another session already.", hint=hint, provider=self.provider)
        await self._end()
        self._stream = self._begin(format)

    async def push(self, frame: Frame) -> None:
        """The next frame. It is queued, and sent as the connection takes it."""
        self._opened().push(frame)

    async def finalize(self) -> None:
        """Ask for the final transcript of all that was pushed since the last."""
        self._opened().finalize()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Partials, and one final for each `finalize`, until `aclose`."""
        return self._opened().transcripts()

    async def aclose(self) -> None:
        """End the stream with the vendor's own farewell, and close its connection."""
        await self._end()

    async def _end(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    def _opened(self) -> Stream:
        if self._stream is None:
            raise PatterConfigError(f"{self.name} is not open.", hint="Call open(AudioFormat()) first.", provider=self.provider)
        return self._stream

    # --- what goes wrong

    def error(self, refusal: Refusal, *, retry_after_s: float | None = None) -> PatterError:
        """The error of our family for what the vendor said."""
        error = refusal_error(refusal, self.source, retry_after_s=retry_after_s)
        if refusal.status in (400, 422) and _NO_MODEL.search(refusal.message):
            where = {"provider": error.provider, "model": error.model, "status": error.status, "code": error.code}
            return ModelNotFound(error.message, hint=self.source.model_hint, request_id=error.request_id, **where)  # type: ignore[arg-type]  # they are its own
        error.hint = _HINTS.get(type(error), error.hint)
        return error

    def failure(self, kind: type[PatterError], message: str, hint: str) -> PatterError:
        """An error that no vendor's refusal is."""
        return kind(message, hint=hint, provider=self.provider, model=self.model)


def _checked_url(name: str, url: str) -> str:
    """`url` as aiohttp and proxies know it: a WebSocket begins as a request over HTTP."""
    for scheme, plain in (("wss://", "https://"), ("ws://", "http://"), ("https://", "https://"), ("http://", "http://")):
        if url.lower().startswith(scheme):
            return plain + url[len(scheme) :].rstrip("/")
    hint = "It begins with wss:// or https:// (ws:// or http:// for a test)."
    raise PatterConfigError(f"{name} cannot use base_url={url!r:.100}.", hint=hint)
