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
    """A client, the loop that its connections live in, and how many requests it has under way."""

    client: httpx.AsyncClient
    loop: asyncio.AbstractEventLoop
    at_work: int = 0
    retired: bool = False


class KeptClient:
    """`async with kept.client() as client` around each request. After `aclose` the next request makes another client."""

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

            kept = self._kept = _Kept(guarded_client(self._guard), asyncio.get_running_loop())
        kept.at_work += 1
        try:
            yield kept.client
        finally:
            kept.at_work -= 1
            if kept.retired and not kept.at_work:
                await kept.client.aclose()

    async def aclose(self) -> None:
        """Close the connections; those of requests under way when they end. What belongs to a loop that is gone went with it."""
        kept, self._kept = self._kept, None
        if kept is None or kept.loop is not asyncio.get_running_loop():
            return
        kept.retired = True
        if not kept.at_work:
            await kept.client.aclose()
