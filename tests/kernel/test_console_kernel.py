"""The console over real kernels: nothing that a page tells is lost, whatever a cell does meanwhile, in each release and both runtimes.

When it arrives differs; docs/kernels.md has the table, which bench/console/kernels.py measures.
"""

from __future__ import annotations

import pytest
from console_page import ConsolePage, frame, serving, shown
from kernel_envs import VERSIONS
from kernel_page import OpenKernel, OpenPage

pytestmark = pytest.mark.slow

in_every_release = pytest.mark.parametrize("version", VERSIONS)
in_both_runtimes = pytest.mark.parametrize("runtime", ["kernel", "thread"])

MESSAGES = 50
FRAMES = 2 * MESSAGES
TAKEN = "2 * session.face._heard_messages"
"""So many frames were handled, in whatever thread."""
HEARD = "len(session.audio.heard) // 320"
"""So many the session has heard."""

HANDED = "Let the cell end and look at session.turns in the next one."


async def spoken_while(page: ConsolePage, waiting: str, *, until: str) -> tuple[int, int]:
    """Send frames while a cell waits in vain, or `until` all are there; how many had been taken and heard meanwhile.

    All of them are in the log then, in order.
    """
    before = page.spoken
    waits = f"while {until} < {before + FRAMES}: {waiting}(0.02)" if until else f"{waiting}(1)"
    cell = await page.running(f"print('waiting', flush=True)\n{waits}\nprint({TAKEN}, {HEARD})")
    for _ in range(MESSAGES):
        page.speak()
    _, taken, heard = (await page.kernel.finished(cell)).split()
    assert await page.heard() == b"".join(map(frame, range(page.spoken)))
    assert await page.value("session.transport._inbox.lost") == 0
    return int(taken) - before, int(heard) - before


@in_both_runtimes
@pytest.mark.parametrize(
    ("version", "subshell", "sleeping", "awaiting"),
    [
        ("6.31.0", False, False, False),
        ("7.1.0", False, False, False),
        ("7.1.0", True, True, True),
        ("7.4.0", False, False, True),
        ("7.4.0", True, True, True),
    ],
)
async def test_no_frame_is_lost_while_a_cell_runs(
    kernel: OpenKernel, version: str, subshell: bool, sleeping: bool, awaiting: bool, runtime: str
) -> None:
    page = await shown(await kernel(version, subshell=subshell), runtime)
    live = HEARD if runtime == "thread" else TAKEN  # the session in the kernel's loop sleeps as the cell does
    taken, heard = await spoken_while(page, "time.sleep", until=live if sleeping else "")
    assert taken == (FRAMES if sleeping else 0)
    assert heard == (FRAMES if sleeping and runtime == "thread" else 0)
    taken, heard = await spoken_while(page, "await asyncio.sleep", until=HEARD if awaiting else "")
    assert taken == heard == (FRAMES if awaiting else 0)


@in_every_release
@in_both_runtimes
async def test_an_awaited_answer_needs_no_word_of_the_page(kernel: OpenKernel, version: str, runtime: str) -> None:
    page = await shown(await kernel(version), runtime)
    asked = "turn = await session.ask('go'); print(turn.status, turn.agent_text, [turn.heard_text])"
    assert await page.kernel.run(asked) == "completed Answer 1. ['']\n"
    assert (await page.screen.message(kind="sound")).content["to"] == page.name
    page.tell("played", position=await page.value("len(session.audio.spoken)"))
    await page.kernel.until(lambda: "'heard': 'Answer 1.'" in str(page.screen.messages))
    assert await page.value("session.turns[0].heard_text") == "Answer 1."


@in_both_runtimes
@pytest.mark.parametrize(("version", "subshell"), [("6.31.0", False), ("7.1.0", False)])
async def test_waiting_for_a_turn_is_refused_where_none_could_come(kernel: OpenKernel, version: str, subshell: bool, runtime: str) -> None:
    page = await shown(await kernel(version, subshell=subshell), runtime)
    for wait in ("session.wait_turn()", "session.wait()"):
        told = await page.kernel.run(f"await {wait}", fails=True)
        assert told.startswith("PatterConfigError: This kernel delivers nothing from the page while a cell awaits")
        for remedy in (HANDED, "pip install -U ipykernel", 'runtime="thread"'):
            assert remedy in told


WAIT_TURN = """
waiting = asyncio.ensure_future(session.wait_turn())
await asyncio.sleep(0)
await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), session.loop))
print('waiting', flush=True)  # it does by now, in whatever loop
turn = await waiting
print(turn.user_text, turn.agent_text)
"""


@in_both_runtimes
@pytest.mark.parametrize(("version", "subshell"), [("7.1.0", True), ("7.4.0", False), ("7.4.0", True)])
async def test_a_cell_may_wait_for_a_turn(kernel: OpenKernel, version: str, subshell: bool, runtime: str) -> None:
    page = await shown(await kernel(version, subshell=subshell), runtime, voice=False)
    cell = await page.running(WAIT_TURN)
    page.tell("typed", text="Anybody there?")
    assert await page.kernel.finished(cell) == "waiting\nAnybody there? Answer 1.\n"


@in_every_release
@in_both_runtimes
async def test_a_cell_that_is_run_again_goes_on_with_its_session(kernel: OpenKernel, version: str, runtime: str) -> None:
    page = await shown(await kernel(version), runtime)
    await page.kernel.run("first = session; await session.ask('go')")
    page.speak()
    await page.kernel.run(serving(runtime))
    await page.kernel.run("session")
    page.speak()
    assert await page.heard() == b"".join(map(frame, range(4)))
    assert await page.value("[session is first, len(session.turns)]") == [True, 1]
    assert sum(widget.name == "Ears" for widget in page.kernel.widgets.values()) == 1
    assert await page.kernel.run("print((await session.ask('again')).agent_text)") == "Answer 1.\n"


@in_every_release
@in_both_runtimes
async def test_an_interrupt_ends_the_cell_and_not_the_session(kernel: OpenKernel, version: str, runtime: str) -> None:
    page = await shown(await kernel(version), runtime, replies='[["Well, ", Hold(asyncio.Event())], "Answer 2.", "Answer 3."]')
    waits = "while not session.chunks: await asyncio.sleep(0.01)"
    cell = await page.running(f"asking = asyncio.ensure_future(session.ask('go'))\n{waits}\nprint('asked', flush=True)\nawait asking")
    await page.kernel.interrupt()
    await page.kernel.finished(cell, fails=True)
    assert await page.kernel.run("print((await session.ask('again')).agent_text)") == "Answer 2.\n"
    cell = await page.running("print('asleep', flush=True)\nwhile True: time.sleep(0.1)")
    await page.kernel.interrupt()
    await page.kernel.finished(cell, fails=True)
    assert await page.kernel.run("print((await session.ask('and again')).agent_text)") == "Answer 3.\n"
    assert await page.value("[turn.agent_text for turn in session.turns]") == ["", "Answer 2.", "Answer 3."]
    assert await page.value("session.turns[0].status") == "interrupted"
    page.speak()
    assert await page.heard() == frame(0) + frame(1)


LEFT = """
def left():
    codes = [task.get_coro().cr_code for task in asyncio.all_tasks(session.loop)]
    return sorted(code.co_qualname for code in codes if "patter_nb" in code.co_filename and code.co_name != "_run")
"""
ALL_GONE = "by = time.monotonic() + 10\nwhile left() and time.monotonic() < by: await asyncio.sleep(0.01)\nprint(left())"


@in_every_release
@in_both_runtimes
async def test_nothing_goes_on_after_the_end(kernel: OpenKernel, version: str, runtime: str) -> None:
    page = await shown(await kernel(version), runtime)
    await page.kernel.run(LEFT)
    await page.kernel.run("await session.ask('go')")
    assert "Face._beat" in await page.value("left()")
    await page.kernel.run("await session.stop()")
    assert await page.kernel.run(ALL_GONE) == "[]\n"
    page.speak()
    page.tell("typed", text="Anybody there?")
    assert (await page.ready())["picture"]["state"] == "stopped"
    assert await page.kernel.run(ALL_GONE) == "[]\n"
    assert await page.value("[len(session.turns), len(session.transport._arrivals)]") == [1, 0]
    assert "Traceback" not in "".join(page.kernel.stray)


@pytest.mark.parametrize("version", VERSIONS[1:])
async def test_a_notebook_that_was_closed_is_opened_again(kernel: OpenKernel, another_page: OpenPage, version: str) -> None:
    page = await shown(await kernel(version), "kernel", voice=False)
    page.tell("typed", text="go")
    await page.kernel.until(lambda: "Answer 1." in str(page.screen.messages))
    await page.kernel.close_subshell()
    await page.kernel.close()
    opened = await another_page(page.kernel)
    again = ConsolePage(opened, await opened.widget("Ears"), await opened.widget("Screen"), name="page two")
    assert (await again.ready())["picture"]["turns"][0]["user"] == "go"
    again.tell("typed", text="again")
    await opened.until(lambda: "Answer 2." in str(again.screen.messages))
