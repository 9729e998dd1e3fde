"""Sockets that lie on a shelf: read all the while, thrown away when they are closed or old, and never two opened ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from talking import settle, until

from patter_nb.testing.wire.voices import VoiceServer
from patter_nb.tts.wire.failing import BrokeOff, Failed
from patter_nb.tts.wire.sockets import Shelf, Socket, opened
from patter_nb.wire.refusals import Source

SOURCE = Source("cartesia", "sonic-3", "Set the key.", "Check model=.")


@asynccontextmanager
async def shelf_at(server: VoiceServer, *, kept_s: float = 60.0, key: str = "test-key") -> AsyncIterator[Shelf]:
    headers = {"X-API-Key": key, "Cartesia-Version": "2025-04-16"}
    shelf = Shelf(lambda: opened(f"{server.cartesia_url}/tts/websocket", headers, SOURCE, timeout_s=5.0), kept_s=kept_s)
    yield shelf
    await shelf.aclose()


def lying(shelf: Shelf) -> int:
    return len(shelf._board().idle)


async def test_what_is_put_there_is_taken_again() -> None:
    async with VoiceServer() as server, shelf_at(server) as shelf:
        socket = await shelf.take()
        assert not socket.kept
        shelf.put(socket)
        assert await shelf.take() is socket
        assert socket.kept
        await socket.aclose()
    assert len(server.handshakes) == 1


async def test_one_that_the_vendor_closes_lies_there_no_longer() -> None:
    async with VoiceServer() as server, shelf_at(server) as shelf:
        await shelf.fill()
        assert lying(shelf) == 1
        await server.end_idle()
        await until(lambda: not lying(shelf))


async def test_an_old_one_is_closed_and_not_taken() -> None:
    async with VoiceServer() as server, shelf_at(server, kept_s=0.0) as shelf:
        await shelf.fill()
        socket = await shelf.take()
        assert len(server.handshakes) == 2
        await server.until(lambda: len(server.idle) == 1)
        await socket.aclose()


async def test_a_fresh_one_is_none_that_lay_there() -> None:
    async with VoiceServer() as server, shelf_at(server) as shelf:
        await shelf.fill()
        socket = await shelf.take(fresh=True)
        assert not socket.kept
        assert lying(shelf) == 0
        await socket.aclose()
    assert len(server.handshakes) == 2


async def test_only_one_is_opened_ahead_and_who_comes_meanwhile_waits_for_it() -> None:
    async with VoiceServer() as server, shelf_at(server) as shelf:
        for _ in range(3):
            shelf.stock()
        socket = await shelf.take()
        assert socket.kept
        await settle()
        assert len(server.handshakes) == 1
        await socket.aclose()


async def test_one_that_cannot_be_opened_ahead_is_missed_by_nobody() -> None:
    async with VoiceServer() as server, shelf_at(server, key="wrong") as shelf:
        shelf.stock()
        await until(lambda: shelf._board().ahead is None)
        with pytest.raises(Failed, match="HTTP 401"):
            await shelf.take()


async def test_closing_ends_what_is_being_opened() -> None:
    async with VoiceServer() as server, shelf_at(server) as shelf:
        shelf.stock()
        await asyncio.sleep(0)
        await shelf.aclose()
        assert (lying(shelf), shelf._board().ahead) == (0, None)


async def test_nothing_goes_out_over_one_that_is_closed() -> None:
    async with VoiceServer() as server, shelf_at(server) as shelf:
        socket: Socket = await shelf.take()
        await socket.aclose()
        assert not socket.is_open
        with pytest.raises(BrokeOff):
            await socket.send({"context_id": "a", "cancel": True})
