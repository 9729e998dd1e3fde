"""A key is in no error, no traceback and no log line, whatever refuses it."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from local_web import saying, serving

from patter_nb.engines.openai import OpenAIRealtime
from patter_nb.errors import PatterError
from patter_nb.llm.on_message import MessageURL, OnMessageLLM
from patter_nb.llm.openai import OpenAILLM
from patter_nb.patter import Patter
from patter_nb.testing import WireServer
from patter_nb.testing.wire.realtime import RealtimeServer
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.tool import Tool

SECRET = "sk-very-secret"
USER = {"role": "user", "content": "Hi"}


def everything(error: BaseException) -> str:
    """All that a notebook would print of it, causes and contexts with it."""
    told, seen = "", set[int]()
    ahead: list[BaseException | None] = [error]
    while ahead:
        one = ahead.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        told += repr(one) + "".join(traceback.format_exception_only(one))
        ahead += [one.__cause__, one.__context__ if not one.__suppress_context__ else None]
    return told


async def test_of_a_request() -> None:
    async with WireServer(key="another") as server:
        llm = OpenAILLM(SECRET, base_url=server.openai_url)
        with pytest.raises(PatterError) as caught:
            [chunk async for chunk in llm.stream([USER])]
    assert SECRET not in everything(caught.value)


async def test_of_an_engine() -> None:
    async with RealtimeServer(key="another") as server:
        with pytest.raises(PatterError) as caught:
            await Patter().serve(Patter().agent(engine=OpenAIRealtime(SECRET, base_url=server.url)), name="secret")
    assert SECRET not in everything(caught.value)


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_of_a_url(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(saying("no", status=403)) as server:
        url = f"{scheme}://{server.host}/answer?key={SECRET}"
        llm = OnMessageLLM(MessageURL(url, allow_hosts=[server.host]))
        with pytest.raises(PatterError) as caught:
            [chunk async for chunk in llm.stream([USER])]
        await llm.aclose()
    assert SECRET not in everything(caught.value)
    assert SECRET not in "".join(record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp"))


async def test_of_a_webhook(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(saying({"ok": True})) as server:
        schema: dict[str, Any] = {"type": "object", "properties": {}}
        tool = Tool("hook", "Ask.", schema, webhook_url=f"http://{server.host}/hook?key={SECRET}")
        executor = DefaultToolExecutor([tool], allow_hosts=[server.host])
        assert await executor.execute("hook", {})
        await executor.aclose()
    logged = [record.getMessage() for record in caplog.records if record.name == "httpx"]
    assert logged
    assert SECRET not in "".join(logged)
