"""OpenAIRealtime against aimock's Realtime, which others wrote, over its real WebSocket: words and a round of tools, by either way.

What is known of aimock 1.43.0, beside what it does as OpenAI does: it answers in text, whatever modality is asked for, and takes sound
without hearing it; so nothing is spoken here, and no one interrupts. It gives the metadata of a request not back, so what was asked for is
told from what nobody said aloud. `response.function_call_arguments.done` names no function. Characters are cut in two by UTF-16 units.
Where no fixture fits it closes the socket with 1008. It reads the next message only when its answer has ended, so that
`response.cancel` comes too late, and answers it with an event that OpenAI does not have.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from engine_person import Page
from foreign_servers import running_aimock
from openai import AsyncOpenAI
from talking import bodies

from patter_nb.engines.openai import OpenAIRealtime
from patter_nb.errors import ServerError
from patter_nb.events import StageFailed
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import ScriptedLLM

pytestmark = pytest.mark.slow

TEXT = "Caffè ☕, naïve and 日本 are whole."
CALLS = [{"name": "get_weather", "arguments": json.dumps({"city": city})} for city in ("Rome", "Oslo ☕")]
DOWN = {"message": "Out of order.", "type": "server_error"}
FIXTURES: list[dict[str, Any]] = [
    {"match": {"userMessage": "say it"}, "response": {"content": TEXT}},
    {"match": {"userMessage": "call both", "hasToolResult": False}, "response": {"content": "Wait.", "toolCalls": CALLS}},
    {"match": {"userMessage": "call both", "hasToolResult": True}, "response": {"content": "Both are sunny."}},
    {"match": {"userMessage": "be down"}, "response": {"error": DOWN, "status": 503}},
]


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running aimock."""
    with running_aimock(tmp_path_factory.mktemp("aimock"), FIXTURES) as address:
        yield address


def by_own_socket(address: str) -> OpenAIRealtime:
    return OpenAIRealtime("test-key", base_url=f"{address.replace('http', 'ws', 1)}/v1")


def by_client(address: str) -> OpenAIRealtime:
    return OpenAIRealtime(client=AsyncOpenAI(api_key="test-key", base_url=f"{address}/v1"))


either_way = pytest.mark.parametrize("way", [by_own_socket, by_client])
Way = Callable[[str], OpenAIRealtime]


@asynccontextmanager
async def talking_with(engine: OpenAIRealtime, **parts: Any) -> AsyncIterator[Session]:
    async with Patter().serve(Patter().agent("Be brief.", engine=engine, **parts), transport=Page().transport, name="aimock") as session:
        yield session


@either_way
async def test_what_is_typed_is_answered_in_words(aimock: str, way: Way) -> None:
    async with talking_with(way(aimock)) as session:
        turn = await session.ask("say it")
    assert (turn.source, turn.status, turn.agent_text) == ("typed", "completed", TEXT)
    assert (len(session.turns), turn.user_text) == (1, "say it")
    assert not bodies(session, StageFailed)


@either_way
async def test_a_round_of_tools_ends_in_words(aimock: str, way: Way) -> None:
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"Sunny in {city}."

    async with talking_with(way(aimock), tools=[get_weather]) as session:
        turn = await session.ask("call both")
    assert [(call.name, call.arguments, call.result) for call in turn.tool_calls] == [
        ("get_weather", {"city": city}, f"Sunny in {city}.") for city in ("Rome", "Oslo ☕")
    ]
    assert turn.agent_text == "Wait.Both are sunny."
    assert not bodies(session, StageFailed)


@either_way
async def test_a_conversation_is_restored_and_what_failed_is_told(aimock: str, way: Way) -> None:
    page = Page()
    agent = Patter().agent("Be brief.", llm=ScriptedLLM(["From the model."]))
    async with Patter().serve(agent, transport=page.transport, name="restored") as session:
        await session.ask("one")
        session.use(engine=way(aimock))
        assert (await session.ask("say it")).agent_text == TEXT
        failed = await session.ask("be down")
        assert (failed.status, type(failed.error), "Out of order." in str(failed.error)) == ("failed", ServerError, True)
        assert (await session.ask("say it")).agent_text == TEXT
