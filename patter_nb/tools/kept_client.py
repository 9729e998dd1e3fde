"""One HTTP client behind a guard, made when it is first needed and kept until it is closed, whatever loop it is used in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from patter_nb.tools.url_guard import UrlGuard

if TYPE_CHECKING:
    import httpx


@dataclass(slots=True, eq=False)
class _Kept:
    """A client, the task that closes it, and how many requests it has under way."""

    client: httpx.AsyncClient
    keeper: asyncio.Task[None]
    at_work: int = 0
    retired: bool = False


class KeptClient:
    """`async with kept.client() as client` around each request. After `aclose` the next request makes another client.

    There is one for each event loop that it is used in. One that nobody closes is closed as its loop ends: a task holds it, which
    `asyncio.run` cancels.
    """

    def __init__(self, guard: UrlGuard) -> None:
        self._guard = guard
        self._kept: dict[asyncio.AbstractEventLoop, _Kept] = {}

    @property
    def is_open(self) -> bool:
        """Whether a client is kept at the moment, in any loop."""
        return bool(self._kept)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            from patter_nb.tools.guarded_http import guarded_client

            client = guarded_client(self._guard)
            kept = _Kept(client, asyncio.create_task(self._keep(loop, client), name="keeping connections"))
            self._kept[loop] = kept
        kept.at_work += 1
        try:
            yield kept.client
        finally:
            kept.at_work -= 1
            if kept.retired and not kept.at_work:
                await _close(kept)

    async def _keep(self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> None:
        try:
            await loop.create_future()  # until this is cancelled
        except asyncio.CancelledError:  # nothing else ends it but the end of the process, when nothing can be awaited any more
            kept = self._kept.get(loop)
            if kept is not None and kept.client is client:
                del self._kept[loop]
            await client.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connections of this loop; those of requests under way when they end."""
        kept = self._kept.pop(asyncio.get_running_loop(), None)
        if kept is None:
            return
        kept.retired = True
        if not kept.at_work:
            await _close(kept)


async def _close(kept: _Kept) -> None:
    kept.keeper.cancel()
    await asyncio.wait([kept.keeper])
    await kept.client.aclose()  # a task that is cancelled before it has begun closes nothing
