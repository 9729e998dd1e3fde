"""pytest's plugin as a project has it: found by its entry point, in a pytest of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

AGENT = """
import numpy as np
import pytest
from patter_nb import FallbackLLM, Patter, WavTransport
from patter_nb.testing import Call, Clock, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS, expect

def get_weather(city: str) -> str:
    '''Tell the weather.'''
    return f"18 degrees in {city}"

@pytest.fixture
def agent():
    return Patter().agent("You tell the weather.", tools=[get_weather], first_message="Hello.")
"""


def run(pytester: pytest.Pytester, tests: str, ini: str = "", *arguments: str) -> pytest.RunResult:
    pytester.makeini(f"[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n{ini}")
    pytester.makepyfile(test_it=AGENT + tests)
    return pytester.runpytest_subprocess(*arguments)


def test_a_session_is_typed_to_and_ends_with_its_test(pytester: pytest.Pytester) -> None:
    tests = """
kept = []

@pytest.fixture
async def session(patter_session, agent):
    return await patter_session(agent, llm=ScriptedLLM(["Hi."]))

async def test_one(patter_session, agent):
    llm = ScriptedLLM([Call("get_weather", {"city": "Rome"}), "It is 18 degrees in Rome."])
    session = await patter_session(agent, llm=llm)
    kept.append(session)
    await expect(session.ask("How warm is it in Rome?")).tool_called("get_weather", city="Rome").said("18")
    assert session.turns[0].heard_text == "Hello." and session.state == "ready"

async def test_it_is_over():
    assert kept[0].state == "stopped"

async def test_two_at_once(patter_session, agent):
    one = await patter_session(agent, llm=ScriptedLLM(["One."]))
    two = await patter_session(agent, llm=ScriptedLLM(["Two."]))
    await expect(one.ask("Who?")).said("one")
    await expect(two.ask("Who?")).said("two")
    assert patter_session.sessions == [one, two]

async def test_by_a_fixture_of_ones_own(session):
    await expect(session.ask("Hi")).said("hi")

async def test_ears_and_voice_rest(patter_session, agent):
    session = await patter_session(agent.replace(stt=ScriptedSTT(["x"]), tts=ScriptedTTS(["x"])), llm=ScriptedLLM([]))
    assert session.stt is None and session.tts is None

async def test_by_a_clock_and_by_a_recording(patter_session, agent):
    clock = Clock()
    typed = await patter_session(agent, clock=clock, llm=ScriptedLLM([]))
    assert typed.transport.clock is clock
    recording = WavTransport((np.zeros(48_000, np.int16), 16_000), paced=False)
    parts = {"stt": ScriptedSTT(["hi"]), "vad": RecordedVAD.speaking((500, 1500)), "tts": ScriptedTTS(["Hi."]), "first_message": ""}
    spoken = await patter_session(agent, transport=recording, llm=ScriptedLLM(["Hi."]), **parts)
    await spoken.wait()
    await expect(spoken).heard("hi")

class TestInAClass:
    @pytest.mark.parametrize("text", ["a", "b"])
    async def test_method(self, patter_session, agent, text):
        session = await patter_session(agent, llm=ScriptedLLM([text]))
        await expect(session.ask("Hi")).said(text)
"""
    run(pytester, tests).assert_outcomes(passed=8)


def test_what_was_said_is_shown_and_what_was_not_used_up_fails(pytester: pytest.Pytester) -> None:
    tests = """
async def test_fails(patter_session, agent):
    session = await patter_session(agent, llm=ScriptedLLM(["It is 18 degrees.", "never"]))
    await expect(session.ask("How warm is it?")).said("19")

async def test_left(patter_session, agent):
    session = await patter_session(agent, llm=ScriptedLLM(["One.", "Two."]))
    await session.ask("Hi")

async def test_too_many(patter_session, agent):
    session = await patter_session(agent, llm=ScriptedLLM([]))
    await session.ask("Hi")

async def test_after_a_change(patter_session, agent):
    session = await patter_session(agent, llm=ScriptedLLM(["One."]))
    await session.ask("Hi")
    session.llm = ScriptedLLM(["Three."])

async def test_between_two_changes(patter_session, agent):
    session = await patter_session(agent, llm=ScriptedLLM(["One."]))
    await session.ask("Hi")
    session.llm = ScriptedLLM(["Two.", "Left."])
    await session.ask("Hi")
    session.llm = ScriptedLLM(["Three."])
    await session.ask("Hi")

async def test_behind_another(patter_session, agent):
    session = await patter_session(agent, llm=FallbackLLM([ScriptedLLM(["One."]), ScriptedLLM(["Four."])]))
    await session.ask("Hi")

def test_plain(patter_session, agent):
    patter_session(agent).send(None)
"""
    result = run(pytester, tests)
    result.assert_outcomes(failed=7)
    result.stdout.fnmatch_lines(
        [
            "E *expected  said('19')",
            "E *but       it said 'It is 18 degrees.', without '19'",
            "E *Turn 2: completed (typed)",
            "*Captured conversation call*",
            "Turn 1: completed (greeting)",
            "Turn 2: completed (typed)",
            "  you    How warm is it?",
            "  agent  It is 18 degrees.",
            "ScriptedLLM has 1 replies that nobody asked for; the next is 'Two.'.",
            "ScriptedLLM was asked more often than scripted, after: 'Hi'.",
            "ScriptedLLM has 1 replies that nobody asked for; the next is 'Three.'.",
            "ScriptedLLM has 1 replies that nobody asked for; the next is 'Left.'.",
            "ScriptedLLM has 1 replies that nobody asked for; the next is 'Four.'.",
            "E *PatterConfigError: patter_session serves agents to async tests.*",
        ]
    )
    assert "expectation.py" not in result.stdout.str(), "the trace ends in the test"


def test_it_serves_tests_that_anyio_runs(pytester: pytest.Pytester) -> None:
    pytest.importorskip("anyio")
    tests = """
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_one(patter_session, agent):
    session = await patter_session(agent, llm=ScriptedLLM(["One."]))
    await expect(session.ask("Hi")).said("one")

async def test_left(patter_session, agent):
    await patter_session(agent, llm=ScriptedLLM(["One."]))
"""
    pytester.makepyfile(test_it=AGENT + tests)
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1, failed=1)


OUTWARD = """
import _socket, socket

def is_blocked():
    return socket.socket.connect is not _socket.socket.connect

@pytest.fixture
def fixed():
    return is_blocked()

def test_plain(fixed):
    assert (fixed, is_blocked()) == ({plain}, {plain})

@pytest.mark.patter_block_real_requests
def test_on(fixed):
    assert fixed
    with pytest.raises(Exception, match="A test tried to reach 192.0.2.1:443"):
        socket.create_connection(("192.0.2.1", 443))

@pytest.mark.patter_block_real_requests(False)
def test_off(fixed):
    assert not fixed and not is_blocked()

@pytest.mark.patter_block_real_requests
class TestMarked:
    def test_by_its_class(self):
        assert is_blocked()

    @pytest.mark.patter_block_real_requests(on=False)
    def test_the_nearest_counts(self):
        assert not is_blocked()
"""


@pytest.mark.parametrize(("ini", "plain"), [("", False), ("patter_block_real_requests = true\n", True)])
def test_real_requests_are_blocked_where_that_is_asked_for(pytester: pytest.Pytester, ini: str, plain: bool) -> None:
    run(pytester, OUTWARD.replace("{plain}", str(plain)), ini, "--strict-markers").assert_outcomes(passed=5)


def test_a_project_that_does_not_use_it_loads_next_to_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_loaded(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("patter_nb")
            ours = {name for name in sys.modules if name.startswith("patter_nb")}
            assert ours == {"patter_nb", "patter_nb.testing", "patter_nb.testing.plugin"}
            assert not {"numpy", "aiohttp", "httpx", "jsonschema", "msgspec"} & sys.modules.keys()
        """
    )
    plain = ("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:rerunfailures")
    pytester.runpytest_subprocess(*plain).assert_outcomes(passed=1)
