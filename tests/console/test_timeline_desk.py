"""What a page is told of a timeline: all of it once, then what is new, and detail and sound where it asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from page import Page, Wire
from talking import talking, until

from patter_nb.console import timeline as desk
from patter_nb.console.timeline import TILE, TimelineView
from patter_nb.console.transport import ConsoleTransport
from patter_nb.errors import PatterConfigError
from patter_nb.events import StageFailed
from patter_nb.session import Session
from patter_nb.testing import Hold, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.timeline.peaks import LEVELS

VIEW = "page one/1"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new is told at once, so that no test waits for it."""
    monkeypatch.setattr(desk, "TELL_EVERY_S", 0.0)


@asynccontextmanager
async def opened(**parts: Any) -> AsyncIterator[tuple[Session, Page]]:
    """A session whose timeline a page shows."""
    async with talking(transport=ConsoleTransport(), **parts) as session:
        page = Page(session)
        page.tell("timeline_open", view=VIEW)
        await until(lambda: page.got("timeline_whole"))
        yield session, page
        page.tell("timeline_close", view=VIEW)


def messages(page: Page, *kinds: str) -> list[tuple[dict[str, Any], list[bytes]]]:
    wire = page.face.screen.comm
    assert isinstance(wire, Wire)
    sent = [(data["content"], buffers) for data, buffers in wire.sent if data.get("method") == "custom"]
    return [(json.loads(json.dumps(content)), buffers) for content, buffers in sent if content["kind"] in kinds]


def copied(page: Page) -> dict[str, Any]:
    """What the page knows by now, as it puts it together."""
    lanes: dict[str, list[Any]] = {}
    chunks = b""
    tiles: dict[tuple[int, int], Any] = {}
    seq = None
    for content, buffers in messages(page, "timeline_whole", "timeline_more", "timeline_tiles"):
        rest = buffers
        if content["kind"] == "timeline_whole":
            lanes, chunks, rest, seq = content["lanes"], buffers[0], buffers[1:], content["seq"]
        elif content["kind"] == "timeline_more":
            assert seq is not None
            if content["seq"] <= seq:
                continue
            assert content["seq"] == seq + 1
            seq = content["seq"]
            for lane, place, row in content["items"]:
                lanes[lane][place:] = [row, *lanes[lane][place + 1 :]]
            chunks += buffers[0]
            patch(tiles, content, buffers[1:])
            continue
        for (level, tile), grid in zip(content["tiles"], rest, strict=True):
            tiles[level, tile] = np.frombuffer(grid, np.int8).reshape(-1, 5).copy()
    return {"lanes": lanes, "chunks": np.frombuffer(chunks, "<u4").tolist(), "tiles": tiles}


def patch(tiles: dict[tuple[int, int], Any], content: dict[str, Any], grids: list[bytes]) -> None:
    """Take in what is new of tiles that are here."""
    for (level, first), grid in zip(content["ranges"], grids, strict=True):
        for at, row in enumerate(np.frombuffer(grid, np.int8).reshape(-1, 5), first):
            if (level, at // TILE) in tiles:
                tiles[level, at // TILE][at % TILE] = row
    for level, tile in content["stale"]:
        tiles.pop((level, tile), None)


def is_up_to_date(session: Session, page: Page) -> bool:
    known = copied(page)
    timeline = session.timeline
    lanes = {lane: [desk._row(item) for item in items] for lane, items in timeline.lanes.items()}
    tiles: dict[tuple[int, int], Any] = known["tiles"]
    grids = all((grid == timeline.peaks.grid(level, tile * TILE, (tile + 1) * TILE)).all() for (level, tile), grid in tiles.items())
    return grids and known["lanes"] == json.loads(json.dumps(lanes)) and known["chunks"] == timeline.chunks


async def test_who_opens_it_gets_all_of_it_and_then_what_is_new() -> None:
    hold = asyncio.Event()
    llm = ScriptedLLM(["One.", ["Two, ", Hold(hold), "three."]])
    async with talking(transport=ConsoleTransport(), llm=llm, tts=ScriptedTTS()) as session:
        await session.ask("first")
        page = Page(session)
        page.tell("timeline_open", view=VIEW)
        await until(lambda: page.got("timeline_whole"))
        (whole,) = page.got("timeline_whole")
        assert (whole["to"], whole["live"], whole["levels"], whole["tile"]) == (VIEW, True, list(LEVELS), TILE)
        assert [row[2] for row in whole["lanes"]["turns"]] == ["first"]
        asking = asyncio.ensure_future(session.ask("second"))
        await until(lambda: len(copied(page)["lanes"]["turns"]) == 2)
        hold.set()
        await asking
        await until(lambda: is_up_to_date(session, page))
        assert len(page.got("timeline_whole")) == 1
        page.tell("timeline_tiles", view=VIEW, wanted=[[0, 0], [1, 0], [99, 0]])
        await until(lambda: page.got("timeline_tiles"))
        assert {(0, 0), (1, 0)} <= copied(page)["tiles"].keys()
        assert is_up_to_date(session, page)


async def test_the_microphone_is_drawn_as_it_comes() -> None:
    async with opened(llm=ScriptedLLM([]), stt=ScriptedSTT([]), vad=RecordedVAD([])) as (session, page):
        page.tell("timeline_tiles", view=VIEW, wanted=[[0, 0]])
        for seq in range(0, 20, 2):
            page.speak(seq)
        await until(lambda: len(session.events.frames) == 20 and is_up_to_date(session, page))
        assert session.timeline.peaks.stop > 0


async def test_a_page_that_leaves_or_closes_is_told_nothing_more() -> None:
    for leaving in ({"kind": "timeline_close", "view": VIEW}, {"kind": "bye"}):
        async with opened(llm=ScriptedLLM(["One.", "Two."])) as (session, page):
            await session.ask("first")
            await until(lambda page=page: len(copied(page)["lanes"]["turns"]) == 1)
            page.tell(**leaving)
            await until(lambda page=page: page.face._timeline._task is None or page.face._timeline._task.done())
            told = len(messages(page, "timeline_more"))
            await session.ask("second")
            assert len(messages(page, "timeline_more")) == told
            page.tell("timeline_open", view=VIEW)
            await until(lambda page=page: len(page.got("timeline_whole")) == 2)
            assert len(copied(page)["lanes"]["turns"]) == 2


async def test_the_end_of_the_session_is_told() -> None:
    async with talking(transport=ConsoleTransport(), llm=ScriptedLLM([])) as session:
        page = Page(session)
        page.tell("timeline_open", view=VIEW)
        await until(lambda: page.got("timeline_whole"))
    assert page.got("timeline_more")[-1]["live"] is False


async def test_who_opens_it_after_the_end_sees_all_of_it() -> None:
    async with talking(transport=ConsoleTransport(), llm=ScriptedLLM(["One."])) as session:
        page = Page(session)
        await session.ask("first")
    page.tell("timeline_open", view=VIEW)
    await until(lambda: page.got("timeline_whole"))
    (whole,) = page.got("timeline_whole")
    assert (whole["live"], [row[2] for row in whole["lanes"]["turns"]]) == (False, ["first"])
    task = page.face._timeline._task
    assert task is not None
    await until(task.done)


async def test_sound_and_moments_come_where_they_are_asked_for() -> None:
    async with opened(llm=ScriptedLLM(["Hello."]), tts=ScriptedTTS()) as (session, page):
        await session.ask("Hi")
        at = session.timeline.lanes["pieces"][0].at
        page.tell("timeline_hear", view=VIEW, **{"from": at, "until": at + 200, "ask": 3})
        page.tell("timeline_at", view=VIEW, t=at)
        page.tell("timeline_at", view=VIEW, t=1e9)
        await until(lambda: page.got("timeline_sound") and page.got("timeline_moment"))
        ((told, (pcm,)),) = messages(page, "timeline_sound")
        assert (told["from"], told["rate"], told["ask"], told["to"]) == (at, 24_000, 3, VIEW)
        assert np.abs(np.frombuffer(pcm, "<i2").astype(int)).max() > 1000
        assert len(pcm) == 2 * 4800
        (moment,) = page.got("timeline_moment")
        assert ["you", "Hi"] in moment["lines"]
        page.tell("timeline_hear", view=VIEW, **{"from": 0.0, "until": 1e12, "ask": 4})
        await until(lambda: len(page.got("timeline_sound")) == 2)
        assert len(messages(page, "timeline_sound")[-1][1][0]) == 2 * 24_000 * 30


async def test_a_message_that_is_none_is_a_fault_and_the_rest_goes_on() -> None:
    async with opened(llm=ScriptedLLM([])) as (session, page):
        page.tell("timeline_dance", view=VIEW)
        await until(lambda: session.events.of(StageFailed))
        assert "timeline_dance" in str(session.events.of(StageFailed)[0].body)


async def test_much_that_has_changed_is_asked_for_by_who_sees_it() -> None:
    async with opened(llm=ScriptedLLM([])) as (session, page):
        page.tell("timeline_tiles", view=VIEW, wanted=[[0, 0], [0, 5], [2, 0]])
        await until(lambda: page.got("timeline_tiles"))
        loud = np.full(16_000 * 60, 9000, np.int16)
        session.timeline.peaks.put_person(loud, 0.0, 16_000)
        session.timeline.peaks.put_person(loud, 200_000.0, 16_000)
        await until(lambda: any(message["stale"] for message in page.got("timeline_more")))
        known = copied(page)["tiles"]
        assert (0, 0) not in known
        assert (0, 5) not in known
        assert (known[2, 0] == session.timeline.peaks.grid(2, 0, TILE)).all()


async def test_the_view_is_a_widget_with_a_picture_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("patter_nb.console.widgets.display", lambda bundle, **options: shown.append(bundle))
    monkeypatch.setattr("patter_nb.console.keepsake.display", lambda bundle, **options: shown.append(bundle))
    async with opened(llm=ScriptedLLM(["One."])) as (session, _):
        view = session.view("timeline")
        assert isinstance(view, TimelineView)
        assert view is session.view("timeline")
        view._ipython_display_()
        assert "application/vnd.jupyter.widget-view+json" in shown[0]
        assert f'data-patter-keepsake="{view.keepsake}"' in shown[1]["text/html"]
        assert "<svg" in shown[1]["text/html"]
        with pytest.raises(PatterConfigError, match="no view 'time'") as caught:
            session.view("time")
        assert "timeline" in str(caught.value.hint)
