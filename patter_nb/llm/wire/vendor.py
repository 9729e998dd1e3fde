"""What every vendor's language model shares: keys, options, retries, and the one way by which an answer comes.

A vendor is a table (names, keys, addresses) and two functions: `encode` makes the body of a request, its `Decoder` chunks of what comes
back. With `client=` the vendor's own SDK carries the same body, and the same decoder reads its objects.
"""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from patter_nb import __version__
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import LLMChunk, Message, ToolSpec
from patter_nb.llm.wire.clients import Objects, events_of
from patter_nb.llm.wire.decoding import Decoder, ErrorEvent
from patter_nb.llm.wire.exchange import BrokeOff, Exchange, Refused, Request, touch
from patter_nb.llm.wire.recording import Recording, begun
from patter_nb.llm.wire.redacting import Redaction
from patter_nb.pricing import load_prices
from patter_nb.tasks import closing
from patter_nb.wire.refusals import Source, refusal_error
from patter_nb.wire.retrying import Retrying

__all__ = ["USER_AGENT", "VendorLLM"]

logger = logging.getLogger("patter_nb")

USER_AGENT: Final = f"patter-nb/{__version__}"
_CANCELLED: Final = LLMChunk("done", finish_reason="cancelled")
_JSON: Final = msgspec.json.Encoder()


class VendorLLM(ABC):
    """A language model behind a vendor's HTTP API.

    api_key      default: the environment variable of `key_names`, read now; not needed with `client`
    base_url     default: the vendor's own address
    timeout_s    how long the vendor may be silent, before the first byte and between two, in seconds
    max_retries  how often it is asked again before the first chunk, on a rate limit, its own failure, or a lost connection
    client       the vendor's own asynchronous client, whose authentication, region and proxies are then used, and whose retries are not

    Raises `PatterConfigError` where there is no key, `TypeError` for an unknown keyword.
    """

    provider: ClassVar[str]
    key_names: ClassVar[tuple[str, ...]]
    models: ClassVar[tuple[str, ...]] = ()
    """Names to suggest where a model is not found; any other may be passed."""
    costs = True

    def __init__(
        self,
        api_key: str | None,
        *,
        model: str,
        base_url: str,
        timeout_s: float,
        max_retries: int,
        client: Any,
        options: Mapping[str, Any],
        unknown: Mapping[str, Any],
    ) -> None:
        name = type(self).__name__
        known = ("api_key", "model", "base_url", "timeout_s", "max_retries", "client", *options)
        reject_unknown(name, unknown, known)
        if not isinstance(model, str) or not model:
            raise PatterConfigError(f"{name} cannot use model={model!r:.80}.", hint=f'For example model="{(self.models or ("name",))[0]}".')
        if not timeout_s > 0 or max_retries < 0:
            told = f"{name} cannot work with timeout_s={timeout_s!r}, max_retries={max_retries!r}."
            raise PatterConfigError(told, hint="Pass seconds above 0, and a number of 0 or more.")
        if "@" in urlsplit(base_url).netloc:
            raise PatterConfigError(f"{name} cannot use a base_url with a user name in it.", hint="Pass the key as api_key=.")
        self.model = model
        self.base_url = base_url.rstrip("/")
        self.timeout_s = timeout_s
        self.retrying = Retrying(max_retries)
        self.options = {key: value for key, value in options.items() if value is not None}
        """What is sent with each request beside the conversation, as it was passed."""
        self._client = client
        self._key = _key_of(client) if client is not None else self._find_key(api_key)
        self._shown = Redaction.of(self.base_url, {}, key=self._key)
        """What hides keys in an error, whoever quotes them there."""
        self.source = Source(self.provider, model, self._key_hint(), self._model_hint())

    def _find_key(self, api_key: str | None) -> str:
        key = api_key or next((value for name in self.key_names if (value := os.environ.get(name))), "")
        if not key:
            raise PatterConfigError(f"{type(self).__name__} has no API key.", hint=self._key_hint())
        key = key.strip()
        if not (key.isascii() and key.isprintable()):
            raise PatterConfigError(f"The API key of {type(self).__name__} has a character that no key has.", hint="Copy it anew.")
        return key

    def _key_hint(self) -> str:
        return f"Set the environment variable {' or '.join(self.key_names)} to a valid key, or pass api_key=."

    def _model_hint(self) -> str:
        return f"Other models are {', '.join(name for name in self.models if name != self.model)}." if self.models else "Check model=."

    def __repr__(self) -> str:
        """Never with the key."""
        return f"{type(self).__name__}(model={self.model!r})"

    # --- the vendor's own

    @abstractmethod
    def encode(self, messages: Sequence[Message], tools: Sequence[ToolSpec] | None) -> dict[str, Any]:
        """The body of the request for these OpenAI-shaped messages and tools. Pure."""

    @abstractmethod
    def decoder(self, request_chars: int) -> Decoder[Any]:
        """What reads the answer to a request of so many characters."""

    @abstractmethod
    def url(self) -> str:
        """Where requests go."""

    @abstractmethod
    def warm_url(self) -> str:
        """A cheap address of the same host."""

    @abstractmethod
    async def headers(self) -> dict[str, str]:
        """What every request carries, its key among it."""

    @abstractmethod
    def objects(self, client: Any, body: Mapping[str, Any]) -> Objects:
        """The answer to `body` by the vendor's own client."""

    def pack(self, body: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
        """The body as bytes, and the headers that say in what form it is."""
        return _JSON.encode(body), {"Content-Type": "application/json"}

    # --- the protocol

    async def stream(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        *,
        cancel_event: asyncio.Event | None = None,
        call_id: str | None = None,
    ) -> AsyncIterator[LLMChunk]:
        """The answer as it comes: (text | reasoning | tool_call)* usage done.

        Setting `cancel_event` closes the connection and ends with done("cancelled"); closing the iterator, or cancelling the task, closes
        it too. Raises a `PatterError`: `TruncatedStream` for an answer that broke off, `ContentFiltered` for one refused before any
        output, and what the vendor's refusal means; nothing is asked again once a chunk has come.
        """
        body = self.encode(messages, tools)
        begun, attempt = False, 0
        while True:
            try:
                async with closing(self._attempt(body, attempt, cancel_event)) as batches:
                    async for chunks in batches:
                        for chunk in chunks:
                            begun = True
                            yield chunk
                return
            except _Failure as failure:
                error, wait_s = failure.error, self.retrying.wait_s(failure.error, attempt, failure.asked_wait_s)
                if begun or wait_s is None:
                    raise error from failure.__cause__
            logger.info("%s is asked again in %.1f s: %s", self.provider, wait_s, error.message)
            attempt += 1
            await _pause(wait_s, cancel_event)

    async def _attempt(self, body: Mapping[str, Any], attempt: int, cancel_event: asyncio.Event | None) -> AsyncIterator[list[LLMChunk]]:
        """The chunks of one attempt, as many at a time as have come. Raises `_Failure`."""
        if cancel_event is not None and cancel_event.is_set():
            yield [_CANCELLED]
            return
        plain = _JSON.encode(body)
        decoder = self.decoder(len(plain))
        decoder.notes["attempts"] = attempt + 1
        answer = self._over_wire if self._client is None else self._over_client
        with self._failures(decoder):
            try:
                async with closing(answer(body, plain, decoder, cancel_event)) as batches:
                    async for chunks in batches:
                        yield chunks
            except BrokeOff:
                if decoder.finish_reason is None:
                    raise  # else the model had finished; whether its vendor had too, its decoder knows
            cancelled = cancel_event is not None and cancel_event.is_set() and not decoder.ended
            yield [_CANCELLED] if cancelled else decoder.close()

    async def _over_wire(
        self, body: Mapping[str, Any], plain: bytes, decoder: Decoder[Any], cancel_event: asyncio.Event | None
    ) -> AsyncIterator[list[LLMChunk]]:
        packed, form = self.pack(body)
        decoder.notes |= {"request_bytes": len(packed), "plain_bytes": len(plain)}
        request = Request(self.url(), {**await self.headers(), **form}, packed, plain, decoder.notes["attempts"])
        self._shown = Redaction.of(request.url, request.headers, key=self._key)
        async with Exchange(request, self.source, timeout_s=self.timeout_s, cancel_event=cancel_event) as exchange:
            await exchange.send()
            if exchange.request_id:
                decoder.notes["request_id"] = exchange.request_id
            while not decoder.ended and (events := await exchange.read()) is not None:
                chunks: list[LLMChunk] = []
                try:
                    for event in events:
                        chunks += decoder.take(event.data)
                except (ErrorEvent, PatterError):
                    if chunks:
                        yield chunks  # what came before it, in the same read
                    raise
                if chunks:
                    yield chunks
            if not exchange.cancelled:
                exchange.complete()

    async def _over_client(
        self, body: Mapping[str, Any], plain: bytes, decoder: Decoder[Any], cancel_event: asyncio.Event | None
    ) -> AsyncIterator[list[LLMChunk]]:
        with self._recorded(plain, decoder) as record:
            async with closing(events_of(self.objects(self._client, body), self.source, cancel_event)) as events:
                async for event in events:
                    if record is not None:
                        record.take_object(event)
                    chunks = list(decoder.take_object(event))
                    if chunks:
                        yield chunks

    @contextmanager
    def _recorded(self, plain: bytes, decoder: Decoder[Any]) -> Iterator[Recording | None]:
        """What a client is seen to send and be answered, kept where somebody wants that."""
        record = begun(self.provider, self.model, decoder.notes["attempts"], plain, key=self._key)
        error: BaseException | None = None
        try:
            yield record
        except BaseException as raised:
            error = raised
            if record is not None and isinstance(raised, Refused):
                record.headed(raised.refusal.status, {})
            raise
        finally:
            if record is not None:
                record.ended(error, is_complete=decoder.finish_reason is not None)

    @contextmanager
    def _failures(self, decoder: Decoder[Any]) -> Iterator[None]:
        """What goes wrong in an attempt, as a `_Failure` with one of our errors."""
        try:
            yield
        except Refused as refused:
            waits_s = refused.asked_wait_s
            error = refusal_error(refused.refusal, self.source, retry_after_s=waits_s)
            raise _Failure(self._shown.scrub_error(error), waits_s) from self._shown.cause(refused.__cause__)
        except ErrorEvent as told:
            raise _Failure(self._shown.scrub_error(refusal_error(told.refusal, self.source))) from self._shown.cause(told.__cause__)
        except BrokeOff as broken:
            raise _Failure(self._shown.scrub_error(decoder.truncated(str(broken)))) from self._shown.cause(broken.__cause__)
        except PatterError as error:
            raise _Failure(self._shown.scrub_error(error)) from self._shown.cause(error.__cause__)

    async def warmup(self) -> None:
        """Open the connection that the first request will use. A vendor that cannot be reached now is not an error yet."""
        await asyncio.to_thread(load_prices)
        if self._client is not None:
            return
        try:
            status = await touch(self.warm_url(), await self.headers(), self.source)
        except PatterError as error:
            logger.warning("%s could not be warmed up: %s", self.provider, error)
        else:
            logger.debug("%s is warm (HTTP %d)", self.provider, status)

    async def aclose(self) -> None:  # noqa: B027  # not abstract: there is nothing to do
        """Nothing to give back: connections belong to the event loop's pool, a `client` to whoever made it."""


def _key_of(client: Any) -> str:
    """The key that a vendor's client sends, where it tells: a foreign type, as all of it. Google's keeps it in a part of its own."""
    places = (client, getattr(client, "_api_client", None))
    keys = (getattr(place, name, None) for place in places for name in ("api_key", "auth_token"))
    return next((key for key in keys if isinstance(key, str) and key), "")


class _Failure(Exception):
    """An attempt failed with `error`; the vendor asks to wait `asked_wait_s`, if it says so."""

    def __init__(self, error: PatterError, asked_wait_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.asked_wait_s = asked_wait_s


async def _pause(seconds: float, cancel_event: asyncio.Event | None) -> None:
    """Wait `seconds`, or until `cancel_event` is set."""
    if cancel_event is None:
        await asyncio.sleep(seconds)
        return
    with suppress(TimeoutError):
        await asyncio.wait_for(cancel_event.wait(), seconds)
