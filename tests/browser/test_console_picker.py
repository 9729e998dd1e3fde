"""What thinks is chosen in the console, by mouse and by keyboard: it takes over, and what is missing is told, with the cell that helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab_page import Lab, OpenLab
from person import IMPORTS, say, shown, status
from test_console_looks import BEYOND, CUT_OFF

if TYPE_CHECKING:
    from playwright.async_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SECRET = "sk-a-key-that-no-page-may-see"
SERVE = f"""
import asyncio, os
import patter_nb
from patter_nb.offers import offers
from patter_nb.testing import Hold
from patter_nb.testing.wire import WireServer
{IMPORTS}
for offer in offers():
    for name in (*offer.keys, *offer.settings):
        os.environ.pop(name, None)
key = {SECRET[::-1]!r}[::-1]  # not as it is, for the page has this cell
os.environ["ANTHROPIC_API_KEY"] = key
mind = await WireServer([REPLY], key=key).__aenter__()

class AnthropicLLM(patter_nb.AnthropicLLM):
    "The vendor's, at a server of this machine."
    def __init__(self, **given):
        super().__init__(base_url=mind.anthropic_url, **given)

patter_nb.AnthropicLLM = AnthropicLLM
thought = asyncio.Event()
llm = ScriptedLLM([ANSWER])
call = await Patter().serve(Patter().agent("Be brief.", llm=llm))
"""
BEGUN = '["The script begins an answer here. ", "And ", Hold(thought), "ends it."]'
CELL = """from patter_nb import AnthropicLLM

call.use(llm=AnthropicLLM(model="claude-sonnet-4-6"))"""
WITH_A_KEY = """import os
from getpass import getpass

os.environ["GROQ_API_KEY"] = getpass("GROQ_API_KEY: ")

from patter_nb import GroqLLM

call.use(llm=GroqLLM(model="llama-3.3-70b-versatile"))"""


def serving(answer: str, reply: str = "") -> str:
    """The cell that serves, with the expression of what the script answers, and what Claude does."""
    return SERVE.replace("[ANSWER]", f"[{answer}]").replace("[REPLY]", repr([reply]))


async def look(page: Lab, name: str) -> None:
    """Take pictures of it, wide and narrow, light and dark; nothing is cut off in any."""
    for width in (1000, 380):
        await page.output_width(width)
        for theme in ("light", "dark"):
            await page.theme(theme)
            cut_off = [told for told in await page.js(CUT_OFF) if not told.startswith("patter-unseen-words")]  # it is for screen readers
            assert (cut_off, await page.js(BEYOND)) == ([], [])
            await page.screenshot(f"picker-{name}-{width}-{theme}", of=page.page.locator(".patter").first)
    await page.output_width(1000)
    await page.theme("light")


def parts(page: Lab) -> tuple[Locator, Locator]:
    """The chip of what thinks, and its dialog."""
    return page.page.locator(".patter-chip[data-stage=thinks]"), page.page.get_by_role("dialog", name="What thinks: choose")


async def test_by_mouse_from_the_next_turn_on_and_no_key_is_sent(lab: OpenLab) -> None:
    page = await lab(serving("'The script speaks.'", "Claude speaks."), "call")
    received: list[str] = []
    page.page.on("websocket", lambda socket: socket.on("framereceived", lambda payload: received.append(str(payload))))
    await page.reload()
    await shown(page)
    chip, dialog = parts(page)
    await say(page, "Hello")
    await page.region("Transcript").get_by_text("The script speaks.").wait_for()
    await chip.click()
    await dialog.get_by_role("option", name="GroqLLM paid per use key missing").click()
    await dialog.get_by_text("Not set: GROQ_API_KEY").wait_for()
    assert await dialog.locator("pre").inner_text() == WITH_A_KEY
    assert await dialog.get_by_role("button").all_inner_texts() == ["Copy cell"]
    await look(page, "missing")
    await dialog.get_by_role("option", name="AnthropicLLM paid per use ready").click()
    await dialog.get_by_role("combobox", name="Model").select_option("claude-sonnet-4-6")
    assert await dialog.locator("pre").inner_text() == CELL
    await look(page, "ready")
    await dialog.get_by_role("button", name="Use", exact=True).click()
    await dialog.wait_for(state="hidden")
    await chip.filter(has_text="anthropic claude-sonnet-4-6").wait_for()
    assert await page.value("(call.llm.model, len(call.turns))") == ("claude-sonnet-4-6", 1)
    await say(page, "And you?")
    await page.region("Transcript").get_by_text("Claude speaks.").wait_for()
    await page.js("() => window.jupyterapp.commands.execute('docmanager:save')")
    assert [part for part in received if "ANTHROPIC_API_KEY" in part]
    assert not [part for part in received if SECRET in part or SECRET[3:20] in part]
    assert SECRET not in page.notebook.read_text("utf-8")


async def test_by_keyboard_in_the_middle_of_an_answer(lab: OpenLab) -> None:
    page = await lab(serving(BEGUN, "And Claude goes on."), "call")
    await shown(page)
    (chip, dialog), keyboard = parts(page), page.page.keyboard
    await say(page, "Begin")
    await page.region("Transcript").get_by_text("The script begins an answer here.").wait_for()
    cells = await page.page.locator(".jp-Cell").count()
    await chip.focus()
    await keyboard.press("Enter")
    await dialog.get_by_role("option").first.wait_for()
    await keyboard.press("Escape")
    await dialog.wait_for(state="hidden")
    assert await chip.evaluate("(chip) => chip === document.activeElement")
    await keyboard.press("Enter")
    await dialog.get_by_role("option").first.wait_for()
    await keyboard.press("a")
    selected = dialog.locator("[role=option][aria-selected=true]")
    assert await selected.text_content() == "AnthropicLLM paid per use ready"
    assert await selected.evaluate("(option) => option === document.activeElement")
    await look(page, "answering")
    await selected.focus()
    for name in ("claude-haiku", "From the next turn", "Now"):
        await keyboard.press("Tab")
        assert (await page.js("() => (document.activeElement.value || document.activeElement.innerText)")).startswith(name)
    await keyboard.press("Enter")
    await page.region("Transcript").get_by_text("And Claude goes on.").wait_for()
    await dialog.wait_for(state="hidden")
    row = page.page.locator(".patter-turn").last
    assert await row.get_by_role("img", name="anthropic claude-haiku-4-5-20251001 from here on").count() == 1
    assert await row.locator(".patter-words").last.inner_text() == "The script begins an answer here. And Claude goes on."
    assert await page.page.locator(".jp-Cell").count() == cells
    await status(page, "Ready")
    await look(page, "seam")


async def test_what_fails_is_a_card_with_the_way_out(lab: OpenLab) -> None:
    page = await lab(serving("'Hello.'"), "call")
    await shown(page)
    chip, dialog = parts(page)
    await chip.click()
    await dialog.get_by_role("option", name="AnthropicLLM").click()
    await page.execute("del os.environ['ANTHROPIC_API_KEY']")
    await dialog.get_by_role("button", name="Use", exact=True).click()
    card = page.page.get_by_role("alert")
    await card.get_by_text("AnthropicLLM has no API key.").wait_for()
    await card.get_by_text("Set the environment variable ANTHROPIC_API_KEY").wait_for()
    await dialog.wait_for(state="hidden")
    assert await page.value("call.llm is llm")
    await look(page, "refused")
