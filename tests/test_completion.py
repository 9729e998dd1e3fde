"""What Tab offers in a notebook: IPython's completer on the nouns of a session, with jedi as it is set up, and without."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jedi import Interpreter
from talking import talking

from patter_nb.agent import Agent
from patter_nb.patter import Patter
from patter_nb.sequences import Chunks, Requests, ToolCalls
from patter_nb.testing import ScriptedLLM


@pytest.fixture(params=[True, False], ids=["jedi", "plain"])
async def tab(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[str], list[str]]]:
    """What is offered behind a text."""
    async with Patter().serve(Agent(llm=ScriptedLLM(["Hello."])), name="tab") as session:
        turn = await session.ask("Hi")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shell = InteractiveShell.instance()
        shell.user_ns.update(session=session, turn=turn)
        shell.Completer.use_jedi = request.param

        def offered(text: str) -> list[str]:
            with provisionalcompleter(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return [found.text.lstrip(".") for found in shell.Completer.completions(text, len(text))]

        yield offered
        InteractiveShell.clear_instance()


def test_a_session_offers_its_views(tab: Callable[[str], list[str]]) -> None:
    assert {"ask", "turns", "chunks", "tool_calls", "requests", "audio", "costs", "state", "llm"} <= set(tab("session."))


@pytest.mark.parametrize("sequence", ["session.chunks", "session.tool_calls", "session.requests", "session.turns"])
def test_a_sequence_offers_its_tables_and_nothing_of_its_inside(tab: Callable[[str], list[str]], sequence: str) -> None:
    offered = set(tab(f"{sequence}."))
    assert {"to_pandas", "to_dicts"} <= offered
    assert not {name for name in offered if name.startswith("_") or name.isupper()}


def test_sound_and_requests_are_looked_into(tab: Callable[[str], list[str]]) -> None:
    assert {"heard", "spoken"} <= set(tab("session.audio."))
    assert {"sent", "answered", "attempts", "cost"} <= set(tab("turn.requests[0]."))


@pytest.mark.parametrize("place", ["0", "-1"])
async def test_a_row_of_a_sequence_is_looked_into(place: str) -> None:
    async with talking(llm=ScriptedLLM(["Hello."])) as session:
        await session.ask("Hi")

        def offered(rows: str) -> set[str]:
            return {found.name for found in Interpreter(f"session.{rows}[{place}].", [{"session": session}]).complete()}

        assert {"sent", "answered", "cost"} <= offered("requests")
        assert {"agent_text", "waterfall"} <= offered("turns")
        assert {"content", "finish_reason"} <= offered("chunks")
        assert {"arguments", "result"} <= offered("tool_calls")


@pytest.mark.parametrize("rows", [Requests, ToolCalls, Chunks])
def test_a_row_is_known_from_the_code_alone(rows: type) -> None:
    row = {Requests: "LLMRequest", ToolCalls: "ToolCall", Chunks: "LLMChunk"}[rows]

    def types(text: str) -> set[str]:
        return {found.name for found in Interpreter(text, [{"rows": rows()}]).infer()}

    assert types("rows[0]") == {row}
    assert row in types("rows[-1]")
    assert types("rows[0:1]") == {rows.__name__}


def test_keys_are_offered(tab: Callable[[str], list[str]]) -> None:
    assert "llm_first_token" in tab("turn.latency['")
    assert tab("turn.costs['") == ["llm"]


async def test_dir_leaves_out_what_only_the_machinery_calls() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        assert not {"take", "adopt", "start", "in_loop"} & set(dir(session))
        assert {"ask", "turns", "use"} <= set(dir(session))
        assert not {"advance", "drain", "unread", "has_read_events"} & set(dir(session.timeline))
        assert {"at", "lanes"} <= set(dir(session.timeline))
        assert "of" not in dir(session.latency())
        assert "left_out" in dir(session.latency())
