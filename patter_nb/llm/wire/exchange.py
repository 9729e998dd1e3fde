"""The one place where a language model's answer comes over HTTP: request, events, drain, cancel, warm-up.

It knows no vendor. What goes wrong is one of our errors; an answer that broke off is told apart from one that ended by whoever decodes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp

from patter_nb.errors import ConnectionFailed, RequestTimeout
from patter_nb.llm.wire.recording import Recording, begun
from patter_nb.llm.wire.redacting import Redaction
from patter_nb.llm.wire.sse import EventParser, ServerSentEvent
from patter_nb.wire.pool import CONNECT_S, pool
from patter_nb.wire.refusals import Refusal, Source, refusal_of
from patter_nb.wire.retrying import asked_wait_s
from patter_nb.wire.unreachable import cause_of

__all__ = ["BrokeOff", "Exchange", "Refused", "Request", "touch"]

DRAIN_S: Final = 1.0
"""How long a connection whose answer is complete may take to say so; then it is closed rather than used again."""
SETTLE_S: Final = 0.05
"""How long a request waits for such a connection: the round after a tool that took no time comes that early, and a new one costs more."""
WARM_S: Final = 5.0
_ERROR_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, as it goes over the wire; `plain` is its body as JSON, for whoever wants to see it, `attempt` counts from 1."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    plain: bytes = b""
    attempt: int = 1


class Refused(Exception):
    """The vendor answered with an error; `asked_wait_s` is how long it asks to wait, if it does."""

    def __init__(self, refusal: Refusal, asked_wait_s: float | None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.asked_wait_s = asked_wait_s


class BrokeOff(Exception):
    """The answer ended in mid-stream, for this reason."""


class Exchange:
    """One request and the events of its answer. A context manager: what is not complete at its end is closed, with its socket.

    `cancel_event`, once set, closes the socket at once; `read` then returns None, and `cancelled` is true.
    """

    def __init__(self, request: Request, source: Source, *, timeout_s: float, cancel_event: asyncio.Event | None = None) -> None:
        self._request = request
        self._source = source
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, timeout_s), sock_read=timeout_s)
        self._cancel_event = cancel_event
        self._watch: asyncio.Task[object] | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._parser = EventParser()
        self._recording: Recording | None = None
        self._complete = False
        self.reuses_connection = False
        self.request_id: str | None = None
        """The vendor's name for this request, for who asks its support."""

    @property
    def cancelled(self) -> bool:
        return self._cancel_event is not None and self._cancel_event.is_set()

    async def __aenter__(self) -> Self:
        if self._cancel_event is not None:
            self._watch = asyncio.ensure_future(self._cancel_event.wait())
            self._watch.add_done_callback(self._close)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._watch is not None:
            self._watch.remove_done_callback(self._close)
            self._watch.cancel()
        self._close()
        if self._recording is not None:
            self._recording.ended(error, is_complete=self._complete)

    def _close(self, _: object = None) -> None:
        if self._response is not None:
            self._response.close()

    async def send(self) -> None:
        """Send the request and wait for the head of the answer, or until it is cancelled.

        Raises `Refused`, `ConnectionFailed`, `RequestTimeout`.
        """
        asked, where = self._request, self._source
        size = len(asked.body)
        self._recording = begun(where.provider, where.model, asked.attempt, asked.plain, url=asked.url, headers=asked.headers, size=size)
        self._response = await self._posted()
        if self._response is None:
            return
        headers = self._response.headers
        if self._recording is not None:
            self._recording.headed(self._response.status, headers, sent=self._response.request_info.headers)
        self.request_id = headers.get("x-request-id") or headers.get("request-id")
        if self._response.status != 200:  # no vendor streams under another one
            body = await self._error_body(self._response.content)
            if self._recording is not None:
                self._recording.take(body)
            if self.cancelled:
                self._close()
                self._response = None
                return
            told = Redaction.of(asked.url, asked.headers).scrub(body)  # a gateway may repeat the key
            refusal = refusal_of(told, status=self._response.status, headers=headers)
            raise Refused(refusal, asked_wait_s(headers, refusal.details))

    async def _error_body(self, content: aiohttp.StreamReader) -> bytes:
        """All of it, up to a limit; as far as it came, where it breaks off or the request is cancelled."""
        body = bytearray()
        try:
            while len(body) < _ERROR_BYTES and (data := await content.readany()):
                body += data
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass  # the status says more than the rest of it would
        return bytes(body)

    async def _posted(self) -> aiohttp.ClientResponse | None:
        """The answer's head; None once it is cancelled."""
        if self._watch is None:
            return await self._post()
        posting = asyncio.ensure_future(self._post())
        try:
            await asyncio.wait((posting, self._watch), return_when=asyncio.FIRST_COMPLETED)
            return await posting if posting.done() else None
        finally:
            if not posting.done():
                posting.cancel()
                posting.add_done_callback(_discard)

    async def _post(self) -> aiohttp.ClientResponse:
        with self._failures():
            try:
                return await self._post_once()
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
                if not self.reuses_connection:
                    raise
                return await self._post_once()  # an idle connection that the vendor had closed meanwhile

    async def _post_once(self) -> aiohttp.ClientResponse:
        request, self.reuses_connection = self._request, False
        shared = pool()
        await shared.settle(SETTLE_S)
        return await shared.session.post(
            request.url,
            data=request.body,
            headers=request.headers,
            timeout=self._timeout,
            proxy=shared.proxy_for(request.url),
            allow_redirects=False,
            trace_request_ctx=self,
        )

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """What a transport raises before the answer begins, as our errors."""
        name, model = self._source.provider, self._source.model
        try:
            yield
        except TimeoutError as error:
            told = f"{name} did not answer within {self._timeout.sock_read:g} s."
            raise RequestTimeout(told, hint="Try again in a moment, or raise timeout_s.", provider=name, model=model) from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # the last: of a host that is no name
            why, cause = cause_of(error)
            told = f"{name} could not be reached at {Redaction.of(self._request.url, {}).url}: {why}."
            hint = "Check the network, and base_url if you set it."
            raise ConnectionFailed(told, hint=hint, provider=name, model=model) from cause

    async def read(self) -> list[ServerSentEvent] | None:
        """The next events, perhaps none; None at the end of the answer, or once it is cancelled.

        Raises `BrokeOff` where the connection fails, `MalformedStream` where it is no stream of events.
        """
        if self._response is None or self.cancelled:
            return None
        try:
            data = await self._response.content.readany()
        except TimeoutError as error:
            raise BrokeOff(f"nothing came for {self._timeout.sock_read:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            if self.cancelled:
                return None
            raise BrokeOff(f"the connection failed: {error or type(error).__name__}") from error
        if self._recording is not None:
            self._recording.take(data)
        return self._parser.feed(data) if data or not self._response.content.at_eof() else None

    def complete(self) -> None:
        """The answer's last word has come: its connection is used again, once the little behind it was read."""
        self._complete = True
        response, self._response = self._response, None
        if response is not None and not response.content.at_eof():
            pool().later(_drain(response))


async def _drain(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(DRAIN_S):
            while await response.content.readany():
                pass
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # it cannot be used again, and is closed
    finally:
        response.close()


def _discard(posting: asyncio.Future[aiohttp.ClientResponse]) -> None:
    """Nobody wants this answer any more, nor to know why it failed."""
    if not posting.cancelled() and posting.exception() is None:
        posting.result().close()


async def touch(url: str, headers: Mapping[str, str], source: Source) -> int:
    """GET `url` by the pool's connections, so that the next request finds one open; its status.

    Raises `ConnectionFailed`, `RequestTimeout`.
    """
    exchange = Exchange(Request(url, headers, b""), source, timeout_s=WARM_S)
    with exchange._failures():
        shared = pool()
        asking = shared.session.get(
            url, headers=headers, timeout=exchange._timeout, proxy=shared.proxy_for(url), trace_request_ctx=exchange
        )
        async with asking as response:
            await response.read()
            return response.status
