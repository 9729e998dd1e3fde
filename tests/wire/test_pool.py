"""The pool of connections: gone with its loop, and by the proxy that the environment names."""

from __future__ import annotations

import asyncio
import gc

import pytest

from patter_nb.wire import pool as pools
from patter_nb.wire.pool import pool


def test_a_pool_goes_with_its_loop() -> None:
    async def use() -> None:
        pool()
        await asyncio.sleep(0)

    before = len(pools._pools)
    for _ in range(3):
        asyncio.run(use())
    gc.collect()
    assert len(pools._pools) == before


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.example.com/v1", "http://proxy.example.com:3128"),
        ("wss://api.example.com/v1", "http://proxy.example.com:3128"),
        ("http://api.example.com/v1", None),
        ("https://127.0.0.1:8080/v1", None),
    ],
)
async def test_a_proxy_is_the_environments(url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    shared = pool()
    assert shared.proxy_for(url) == proxy
    await shared.aclose()
