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
    """A client, the loop that its connections live in, the task that closes it, and how many requests it has under way."""

    client: httpx.AsyncClient
    loop: asyncio.AbstractEventLoop
    keeper: asyncio.Task[None]
    at_work: int = 0
    retired: bool = False


class KeptClient:
    """`async with kept.client() as client` around each request. After `aclose` the next request makes another client.

    One that nobody closes is closed as its loop ends: a task holds it, which `asyncio.run` cancels.
    """

    def __init__(self, guard: UrlGuard) -> None:
        self._guard = guard
        self._kept: _Kept | None = None

    @property
    def is_open(self) -> bool:
        """Whether a client is kept at the moment."""
        return self._kept is not None

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        kept = self._kept
        if kept is None or kept.loop is not asyncio.get_running_loop():
            from patter_nb.tools.guarded_http import guarded_client

            client = guarded_client(self._guard)
            keeper = asyncio.create_task(_keep(client), name="keeping connections")
            kept = self._kept = _Kept(client, asyncio.get_running_loop(), keeper)
        kept.at_work += 1
        try:
            yield kept.client
        finally:
            kept.at_work -= 1
            if kept.retired and not kept.at_work:
                await _close(kept)

    async def aclose(self) -> None:
        """Close the connections; those of requests under way when they end. What belongs to another loop ends with that."""
        kept, self._kept = self._kept, None
        if kept is None or kept.loop is not asyncio.get_running_loop():
            return
        kept.retired = True
        if not kept.at_work:
            await _close(kept)


async def _keep(client: httpx.AsyncClient) -> None:
    try:
        await asyncio.get_running_loop().create_future()  # until it is cancelled
    finally:
        await client.aclose()


async def _close(kept: _Kept) -> None:
    kept.keeper.cancel()
    await asyncio.wait([kept.keeper])
