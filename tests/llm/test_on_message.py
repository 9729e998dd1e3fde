"""One's own logic in the place of a language model: every form of it, over real connections, in a session."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import itertools
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from local_web import saying, serving
from talking import bodies, until

import patter_nb
from patter_nb.clock import ManualClock
from patter_nb.errors import (
    AuthenticationError,
    BadRequest,
    ConnectionFailed,
    MalformedStream,
    PatterConfigError,
    PatterError,
    RequestTimeout,
    ServerError,
    TruncatedStream,
)
from patter_nb.events import AgentChanged, LLMRequested, SentenceSpoken
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.on_message import MessageURL, OnMessageLLM, remote
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.tasks import closing
from patter_nb.testing import ScriptedLLM, ScriptedTTS
from patter_nb.transports.keyboard import KeyboardTransport

phone = Patter()


@asynccontextmanager
async def answering(handler: Any, **parts: Any) -> AsyncIterator[Session]:
    """A session in which `handler` answers."""
    transport = KeyboardTransport(ManualClock())
    async with phone.serve(phone.agent(**parts), on_message=handler, transport=transport, name="test") as session:
        yield session


async def said(handler: Any, text: str = "Hi", **options: Any) -> str:
    """What `handler` answers outside a session."""
    return "".join([chunk.content or "" async for chunk in chunks_of(OnMessageLLM(handler), text, **options)])


async def chunks_of(llm: OnMessageLLM, text: str = "Hi", **options: Any) -> AsyncIterator[LLMChunk]:
    try:
        async with closing(llm.stream([{"role": "user", "content": text}], **options)) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        await llm.aclose()


# --- functions


def plain(message: dict[str, Any]) -> str:
    return f"You said {message['text']}."


async def coroutine(message: dict[str, Any]) -> str:
    await asyncio.sleep(0)
    return plain(message)


def generator(message: dict[str, Any]) -> Iterator[str]:
    yield "You said "
    yield f"{message['text']}."


async def async_generator(message: dict[str, Any]) -> AsyncIterator[str]:
    for piece in generator(message):
        yield piece
        await asyncio.sleep(0)


class Answerer:
    def __call__(self, message: dict[str, Any]) -> str:
        return plain(message)

    async def method(self, message: dict[str, Any]) -> str:
        return plain(message)


class AsyncAnswerer:
    async def __call__(self, message: dict[str, Any]) -> str:
        return plain(message)


FORMS = {
    "function": plain,
    "coroutine": coroutine,
    "generator": generator,
    "async generator": async_generator,
    "object": Answerer(),
    "async object": AsyncAnswerer(),
    "bound method": Answerer().method,
    "partial": functools.partial(lambda extra, message: plain(message), 1),
    "function that returns a coroutine": lambda message: coroutine(dict(message)),
    "function that returns an async generator": lambda message: async_generator(dict(message)),
    "function that returns a generator": lambda message: generator(dict(message)),
    "function that returns an iterator": lambda message: iter(["You said ", f"{message['text']}."]),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_function_answers(form: str) -> None:
    async with answering(FORMS[form]) as session:
        turn = await session.ask("hello")
    assert (turn.status, turn.agent_text) == ("completed", "You said hello.")
    assert [chunk.type for chunk in session.chunks][-1] == "done"
    assert turn.cost == 0
    assert bodies(session, LLMRequested)[0].costs is False


async def test_a_streamed_answer_arrives_piece_by_piece() -> None:
    free = asyncio.Event()

    async def answer(message: dict[str, Any]) -> AsyncIterator[str]:
        yield "One. "
        await free.wait()
        yield "Two."

    async with answering(answer) as session:
        asking = asyncio.create_task(session.ask("Count."))
        await until(lambda: session.chunks)
        assert [chunk.content for chunk in session.chunks] == ["One. "]
        free.set()
        assert (await asking).agent_text == "One. Two."


@pytest.mark.parametrize("form", [plain, generator])
async def test_what_is_plain_runs_off_the_loop(form: Any) -> None:
    ran_on: list[threading.Thread] = []

    @functools.wraps(form)
    def answer(message: dict[str, Any]) -> Any:
        ran_on.append(threading.current_thread())
        return form(message)

    assert await said(answer) == "You said Hi."
    assert ran_on and threading.current_thread() not in ran_on


async def test_a_blocking_function_does_not_hold_the_loop() -> None:
    free = threading.Event()

    def answer(message: dict[str, Any]) -> str:
        assert free.wait(60)
        return "Free."

    async with answering(answer) as session:
        asking = asyncio.create_task(session.ask("Hi"))
        await until(lambda: bodies(session, LLMRequested))
        free.set()
        assert (await asking).agent_text == "Free."


async def test_a_plain_generator_runs_on_one_thread_and_is_closed_there() -> None:
    threads: list[int] = []
    closed = threading.Event()

    def answer(message: dict[str, Any]) -> Iterator[str]:
        try:
            for n in itertools.count():
                threads.append(threading.get_ident())
                yield f"{n} "
        finally:
            threads.append(threading.get_ident())
            closed.set()

    stream = chunks_of(OnMessageLLM(answer))
    assert [(await anext(stream)).content for _ in range(3)] == ["0 ", "1 ", "2 "]
    await stream.aclose()  # type: ignore[attr-defined]
    assert closed.wait(30)
    assert len(set(threads)) == 1


async def test_an_async_generator_may_keep_a_timeout_around_its_yields() -> None:
    async def answer(message: dict[str, Any]) -> AsyncIterator[str]:
        async with asyncio.timeout(60):
            yield "One "
            await asyncio.sleep(0)
            yield "two."

    assert await said(answer, cancel_event=asyncio.Event()) == "One two."


# --- the message


async def test_the_message_is_one_dict_with_the_history_up_to_now() -> None:
    seen: list[dict[str, Any]] = []
    clock = itertools.count(1000.0, 10.0)

    def answer(message: dict[str, Any]) -> str:
        seen.append(message)
        return f"Answer {len(seen)}."

    llm = OnMessageLLM(answer, now_s=lambda: next(clock))
    agent = phone.agent("You are terse.", llm=llm, first_message="Hello.")
    async with phone.serve(agent, transport=KeyboardTransport(ManualClock()), name="test") as session:
        await until(lambda: session.history)
        await session.ask("First?")
        await session.ask("Second?")
    assert seen[0] == {
        "text": "First?",
        "call_id": "test",
        "caller": "",
        "callee": "",
        "history": [
            {"role": "assistant", "text": "Hello.", "timestamp": 1000.0},
            {"role": "user", "text": "First?", "timestamp": 1000.0},
        ],
    }
    assert seen[1]["history"] == [
        *seen[0]["history"],
        {"role": "assistant", "text": "Answer 1.", "timestamp": 1010.0},
        {"role": "user", "text": "Second?", "timestamp": 1020.0},
    ]


async def test_what_was_said_before_a_failed_answer_is_an_entry_of_its_own() -> None:
    seen: list[dict[str, Any]] = []
    clock = itertools.count(0.0, 10.0)

    def answer(message: dict[str, Any]) -> str:
        seen.append(message)
        if message["text"].startswith("Break"):
            raise RuntimeError
        return "Fine."

    llm = OnMessageLLM(answer, now_s=lambda: next(clock))
    async with phone.serve(phone.agent(llm=llm), transport=KeyboardTransport(ManualClock()), name="test") as session:
        for text in ("One.", "Break.", "Break\nagain.", "Two.", "Three."):
            await session.ask(text)
    assert [message["text"] for message in seen] == ["One.", "Break.", "Break\nagain.", "Two.", "Three."]
    assert [(entry["role"], entry["text"], entry["timestamp"]) for entry in seen[-1]["history"]] == [
        ("user", "One.", 0.0),
        ("assistant", "Fine.", 10.0),
        ("user", "Break.", 20.0),
        ("user", "Break\nagain.", 30.0),
        ("user", "Two.", 40.0),
        ("assistant", "Fine.", 50.0),
        ("user", "Three.", 60.0),
    ]


async def test_an_interrupted_answer_is_in_the_history_as_far_as_it_was_heard() -> None:
    seen: list[dict[str, Any]] = []

    async def answer(message: dict[str, Any]) -> AsyncIterator[str]:
        seen.append(message)
        yield "This is the first part of it. "
        yield "And "
        if message["text"] == "Tell.":
            await asyncio.Event().wait()
        yield "the second."

    async with answering(answer) as session:
        first = asyncio.create_task(session.ask("Tell."))
        await until(lambda: bodies(session, SentenceSpoken))
        await session.ask("Stop.")
        await first
        await session.ask("And now?")
    told = [[(entry["role"], entry["text"]) for entry in message["history"]] for message in seen]
    assert told[1] == [("user", "Tell."), ("assistant", "This is the first part of it."), ("user", "Stop.")]
    assert told[2][-2:] == [("assistant", "This is the first part of it. And the second."), ("user", "And now?")]


async def test_the_handler_may_change_its_message() -> None:
    def answer(message: dict[str, Any]) -> str:
        message["history"].clear()
        return str(message.pop("text"))

    async with answering(answer) as session:
        assert [(await session.ask(text)).agent_text for text in ("One", "Two")] == ["One", "Two"]
        assert len(session.history) == 4


async def test_another_sessions_times_are_forgotten() -> None:
    seen: list[Any] = []
    clock = itertools.count(0.0, 1.0)
    llm = OnMessageLLM(lambda message: seen.append(message["history"][0]["timestamp"]) or "Yes.", now_s=lambda: next(clock))
    for call_id in ("a", "a", "b"):
        [chunk async for chunk in llm.stream([{"role": "user", "content": "Hi"}], call_id=call_id)]
    assert seen == [0.0, 0.0, 4.0]


async def test_the_greeting_is_spoken_also_where_a_function_answers() -> None:
    tts = ScriptedTTS()
    async with answering(plain, first_message="Good day.", tts=tts) as session:
        await until(lambda: session.history)
        await session.ask("Hi")
    assert tts.said == ["Good day.", "You said Hi."]


# --- what goes wrong


@pytest.mark.parametrize("nothing", [None, "", "  \n"])
async def test_an_empty_answer_is_an_error_and_not_silence(nothing: str | None) -> None:
    async with answering(lambda message: nothing) as session:
        turn = await session.ask("Hi")
    assert turn.status == "failed"
    assert isinstance(turn.error, MalformedStream) and "answered with nothing" in str(turn.error)


async def test_a_generator_of_nothing_is_an_error() -> None:
    async def answer(message: dict[str, Any]) -> AsyncIterator[str]:
        return
        yield ""

    with pytest.raises(MalformedStream, match="answered with nothing"):
        await said(answer)


@pytest.mark.parametrize("wrong", [3, {"text": "Hi"}, ["Hi"], b"Hi"])
async def test_what_is_no_text_is_an_error(wrong: Any) -> None:
    with pytest.raises(MalformedStream, match=type(wrong).__name__):
        await said(lambda message: wrong)


@pytest.mark.parametrize("form", [plain, coroutine, generator, async_generator])
async def test_an_exception_fails_the_turn_and_the_next_one_works(form: Any) -> None:
    def broken(message: dict[str, Any]) -> Any:
        return form({} if message["text"] == "Break" else message)

    tts = ScriptedTTS()
    async with answering(broken, tts=tts, error_message="Sorry.") as session:
        turn = await session.ask("Break")
        again = await session.ask("Hi")
    assert turn.status == "failed"
    assert isinstance(turn.error, PatterError) and "KeyError: 'text'" in str(turn.error)
    assert isinstance(turn.error.__cause__, KeyError)
    assert (again.status, again.agent_text) == ("completed", "You said Hi.")
    assert "Sorry." in tts.said


async def test_an_error_of_ours_is_raised_as_it_is() -> None:
    def answer(message: dict[str, Any]) -> str:
        raise RequestTimeout("mine")

    with pytest.raises(RequestTimeout, match="mine"):
        await said(answer)


# --- cancellation


async def test_an_interruption_closes_an_async_generator() -> None:
    closed: list[str] = []

    async def answer(message: dict[str, Any]) -> AsyncIterator[str]:
        try:
            yield f"{message['text']} "
            if message["text"] == "Wait":
                await asyncio.Event().wait()
        finally:
            closed.append(message["text"])

    async with answering(answer) as session:
        first = asyncio.create_task(session.ask("Wait"))
        await until(lambda: session.chunks)
        second = await session.ask("Go")
        assert (await first).status == "interrupted"
        assert closed == ["Wait", "Go"]
    assert second.status == "completed"


@pytest.mark.parametrize("first", [True, False])
async def test_a_cancel_event_ends_it_also_while_it_hangs(first: bool) -> None:
    cancel, closed = asyncio.Event(), asyncio.Event()

    async def answer(message: dict[str, Any]) -> AsyncIterator[str]:
        try:
            if first:
                yield "One "
            await asyncio.Event().wait()
        finally:
            closed.set()

    seen = []
    asyncio.get_running_loop().call_soon(cancel.set)
    async for chunk in chunks_of(OnMessageLLM(answer), cancel_event=cancel):
        seen.append(chunk)
    assert (seen[-1].type, seen[-1].finish_reason) == ("done", "cancelled")
    assert closed.is_set()


async def test_a_stream_that_is_left_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    stream = chunks_of(OnMessageLLM(async_generator), cancel_event=asyncio.Event())
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert asyncio.all_tasks() == before


# --- serve and use


@pytest.mark.parametrize("where", ["agent", "serve"])
async def test_llm_and_on_message_together_are_an_error_at_serve(where: str) -> None:
    llm = ScriptedLLM([])
    agent = phone.agent(llm=llm if where == "agent" else None)
    with pytest.raises(PatterConfigError, match="on_message"):
        phone.serve(agent, llm=llm if where == "serve" else None, on_message=plain)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (3, "neither a function nor a URL"),
        ("ftp://example.com", "scheme"),
        ("http://127.0.0.1/", "loopback"),
        ("wss://localhost/", "localhost"),
        ("hello", "scheme"),
        (lambda: "Hi", "one message"),
        (lambda message, control: "Hi", "one message"),
        (Answerer, "neither a function"),
        (ScriptedLLM([]), "Pass it as llm="),
    ],
)
async def test_what_cannot_answer_is_refused_at_serve(wrong: Any, told: str) -> None:
    with pytest.raises(PatterConfigError, match=told):
        phone.serve(phone.agent(), on_message=wrong)


def test_on_message_is_no_part_of_an_agent() -> None:
    with pytest.raises(TypeError, match="on_message"):
        phone.agent(on_message=plain)


async def test_use_sets_one_and_clears_the_other() -> None:
    llm = ScriptedLLM(["From the model.", "Again."])
    async with phone.serve(phone.agent(llm=llm), transport=KeyboardTransport(ManualClock()), name="test") as session:
        assert (session.llm, session.on_message) == (llm, None)
        changed = session.use(on_message=plain)
        assert isinstance(changed, AgentChanged) and changed.changes["llm"] == ("scripted script", "on_message plain")
        assert (session.llm, session.on_message) == (None, plain)
        assert (await session.ask("Hi")).agent_text == "You said Hi."
        session.llm = llm
        assert (session.llm, session.on_message) == (llm, None)
        assert (await session.ask("Hi")).agent_text == "From the model."
        session.on_message = coroutine
        session.on_message = None
        assert (session.llm, session.on_message) == (None, None)
        session.use(llm=llm, on_message=None)
        assert (await session.ask("Hi")).agent_text == "Again."


async def test_use_refuses_both_and_what_cannot_answer() -> None:
    async with answering(plain) as session:
        with pytest.raises(PatterConfigError, match="on_message= and llm="):
            session.use(on_message=coroutine, llm=ScriptedLLM([]))
        with pytest.raises(PatterConfigError, match="neither"):
            session.on_message = 3
        assert session.on_message is plain


async def test_serving_again_under_the_same_name_takes_over_the_new_function() -> None:
    async with answering(plain) as session:
        again = await phone.serve(phone.agent(), on_message=lambda message: "New.", name="test")
        assert again is session
        assert (await session.ask("Hi")).agent_text == "New."


# --- over HTTP


def at(server: Any, path: str = "/", **options: Any) -> MessageURL:
    return MessageURL(f"{server.url}{path}", allow_hosts=[server.host], **options)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (saying({"text": "Hello."}), "Hello."),
        (saying({"text": "Hello.", "more": 1}), "Hello."),
        (saying("Hello."), "Hello."),
        (saying(42), "42"),
    ],
)
async def test_json_of_a_url_is_spoken(answer: Any, text: str) -> None:
    async with serving(answer) as server:
        assert await said(at(server)) == text


async def test_plain_text_of_a_url_is_spoken_and_the_url_is_posted_the_message() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text='{"text": "as it is"}', content_type="text/plain")

    async with serving(answer) as server:
        async with answering(at(server, "/answer")) as session:
            turn = await session.ask("Grüezi")
    assert turn.agent_text == '{"text": "as it is"}'
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/answer")
    assert {key: value for key, value in asked.json.items() if key != "history"} == {
        "text": "Grüezi",
        "call_id": "test",
        "caller": "",
        "callee": "",
    }
    assert [(entry["role"], entry["text"]) for entry in asked.json["history"]] == [("user", "Grüezi")]
    assert "x-patter-signature" not in asked.headers


async def test_the_body_is_signed_where_there_is_a_secret() -> None:
    async with serving(saying("Hi.")) as server:
        await said(at(server, secret="s3cret"))
    (asked,) = server.asked
    assert asked.headers["x-patter-signature"] == hmac.new(b"s3cret", asked.body, hashlib.sha256).hexdigest()


def test_a_secret_is_not_shown() -> None:
    for written in ("https://example.com/a?key=k3y", "https://example.com?key=k3y", "https://example.com#k3y"):
        url = MessageURL(written, secret="s3cret")
        llm = OnMessageLLM(url)
        assert llm.model == "example.com"
        assert "s3cret" not in repr(url) + repr(llm) and "k3y" not in repr(url) + repr(llm)


def test_message_url_is_a_public_name() -> None:
    assert patter_nb.MessageURL is MessageURL
    for wrong in ({"secret": ""}, {"secret": 3}, {"allow_hosts": "localhost"}):
        with pytest.raises(PatterConfigError):
            MessageURL("https://example.com", **wrong)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequest), (404, BadRequest), (401, AuthenticationError), (403, AuthenticationError), (500, ServerError)]
)
async def test_a_refusal_of_a_url_is_an_error_of_the_family(status: int, kind: type[PatterError]) -> None:
    async with serving(saying({"error": "no"}, status=status)) as server:
        with pytest.raises(kind, match=f"status {status}.*no") as raised:
            await said(at(server))
    assert raised.value.status == status
    assert len(server.asked) == 1


@pytest.mark.parametrize("value", [{}, {"answer": "Hi"}, ["Hi"], {"text": 3}, None])
async def test_json_without_text_is_an_error(value: Any) -> None:
    async with serving(saying(value)) as server:
        with pytest.raises(MalformedStream, match="holds no text"):
            await said(at(server))


async def test_a_page_is_no_answer() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="text/html")

    async with serving(answer) as server:
        with pytest.raises(MalformedStream, match="neither JSON nor text/plain"):
            await said(at(server))


@pytest.mark.parametrize(("size", "passes"), [(65_536, True), (65_537, False)])
async def test_64_kib_of_a_url_are_read(size: int, passes: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text="x" * size, content_type="text/plain")

    async with serving(answer) as server:
        if passes:
            assert len(await said(at(server))) == size
        else:
            with pytest.raises(MalformedStream, match="too much"):
                await said(at(server))


async def test_a_url_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "REPLY_S", 0.1)

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(answer) as server:
        with pytest.raises(RequestTimeout, match="did not answer within"):
            await said(at(server))


async def test_a_server_that_is_not_there() -> None:
    async with serving(saying("Hi.")) as server:
        url = at(server)
    with pytest.raises(ConnectionFailed, match="could not be reached"):
        await said(url)


async def test_a_redirect_of_a_url_into_the_network_is_refused() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://10.0.0.1/"})

    async with serving(answer) as server:
        with pytest.raises(PatterConfigError, match="private"):
            await said(at(server))


async def test_an_interruption_closes_the_connection() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if (await request.json())["text"] != "Wait":
            return web.json_response("Done.")
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    async with serving(answer) as server:
        async with answering(at(server)) as session:
            first = asyncio.create_task(session.ask("Wait"))
            await arrived.wait()
            assert (await session.ask("Go")).agent_text == "Done."
            assert (await first).status == "interrupted"
            async with asyncio.timeout(30):
                await gone.wait()


async def test_a_session_closes_the_connections_it_kept() -> None:
    async with serving(saying("Hi.")) as server:
        async with answering(at(server)) as session:
            await session.ask("Hi")
            llm = session.agent.llm
            assert isinstance(llm, OnMessageLLM) and llm._remote is not None and llm._remote._kept.is_open
        assert not llm._remote._kept.is_open


def test_plain_text_on_the_wire_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "patter_nb"):
        OnMessageLLM("http://example.com/answer")
        assert "plain text" in caplog.text
        caplog.clear()
        OnMessageLLM("https://example.com/answer")
        OnMessageLLM(MessageURL("http://127.0.0.1:1/", allow_hosts=["127.0.0.1"]))
        assert caplog.text == ""


# --- over a WebSocket


def speaking(*frames: Any, close: int | None = None, hang: bool = False) -> Any:
    """A server that waits for the message, sends these frames (text as it is, else JSON), and then closes or hangs."""

    async def answer(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        assert (await ws.receive()).type is WSMsgType.TEXT
        for frame in frames:
            await (
                ws.send_bytes(frame) if isinstance(frame, bytes) else ws.send_str(frame if isinstance(frame, str) else json.dumps(frame))
            )
        if hang:
            await ws.receive()
        await ws.close(code=1000 if close is None else close)
        return ws

    return answer


def socket_at(server: Any, **options: Any) -> MessageURL:
    return MessageURL(f"ws://{server.host}/talk", allow_hosts=[server.host], **options)


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([{"text": "One "}, {"text": "two."}, {"done": True}, {"text": "never"}], "One two."),
        (["Plain ", "words.", {"done": True}], "Plain words."),
        (['"A JSON string."', {"done": True}], "A JSON string."),
        (["42", " ", "true", {"done": True}], "42 true"),
        ([{"text": "Last.", "done": True}], "Last."),
        ([{"ping": 1}, {"text": None}, {"text": "Hi."}, {"done": True}], "Hi."),
        ([b"Bytes.", {"done": True}], "Bytes."),
        ([{"text": "No end, but closed in order."}], "No end, but closed in order."),
    ],
)
async def test_frames_of_a_socket_are_spoken(frames: list[Any], text: str) -> None:
    async with serving(speaking(*frames)) as server:
        assert await said(socket_at(server)) == text


async def test_a_socket_is_sent_one_message_and_streams_into_a_session() -> None:
    received: list[Any] = []
    free = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        received.append(await ws.receive_json())
        await ws.send_json({"text": "One. "})
        await free.wait()
        await ws.send_json({"text": "Two."})
        await ws.send_json({"done": True})
        await ws.receive()
        return ws

    async with serving(answer) as server:
        async with answering(socket_at(server, secret="s3cret")) as session:
            asking = asyncio.create_task(session.ask("Count."))
            await until(lambda: session.chunks)
            assert [chunk.content for chunk in session.chunks] == ["One. "]
            free.set()
            assert (await asking).agent_text == "One. Two."
    assert [(one["text"], one["call_id"], len(one["history"])) for one in received] == [("Count.", "test", 1)]
    signed = hmac.new(b"s3cret", json.dumps(received[0], ensure_ascii=False).encode(), hashlib.sha256).hexdigest()
    assert server.asked[0].headers["x-patter-signature"] == signed


async def test_a_socket_that_closes_without_a_word() -> None:
    async with serving(speaking()) as server:
        with pytest.raises(ConnectionFailed, match="before its first word"):
            await said(socket_at(server))


async def test_a_socket_that_breaks_off_keeps_what_it_said() -> None:
    async with serving(speaking({"text": "Half of"}, close=1011)) as server:
        with pytest.raises(TruncatedStream) as raised:
            await said(socket_at(server))
    assert raised.value.partial_text == "Half of"


async def test_a_frame_that_is_too_large() -> None:
    async with serving(speaking("x" * 70_000, hang=True)) as server:
        with pytest.raises(ConnectionFailed, match="broke off"):
            await said(socket_at(server))


async def test_a_socket_that_says_only_that_it_is_done() -> None:
    async with serving(speaking({"done": True})) as server:
        with pytest.raises(MalformedStream, match="answered with nothing"):
            await said(socket_at(server))


async def test_a_socket_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "REPLY_S", 0.1)
    async with serving(speaking({"text": "One"}, hang=True)) as server:
        with pytest.raises(RequestTimeout, match="sent nothing"):
            await said(socket_at(server))


async def test_an_http_answer_to_a_socket_is_an_error() -> None:
    async with serving(saying("Hi.", status=404)) as server:
        url = MessageURL(f"ws://{server.host}/talk?key=k3y", allow_hosts=[server.host])
        with pytest.raises(BadRequest, match="status 404") as raised:
            await said(url)
    assert "k3y" not in str(raised.value)


async def test_a_redirect_of_a_socket_is_refused() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"})

    async with serving(answer) as server:
        with pytest.raises(PatterConfigError, match="redirects"):
            await said(socket_at(server))


async def test_a_name_that_leads_here_is_refused_for_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr("patter_nb.tools.url_guard._system_resolve", resolve)
    async with serving(speaking("Secret.")) as server:
        with pytest.raises(PatterConfigError, match="loopback"):
            await said(f"ws://innocent.example:{server.port}/")
    assert server.asked == []


async def test_an_interruption_closes_the_socket() -> None:
    gone = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        text = (await ws.receive_json())["text"]
        await ws.send_json({"text": f"{text}. "})
        if text == "Wait":
            await ws.receive()
            gone.set()
        else:
            await ws.send_json({"done": True})
        return ws

    async with serving(answer) as server:
        async with answering(socket_at(server)) as session:
            first = asyncio.create_task(session.ask("Wait"))
            await until(lambda: session.chunks)
            assert (await session.ask("Go")).status == "completed"
            assert (await first).status == "interrupted"
            async with asyncio.timeout(30):
                await gone.wait()
