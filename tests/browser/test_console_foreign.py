"""What a person, a model or a tool wrote is shown as it is, and can do nothing to the page."""

from __future__ import annotations

import pytest
from lab_page import OpenLab
from person import IMPORTS, say, shown

pytestmark = pytest.mark.browser

FOREIGN = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>&lt;b&gt; \u202eback to front\u202c"
SHOWN = FOREIGN.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c")
SERVE = f"""
{IMPORTS}
foreign = {FOREIGN!r}

def look(at: str) -> str:
    "Look at something."
    return foreign

llm = ScriptedLLM([[Call("look", {{"at": foreign}})], foreign, RuntimeError(foreign)])
session = await Patter().serve(Patter().agent(llm=llm, tools=[look]), name=foreign)
"""
TEXTS = """() => {
  const walker = document.createTreeWalker(document.querySelector(".jp-Notebook"), NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    if (walker.currentNode.parentElement.closest(".jp-OutputArea") !== null) texts.push(walker.currentNode.data);
  }
  return texts.join("\\n");
}"""


@pytest.mark.slow
async def test_markup_and_direction_overrides_stay_text(lab: OpenLab) -> None:
    page = await lab(SERVE, "session")
    await shown(page)
    await say(page, FOREIGN)
    transcript, tools = page.region("Transcript"), page.region("Tools")
    await transcript.get_by_text(SHOWN).nth(1).wait_for()
    await tools.get_by_text(SHOWN, exact=True).wait_for()
    await say(page, "Fail, please.")
    await page.page.get_by_role("alert").filter(has_text="<img src=x onerror='window.ran = 1'>").wait_for()
    assert "".join(await page.region("Chunks").locator(".patter-run[data-kind=text]").all_inner_texts()).replace("\n", "") == SHOWN
    assert "<script>window.ran = 1</script>" in await tools.locator(".patter-arguments").inner_text()
    await page.execute("session.turns")
    texts = await page.js(TEXTS)
    assert "\u202e" not in texts and "\\u202e" in texts
    assert await page.page.locator(".jp-OutputArea script, .jp-OutputArea img").count() == 0
    assert await page.js("() => window.ran ?? null") is None
    await page.screenshot("foreign")
