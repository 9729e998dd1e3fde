"""HTTP to where the guard allows, and nowhere else: each connection goes to an address that was checked, each redirect is looked at anew.

Loaded when the first request is made, since httpx takes its time to import.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import httpx

from patter_nb.tools.url_guard import HTTP, PORTS, BlockedURL, UrlGuard
from patter_nb.wire.tls import trusted_context

MAX_REDIRECTS: Final = 5
EXCERPT_CHARS: Final = 300
_HARMLESS: Final = frozenset(
    ("accept", "accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding", "user-agent")
)
"""Headers that another origin may see after a redirect; any other may be a credential."""


class ReplyTooLarge(Exception):
    """The body is larger than the limit; it was not read to its end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: `media_type` in lower case and without parameters, `body` whole and uncompressed."""

    status: int
    media_type: str
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def excerpt(self) -> str:
        """The beginning of the body on one line, for a message."""
        return " ".join(self.body[: 4 * EXCERPT_CHARS].decode("utf-8", "replace").split())[:EXCERPT_CHARS]


class _WithoutPath(logging.Filter):
    """Keeps path and query of a URL, where a key may be, out of the line that httpx logs for each request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_without_path(arg) for arg in record.args)
        return True


def _without_path(arg: Any) -> Any:
    return f"{arg.scheme}://{arg.host}/..." if type(arg).__name__ == "URL" else arg


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to addresses that `guard` has checked, and leaves no second look at the name to whoever connects.

    TLS and the Host header still go by the name. `library` is httpx, or what has the same interface (the MCP SDK brings httpx2).
    Proxies of the environment are not used: they would connect for us.
    """

    def __init__(self, guard: UrlGuard, library: Any = httpx) -> None:
        self._guard = guard
        self._library = library
        logger = logging.getLogger(library.__name__)
        if not any(isinstance(known, _WithoutPath) for known in logger.filters):
            logger.addFilter(_WithoutPath())
        self._pools: dict[tuple[str, bytes], Any] = {}

    async def handle_async_request(self, request: Any) -> Any:
        url, library = request.url, self._library
        if url.scheme not in HTTP:
            self._guard.check(str(url))
        host = url.raw_host.decode("ascii")
        try:
            addresses = await self._guard.addresses(host, url.port or PORTS[url.scheme])
        except OSError as error:
            raise library.ConnectError(f"{host} has no address: {error}", request=request) from error
        pool, failure = self._pool(url), None
        for address in addresses:
            extensions = {**request.extensions, "sni_hostname": host}
            where = url.copy_with(host=address)
            pinned = library.Request(request.method, where, headers=request.headers, stream=request.stream, extensions=extensions)
            try:
                return await pool.handle_async_request(pinned)
            except (library.ConnectError, library.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    def _pool(self, url: Any) -> Any:
        """One for each scheme and name: connections are kept by address, and two names of one address are not the same server."""
        key = url.scheme, url.raw_host
        if key not in self._pools:
            verify = self._trusted if url.scheme == "https" else False
            self._pools[key] = self._library.AsyncHTTPTransport(verify=verify, trust_env=False)
        return self._pools[key]

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        return trusted_context()

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


def guarded_client(guard: UrlGuard, library: Any = httpx, *, headers: Mapping[str, str] | None = None, timeout: Any = None) -> Any:
    """A client of `library` behind `guard`. It follows no redirect by itself; `timeout` None means that the caller bounds the time."""
    return library.AsyncClient(transport=GuardedTransport(guard, library), timeout=timeout, headers=headers, max_redirects=MAX_REDIRECTS)


async def post(
    client: httpx.AsyncClient,
    url: str,
    content: bytes,
    *,
    limit: int,
    headers: Mapping[str, str],
    prepare: Callable[[httpx.Request], Awaitable[None]] | None = None,
) -> Reply:
    """POST JSON and read what comes back, at most `limit` bytes of it. At most 5 redirects are followed, by httpx's rules of methods.

    `prepare` may change the request before it is sent. On a redirect to another origin only harmless headers go along; none leads from
    https to http.
    Raises `httpx.HTTPError`, `BlockedURL`, and `ReplyTooLarge` as soon as the limit is passed, or before the body is read where its
    length was told.
    """
    sent = {"Content-Type": "application/json", "Accept": "application/json, text/plain", "Accept-Encoding": "identity", **headers}
    request = client.build_request("POST", url, content=content, headers=sent)
    if prepare is not None:
        await prepare(request)
    response = await _send(client, request)
    try:
        return await _read(response, limit)
    finally:
        await response.aclose()


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    for _ in range(MAX_REDIRECTS + 1):
        response = await client.send(request, stream=True, follow_redirects=False)
        following = response.next_request
        if following is None:
            return response
        await response.aclose()
        if (request.url.scheme, following.url.scheme) == ("https", "http"):
            told = f"{request.url.host} redirects from https to http."
            raise BlockedURL(told, hint="Use a URL that stays with https.")
        if _origin(following.url) != _origin(request.url):
            for name in [name for name in following.headers if name.lower() not in _HARMLESS]:
                del following.headers[name]
        request = following
    raise httpx.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects", request=request)


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, url.port or PORTS.get(url.scheme, 0)


async def _read(response: httpx.Response, limit: int) -> Reply:
    """The whole body. It was asked for uncompressed; a compressed one could be far larger than what is counted here, and is refused."""
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise ReplyTooLarge(f"{int(declared):,} bytes were announced")
    if (coding := response.headers.get("content-encoding", "identity")).lower() != "identity":
        raise httpx.DecodingError(f"the body is compressed ({coding[:40]}), though it was asked for as it is", request=response.request)
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > limit:
            raise ReplyTooLarge(f"more than {limit:,} bytes came")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Reply(response.status_code, media_type, bytes(body))
