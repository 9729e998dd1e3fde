"""The browser's own voice over the console's protocol: the text and its place go out, what the page says it spoke comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from page import Page
from talking import bodies, talking, until

from patter_nb.console.transport import ConsoleTransport
from patter_nb.events import PlaybackStarted, StageFailed
from patter_nb.session import Session
from patter_nb.testing import ScriptedLLM
from patter_nb.tts.browser import BrowserTTS

STORY = "It is sunny in Rome today and tomorrow as well."


@asynccontextmanager
async def listening(**parts: Any) -> AsyncIterator[tuple[Session, Page]]:
    """A session whose agent is heard in a page."""
    async with talking(transport=ConsoleTransport(), tts=BrowserTTS("Anna", language="en"), **parts) as session:
        page = Page(session)
        page.tell("ready", last=-1)
        page.tell("sound_on", answering=True)
        await until(lambda: session.transport.speaker is not None)  # type: ignore[attr-defined]
        yield session, page


async def test_the_text_goes_to_the_page_that_listens_with_its_place() -> None:
    async with listening(llm=ScriptedLLM([STORY])) as (session, page):
        page.tell("typed", text="Weather?")
        await until(lambda: page.got("speech"))
        (message,) = page.got("speech")
        length = len(STORY) * 24_000 // 15
        voice = {"voice": "Anna", "language": "en", "speed": 1.0, "pitch": 1.0}
        assert message == {"kind": "speech", "to": page.name, "start": 0, "length": length, "text": STORY, **voice}
        assert not page.got("sound")
        page.tell("played", position=1)
        await until(lambda: bodies(session, PlaybackStarted))
        page.tell("played", position=length)
        await until(lambda: session.turns[-1].heard_text == STORY)


async def test_who_types_into_it_is_heard_and_the_page_falls_silent() -> None:
    async with listening(llm=ScriptedLLM([STORY, "All right."])) as (session, page):
        page.tell("typed", text="Weather?")
        await until(lambda: page.got("speech"))
        page.tell("played", position=(len("It is sunny in") + 1) * 1600)
        await until(lambda: bodies(session, PlaybackStarted))
        page.tell("typed", text="Stop.")
        await until(lambda: len(page.got("speech")) == 2)
        assert [message["kind"] for message in page.got("speech", "flush")] == ["speech", "flush", "speech"]
        assert session.turns[0].heard_text.strip() == "It is sunny in"


async def test_a_browser_that_cannot_speak_is_told_in_the_log() -> None:
    async with listening(llm=ScriptedLLM([STORY])) as (session, page):
        page.tell("trouble", name="no-voice", cause="This browser cannot speak by itself.", remedy="Install a voice.")
        await until(lambda: bodies(session, StageFailed))
        assert "cannot speak by itself" in str(bodies(session, StageFailed)[0])
