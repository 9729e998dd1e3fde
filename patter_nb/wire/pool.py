"""The connections to vendors: one pool for all language models of an event loop, so that what one has warmed the next turn uses.

aiohttp, because its parser is written in C: an answer's chunk costs a fifth of what it costs in httpx. The pool lives as long as its
loop does: a task of the loop holds it, and closes the connections when the loop's end cancels it.
"""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Coroutine
from contextlib import suppress
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import aiohttp

from patter_nb.wire.tls import trusted_context

__all__ = ["Pool", "pool"]

KEPT_S: Final = 300.0
"""How long an idle connection is kept: people pause for minutes. A vendor that closes earlier is noticed as the next request begins."""
CONNECT_S: Final = 10.0
_READ_BYTES: Final = 2**18

_trusted = cache(trusted_context)
"""Read once: it takes 30 ms."""

_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


class Pool:
    """`session` makes requests; `later` finishes what nobody waits for."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_S, ssl=_trusted())
        self.session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BYTES,
            trace_configs=[_telling_of_reuse()],
        )
        self._proxies: dict[str, str | None] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="keeping connections")

    async def _keep(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()  # until the loop ends
        except asyncio.CancelledError:
            _pools.pop(asyncio.get_running_loop(), None)  # this task holds the loop, and so would the pool
            await self.session.close()
            raise

    @property
    def is_closed(self) -> bool:
        return self.session.closed or self._keeper.done()

    def proxy_for(self, url: str) -> str | None:
        """The proxy that the environment names for this host, None for none. aiohttp would ask for it anew, in a thread, each time."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if host not in self._proxies:
            scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
            self._proxies[host] = None if proxy_bypass(parts.netloc) else getproxies().get(scheme)
        return self._proxies[host]

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Have `work` done beside everything else."""
        task = asyncio.get_running_loop().create_task(work, name="draining an answer")
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def settle(self, within_s: float) -> None:
        """Wait until what is under way is done, but not longer: a connection that is about to be free is better than a new one."""
        if self._work:
            await asyncio.wait(self._work, timeout=within_s)

    async def aclose(self) -> None:
        """Close every connection, idle or not."""
        for task in (*self._work, self._keeper):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.session.close()  # the keeper may never have begun


@atexit.register
def _leave() -> None:
    """The process ends with loops that were never closed, as a notebook's is: connections go with it, and nobody has to be told."""
    for left in _pools.values():
        left.session.detach()


def pool() -> Pool:
    """The pool of the running loop."""
    loop = asyncio.get_running_loop()
    known = _pools.get(loop)
    if known is None or known.is_closed:
        known = _pools[loop] = Pool()
    return known


def _telling_of_reuse() -> aiohttp.TraceConfig:
    """Has `trace_request_ctx` of a request know whether its connection had been used before."""

    async def reused(_session: object, context: Any, _params: object) -> None:
        if context.trace_request_ctx is not None:  # aiohttp gives a WebSocket's handshake none
            context.trace_request_ctx.reuses_connection = True

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(reused)
    return config
