"""Whatever a test of engines does, each message of OpenAI's and Google's wires in it is one of the vendor's own types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from vendor_types import check_google, check_openai

from patter_nb.testing.wire.engine_server import EngineServer
from patter_nb.testing.wire.gemini_live import GeminiLiveServer
from patter_nb.testing.wire.realtime import RealtimeServer


@pytest.fixture(autouse=True)
def only_messages_of_the_vendors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    servers: list[EngineServer[Any, Any]] = []
    entering = EngineServer.__aenter__

    async def enter(server: EngineServer[Any, Any]) -> EngineServer[Any, Any]:
        servers.append(server)
        return await entering(server)

    monkeypatch.setattr(EngineServer, "__aenter__", enter)
    yield
    for server in servers:
        if isinstance(server, RealtimeServer):
            check_openai(server)
        elif isinstance(server, GeminiLiveServer):
            check_google(server)
