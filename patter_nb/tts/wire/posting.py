"""A request whose answer is sound, read as it comes: status, kind of content, and a socket that is closed when nobody listens any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from patter_nb.errors import AudioError, ConnectionFailed, MalformedStream, RequestTimeout
from patter_nb.tts.wire.failing import BrokeOff, Failed, Silent
from patter_nb.wire.pool import CONNECT_S, pool
from patter_nb.wire.refusals import Source
from patter_nb.wire.retrying import asked_wait_s
from patter_nb.wire.unreachable import cause_of

__all__ = ["Post", "posted", "touched"]

_ERROR_BYTES: Final = 64 * 1024
_WARM_S: Final = 5.0
_RAW: Final = frozenset(("", "audio/pcm", "audio/l16", "audio/raw", "audio/x-pcm", "application/octet-stream", "binary/octet-stream"))


@dataclass(frozen=True, slots=True)
class Post:
    """A request with a JSON body; `refuse` makes an error of an answer's status, body and headers, and of the wait that they ask for."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any]
    refuse: Callable[[int, bytes, Mapping[str, str], float | None], Failed]


class _Context:
    """What the pool tells of a request."""

    reuses_connection = False


async def posted(post: Post, source: Source, *, rate: int, timeout_s: float) -> AsyncIterator[bytes]:
    """The bytes of raw PCM16 at `rate` Hz that answer `post`; closing this closes the socket.

    Raises `Failed`, `BrokeOff`, `AudioError` and `MalformedStream` for content that says it is something else.
    """
    limits = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_S, timeout_s), sock_read=timeout_s)
    with _before(source, post.url, timeout_s):
        response = await _sent(post, limits)
    try:
        if response.status != 200:
            with _before(source, post.url, timeout_s):
                told = await response.content.read(_ERROR_BYTES)
            raise post.refuse(response.status, told, response.headers, asked_wait_s(response.headers))
        _check_content(response.headers.get("content-type", ""), source, rate)
        with _amid(timeout_s):
            while data := await response.content.readany():
                yield data
    finally:
        response.close()


async def _sent(post: Post, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
    shared, context = pool(), _Context()

    async def once() -> aiohttp.ClientResponse:
        context.reuses_connection = False
        return await shared.session.post(
            post.url,
            json=post.body,
            headers=post.headers,
            timeout=limits,
            proxy=shared.proxy_for(post.url),
            allow_redirects=False,
            trace_request_ctx=context,
        )

    try:
        return await once()
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
        if not context.reuses_connection:
            raise
        return await once()  # an idle connection that the vendor had closed meanwhile


async def touched(url: str, headers: Mapping[str, str], source: Source) -> None:
    """GET `url`, so that the next request finds a connection open. Raises `Failed`."""
    limits = aiohttp.ClientTimeout(total=_WARM_S)
    shared = pool()
    with _before(source, url, _WARM_S):
        asking = shared.session.get(url, headers=headers, timeout=limits, proxy=shared.proxy_for(url), allow_redirects=False)
        async with asking as response:
            await response.read()


@contextmanager
def _before(source: Source, url: str, timeout_s: float) -> Iterator[None]:
    """What a transport raises before any sound, as our errors."""
    provider, model = source.provider, source.model
    try:
        yield
    except TimeoutError as error:
        told = f"{source.provider} did not answer within {timeout_s:g} s."
        raise Failed(RequestTimeout(told, hint="Try again in a moment, or raise timeout_s.", provider=provider, model=model)) from error
    except (aiohttp.ClientError, OSError) as error:
        why, cause = cause_of(error)
        told = f"{source.provider} could not be reached at {url.partition('?')[0]}: {why}."
        raise Failed(
            ConnectionFailed(told, hint="Check the network, and base_url if you set it.", provider=provider, model=model)
        ) from cause


@contextmanager
def _amid(timeout_s: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise Silent(f"nothing came for {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise BrokeOff(f"the connection failed: {error or type(error).__name__}") from error


def _check_content(kind: str, source: Source, rate: int) -> None:
    """Whether the answer says that it is what was asked for; `audio/pcm;rate=16000` says more than its bytes."""
    name, *parameters = (part.strip().lower() for part in kind.split(";"))
    provider, model = source.provider, source.model
    if name.startswith(("text/", "application/json")):
        raise MalformedStream(
            f"{source.provider} answered with {kind}, not with sound.", hint="Check base_url if you set it.", provider=provider, model=model
        )
    told = dict(parameter.partition("=")[::2] for parameter in parameters)
    given = told.get("rate", str(rate))
    if name not in _RAW or given != str(rate):
        raise AudioError(
            f"{source.provider} sent {kind}, not raw PCM16 at {rate} Hz.",
            hint="Have the server at base_url answer with raw PCM at this rate; a gateway may have changed the format.",
            provider=provider,
            model=model,
        )
