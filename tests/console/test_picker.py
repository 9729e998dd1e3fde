"""What a page is offered and may choose: names and never a key, offers and nothing else; the cell beside each does the same."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from page import Page
from talking import bodies, settle, until

import patter_nb
from patter_nb.console import cells
from patter_nb.console.transport import ConsoleTransport
from patter_nb.events import AgentChanged, SentenceSpoken, StageFailed
from patter_nb.offers import offers
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import Hold, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS, block_real_requests
from patter_nb.testing.wire import WireServer
from patter_nb.testing.wire.realtime import RealtimeServer

SECRET = "sk-a-very-secret-key-of-somebody"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two vendors have a key, and none is reached."""
    for offer in offers():
        for name in (*offer.keys, *offer.settings):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    with block_real_requests():
        yield


@asynccontextmanager
async def shown(**parts: Any) -> AsyncIterator[tuple[Session, Page]]:
    """A session shown on a page; vendors' connections stay in the pool of the loop."""
    agent = Patter().agent(**(parts if "engine" in parts else {"llm": ScriptedLLM([]), **parts}))
    async with Patter().serve(agent, transport=ConsoleTransport(), name="picker") as session:
        page = Page(session)
        page.tell("ready", last=-1)
        await until(lambda: page.got("snapshot"))
        yield session, page


async def menu(page: Page, stage: str) -> dict[str, dict[str, Any]]:
    """The offers for a stage by their names."""
    before = len(page.got("menu"))
    page.tell("menu", stage=stage)
    await until(lambda: len(page.got("menu")) > before)
    told = json.loads(json.dumps(page.got("menu")[-1]))
    assert (told["to"], told["stage"]) == (page.name, stage)
    return {offer["name"]: offer for group in told["groups"] for offer in group["offers"]}


async def choose(page: Page, part: str, name: str | None, *, model: str | None = None, when: str = "turn") -> Any:
    """Choose, and the error that came of it."""
    before = len(page.got("chosen"))
    page.tell("choose", part=part, name=name, model=model, when=when)
    await until(lambda: len(page.got("chosen")) > before)
    return page.got("chosen")[-1]["error"]


def changes(page: Page) -> list[Any]:
    """Every change of the picture that the page was told."""
    return [op for batch in page.got("batch") for op in json.loads(json.dumps(batch["ops"]))]


async def test_each_offer_says_how_it_stands_and_whether_it_costs() -> None:
    async with shown() as (_, page):
        found = await menu(page, "thinks")
        assert [*found][:6] == ["OpenAILLM", "AnthropicLLM", "GroqLLM", "CerebrasLLM", "GoogleLLM", "LocalLLM"]
        assert [*found][6:] == ["OpenAIRealtime", "ElevenLabsConvAI", "GeminiLive"]
        anthropic, groq, google = found["AnthropicLLM"], found["GroqLLM"], found["GoogleLLM"]
        assert (anthropic["badge"], anthropic["ready"], anthropic["why"], anthropic["costs"]) == (
            *("ready", True, "ANTHROPIC_API_KEY is set.", True),
        )
        assert anthropic["models"][0] == patter_nb.AnthropicLLM().model
        assert (groq["badge"], groq["ready"], groq["why"]) == ("key missing", False, "Not set: GROQ_API_KEY")
        assert google["why"] == "Not set: GEMINI_API_KEY or GOOGLE_API_KEY"
        assert found["ElevenLabsConvAI"]["why"] == "Not set: ELEVENLABS_API_KEY, ELEVENLABS_AGENT_ID"
        assert found["LocalLLM"]["costs"] is False
        assert [name for name, offer in found.items() if offer["runs"]] == []
        hearing, speaking = await menu(page, "hears"), await menu(page, "speaks")
        assert {"MoonshineSTT", "WhisperSTT", "DeepgramSTT", "OpenAITranscribeSTT", "AssemblyAISTT", "CartesiaSTT", None} == {*hearing}
        assert {"PiperTTS", "BrowserTTS", "OpenAITTS", "ElevenLabsTTS", "CartesiaTTS", None} == {*speaking}
        assert hearing[None]["runs"] and speaking[None]["runs"]


async def test_what_is_not_installed_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.downloads.needs.locate", lambda artifact: None)
    async with shown() as (_, page):
        local, piper = (await menu(page, "thinks"))["LocalLLM"], (await menu(page, "speaks"))["PiperTTS"]
        assert (local["badge"], local["ready"]) == ("not installed", False)
        assert local["why"].endswith("patter-nb download smollm2 minilm")
        assert "!patter-nb download smollm2 minilm\n" in local["cell"]
        assert piper["why"] == 'Run: pip install "patter-nb[local]"'
        assert piper["cell"].startswith('%pip install "patter-nb[local]"\n\nfrom patter_nb import PiperTTS\n')


async def test_a_key_that_is_set_later_is_there_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown() as (_, page):
        assert not (await menu(page, "thinks"))["GroqLLM"]["ready"]
        monkeypatch.setenv("GROQ_API_KEY", SECRET)
        assert (await menu(page, "thinks"))["GroqLLM"]["ready"]


async def test_what_is_chosen_is_used_from_the_next_turn_on() -> None:
    async with shown() as (session, page):
        assert await choose(page, "llm", "AnthropicLLM", model="claude-sonnet-4-6") is None
        assert isinstance(session.llm, patter_nb.AnthropicLLM)
        assert session.llm.model == "claude-sonnet-4-6"
        assert [body.when for body in bodies(session, AgentChanged)] == ["turn"]
        found = await menu(page, "thinks")
        assert [(name, offer["model"]) for name, offer in found.items() if offer["runs"]] == [("AnthropicLLM", "claude-sonnet-4-6")]
        runs = {"thinks": {"name": "anthropic", "model": "claude-sonnet-4-6", "costs": True}}
        await until(lambda: ["set", "runs", runs] in changes(page))
        assert await choose(page, "tts", "BrowserTTS") is None
        assert isinstance(session.tts, patter_nb.BrowserTTS)
        assert await choose(page, "tts", None) is None
        assert session.tts is None


async def test_now_the_one_that_is_chosen_goes_on_with_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = ScriptedLLM([["I begin here. ", "Then ", Hold(asyncio.Event()), "I end."]])
    async with WireServer(["And I go on."]) as server, shown(llm=llm) as (session, page):
        original = patter_nb.OpenAILLM
        monkeypatch.setattr(patter_nb, "OpenAILLM", lambda **given: original(base_url=server.openai_url, **given))
        page.tell("typed", text="Hello")
        await until(lambda: bodies(session, SentenceSpoken))
        assert await choose(page, "llm", "OpenAILLM", model="gpt-4o-mini", when="now") is None
        await until(lambda: session.turns[0].status == "completed")
        assert session.turns[0].agent_text == "I begin here. And I go on."
        pieces = page.face._picture.whole()["turns"][0]["pieces"]
        assert [piece["by"] for piece in pieces] == ["scripted script", "openai gpt-4o-mini"]


async def test_an_engine_takes_the_place_of_all_three_and_a_pipeline_takes_its_place() -> None:
    ears = {"stt": ScriptedSTT([]), "vad": RecordedVAD.speaking(), "tts": ScriptedTTS()}
    async with RealtimeServer([]) as server, shown(**ears) as (session, page):
        assert await choose(page, "engine", "OpenAIRealtime", model="gpt-realtime-mini") is None
        assert isinstance(session.engine, patter_nb.OpenAIRealtime)
        session.use(engine=patter_nb.OpenAIRealtime(base_url=server.url))
        found = await menu(page, "engine")
        assert found["OpenAIRealtime"]["runs"]
        assert found["Pipeline"]["cell"] == "session.use(engine=None)", "the agent has all that it needs besides"
        assert found["Pipeline"]["why"] == "ScriptedSTT, ScriptedLLM, ScriptedTTS."
        error = await choose(page, "llm", "AnthropicLLM", model="claude-sonnet-4-6")
        assert error["type"] == "PatterConfigError"
        assert "session.use(engine=None" in error["hint"]
        assert await choose(page, "engine", "Pipeline") is None
        assert (session.engine, type(session.llm)) == (None, ScriptedLLM)
        await until(lambda: page.face._picture.whole()["runs"]["thinks"]["name"] == "scripted")


async def test_of_what_a_pipeline_lacks_the_first_that_is_ready_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.downloads.needs.locate", lambda artifact: None)
    async with RealtimeServer([]) as server, shown(engine=patter_nb.OpenAIRealtime(base_url=server.url)) as (_, page):
        pipeline = (await menu(page, "engine"))["Pipeline"]
        assert pipeline["cell"] == (
            "from patter_nb import BrowserTTS, OpenAILLM, OpenAITranscribeSTT\n\n"
            "session.use(engine=None, stt=OpenAITranscribeSTT(), llm=OpenAILLM(), tts=BrowserTTS())"
        )
        assert (pipeline["ready"], pipeline["costs"]) == (True, True)
        monkeypatch.delenv("OPENAI_API_KEY")
        pipeline = (await menu(page, "engine"))["Pipeline"]
        told = "whoever has no ears is typed to"
        assert pipeline["cell"].endswith("\nsession.use(engine=None, llm=AnthropicLLM(), tts=BrowserTTS())"), told
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        pipeline = (await menu(page, "engine"))["Pipeline"]
        assert (pipeline["ready"], pipeline["badge"], pipeline["why"]) == (False, "not installed", "Run: patter-nb download smollm2 minilm")


async def test_what_cannot_be_used_is_told_with_the_way_out_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown() as (session, page):
        before = session.agent
        error = await choose(page, "llm", "GroqLLM", model="llama-3.3-70b-versatile")
        assert (error["type"], "GROQ_API_KEY" in error["hint"]) == ("PatterConfigError", True)
        error = await choose(page, "llm", "AnthropicLLM", model='x")\nimport os')
        assert error["message"] == "AnthropicLLM cannot use a model of that name."
        assert session.agent is before
        assert not bodies(session, AgentChanged)


@pytest.mark.parametrize(
    "content",
    [
        {"part": "llm", "name": "FallbackLLM", "model": None, "when": "turn"},
        {"part": "tts", "name": "AnthropicLLM", "model": None, "when": "turn"},
        {"part": "llm", "name": None, "model": None, "when": "turn"},
        {"part": "tools", "name": None, "model": None, "when": "turn"},
        {"part": ["llm"], "name": {"a": 1}, "model": None, "when": "turn"},
        {"part": "llm", "name": "AnthropicLLM", "model": None, "when": "always"},
        {"part": "llm", "name": "__class__", "model": None, "when": "turn"},
    ],
)
async def test_nothing_but_an_offer_can_be_chosen(content: dict[str, Any]) -> None:
    async with shown() as (session, page):
        page.tell("choose", **content)
        await until(lambda: bodies(session, StageFailed))
        assert "A message of the page could not be taken" in bodies(session, StageFailed)[0].error.message
        assert not bodies(session, AgentChanged)
        assert not page.got("chosen")


@pytest.mark.parametrize("kind", ["menu", "choose", "resume"])
async def test_a_page_that_does_not_show_the_session_chooses_nothing(kind: str) -> None:
    async with shown() as (session, page):
        foreign = Page(session, "somebody else")
        foreign.tell(kind, stage="thinks", part="llm", name="AnthropicLLM", model=None, when="turn", hit=0)
        await until(lambda: bodies(session, StageFailed))
        assert not bodies(session, AgentChanged)
        assert not page.got("menu", "chosen")


async def test_no_key_nor_part_of_one_is_ever_sent() -> None:
    async with shown() as (_, page):
        for stage in ("hears", "thinks", "speaks", "engine"):
            await menu(page, stage)
        await choose(page, "llm", "AnthropicLLM", model="claude-sonnet-4-6")
        await choose(page, "stt", "OpenAITranscribeSTT", model="whisper-1")
        await choose(page, "llm", "GroqLLM", model="x")
        await settle()
        sent = json.dumps([*page.face.screen.comm.sent, *page.face.ears.comm.sent], default=repr) + repr(page.face.screen.get_state())
        assert "ANTHROPIC_API_KEY" in sent
        parts = {SECRET[at : at + 6] for at in range(len(SECRET) - 5)}
        assert not [part for part in parts if part in sent]


def run(cell: str, session: Any, **names: Any) -> dict[str, Any]:
    """What a cell leaves behind; the lines that only IPython knows are left out."""
    code = "\n".join(line for line in cell.splitlines() if not line.startswith(("%", "!")))
    scope: dict[str, Any] = {"session": session, **names}
    exec(compile(code, "cell", "exec"), scope)  # it is ours
    return scope


async def test_every_cell_does_what_choosing_would(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or SECRET)
    monkeypatch.setattr(os, "environ", {**os.environ})  # where the cells put the key
    used: list[dict[str, Any]] = []
    stand_in = SimpleNamespace(use=lambda **parts: used.append(parts))
    async with shown() as (_, page):
        for stage in ("hears", "thinks", "speaks"):
            for name, offer in (await menu(page, stage)).items():
                model = offer["models"][0] if offer["any_model"] else ""
                assert SECRET not in offer["cell"]
                asked.clear()
                run(offer["cell"].replace("{model}", model), stand_in)
                [(part, made)] = used.pop().items()
                assert part == offer["part"]
                assert (None if made is None else type(made).__name__) == name
                assert made is None or not model or made.model == model
                assert bool(asked) is offer["why"].startswith("Not set"), name


def test_a_value_is_written_as_python_reads_it() -> None:
    value = {"city": 'R"o\\m\ne', "wind": [1.5, -2, True, None], "back": "\u202eabc", "far": "東京 é 😀", "alone": "\ud800"}
    text = cells.literal(value)
    assert eval(text) == value  # what we wrote
    assert "\u202e" not in text and "東京" in text
    assert str(eval(cells.literal(float("inf")))) == "inf"


async def test_the_session_goes_by_its_name_in_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown() as (session, page):
        namespace: dict[str, Any] = {"call": session, "_": session, "other": 1}
        monkeypatch.setattr(cells, "get_ipython", lambda: SimpleNamespace(user_ns=namespace))
        assert "call.use(llm=" in (await menu(page, "thinks"))["AnthropicLLM"]["cell"]
        namespace["again"] = session
        assert "session.use(llm=" in (await menu(page, "thinks"))["AnthropicLLM"]["cell"]
