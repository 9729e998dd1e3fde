"""What a person does with a console, and sessions for them to talk to that need no model."""

from __future__ import annotations

from typing import Any

from lab_page import Lab

IMPORTS = """
from patter_nb import Patter
from patter_nb.testing import Call, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
"""
LONG = "Ships came here from the north and from the south, and each of them was painted by the captain who had lost it."
"""Seven seconds when `ScriptedTTS` hums it."""


def serving(*replies: str, heard: tuple[str, ...] = (), speaks_ms: tuple[tuple[int, int], ...] = (), voiced: bool = True) -> str:
    """A cell that serves an agent: it hears `heard` when the person speaks at `speaks_ms` of the microphone's time, whatever they say."""
    ears = f"stt=ScriptedSTT({list(heard)!r}), vad=RecordedVAD.speaking(*{speaks_ms!r})"
    parts = f"llm=ScriptedLLM({list(replies)!r}), {ears}{', tts=ScriptedTTS()' if voiced else ''}"
    return f"{IMPORTS}session = await Patter().serve(Patter().agent({parts}))"


async def shown(page: Lab) -> None:
    """Run the cell that serves and the one that shows the session, and wait for the console."""
    await page.run(0)
    await page.run(1)
    await page.page.get_by_role("textbox", name="Message").first.wait_for()


async def say(page: Lab, text: str) -> None:
    """Type `text`, and send it."""
    await page.page.get_by_role("textbox", name="Message").first.fill(text)
    await press(page, "Send")


async def press(page: Lab, name: str) -> None:
    """Press a button by its whole name; the first, where the console is shown twice."""
    await page.page.get_by_role("button", name=name, exact=True).first.click()


async def talk(page: Lab) -> None:
    """Press Talk, and wait until the microphone is open and the kernel hears it."""
    await press(page, "Talk")
    await until_value(page, "len(session.audio.heard) > 0")


async def status(page: Lab, word: str) -> None:
    """Wait until the console's status says `word`, which may be a part of what it says."""
    await page.page.get_by_role("status").filter(has_text=word).first.wait_for()


async def until_value(page: Lab, expression: str, *, timeout_s: float = 30) -> Any:
    """Wait until a Python expression in the kernel is true; its value."""

    async def holds() -> Any:
        return await page.value(expression)

    try:
        return await page.until(holds, timeout_s=timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{error}: {expression}\n{await page.execute('print(session, *session.turns, sep=chr(10))')}") from None


async def openings(page: Lab) -> int:
    """How many times a microphone has been opened, as far as the kernel knows."""
    return int(await page.value("session.transport._inbox.opened"))


async def lost_frames(page: Lab) -> int:
    """How many frames of sound never came to the kernel."""
    return int(await page.value("session.transport._inbox.lost"))


async def tasks(page: Lab) -> list[str]:
    """The names of the kernel's tasks that belong to a session; those of timers and of single turns come and go."""
    names = await page.value("sorted(task.get_name() for task in __import__('asyncio').all_tasks(session.loop))")
    return [name for name in names if name in LASTING or name.startswith("beat of session")]


LASTING = ("hearing the person", "watching the loop")
