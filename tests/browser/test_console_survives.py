"""What people do to a notebook in the middle of a conversation: no turn is lost, no microphone opened twice, nothing left behind."""

from __future__ import annotations

import asyncio

import pytest
from lab_page import Lab, OpenLab
from lab_server import LabServer
from person import LONG, lost_frames, openings, press, say, serving, shown, status, talk, tasks, until_value

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHORT = "Ships came here from the north and from the south."
LASTING = ["beat of session main", "hearing the person", "watching the loop"]
"""The tasks of one session that is shown."""
BREAK_CONNECTION = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel._ws.close()"


async def speaking(page: Lab) -> None:
    """Wait until the agent is heard."""
    await until_value(page, "session.state == 'speaking' and len(session.events.cursor) > 0")


async def test_reloaded_in_mid_sentence(lab: OpenLab) -> None:
    page = await lab(serving(LONG, "Here I am."), "session")
    await shown(page)
    await talk(page)
    await say(page, "Tell me about the ships.")
    await speaking(page)
    await page.reload()
    await page.region("Transcript").get_by_text(LONG).wait_for()
    assert await page.value("[(turn.user_text, turn.status) for turn in session.turns]") == [("Tell me about the ships.", "completed")]
    assert (await page.microphones(), await openings(page), await tasks(page)) == (0, 1, LASTING)
    await press(page, "Talk")
    await until_value(page, "session.transport._inbox.opened == 2")
    await say(page, "Are you there?")
    await page.region("Transcript").get_by_text("Here I am.").wait_for()
    await until_value(page, "session.turns[-1].heard_text == 'Here I am.'")
    assert (await page.microphones(), await lost_frames(page), await tasks(page)) == (1, 0, LASTING)


async def test_shown_twice_and_its_cells_run_again(lab: OpenLab) -> None:
    page = await lab(serving("One.", "Two.", "Three."), "session", "first = session; session")
    await shown(page)
    await page.run(2)
    await talk(page)
    await say(page, "first")
    for place in (0, 1):
        await page.region("Transcript").nth(place).get_by_text("One.").wait_for()
    await page.page.get_by_role("button", name="Talk", exact=True).nth(1).click()
    await page.page.get_by_role("textbox", name="Message").nth(1).fill("second")
    await page.page.get_by_role("textbox", name="Message").nth(1).press("Enter")
    await page.region("Transcript").first.get_by_text("Two.").wait_for()
    await page.run(0)
    await page.run(1)
    await say(page, "third")
    for place in (0, 1):
        await page.region("Transcript").nth(place).get_by_text("One.").nth(1).wait_for()
    assert await page.value("(session is first, [turn.user_text for turn in session.turns])") == (True, ["first", "second", "third"])
    heard = await page.value("len(session.audio.heard)")
    await until_value(page, f"len(session.audio.heard) > {heard}")
    assert (await page.microphones(), await openings(page), await lost_frames(page), await tasks(page)) == (1, 1, 0, LASTING)


async def test_its_output_is_cleared_and_shown_again(lab: OpenLab) -> None:
    page = await lab(serving("One.", "Two."), "session")
    await shown(page)
    await talk(page)
    await say(page, "first")
    await page.region("Transcript").get_by_text("One.").wait_for()
    await page.command("notebook:clear-cell-output")
    await page.region("Transcript").wait_for(state="detached")

    async def closed() -> bool:
        return await page.microphones() == 0

    await page.until(closed)
    await until_value(page, "session.face._pages == set()")

    async def beats_no_more() -> bool:
        return await tasks(page) == LASTING[1:]

    await page.until(beats_no_more)
    await page.run(1)
    await page.region("Transcript").get_by_text("One.").wait_for()
    await say(page, "second")
    await page.region("Transcript").get_by_text("Two.").wait_for()
    await talk(page)
    await until_value(page, "session.transport._inbox.opened == 2")
    assert (await page.microphones(), await lost_frames(page), await tasks(page)) == (1, 0, LASTING)


async def test_the_kernel_is_interrupted_while_the_agent_speaks(lab: OpenLab) -> None:
    blocks, waits = "import time; print('begun'); time.sleep(60)", "print('begun'); await session.wait()"
    page = await lab(serving(LONG, LONG, "Still here."), "session", blocks, waits)
    await shown(page)
    await talk(page)
    for cell, question in ((2, "first"), (3, "second")):
        await say(page, question)
        await speaking(page)
        await page.run(cell, wait=False)
        await page.cell(cell).get_by_text("begun", exact=True).wait_for()
        await page.interrupt()
        await page.finished(cell, fails=True)
        assert await page.value("session.state") == "speaking"
        played = await page.value("len(session.events.cursor)")
        await until_value(page, f"len(session.events.cursor) > {played}")
    await say(page, "third")
    await page.region("Transcript").get_by_text("Still here.").wait_for()
    assert await page.value("[turn.status for turn in session.turns]") == ["interrupted", "interrupted", "completed"]
    assert (await page.microphones(), await openings(page), await lost_frames(page), await tasks(page)) == (1, 1, 0, LASTING)


async def test_the_kernel_is_restarted(lab: OpenLab) -> None:
    page = await lab(serving("One.", "Two."), "session")
    await shown(page)
    await talk(page)
    await say(page, "first")
    await page.region("Transcript").get_by_text("One.").wait_for()
    await page.restart()
    await status(page, "Disconnected")
    assert await page.microphones() == 0
    await page.region("Transcript").get_by_text("One.").wait_for()
    await say(page, "second")
    card = page.page.get_by_role("alert").filter(has_text="Nobody reads it")
    await card.wait_for()
    assert await page.page.get_by_role("textbox", name="Message").input_value() == "second"
    await page.screenshot("restarted")
    await shown(page)
    await talk(page)
    await say(page, "again")
    await page.region("Transcript").get_by_text("One.").wait_for()
    assert await page.region("Transcript").count() == 1
    assert (await page.microphones(), await openings(page), await tasks(page)) == (1, 1, LASTING)


async def test_another_tab_is_in_front(lab: OpenLab) -> None:
    page = await lab(serving(SHORT), "session")
    await shown(page)
    await talk(page)
    await say(page, "Tell me about the ships.")
    other = await page.page.context.new_page()
    await other.bring_to_front()
    await until_value(page, "session.turns and session.turns[-1].heard_text == session.turns[-1].agent_text")
    assert (await lost_frames(page), await page.microphones(), await openings(page)) == (0, 1, 1)
    await page.page.bring_to_front()
    await page.region("Transcript").get_by_text(SHORT).wait_for()
    [span] = (await page.heard()).spans()
    assert span[1] - span[0] == pytest.approx(len(SHORT) * 0.06, abs=0.1)


@pytest.mark.slow
async def test_the_server_is_gone_for_a_while(lab: OpenLab, lab_server: LabServer) -> None:
    page = await lab(serving("One.", "Two.", "Three."), "session")
    await shown(page)
    await talk(page)
    await say(page, "first")
    await page.region("Transcript").get_by_text("One.").wait_for()
    async with lab_server.gone():
        await say(page, "second")
        await status(page, "Server gone")
        await page.screenshot("server-gone")
        await asyncio.sleep(10)  # so long at least it is gone
        assert await page.microphones() == 1
    await page.region("Transcript").get_by_text("Two.").wait_for()
    await say(page, "third")
    await page.region("Transcript").get_by_text("Three.").wait_for()
    await status(page, "Ready")
    assert await page.value("[turn.user_text for turn in session.turns]") == ["first", "second", "third"]
    assert await page.value("len(session.audio.heard)") > 10 * 16_000
    assert (await page.microphones(), await openings(page), await lost_frames(page), await tasks(page)) == (1, 1, 0, LASTING)


async def test_the_connection_breaks(lab: OpenLab) -> None:
    page = await lab(serving(LONG, "Two."), "session")
    await shown(page)
    await talk(page)
    await say(page, "first")
    await speaking(page)
    await page.js(BREAK_CONNECTION)
    await say(page, "second")
    await page.region("Transcript").get_by_text("Two.").wait_for()
    assert await page.value("[turn.user_text for turn in session.turns]") == ["first", "second"]
    assert (await page.microphones(), await openings(page), await tasks(page)) == (1, 1, LASTING)
    lost = await lost_frames(page)  # JupyterLab drops what is sent between the break and its noticing it
    assert await page.page.get_by_role("alert").filter(has_text=f"{lost} frames of sound never came").count() == (lost > 0)
