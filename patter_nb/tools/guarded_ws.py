"""WebSockets to where the guard allows, and nowhere else. Loaded when the first is opened, since aiohttp takes its time to import."""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from patter_nb.tools.url_guard import PORTS, BlockedURL, UrlGuard
from patter_nb.wire.tls import trusted_context


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
    """A session that connects only where `guard` allows. It follows no redirect: no WebSocket needs one.

    The host is checked once more as it is read by whoever connects, since an address in a URL is not resolved.
    """

    async def check(session: object, context: object, params: aiohttp.TraceRequestStartParams) -> None:
        guard.target(params.url.raw_host or "", params.url.port or PORTS.get(params.url.scheme, 0))

    async def refuse(session: object, context: object, params: aiohttp.TraceRequestRedirectParams) -> None:
        raise BlockedURL(f"{params.url.host} redirects a WebSocket elsewhere.", hint="Use the URL that it redirects to.")

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(check)
    trace.on_request_redirect.append(refuse)
    connector = aiohttp.TCPConnector(resolver=_Checked(guard), use_dns_cache=False, ssl=trusted_context())
    return aiohttp.ClientSession(connector=connector, trace_configs=[trace], timeout=aiohttp.ClientTimeout(total=None))
