"""A session in a loop of its own: used from another thread as if it were here, alive while that thread computes, gone when stopped."""

from __future__ import annotations

import asyncio
import threading

import pytest

from patter_nb.errors import PatterConfigError
from patter_nb.own_loop import run_in_own_loop
from patter_nb.patter import Patter
from patter_nb.testing import ScriptedLLM


def on_thread() -> str:
    return threading.current_thread().name


async def test_it_answers_and_is_changed_from_here() -> None:
    phone = Patter()
    async with phone.serve(phone.agent(llm=ScriptedLLM(["One."])), name="apart", runtime="thread") as session:
        assert session.loop is not asyncio.get_running_loop()
        assert (await session.ask("first")).agent_text == "One."
        session.llm = ScriptedLLM(["Two."])
        assert (await session.ask("second")).agent_text == "Two."
        assert (await session.say("Three.")).agent_text == "Three."
    assert session.state == "stopped"


async def test_it_goes_on_while_this_thread_is_blocked() -> None:
    phone, answered = Patter(), threading.Event()
    async with phone.serve(phone.agent(llm=ScriptedLLM(["Yes."])), name="apart", runtime="thread") as session:
        session.events.subscribe(lambda event: answered.set() if event.type == "turn_ended" else None)
        asking = asyncio.run_coroutine_threadsafe(session.ask("Still there?"), session.loop)
        assert answered.wait(20)
        assert (await asyncio.wrap_future(asking)).agent_text == "Yes."


async def test_all_of_them_share_one_thread() -> None:
    async def name() -> str:
        return on_thread()

    assert await run_in_own_loop(name()) == await run_in_own_loop(name()) == "patter_nb"


async def test_a_live_session_stays_in_the_loop_it_began_in() -> None:
    phone = Patter()
    agent = phone.agent(llm=ScriptedLLM([]))
    async with phone.serve(agent, name="here"):
        with pytest.raises(PatterConfigError, match='with runtime="kernel"'):
            phone.serve(agent, name="here", runtime="thread")


async def test_an_unknown_runtime_is_refused() -> None:
    phone = Patter()
    with pytest.raises(PatterConfigError, match="runtime='process' is unknown"):
        phone.serve(phone.agent(llm=ScriptedLLM([])), runtime="process")  # type: ignore[arg-type]


async def test_who_gives_up_waiting_cancels_the_work() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.ensure_future(run_in_own_loop(work()))
    await asyncio.to_thread(begun.wait, 20)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(ended.wait, 20)
