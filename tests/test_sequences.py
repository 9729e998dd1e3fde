"""Chunks, tool calls, requests and turns as sequences and tables, and sound as an array."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator

import numpy as np
import pandas
import pytest

from patter_nb.agent import Agent
from patter_nb.audio.tracks import PcmTrack
from patter_nb.errors import MissingExtra
from patter_nb.llm.base import LLMChunk
from patter_nb.patter import Patter
from patter_nb.sequences import Chunks, Requests, ToolCalls
from patter_nb.session import Session
from patter_nb.testing import Call, ScriptedLLM
from patter_nb.tools.tool import tool
from patter_nb.turns import Turns

USAGE = LLMChunk("usage", input_tokens=30, output_tokens=3)


@tool
def look(city: str) -> str:
    """Look."""
    if city == "Atlantis":
        raise ValueError("It sank.")
    return f"{city}: sunny."


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    """Two turns, with a tool that works and one that fails."""
    replies = [
        [Call("look", {"city": "Rome"}), Call("look", {"city": "Atlantis"})],
        ["It is", " sunny."],
        ["You're welcome.", USAGE],
        ["Yes."],
    ]
    async with Patter().serve(Agent(llm=ScriptedLLM(replies), tools=(look,)), name="rows") as session:
        await session.ask("Rome?")
        await session.ask("Thanks.")
        yield session


async def test_slices_are_of_their_own_kind(session: Session) -> None:
    for sequence, kind in (
        (session.chunks, Chunks),
        (session.tool_calls, ToolCalls),
        (session.requests, Requests),
        (session.turns, Turns),
    ):
        part = sequence[1:]
        assert type(part) is type(sequence) is kind
        assert [*part] == [*sequence][1:]
        assert part[0] is sequence[1]
        assert part[-1] is sequence[-1]
        assert part.to_dicts() == sequence.to_dicts()[1:]
        assert len(sequence[:0]) == 0
        with pytest.raises(IndexError):
            sequence[len(sequence)]


async def test_a_sequence_does_not_change_and_equals_any_of_the_same_items(session: Session) -> None:
    before = session.chunks
    kept = list(before)
    assert before == kept
    assert before != kept[:-1]
    assert before[:2] == session.chunks[:2]
    await session.ask("Still there?")
    assert list(before) == kept
    assert session.chunks[: len(kept)] == before
    assert len(session.chunks) > len(kept)
    assert not hasattr(before, "append")


async def test_what_is_read_off_a_session_cannot_be_set(session: Session) -> None:
    with pytest.raises(AttributeError, match="chunks cannot be set"):
        session.chunks = []  # type: ignore[misc, assignment]


async def test_slices_of_turns_cost_what_they_cost(session: Session) -> None:
    last = session.turns[-1:]
    assert [row.turn for row in last.costs()] == [2]
    assert last.by_id(2) is session.turns[1]
    await session.ask("One more?")
    assert len(last) == 1, "it grows no more"


async def test_chunks_become_a_table(session: Session) -> None:
    table = session.chunks.to_pandas()
    assert len(table) == len(session.chunks)
    assert list(table.columns[:4]) == ["turn", "round", "wall_s", "type"]
    assert "".join(table[(table.turn == 1) & (table.type == "text")].content) == "It is sunny."
    assert table.wall_s.is_monotonic_increasing
    assert table["index"].dtype == "Int64"
    usage = table[table.type == "usage"]
    assert usage.output_tokens.sum() == sum(chunk.output_tokens or 0 for chunk in session.chunks)


async def test_tool_calls_become_a_table(session: Session) -> None:
    table = session.tool_calls.to_pandas()
    assert list(table.columns) == ["turn", "id", "name", "arguments", "result", "error", "status", "duration_ms"]
    assert list(table.status) == ["completed", "failed"]
    assert list(table.arguments) == [{"city": "Rome"}, {"city": "Atlantis"}]
    assert table.result[0] == "Rome: sunny."
    assert pandas.isna(table.result[1])
    assert "It sank." in table.error[1]


async def test_requests_become_a_table(session: Session) -> None:
    table = session.requests.to_pandas()
    assert list(zip(table.turn, table["round"], strict=True)) == [(1, 1), (1, 2), (2, 1)]
    assert list(table.finish_reason) == ["tool_calls", "stop", "stop"]
    assert list(table.cost) == [0.0, 0.0, 0.0]
    assert list(table.attempts) == [0, 0, 0]
    assert not table.wasted.any()
    assert table.sent.isna().all(), "nothing went over a wire"
    assert (table.total_ms >= table.first_chunk_ms).all()


async def test_turns_become_a_table_with_latencies_and_costs_as_columns(session: Session) -> None:
    table = session.turns.to_pandas()
    assert list(table.turn) == [1, 2]
    assert list(table.user_text) == ["Rome?", "Thanks."]
    assert list(table.tool_calls) == [2, 0]
    assert list(table.requests) == [2, 1]
    assert table.llm_first_token_ms.notna().all()
    assert table.response_ms.isna().all(), "nobody spoke"
    assert list(table.cost_llm) == [0.0, 0.0]
    assert table.cost_tts.isna().all()
    assert not table.unpriced.any()
    assert table.input_tokens.dtype == "Int64"
    assert table.output_tokens.isna()[0]
    assert table.output_tokens[1] == 3


async def test_rows_are_plain_values(session: Session) -> None:
    for sequence in (session.chunks, session.tool_calls, session.requests, session.turns, session.costs()):
        rows = sequence.to_dicts()
        assert len({tuple(row) for row in rows}) == 1, "each row has all columns"
        json.dumps(rows, default=str)


def test_an_empty_table_has_its_columns() -> None:
    for sequence in (Chunks(), ToolCalls(), Requests(), Turns()):
        table = sequence.to_pandas()
        assert len(table) == 0
        assert "turn" in table.columns


def test_a_table_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"Chunks\.to_pandas\(\) needs the package pandas") as caught:
        Chunks().to_pandas()
    assert caught.value.extra == "lab"
    assert Chunks().to_dicts() == []


def test_pandas_is_loaded_only_when_a_table_is_asked_for() -> None:
    code = "import sys, patter_nb.session, patter_nb.display, patter_nb.costs; assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def test_sound_is_an_array(session: Session) -> None:
    heard = session.audio.heard
    heard.append(np.arange(400_000, dtype=np.int16) % 100)
    assert np.asarray(heard).dtype == np.int16
    whole = np.asarray(heard)
    for part in (slice(5, 9), slice(159_998, 160_003), slice(-3, None), slice(None, None, 7), slice(9, 5), slice(500_000, None)):
        assert np.array_equal(heard[part], whole[part])
    assert (heard[7], heard[-1], len(heard)) == (7, whole[-1], 400_000)
    for missing in (400_000, -400_001):
        with pytest.raises(IndexError):
            heard[missing]
    assert [int(value) for value in PcmTrack()] == []


def test_a_chunk_told_by_hand_is_found() -> None:
    assert LLMChunk("text", content="a") not in Chunks()
