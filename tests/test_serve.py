"""Putting an agent into conversation: the ways to start and to end, one session a name, and what cannot be served."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from talking import bodies, settle, silence

import patter_nb.patter
from patter_nb.agent import Agent
from patter_nb.errors import MissingExtra, PatterConfigError, PatterError
from patter_nb.events import AgentChanged, SessionStarted, SessionStopped
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.transports.keyboard import KeyboardTransport
from patter_nb.transports.wav import WavTransport
from patter_nb.vad.energy import EnergyVAD

phone = Patter()


def agent(*replies: Any, **parts: Any) -> Agent:
    return phone.agent(llm=ScriptedLLM(replies), **parts)


def speech() -> dict[str, Any]:
    """Parts to be spoken with, by somebody who says nothing."""
    return {"stt": ScriptedSTT([]), "vad": RecordedVAD([]), "tts": ScriptedTTS()}


# --- starting and ending


async def test_awaiting_gives_a_live_session() -> None:
    session = await phone.serve(agent("Hello."))
    assert (type(session), session.state) == (Session, "ready")
    assert (await session.ask("Hi")).agent_text == "Hello."
    await session.stop()
    assert session.state == "stopped"


async def test_a_context_manager_stops_at_the_end_also_after_an_error() -> None:
    with pytest.raises(KeyError):
        async with phone.serve(agent("Hello.")) as session:
            raise KeyError
    assert session.state == "stopped"


async def test_create_task_and_gather_take_it() -> None:
    task = asyncio.create_task(phone.serve(agent(), name="task"))
    one, (two,) = await task, await asyncio.gather(phone.serve(agent(), name="gathered"))
    assert (one.state, two.state) == ("ready", "ready")
    await one.stop()
    await two.stop()


async def test_one_that_is_never_awaited_is_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match=r"'Patter\.serve' was never awaited"):
        phone.serve(agent())
        gc.collect()


async def test_close_lets_it_go_without_a_warning() -> None:
    phone.serve(agent()).close()


def test_a_session_whose_loop_closes_is_logged_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "patter_nb"), pytest.warns(RuntimeWarning, match="async with") as warned:
        session = asyncio.run(phone.serve(agent()))
    assert len(warned) == 1
    assert "await session.wait()" in str(warned[0].message)
    assert "async with" in caplog.text and "await session.wait()" in caplog.text
    assert session.state == "stopped"
    assert bodies(session, SessionStopped)[0].reason == "its event loop closed"


def test_a_call_whose_loop_closes_still_writes_its_recording(tmp_path: Path) -> None:
    answer = tmp_path / "answer.wav"
    with pytest.warns(RuntimeWarning, match="event loop closed"):
        asyncio.run(phone.serve(agent(**speech()), transport=WavTransport((np.zeros(16_000, np.int16), 16_000), answer)))
    assert answer.stat().st_size > 0


SCRIPT = """
import asyncio
from patter_nb.patter import Patter
from patter_nb.testing import ScriptedLLM
phone = Patter()
asyncio.run(phone.serve(phone.agent(llm=ScriptedLLM([]))))
"""


def test_a_script_that_forgets_to_wait_is_told_on_stderr() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "await session.wait()" in done.stderr
    assert "never" not in done.stderr and "destroyed" not in done.stderr and "Traceback" not in done.stderr


def test_after_its_loop_is_gone_a_session_says_so_and_the_name_is_free() -> None:
    with pytest.warns(RuntimeWarning, match="event loop closed"):
        old = asyncio.run(phone.serve(agent("Never.")))

    async def again() -> None:
        with pytest.raises(PatterConfigError, match="over"):
            await old.ask("Hi")
        with pytest.raises(PatterConfigError, match="over"):
            old.system_prompt = "x"
        await old.stop()
        await old.wait()
        async with phone.serve(agent("Hello.")) as session:
            assert session is not old
            assert (await session.ask("Hi")).agent_text == "Hello."

    asyncio.run(again())


# --- one session a name


async def test_the_same_name_adopts_the_new_agent_and_keeps_history() -> None:
    second = ScriptedLLM(["Second here."])
    async with phone.serve(agent("First here.")) as session:
        await session.ask("Who are you?")
        again = await phone.serve(phone.agent("You are the second.", llm=second))
        assert again is session
        assert (await session.ask("And now?")).agent_text == "Second here."
        assert len(bodies(session, SessionStarted)) == 1
    assert [message["role"] for message in second.requests[0].messages] == ["system", "user", "assistant", "user"]
    assert second.requests[0].messages[2]["content"] == "First here."


async def test_the_same_name_at_the_same_time_makes_one_session() -> None:
    class Slow(ScriptedLLM):
        async def warmup(self) -> None:
            await gate.wait()

    gate = asyncio.Event()
    first = asyncio.create_task(phone.serve(phone.agent(llm=Slow(["Slow."]))))
    await asyncio.sleep(0)
    second = asyncio.create_task(phone.serve(agent("Quick.")))
    await asyncio.sleep(0)
    assert not second.done()
    gate.set()
    session = await first
    assert await second is session
    assert (await session.ask("Who?")).agent_text == "Quick."
    await session.stop()


async def test_another_name_is_another_session() -> None:
    async with phone.serve(agent("One."), name="one") as one, phone.serve(agent("Two."), name="two") as two:
        assert one is not two
        assert [(await session.ask("Hi")).agent_text for session in (one, two)] == ["One.", "Two."]


async def test_another_transport_for_a_live_name_is_refused() -> None:
    transport = KeyboardTransport()
    async with phone.serve(agent(), transport=transport) as session:
        with pytest.raises(PatterConfigError, match=r"stop\(\).*name="):
            phone.serve(agent(), transport=KeyboardTransport())
        assert await phone.serve(agent(), transport=transport) is session
    async with phone.serve(agent(), transport=KeyboardTransport()) as other:
        assert other is not session


async def test_a_name_is_free_again_after_a_start_that_failed() -> None:
    class Broken(ScriptedLLM):
        async def warmup(self) -> None:
            raise PatterError("no model")

    before = asyncio.all_tasks()
    with pytest.raises(PatterError, match="no model"):
        await phone.serve(phone.agent(llm=Broken([])))
    assert asyncio.all_tasks() == before
    async with phone.serve(agent("Hello."), transport=KeyboardTransport()) as session:
        assert (await session.ask("Hi")).agent_text == "Hello."


async def test_a_start_that_is_given_up_leaves_nothing_and_frees_the_name() -> None:
    class Endless(ScriptedLLM):
        async def warmup(self) -> None:
            await asyncio.Event().wait()

    before = asyncio.all_tasks()
    starting = asyncio.create_task(phone.serve(phone.agent(llm=Endless([]))))
    await settle()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert asyncio.all_tasks() == before
    async with phone.serve(agent("Hello."), transport=KeyboardTransport()) as session:
        assert (await session.ask("Hi")).agent_text == "Hello."


async def test_two_transports_at_the_same_time_are_one_too_many() -> None:
    first, second = phone.serve(agent(), transport=KeyboardTransport()), phone.serve(agent(), transport=KeyboardTransport())
    session = await first
    with pytest.raises(PatterConfigError, match="another transport"):
        await second
    await session.stop()


async def test_a_start_that_failed_leaves_nothing_open(tmp_path: Path) -> None:
    class Deaf(ScriptedSTT):
        closed = False

        async def open(self, format: object) -> None:
            raise PatterError("no ears")

        async def aclose(self) -> None:
            self.closed = True

    class Watched(WavTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True
            await super().aclose()

    answer = tmp_path / "answer.wav"
    answer.write_bytes(b"an older answer")
    before = asyncio.all_tasks()
    transport = Watched((np.zeros(1600, np.int16), 16_000), answer, paced=False)
    with pytest.raises(PatterError, match="no ears"):
        await phone.serve(agent(**{**speech(), "stt": Deaf([])}), transport=transport)
    assert asyncio.all_tasks() == before
    assert transport.closed
    assert answer.read_bytes() == b"an older answer", "no call was made that could replace it"


# --- ears


@pytest.mark.parametrize("part", ["stt", "vad"])
async def test_two_live_sessions_do_not_share_their_ears(part: str) -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT([]), "vad": RecordedVAD([])}
    shared = parts[part]
    others: dict[str, Any] = {"stt": ScriptedSTT([]), "vad": RecordedVAD([]), part: shared}
    async with phone.serve(agent(**parts), name="one"), phone.serve(agent(), name="two") as two:
        with pytest.raises(PatterConfigError, match=rf"{part}=.* in use by the session 'one'.*Make one for each session"):
            await phone.serve(agent(**others), name="three")
        with pytest.raises(PatterConfigError, match="in use by the session 'one'"):
            two.use(**others)
        assert two.stt is None, "a rejected value leaves the old one"
    async with phone.serve(agent(**others), name="three") as three:
        assert three.state == "ready"


async def test_the_same_ears_serve_again_under_the_same_name() -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT([]), "vad": RecordedVAD([])}
    async with phone.serve(agent(**parts)) as session:
        assert await phone.serve(agent(**parts)) is session


async def test_a_detector_begins_anew_in_each_session() -> None:
    class Counted(RecordedVAD):
        resets = 0

        def reset(self) -> None:
            self.resets += 1

    vad, stt = Counted([]), ScriptedSTT([])
    for count in (1, 2):
        async with phone.serve(agent(stt=stt, vad=vad), transport=silence(1)) as session:
            session.use(system_prompt="New.")
            await session.wait()
        assert vad.resets == count


async def test_a_session_is_adopted_from_another_thread() -> None:
    async with phone.serve(agent("First.")) as session:
        found: list[Session] = []

        def elsewhere() -> None:
            async def serve_again() -> None:
                found.append(await phone.serve(agent("Second.")))

            asyncio.run(serve_again())

        await asyncio.to_thread(elsewhere)
        assert found == [session]
        assert (await session.ask("Hi")).agent_text == "Second."


async def test_adopting_says_what_changed() -> None:
    async with phone.serve(agent(system_prompt="old")) as session:
        await phone.serve(session.agent.replace(system_prompt="new"))
        assert bodies(session, AgentChanged)[-1].changes == {"system_prompt": ("old", "new")}


# --- what the transport cannot carry


def test_a_recording_is_not_served_to_an_agent_that_cannot_hear_it() -> None:
    with pytest.raises(PatterConfigError, match=r"no speech-to-text.*stt=MoonshineSTT\(\)"):
        phone.serve(agent(**{**speech(), "stt": None}), transport=silence())


def test_an_answer_is_not_recorded_of_an_agent_without_a_voice(tmp_path: Path) -> None:
    parts, question = {**speech(), "tts": None}, (np.zeros(1600, np.int16), 16_000)
    with pytest.raises(PatterConfigError, match=r"answer\.wav would be silent.*tts=PiperTTS\(\), or leave dst away"):
        phone.serve(agent(**parts), transport=WavTransport(question, tmp_path / "answer.wav"))
    phone.serve(agent(**parts), transport=WavTransport(question)).close()


async def test_a_change_that_the_transport_cannot_carry_leaves_the_old_agent(tmp_path: Path) -> None:
    transport = WavTransport((np.zeros(16_000, np.int16), 16_000), tmp_path / "answer.wav")
    async with phone.serve(agent("Hello.", **speech()), transport=transport) as session:
        before = session.agent
        with pytest.raises(PatterConfigError, match="no speech-to-text"):
            session.stt = None
        with pytest.raises(PatterConfigError, match="no text-to-speech"):
            session.use(when="now", tts=None)
        with pytest.raises(PatterConfigError, match="no speech-to-text"):
            await session.adopt(agent())
        with pytest.raises(PatterConfigError, match="no speech-to-text"):
            phone.serve(agent())
        assert session.agent is before
        assert session.events.of(AgentChanged) == []
        assert (await session.ask("Hi")).agent_text == "Hello."


async def test_an_agent_that_a_session_cannot_carry_is_refused_also_when_both_begin_at_once() -> None:
    first, second = phone.serve(agent(**speech()), transport=silence()), phone.serve(agent())
    async with first as session:
        with pytest.raises(PatterConfigError, match="no speech-to-text"):
            await second
        assert session.stt is not None


async def test_a_transport_of_ones_own_says_what_it_carries() -> None:
    class Nursery(KeyboardTransport):
        def check(self, agent: Agent) -> None:
            if agent.language != "en":
                raise PatterConfigError("The children speak English.", hint='Use language="en".')

    before = asyncio.all_tasks()
    with pytest.raises(PatterConfigError, match="speak English"):
        phone.serve(agent(language="de"), transport=Nursery())
    assert asyncio.all_tasks() == before
    async with phone.serve(agent(), transport=Nursery()) as session:
        with pytest.raises(PatterConfigError, match="speak English"):
            session.use(language="fr")
        session.use(system_prompt="Be kind.")
        assert (session.agent.language, session.system_prompt) == ("en", "Be kind.")


# --- what cannot be served


def test_what_is_no_agent_is_refused_at_once() -> None:
    with pytest.raises(PatterConfigError, match=r"Patter\(\)\.agent"):
        phone.serve("You are helpful.")  # type: ignore[arg-type]


def test_two_models_are_refused_at_once() -> None:
    with pytest.raises(PatterConfigError, match="Two language models"):
        phone.serve(agent(), llm=ScriptedLLM([]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transport": "question.wav"}, "not a transport"),
        ({"transport": WavTransport}, "not a transport"),
        ({"name": ""}, "cannot be named"),
        ({"name": 5}, "cannot be named"),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PatterConfigError, match=message):
        phone.serve(agent(), **options)


def test_a_wrong_model_is_refused_at_once() -> None:
    with pytest.raises(PatterConfigError, match="llm"):
        phone.serve(phone.agent(), llm="gpt-4o")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keyword", "hint"), [("transprot", "Did you mean transport="), ("nmae", "Did you mean name="), ("zzz", "It takes llm")]
)
def test_an_unknown_keyword_is_a_type_error_with_a_hint(keyword: str, hint: str) -> None:
    with pytest.raises(TypeError, match=hint):
        phone.serve(agent(), **{keyword: 1})  # type: ignore[arg-type]


def test_without_any_model_the_remedies_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.llm.local.local_model_is_installed", lambda: False)
    with pytest.raises(PatterConfigError, match=r"LocalLLM\(\).*ScriptedLLM"):
        phone.serve(phone.agent())


def test_a_local_model_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.llm.local.local_model_is_installed", lambda: True)
    assert patter_nb.patter._complete(phone.agent(), None).parts() == {"llm": "local smollm2"}


async def test_the_model_given_to_serve_is_used() -> None:
    async with phone.serve(phone.agent(), llm=ScriptedLLM(["Mine."])) as session:
        assert (await session.ask("Whose?")).agent_text == "Mine."


@pytest.mark.parametrize(("found", "detector"), [(None, "EnergyVAD"), (Path("/models"), "SileroVAD")])
async def test_ears_without_a_detector_are_given_one(monkeypatch: pytest.MonkeyPatch, found: Path | None, detector: str) -> None:
    monkeypatch.setattr("patter_nb.downloads.artifacts.locate", lambda artifact: found)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    made = patter_nb.patter._complete(agent(stt=ScriptedSTT([])), None)
    assert type(made.vad).__name__ == detector


async def test_ears_that_come_later_are_given_a_detector_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.downloads.artifacts.locate", lambda artifact: None)
    async with phone.serve(agent()) as session:
        session.stt = ScriptedSTT([])
        assert isinstance(session.vad, EnergyVAD)


def test_a_detector_that_was_named_is_kept() -> None:
    vad = RecordedVAD([])
    assert patter_nb.patter._complete(agent(stt=ScriptedSTT([]), vad=vad), None).vad is vad


async def test_a_missing_extra_is_raised_by_serve() -> None:
    class Missing(ScriptedLLM):
        async def warmup(self) -> None:
            raise MissingExtra("local", "xllamacpp", "LocalLLM")

    with pytest.raises(MissingExtra, match=r"patter-nb\[local\]"):
        await phone.serve(phone.agent(llm=Missing([])))


async def test_no_thread_is_left_behind() -> None:
    async with phone.serve(agent("Hello.")) as session:
        await session.ask("Hi")
        before = threading.active_count()
    assert threading.active_count() <= before


def test_serving_emits_no_resource_warning() -> None:
    async def main() -> None:
        async with phone.serve(agent(**speech()), transport=silence(1)) as session:
            await session.wait()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main(), debug=True)
        gc.collect()
