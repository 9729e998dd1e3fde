"""A conversation that is changed cell by cell in a real kernel: a tool's cell is run again, a cell's text becomes the prompt."""

from __future__ import annotations

import pytest
from kernel_envs import VERSIONS
from kernel_page import OpenKernel

pytestmark = pytest.mark.slow

SERVE = """
import asyncio
from patter_nb import Patter
from patter_nb.testing import Call, Hold, ScriptedLLM

held = asyncio.Event()
llm = ScriptedLLM([
    Call("look_up", {"city": "Rome"}), "Sunny.",
    [Hold(held), Call("look_up", {"city": "Oslo"})], "Sunny there too.",
    Call("look_up", {"city": "Oslo", "days": 3}), "Rain.",
])
session = await Patter().serve(Patter().agent("Be kind.", llm=llm))
"""
FIRST = """
@session.tool
def look_up(city: str) -> str:
    "Look up the weather."
    return f"Sunny in {city}."
"""
AGAIN = """
@session.tool
def look_up(city: str, days: int = 1) -> str:
    "Look up the weather of some days."
    return f"Rain in {city} for {days} days."
"""
CALLS = "print([(call.name, call.status, call.result) for call in session.tool_calls])"


async def test_a_tools_cell_that_is_run_again_replaces_the_tool_in_mid_conversation(kernel: OpenKernel) -> None:
    page = await kernel(VERSIONS[-1])
    await page.run(SERVE)
    await page.run(FIRST)
    await page.run(FIRST)
    assert await page.run("print((await session.ask('Rome?')).agent_text, len(session.tools))") == "Sunny. 1\n"
    await page.run("asking = asyncio.ensure_future(session.ask('And Oslo?'))\nwhile len(llm.requests) < 3: await asyncio.sleep(0)")
    await page.run(AGAIN)
    assert await page.run("print([*session.tools[0].parameters['properties']])") == "['city', 'days']\n"
    assert await page.run("from patter_nb.events import AgentChanged; session.events.of(AgentChanged)[-1].body") == (
        "Agent changed, from the next turn on\n  tools\n    ~ look_up(city: string) → look_up(city: string, days: integer)"
    )
    assert await page.run("held.set(); print((await asking).status)") == "completed\n"
    assert "('look_up', 'completed', 'Sunny in Oslo.')" in await page.run(CALLS), "a turn keeps the tool that its model was told of"
    assert await page.run("print((await session.ask('And on?')).agent_text, len(session.tools))") == "Rain. 1\n"
    assert "('look_up', 'completed', 'Rain in Oslo for 3 days.')" in await page.run(CALLS)
    assert await page.run("print([*llm.requests[-1].tools[0]['function']['parameters']['properties']])") == "['city', 'days']\n"
    assert "Sunny in Rome." in await page.run("print(llm.requests[-1].messages)"), "what was said before stays"


async def test_a_cells_text_is_the_prompt(kernel: OpenKernel) -> None:
    page = await kernel(VERSIONS[-1])
    await page.run("%load_ext patter_nb")
    assert await page.run("%%prompt\nBe brief.", fails=True) == (
        "PatterConfigError: No session is live. Start one: session = await Patter().serve(agent)."
    )
    await page.run(SERVE)
    assert await page.run("%%prompt\nBe kind.\nAsk once.") == (
        "Agent changed, from the next turn on\n  system_prompt\n      Be kind.\n    + Ask once."
    )
    assert await page.run("print([session.system_prompt])") == "['Be kind.\\nAsk once.']\n"
    assert "No session named 'other' is live. Live are 'main'." in await page.run("%%prompt other\nBe brief.", fails=True)
