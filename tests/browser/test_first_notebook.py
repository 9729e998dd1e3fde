"""The first notebook as its reader runs it: three cells, a spoken question, and then every cell to the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lab_page import OpenLab
from microphone import Recordings

pytestmark = [pytest.mark.browser, pytest.mark.models]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_first_words.ipynb"
CELLS = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


async def test_it_runs_from_its_first_cell_to_its_last(lab: OpenLab, record: Recordings) -> None:
    page = await lab(*CELLS, microphone=await record(1.0, "What's the weather in London?", 30.0))
    for index in range(3):
        await page.run(index)
    await page.page.get_by_role("button", name="Talk").click()

    async def answered() -> bool:
        return bool(await page.value("bool(session.turns) and session.turns[-1].status == 'completed'"))

    await page.until(answered, timeout_s=60)
    assert "London" in await page.value("session.turns[0].agent_text")
    assert "10 minutes" in await page.run(3)
    assert "opening_hours" in await page.run(4) + await page.value("str([tool.name for tool in session.agent.tools])")
    assert "2 turns" in await page.run(5)
    assert len(CELLS) == 6
    await page.execute("await session.stop()")
    await page.region("Transcript").get_by_text("This session is over.").wait_for()
