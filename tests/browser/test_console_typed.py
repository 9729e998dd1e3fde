"""The console in a real JupyterLab, typed to: every stage on screen, and nothing of it lost by what people do to a notebook."""

from __future__ import annotations

import pytest
from lab_page import Lab, OpenLab

pytestmark = pytest.mark.browser

SERVE = """
from patter_nb import Patter
from patter_nb.testing import Call, ScriptedLLM

def get_weather(city: str) -> str:
    "Tell the weather in a city."
    return f"Sunny in {city}."

llm = ScriptedLLM([[Call("get_weather", {"city": "Rome"})], "It is sunny in Rome.", "You are welcome."])
session = await Patter().serve(Patter().agent(llm=llm, tools=[get_weather]))
"""


async def say(page: Lab, text: str) -> None:
    await page.page.get_by_role("textbox", name="Message").fill(text)
    await page.page.get_by_role("button", name="Send", exact=True).click()


async def test_a_typed_question_shows_every_stage(lab: OpenLab) -> None:
    page = await lab(SERVE, "session")
    await page.run(0)
    await page.run(1)
    await say(page, "What's the weather in Rome?")
    await page.region("Transcript").get_by_text("It is sunny in Rome.").wait_for()
    await page.region("Tools").get_by_text("get_weather").wait_for()
    await page.region("Tools").get_by_text("Sunny in Rome.").wait_for()
    await page.region("Chunks").get_by_text("sunny").wait_for()
    assert await page.value("session.turns[-1].agent_text") == "It is sunny in Rome."
    await page.screenshot("typed")
