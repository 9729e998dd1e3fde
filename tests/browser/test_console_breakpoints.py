"""At a breakpoint the console says where the answer stands, marks the row, goes on by a button, and has the cell that goes on edited."""

from __future__ import annotations

import pytest
from lab_page import Lab, OpenLab
from person import IMPORTS, press, say, shown, status, until_value
from test_console_looks import BEYOND, CUT_OFF

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SERVE = f"""
{IMPORTS}
def get_weather(city: str) -> str:
    "Tell the weather in a city."
    return f"Sunny in {{city}}."

calls = [Call("get_weather", {{"city": "Rome"}}), Call("get_weather", {{"city": "Oslo"}})]
llm = ScriptedLLM([calls, "It is sunny in both. Take a hat along."])
session = await Patter().serve(Patter().agent("Be brief.", llm=llm, tts=ScriptedTTS(), tools=[get_weather]))
"""
COPIED = """() => { window.copied = []; navigator.clipboard.writeText = async (text) => void window.copied.push(text); }"""


async def look(page: Lab, name: str) -> None:
    """Take pictures of it, wide and narrow, light and dark; nothing is cut off in any."""
    for width in (1000, 380):
        await page.output_width(width)
        for theme in ("light", "dark"):
            await page.theme(theme)
            cut_off = [told for told in await page.js(CUT_OFF) if not told.startswith("patter-strip-cell")]
            assert (cut_off, await page.js(BEYOND)) == ([], [])
            await page.screenshot(f"breakpoint-{name}-{width}-{theme}", of=page.page.locator(".patter").first)
    await page.output_width(1000)
    await page.theme("light")


async def test_the_console_shows_where_it_stands_and_goes_on(lab: OpenLab) -> None:
    page = await lab(SERVE, "session", 'session.pause_at("llm_request", "tool_call", "speak")')
    await shown(page)
    strip = page.page.get_by_role("group", name="Breakpoint")
    assert await strip.is_hidden()
    await page.run(2)
    await strip.get_by_text("stops before each request, each tool call, each piece that is spoken").wait_for()
    await look(page, "set")
    await say(page, "What's the weather in Rome and Oslo?")

    await status(page, "Stopped before asking scripted script, request 1")
    assert await page.page.locator(".patter-turn[data-stopped]").count() == 1
    await look(page, "request")
    resume = page.page.get_by_role("button", name="Resume", exact=True)
    await resume.focus()
    await page.page.keyboard.press("Enter")

    await status(page, 'Stopped before get_weather({"city": "Rome"})')
    cards = page.region("Tools").locator("article")
    assert await cards.evaluate_all("(cards) => cards.map((card) => card.hasAttribute('data-stopped'))") == [True, False]
    assert await resume.evaluate("(button) => button === document.activeElement"), "going from one to the next loses nobody's place"
    await look(page, "tool")
    await page.page.keyboard.press("Enter")
    await status(page, 'Stopped before get_weather({"city": "Oslo"})')
    assert await cards.evaluate_all("(cards) => cards.map((card) => card.hasAttribute('data-stopped'))") == [False, True]
    await page.js(COPIED)
    await strip.get_by_role("button", name="Copy cell").click()
    cell = (await page.js("() => window.copied"))[0]
    assert cell == 'session.resume(arguments={"city": "Oslo"})'
    await page.execute(cell.replace("Oslo", "Bergen"))

    await status(page, "Stopped before asking scripted script, request 2")
    assert await page.page.locator(".patter-chunks[data-stopped=llm_request]").count() == 1
    await page.region("Tools").get_by_text("Sunny in Bergen.").wait_for()
    await press(page, "Resume")
    await status(page, "Stopped before saying “It is sunny in both.”")
    await look(page, "speak")
    await press(page, "Resume")
    await status(page, "Stopped before saying “Take a hat along.”")
    await page.execute("session.pause_at()")
    await press(page, "Resume")
    await until_value(page, "session.turns[0].status == 'completed'")
    await strip.wait_for(state="hidden")
    await status(page, "Ready")
    assert await page.page.locator("[data-stopped]").count() == 0
    assert await page.value("[call.arguments for call in session.tool_calls]") == [{"city": "Rome"}, {"city": "Bergen"}]
