"""What was really sent and answered: kept beside the log for each vendor, in its own words, without keys, and within bounds."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from talking import bodies, until
from ways import FIVE, KEY, WAYS, Vendor, Way

from patter_nb import Agent, OpenAICompatibleLLM, Patter, tool
from patter_nb.console.picture import Picture
from patter_nb.display import mimebundle
from patter_nb.errors import PatterError
from patter_nb.events import Body, LLMRequested, PreemptiveDropped, PreemptiveStarted, RequestAnswered, RequestSent
from patter_nb.llm.fallback import FallbackLLM
from patter_nb.llm.wire.attempt import ANSWER_ROOM, Answered, Attempt, Sent
from patter_nb.llm.wire.recording import Attempts
from patter_nb.session import Session
from patter_nb.step.scene import Happened
from patter_nb.testing import Call, ScriptedLLM, WireServer
from patter_nb.testing.scripted import Hold
from patter_nb.testing.wire import HttpError, Reasoning, Usage
from patter_nb.turns import Turns

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # google-genai's own

SECRET = "sk-live-7d1e94c2aa0b5f36"
five = pytest.mark.parametrize("vendor", FIVE, ids=[vendor.name for vendor in FIVE])
by_wire_and_client = pytest.mark.parametrize(
    "way", [way for way in WAYS.values() if way.vendor in FIVE], ids=[way.name for way in WAYS.values() if way.vendor in FIVE]
)


@tool
def get_weather(city: str) -> str:
    """Look up the weather."""
    return f"{city}: sunny."


ASKED: list[Any] = [[Call("get_weather", {"city": "Rome"}), Usage(70, 5, cache_read=30)], ["It is", " sunny."]]


@asynccontextmanager
async def session_of(llm: Any) -> AsyncIterator[Session]:
    async with Patter().serve(Agent(llm=llm, tools=(get_weather,), system_prompt="Be brief."), name="kept") as session:
        yield session


def llm_of(vendor: Vendor, server: WireServer, key: str = KEY, **options: Any) -> Any:
    llm = vendor.llm(key, base_url=vendor.base_url(server), model=vendor.model, **options)
    llm.retrying = replace(llm.retrying, base_s=0.001)
    return llm


def everything(session: Session) -> bytes:
    """All that is kept of a session and all that is shown of it."""
    log = io.StringIO()
    session.events.write(log)
    things = [session, session.turns, session.events, session.requests, session.chunks, session.costs(), *session.turns, *session.requests]
    shown = [text for thing in things for text in mimebundle(thing).values()]
    kept = pickle.dumps([list(session.events.attempts), [event.to_dict() for event in session.events]])
    told = [repr(thing) for thing in (*session.requests, *session.events.attempts)]
    return b"\n".join((kept, log.getvalue().encode(), *(text.encode() for text in (*shown, *told))))


# --- five vendors


@five
async def test_what_is_kept_is_what_the_server_got_and_said(vendor: Vendor) -> None:
    async with WireServer(ASKED) as server, session_of(llm_of(vendor, server)) as session:
        turn = await session.ask("Rome?")
        for request, came in zip(turn.requests, [came for came in server.requests if came.raw], strict=True):
            sent, answered = request.sent, request.answered
            assert sent is not None and answered is not None and sent.url is not None
            assert sent.body == came.body
            assert (sent.method, sent.size) == (came.method, len(came.raw))
            assert sent.plain_size == len(json.dumps(came.body, ensure_ascii=False, separators=(",", ":")).encode())
            assert came.path in sent.url
            harmless = {name.lower(): value for name, value in sent.headers.items() if value != "[redacted]"}
            assert harmless.items() <= came.headers.items()
            assert (answered.status, answered.is_complete, answered.is_whole) == (200, True, True)
            assert answered.headers["Content-Type"].startswith("text/event-stream")
            assert answered.events
            assert answered.first_byte_ms is not None and answered.total_ms is not None and answered.first_byte_ms <= answered.total_ms
        assert (turn.requests[0].cached, turn.requests[0].finish_reason) == (0.3, "tool_calls")


async def test_the_same_tool_is_told_in_each_vendors_words() -> None:
    told: dict[str, Any] = {}
    for vendor in FIVE:
        async with WireServer(ASKED) as server, session_of(llm_of(vendor, server)) as session:
            sent = (await session.ask("Rome?")).requests[0].sent
            assert sent is not None
            told[vendor.name] = sent.body["tools"]
    assert told["openai"] == told["groq"] == told["cerebras"]
    assert told["openai"][0]["function"]["parameters"]["properties"] == {"city": {"type": "string"}}
    assert told["anthropic"][0]["input_schema"]["properties"] == {"city": {"type": "string"}}
    assert told["google"][0]["functionDeclarations"][0]["parameters"]["properties"]["city"]["type"].lower() == "string"
    names = (told["openai"][0]["function"], told["anthropic"][0], told["google"][0]["functionDeclarations"][0])
    assert [each["name"] for each in names] == ["get_weather"] * 3


async def test_only_a_packed_body_saves_bytes() -> None:
    saved = {}
    for vendor in FIVE:
        async with WireServer(ASKED) as server, session_of(llm_of(vendor, server)) as session:
            sent = (await session.ask("Rome? " * 50)).requests[1].sent
            assert sent is not None and sent.size is not None
            saved[vendor.name] = sent.saved
            assert sent.saved == sent.plain_size - sent.size
    assert {name for name, much in saved.items() if much} == {"cerebras"}


@by_wire_and_client
async def test_no_key_is_kept_or_shown(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ways.KEY", SECRET)
    async with WireServer(ASKED, key=SECRET) as server, way.to(server) as llm, session_of(llm) as session:
        await session.ask("Rome?")
        assert SECRET in " ".join(server.requests[0].headers.values()), "it was really sent"
        assert len(session.events.attempts) == 2
        assert SECRET.encode() not in everything(session)


@five
async def test_a_key_that_the_server_repeats_is_not_kept_either(vendor: Vendor) -> None:
    async with WireServer([HttpError(401, f"Incorrect API key provided: {SECRET}")], key=SECRET) as server:
        async with session_of(llm_of(vendor, server, SECRET)) as session:
            turn = await session.ask("Rome?")
            assert turn.status == "failed"
            (attempt,) = turn.requests[0].attempts
            assert attempt.answered is not None and attempt.answered.status == 401
            assert "[redacted]" in json.dumps(attempt.answered.events)
            assert "Incorrect API key provided: [redacted]" in str(attempt.error)
            assert SECRET.encode() not in everything(session)


@by_wire_and_client
async def test_a_key_that_the_person_reads_out_is_not_kept_of_what_was_sent(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ways.KEY", SECRET)
    async with WireServer([["Never say that."]], key=SECRET) as server, way.to(server) as llm, session_of(llm) as session:
        turn = await session.ask(f"Is {SECRET} my key?")
        assert SECRET in json.dumps(server.bodies), "it was really sent"
        assert turn.requests[0].sent is not None
        assert "Is [redacted] my key?" in json.dumps(turn.requests[0].sent.body)


async def test_a_key_is_hidden_while_the_answer_still_comes() -> None:
    more = asyncio.Event()
    async with WireServer([["Your key is ", SECRET, Hold(more), "."]], key=SECRET) as server:
        async with session_of(llm_of(FIVE[0], server, SECRET)) as session:
            asking = session.loop.create_task(session.ask("Say it."))
            await until(lambda: len(session.chunks) >= 2)
            (attempt,) = session.events.attempts
            assert attempt.answered is not None and attempt.answered.total_ms is None
            assert "Your key is " in json.dumps(attempt.answered.events)
            assert SECRET not in json.dumps(attempt.answered.events)
            more.set()
            await asking


async def test_headers_of_ones_own_and_a_query_are_told_by_their_names() -> None:
    async with WireServer([["Yes."]], key=None) as server:
        llm = OpenAICompatibleLLM(
            base_url=server.openai_url, model="test-model", extra_headers={"X-Tenant": "acme-corp-7", "X-Title": "Mine"}
        )
        async with session_of(llm) as session:
            sent = (await session.ask("Hello?")).requests[0].sent
            assert sent is not None
            assert (sent.headers["X-Tenant"], sent.headers["X-Title"]) == ("[redacted]", "Mine")


# --- again, and in vain


@five
async def test_each_attempt_is_kept_with_what_it_came_to(vendor: Vendor) -> None:
    replies = [HttpError(429, "Slow down.", headers={"retry-after-ms": "1"}), *ASKED]
    async with WireServer(replies) as server, session_of(llm_of(vendor, server)) as session:
        first, second = (await session.ask("Rome?")).requests
        assert (len(first.attempts), len(second.attempts)) == (2, 1)
        refused, whole = first.attempts
        assert refused.answered is not None and whole.answered is not None
        assert (refused.attempt, refused.answered.status, refused.error) == (1, 429, "Slow down.")
        assert refused.answered.headers["retry-after-ms"] == "1"
        assert "Slow down." in json.dumps(refused.answered.events)
        assert (whole.attempt, whole.answered.status, whole.error) == (2, 200, None)
        assert refused.sent.body == whole.sent.body
        assert [(sent.number, sent.attempt) for sent in bodies(session, RequestSent)] == [(0, 1), (1, 2), (2, 1)]
        assert [(told.number, told.status, told.error) for told in bodies(session, RequestAnswered)] == [
            (0, 429, "Slow down."),
            (1, 200, None),
            (2, 200, None),
        ]


async def test_a_vendor_that_cannot_be_reached_has_an_error_and_no_answer() -> None:
    async with WireServer() as server:
        url = server.openai_url
    llm = OpenAICompatibleLLM("sk-of-mine-123", base_url=url, model="test-model", max_retries=0)
    async with session_of(llm) as session:
        (request,) = (await session.ask("Hello?")).requests
        assert request.answered is None
        assert request.sent is not None and request.sent.body["model"] == "test-model"
        assert "could not be reached" in str(request.attempts[0].error)
        assert b"sk-of-mine-123" not in everything(session)


async def test_of_an_answer_that_was_interrupted_what_had_come_is_kept() -> None:
    async with (
        WireServer([["It is", Hold(asyncio.Event()), " sunny."], ["Yes."]]) as server,
        session_of(llm_of(FIVE[0], server)) as session,
    ):
        asking = session.loop.create_task(session.ask("Rome?"))
        await until(lambda: bool(session.chunks))
        await session.ask("And Oslo?")
        await asking
        first, second = session.requests
        await until(lambda: first.answered is not None and first.answered.total_ms is not None)
        assert first.answered is not None and second.answered is not None
        assert (first.answered.is_complete, second.answered.is_complete) == (False, True)
        assert "It is" in json.dumps(first.answered.events)
        assert first.attempts[0].error is None


async def test_who_answers_in_place_of_another_has_an_attempt_of_its_own() -> None:
    async with WireServer([HttpError(500, "Out of order.")]) as broken, WireServer([["Yes."]]) as server:
        llm = FallbackLLM([llm_of(FIVE[0], broken, max_retries=0), llm_of(FIVE[3], server)])
        async with session_of(llm) as session:
            (request,) = (await session.ask("Hello?")).requests
            assert [attempt.provider for attempt in request.attempts] == [FIVE[0].name, FIVE[3].name]
            assert request.sent is not None and request.sent.body == server.bodies[0]


# --- a vendor's own client


@pytest.mark.parametrize("vendor", FIVE, ids=[vendor.name for vendor in FIVE])
async def test_of_a_client_is_told_what_is_known(vendor: Vendor) -> None:
    async with WireServer(ASKED) as server, Way(vendor, by_client=True).to(server) as llm, session_of(llm) as session:
        request = (await session.ask("Rome?")).requests[0]
        assert request.sent is not None and request.answered is not None
        assert (request.sent.url, request.sent.size, request.sent.headers) == (None, None, {})
        assert "get_weather" in json.dumps(request.sent.body["tools"])
        assert request.answered.events and "Rome" in json.dumps(request.answered.events)
        assert "sdkHttpResponse" not in json.dumps(request.answered.events), "it holds every header"
        assert "sent by the vendor's own client" in mimebundle(request)["text/plain"]


async def test_a_client_that_is_refused_says_so() -> None:
    async with WireServer([HttpError(400, "No such thing.")]) as server, Way(FIVE[0], by_client=True).to(server) as llm:
        async with session_of(llm) as session:
            (attempt,) = (await session.ask("Rome?")).requests[0].attempts
            assert attempt.answered is not None
            assert (attempt.answered.status, attempt.answered.is_complete) == (400, False)
            assert "No such thing." in str(attempt.error)


# --- bounds


async def test_of_an_endless_answer_the_beginning_is_kept() -> None:
    thought = Reasoning("word " * 20_000)
    async with WireServer([[thought, thought, thought, "Done."]]) as server, session_of(llm_of(FIVE[0], server)) as session:
        answered = (await session.ask("Talk.")).requests[0].answered
        assert answered is not None and answered.raw is not None
        assert answered.size > ANSWER_ROOM == len(answered.raw)
        assert not answered.is_whole
        assert answered.events is not None and len(answered.events) >= 1
        assert "Of this answer only the beginning is kept." in mimebundle(session.requests[0])["text/html"]


def test_an_hour_of_requests_stays_small_and_keeps_its_figures() -> None:
    attempts = Attempts(room=1_000_000)
    for number in range(500):
        attempt = attempts.begin("openai", "m", 1, "wire", Sent("POST", "https://v.example", {}, 900, 20_000, b"7" * 20_000))
        attempt.answered = Answered(200, {}, total_ms=3.0, size=5_000, _pieces=[b"x" * 5_000])
        attempts.keep(attempt)
        assert attempts.kept_bytes <= 1_000_000, number
    assert len(attempts) == 500
    assert (attempts[0].sent.body, attempts[0].sent.plain_size) == (None, 20_000)
    first, last = attempts[0].answered, attempts[-1].answered
    assert first is not None and last is not None
    assert (first.events, first.raw, first.size, first.is_whole) == (None, None, 5_000, False)
    assert last.raw == b"x" * 5_000


async def test_where_nobody_keeps_anything_nothing_is_kept() -> None:
    async with session_of(ScriptedLLM(["Hello."])) as session:
        (request,) = (await session.ask("Hi")).requests
        assert (request.sent, request.answered, request.attempts, len(session.events.attempts)) == (None, None, [], 0)
        assert not bodies(session, RequestSent, RequestAnswered)
    async with WireServer([["Yes."]]) as server:
        assert [chunk.type async for chunk in llm_of(FIVE[0], server).stream([{"role": "user", "content": "Hi"}])][-1] == "done"


async def test_a_log_that_is_read_tells_the_figures() -> None:
    async with WireServer(ASKED) as server, session_of(llm_of(FIVE[2], server)) as session:
        live = (await session.ask("Rome?")).requests[0]
        read = Turns()
        for event in session.events:
            read.fold(event)
    (first, _) = read[0].requests
    assert live.sent is not None and live.answered is not None and first.sent is not None and first.answered is not None
    assert (first.sent.url, first.sent.size, first.sent.plain_size) == (live.sent.url, live.sent.size, live.sent.plain_size)
    assert (first.answered.status, first.answered.total_ms) == (200, live.answered.total_ms)
    assert (first.sent.body, first.answered.events) == (None, None)
    assert "no longer kept" in mimebundle(first)["text/html"].lower()


async def test_an_answer_that_was_begun_early_and_dropped_may_end_late() -> None:
    """It has no turn then, and nobody who reads the log may trip over it."""
    sent = RequestSent(0, "llm", 1, "openai", "m", 1, "https://v.example", 90, 90)
    async with session_of(ScriptedLLM(["Hello."])) as session:
        picture = Picture(session)
        session.events.subscribe(picture.fold)
        told: list[Body] = [PreemptiveStarted("Rome"), LLMRequested(1, "openai", "m", True, (), 0, ()), sent]
        told += [PreemptiveDropped("the person went on"), RequestAnswered(0, 200, None, 1.0, 2.0, 10)]
        session.events.attempts.begin("openai", "m", 1, "wire", Sent("POST", "https://v.example", {}, 90, 90, b"{}"))
        for body in told:
            session.events.append(Happened(1, 0, body), 0.0, 0.0)
        turn = await session.ask("Hi")
        assert picture.drain()
        (dropped,) = turn.thrown_away
        assert dropped.attempts == [session.events.attempts[0]]
        assert session.requests[0] is dropped
        assert list(session.requests.to_pandas().wasted) == [True, False]


def test_an_attempt_is_what_it_says() -> None:
    attempt = Attempt(0, "p", None, 1, "wire", Sent("POST", "https://v.example", {}, 10, 8, b'{"a": 1}'))
    assert attempt.sent.body == {"a": 1}
    assert attempt.sent.saved == 0, "packing may make it larger, which saves nothing"
    refused = Answered(500, {}, _pieces=[b"<html>Bad gateway"], _is_stream=False)
    assert refused.events == ["<html>Bad gateway"]
    with pytest.raises(AttributeError, match="cannot be set"):
        attempt.sent.body = 3  # type: ignore[misc]


async def test_an_error_does_not_tell_the_key_of_its_address() -> None:
    llm = OpenAICompatibleLLM(base_url="http://127.0.0.1:9/v1?token=abcdefghijk", model="m", max_retries=0)
    with pytest.raises(PatterError) as caught:
        async for _ in llm.stream([{"role": "user", "content": "Hi"}]):
            pass
    assert "abcdefghijk" not in str(caught.value)
