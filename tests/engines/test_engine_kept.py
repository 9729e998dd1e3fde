"""Of an engine's conversation the settings that were sent are kept, and how many messages of each kind went there and back."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from talking import bodies
from test_engine_conformance import ROWS

from patter_nb.display import mimebundle
from patter_nb.events import RequestSent

KEY = "test-key"


@pytest.mark.parametrize("name", list(ROWS))
async def test_settings_are_kept_and_messages_counted(name: str) -> None:
    async with ROWS[name].talking(["Hello there.", "Yes."]) as (session, _, _):
        first, second = await session.ask("Rome?"), await session.ask("And Oslo?")
        (attempt,) = session.events.attempts
        assert [request.attempts for turn in (first, second) for request in turn.requests] == [[attempt]] * 2
        assert [(sent.number, sent.stage) for sent in bodies(session, RequestSent)] == [(0, "engine")]
        assert "Be brief." in str(attempt.sent.body)
        assert sum(attempt.told.values()) >= 3
        assert max(attempt.heard.values()) >= 2
        assert attempt.kept_bytes < 10_000
        assert [row["plain"] for row in session.requests.to_dicts()] == [None, None], "they are the conversation's, not each request's"
        kept = pickle.dumps((attempt, [event.to_dict() for event in session.events]))
        shown = [text for thing in (first.requests[0], session.requests) for text in mimebundle(thing).values()]
        assert KEY.encode() not in kept
        assert not [text for text in shown if KEY in text]
        assert "[redacted]" in str(attempt) or name in ("openai client", "elevenlabs")


async def test_a_key_in_the_settings_is_not_kept() -> None:
    async with ROWS["openai"].talking(["Hello there.", "Yes."]) as (session, _, _):
        session.system_prompt = f"Your key is {KEY}."
        await session.ask("Rome?")
        turn = await session.ask("Oslo?")
        assert turn.requests[0].sent is not None
        assert "Your key is [redacted]." in str(turn.requests[0].sent.body)


async def test_a_conversation_that_begins_anew_is_another_one() -> None:
    async with ROWS["google"].talking(["Hello there.", "Yes."]) as (session, _, _):
        await session.ask("Rome?")
        session.system_prompt = "Be long."
        second = await session.ask("And Oslo?")
        assert len(session.events.attempts) == 2
        (request,) = second.requests
        assert request.sent is not None
        assert "Be long." in str(request.sent.body)


async def test_changed_settings_are_kept_beside_the_first() -> None:
    async with ROWS["openai"].talking(["Hello there.", "Yes.", "No.", "So."]) as (session, _, _):
        for prompt in ("One.", "Two.", "Three."):
            await session.ask("Rome?")
            session.system_prompt = prompt
        turn = await session.ask("And Oslo?")
        assert turn.requests[0].sent is not None
        settings: list[Any] = turn.requests[0].sent.body
        assert len(settings) == 3, "the first and the last two"
        assert [message["session"].get("instructions") for message in settings] == ["Be brief.", "Two.", "Three."]
