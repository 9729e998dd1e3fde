"""The console without a mouse, and as assistive technology has it: everything is reached, seen to be reached, and has its name."""

from __future__ import annotations

import pytest
from lab_page import OpenLab
from person import serving, shown, until_value

pytestmark = pytest.mark.browser

NAMES = [*(f'button "{name}"' for name in ("Talk", "Mute", "Stop", "Send")), 'textbox "Message"', 'status "Ready"']
NAMES += [f'region "{name}"' for name in ("Transcript", "Chunks", "Tools")]
STOPS = ["Talk", "Mute", "Stop", "Enable sound", "hears scripted script", "thinks scripted script · free", "speaks scripted script"]
STOPS += ["Transcript", "Tools", "Chunks", "Latency", "Message", "Send", "Send a recording"]
FOCUSED = """() => {
  const focused = document.activeElement;
  const region = focused.getAttribute("tabindex") === "0" ? focused.closest("section")?.getAttribute("aria-label") : null;
  const { outlineStyle, outlineWidth } = getComputedStyle(focused);
  const name = focused.ariaLabel ?? region ?? focused.textContent.trim();
  return { name, ring: outlineStyle === "solid" && parseFloat(outlineWidth) >= 2 };
}"""


async def test_everything_has_its_name_and_is_reached_by_keyboard(lab: OpenLab) -> None:
    page = await lab(serving("Hello, too."), "session")
    await shown(page)
    tree = (await page.page.locator(".patter").aria_snapshot()).splitlines()
    for name in NAMES:
        assert sum(line.strip().startswith(f"- {name}") for line in tree) == 1, "\n".join(tree)
    keyboard = page.page.keyboard
    await page.page.get_by_role("button", name="Talk").focus()
    await keyboard.press("Shift+Tab")
    reached = []
    for _ in STOPS:
        await keyboard.press("Tab")
        reached.append(await page.js(FOCUSED))
    assert reached == [{"name": name, "ring": True} for name in STOPS]
    await page.screenshot("focused")
    await keyboard.press("Enter")
    await page.page.get_by_role("button", name="The example question").wait_for()
    await page.page.get_by_role("textbox", name="Message").focus()
    cells = await page.page.locator(".jp-Cell").count()
    await keyboard.type("add a b dd x m")
    await keyboard.press("Shift+Enter")
    await keyboard.type("y")
    assert await page.value("len(session.turns)") == 0
    await keyboard.press("Enter")
    await page.region("Transcript").get_by_text("Hello, too.").wait_for()
    assert await page.value("session.turns[0].user_text") == "add a b dd x m\ny"
    assert await page.page.locator(".jp-Cell").count() == cells
    await page.page.get_by_role("button", name="Talk").focus()
    await keyboard.press("Space")
    await until_value(page, "len(session.audio.heard) > 0")
    assert await page.microphones() == 1
