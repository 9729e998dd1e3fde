"""Where the console stands beside other outputs: in a saved notebook without its kernel, and in ipywidgets boxes."""

from __future__ import annotations

import json

import pytest
from lab_page import OpenLab
from person import IMPORTS, say, serving, shown

pytestmark = pytest.mark.browser

BOXES = """
import ipywidgets
side = ipywidgets.VBox([session.view("tools"), session.view("chunks")])
ipywidgets.VBox([session.view("audio"), ipywidgets.HBox([session.view("transcript"), side])])
"""
TOOL = f"""
{IMPORTS}
def get_weather(city: str) -> str:
    "Tell the weather in a city."
    return f"Sunny in {{city}}."

llm = ScriptedLLM([[Call("get_weather", {{"city": "Rome"}})], "It is sunny in Rome."])
session = await Patter().serve(Patter().agent(llm=llm, tools=[get_weather]))
"""
KEPT = "[data-patter-keepsake]"


async def test_the_transcript_is_in_the_saved_notebook_and_seen_where_the_console_is_not(lab: OpenLab) -> None:
    page = await lab(serving("One."), "session")
    await shown(page)
    await say(page, "first")
    await page.region("Transcript").get_by_text("One.").wait_for()
    kept = page.page.locator(KEPT)
    await kept.get_by_text("One.").first.wait_for(state="attached")
    assert not await kept.is_visible()
    await page.command("docmanager:save")
    bundles = [output["data"] for output in json.loads(page.notebook.read_text("utf-8"))["cells"][1]["outputs"]]
    [bundle] = [bundle for bundle in bundles if "text/html" in bundle]
    for kind in ("text/html", "text/plain"):
        assert "first" in "".join(bundle[kind]) and "One." in "".join(bundle[kind])
    await page.restart()
    await page.reload(save=False)
    await kept.get_by_text("One.").first.wait_for()
    assert await kept.is_visible()
    assert await page.page.get_by_role("textbox", name="Message").count() == 0
    await page.screenshot("kept")


@pytest.mark.slow
async def test_views_stand_in_boxes(lab: OpenLab) -> None:
    page = await lab(TOOL, BOXES, 'turn = await session.ask("What\'s the weather?")')
    await page.run(0)
    await page.run(1)
    await page.page.get_by_role("button", name="Talk").wait_for()
    await page.run(2)
    transcript, chunks, tools = (page.region(name) for name in ("Transcript", "Chunks", "Tools"))
    await transcript.get_by_text("It is sunny in Rome.").wait_for()
    await tools.get_by_text("Sunny in Rome.").wait_for()
    await chunks.get_by_text("sunny").wait_for()
    await page.screenshot("boxes")
    left, below, right = [await region.bounding_box() for region in (transcript, chunks, tools)]
    assert left and below and right
    assert left["width"] > 300 and right["width"] > 300
    assert left["x"] + left["width"] <= right["x"] and right["y"] + right["height"] <= below["y"]
