"""WebSockets to where the guard allows, and nowhere else. Loaded when the first is opened, since aiohttp takes its time to import."""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from patter_nb.tools.url_guard import PORTS, BlockedURL, UrlGuard


class _Checked(AbstractResolver):
    """Gives only addresses that `guard` has checked; the connection is made to one of them."""

    def __init__(self, guard: UrlGuard) -> None:
        self._guard = guard

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [_result(host, address, port) for address in await self._guard.addresses(host, port)]

    async def close(self) -> None:
        """Nothing is held."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": socket.AI_NUMERICHOST}


def guarded_session(guard: UrlGuard) -> aiohttp.ClientSession:
    """A session for `connect`. It follows no redirect: one that leads elsewhere is refused, for no WebSocket needs it."""

    async def refuse(session: object, context: object, params: aiohttp.TraceRequestRedirectParams) -> None:
        raise BlockedURL(f"{params.url.host} redirects a WebSocket elsewhere.", hint="Use the URL that it redirects to.")

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    connector = aiohttp.TCPConnector(resolver=_Checked(guard), use_dns_cache=False)
    return aiohttp.ClientSession(connector=connector, trace_configs=[trace], timeout=aiohttp.ClientTimeout(total=None))


async def connect(
    session: aiohttp.ClientSession, guard: UrlGuard, url: str, *, headers: dict[str, str], max_frame: int
) -> aiohttp.ClientWebSocketResponse:
    """Open a WebSocket. The host is checked once more as it is read by whoever connects: an address in it is not resolved."""
    where = URL(url)
    guard.target(where.raw_host or "", where.port or PORTS.get(where.scheme, 0))
    return await session.ws_connect(where, headers=headers, max_msg_size=max_frame)
