"""A console that may not hear, or not sound: it says why and what to do, and whoever types loses nothing."""

from __future__ import annotations

from typing import Any

import pytest
from lab_page import Lab, OpenLab
from person import press, say, serving, shown, status, until_value

pytestmark = pytest.mark.browser

ASK_WITHOUT_A_CLICK = """() => {
  const box = document.querySelector('textarea[aria-label="Message"]');
  box.value = "Sing for me.";
  [...document.querySelectorAll("button")].find((button) => button.textContent === "Send").click();
}"""


async def typed(page: Lab) -> None:
    """Ask by keyboard, and be answered."""
    await say(page, "Can you read me?")
    await page.region("Transcript").get_by_text("I can read you.").wait_for()


@pytest.mark.parametrize(
    ("setup", "word", "cause", "remedy"),
    [
        pytest.param({"microphone": "missing"}, "No microphone", "There is no microphone", "Plug one in", marks=pytest.mark.slow),
        ({"microphone": "denied"}, "Microphone denied", "does not let the page use the microphone", "Allow it in the site settings"),
        pytest.param(
            {"insecure": True},
            "No microphone on an insecure page",
            "only to pages from https",
            "Open the notebook under https",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"policy": "microphone=()"},
            "Microphone denied by this front end",
            "The program that shows this notebook",
            "you can type",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["missing", "denied", "insecure", "front end"],
)
async def test_without_a_microphone_a_card_says_why_and_typing_goes_on(
    lab: OpenLab, setup: dict[str, Any], word: str, cause: str, remedy: str
) -> None:
    page = await lab(serving("I can read you."), "session", **setup)
    await shown(page)
    await press(page, "Talk")
    await status(page, word)
    card = page.page.get_by_role("alert")
    await card.wait_for()
    text = await card.inner_text()
    assert cause in text and remedy in text
    assert await card.count() == 1
    await page.region("Transcript").get_by_role("button", name="Send the example question").wait_for()
    await page.screenshot(f"refused-{word.lower().replace(' ', '-')}")
    await typed(page)
    assert await page.microphones() == 0
    failed = "[event.body for event in session.events if event.type == 'stage_failed']"
    assert await until_value(page, f"[(body.stage, type(body.error).__name__) for body in {failed}]") == [("transport", "AudioError")]


async def test_sound_that_may_not_begin_waits_for_a_click(lab: OpenLab) -> None:
    page = await lab(serving("La la la."), "session")
    await page.run(0)
    await page.run(1)
    await page.until("() => !!document.querySelector('textarea[aria-label=\"Message\"]')")
    await page.js(ASK_WITHOUT_A_CLICK)
    await page.until("() => document.querySelector('[role=status]').textContent === 'Click to enable sound'")
    assert await page.js("() => navigator.userActivation.hasBeenActive") is False
    assert await page.value("(session.turns[-1].agent_text, session.turns[-1].heard_text)") == ("La la la.", "")
    assert (await page.heard()).spans() == []
    await press(page, "Enable sound")
    await until_value(page, "session.turns[-1].heard_text == 'La la la.'")
    [(start, stop)] = (await page.heard()).spans()
    assert stop - start == pytest.approx(0.54, abs=0.05)  # nine characters of 60 ms
    await status(page, "Ready")
