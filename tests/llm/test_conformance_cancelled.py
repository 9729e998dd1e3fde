"""However somebody stops listening, the socket is closed at once, no half-received call is left, and the next turn goes well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Literal, TypeAlias

import pytest
from ways import TOOL, USER, WAYS, Way, chunks_of, text_of, ways

from patter_nb.errors import ConnectionFailed
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.wire.vendor import VendorLLM
from patter_nb.testing import WireServer
from patter_nb.testing.wire import CallFragment, HttpError, KeepAlive, Stall

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # google-genai's own

CANCELLED = LLMChunk("done", finish_reason="cancelled")

Place: TypeAlias = Literal["before the head", "before the first event", "in text", "in arguments"]
PLACES: dict[Place, list[Any]] = {
    "before the head": [Stall()],
    "before the first event": [KeepAlive(), Stall()],
    "in text": ["Hello ", "there", Stall()],
    "in arguments": ["Wait.", CallFragment(0, "a", "get_weather", '{"city": "Ro'), Stall()],
}
WORDS: dict[Place, str] = {"before the head": "", "before the first event": "", "in text": "Hello there", "in arguments": "Wait."}

closing_ways = ways(but=["google-client"])
"""google-genai keeps the connection of a stream that was given up until its client is closed."""
every_place = pytest.mark.parametrize("place", PLACES)


class Listener:
    """Somebody who listens to an answer in a task of their own."""

    def __init__(self, llm: VendorLLM, *, cancel_event: asyncio.Event | None = None) -> None:
        self.got: list[LLMChunk] = []
        self.changed = asyncio.Event()
        self.stream: AsyncIterator[LLMChunk] = llm.stream([USER], [TOOL], cancel_event=cancel_event)
        self.task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        async for chunk in self.stream:
            self.got.append(chunk)
            self.changed.set()

    async def heard(self, words: str) -> None:
        """Until these words have come."""
        async with asyncio.timeout(10):
            while text_of(self.got) != words:
                self.changed.clear()
                await self.changed.wait()


async def reached(server: WireServer, listener: Listener, place: Place) -> None:
    await server.received()
    await listener.heard(WORDS[place])
    for _ in range(20):  # what the server sent before it stalls has come
        await asyncio.sleep(0)


def has_no_call(got: list[LLMChunk]) -> bool:
    """Whether what came would run nothing: there was no `done` that says calls are whole."""
    return not any(chunk.type == "done" and chunk.finish_reason == "tool_calls" for chunk in got)


@closing_ways
@every_place
async def test_a_cancel_event_closes_the_socket_and_says_cancelled(way: Way, place: Place) -> None:
    cancel = asyncio.Event()
    async with WireServer([PLACES[place], "Hello."]) as server, way.to(server) as llm:
        listener = Listener(llm, cancel_event=cancel)
        await reached(server, listener, place)
        cancel.set()
        await listener.task
        await server.closed(0)
        assert server.connections[0].closed_by == "client"
        assert listener.got[-1] == CANCELLED
        assert text_of(listener.got) == WORDS[place]
        assert not [chunk for chunk in listener.got if chunk.type == "usage"]
        assert text_of(await chunks_of(llm)) == "Hello."


@ways(but=[name for name in WAYS if name != "google-client"])
@every_place
async def test_googles_client_is_left_at_once_though_its_socket_stays(way: Way, place: Place) -> None:
    cancel = asyncio.Event()
    async with WireServer([PLACES[place], "Hello."]) as server:
        async with way.to(server) as llm:
            listener = Listener(llm, cancel_event=cancel)
            await reached(server, listener, place)
            cancel.set()
            await listener.task
            assert listener.got[-1] == CANCELLED
            assert text_of(await chunks_of(llm)) == "Hello."
        await server.closed(0)


@ways()
async def test_what_was_cancelled_before_is_not_asked(way: Way) -> None:
    cancel = asyncio.Event()
    cancel.set()
    async with WireServer() as server, way.to(server) as llm:
        assert await chunks_of(llm, cancel_event=cancel) == [CANCELLED]
    assert server.requests == []


@ways()
async def test_an_event_that_is_not_set_changes_nothing(way: Way) -> None:
    cancel = asyncio.Event()
    async with WireServer([["Hello ", "there."], "Again."]) as server, way.to(server) as llm:
        assert text_of(await chunks_of(llm, cancel_event=cancel)) == "Hello there."
        assert text_of(await chunks_of(llm, cancel_event=cancel)) == "Again."
    assert len(server.connections) == 1


@ways()
async def test_a_wait_before_asking_again_is_cancelled_too(way: Way) -> None:
    cancel = asyncio.Event()
    async with WireServer([HttpError(429, headers={"retry-after": "9"})]) as server, way.to(server) as llm:
        listener = Listener(llm, cancel_event=cancel)
        await server.received()
        cancel.set()
        await listener.task
    assert listener.got == [CANCELLED]
    assert len(server.requests) == 1


@closing_ways
@every_place
async def test_a_task_that_is_cancelled_closes_the_socket(way: Way, place: Place) -> None:
    async with WireServer([PLACES[place], "Hello."]) as server, way.to(server) as llm:
        listener = Listener(llm)
        await reached(server, listener, place)
        listener.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listener.task
        await server.closed(0)
        assert server.connections[0].closed_by == "client"
        assert has_no_call(listener.got)
        assert text_of(await chunks_of(llm)) == "Hello."


@closing_ways
@every_place
async def test_a_task_with_an_event_that_is_cancelled_closes_the_socket(way: Way, place: Place) -> None:
    async with WireServer([PLACES[place]]) as server, way.to(server) as llm:
        listener = Listener(llm, cancel_event=asyncio.Event())
        await reached(server, listener, place)
        listener.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listener.task
        await server.closed(0)


@closing_ways
@pytest.mark.parametrize("with_event", [True, False])
async def test_closing_the_iterator_closes_the_socket(way: Way, with_event: bool) -> None:
    async with WireServer([PLACES["in text"], "Hello."]) as server, way.to(server) as llm:
        stream: Any = llm.stream([USER], cancel_event=asyncio.Event() if with_event else None)
        assert (await anext(stream)).content == "Hello "
        await stream.aclose()
        await server.closed(0)
        assert text_of(await chunks_of(llm)) == "Hello."


@closing_ways
async def test_a_break_closes_the_socket_with_the_iterator(way: Way) -> None:
    async with WireServer([PLACES["in text"]]) as server, way.to(server) as llm:
        stream: Any = llm.stream([USER])
        async for _ in stream:
            break
        await stream.aclose()
        await server.closed(0)


@closing_ways
async def test_an_exception_of_who_listens_closes_the_socket(way: Way) -> None:
    async with WireServer([PLACES["in text"]]) as server, way.to(server) as llm:
        stream: Any = llm.stream([USER])
        with pytest.raises(ZeroDivisionError):
            async for _ in stream:
                raise ZeroDivisionError
        await stream.aclose()
        await server.closed(0)


@closing_ways
async def test_nothing_is_left_behind(way: Way) -> None:
    """No task of an answer that was given up goes on; what stays belongs to the pool of connections."""
    cancel = asyncio.Event()
    async with WireServer(["Warm.", PLACES["before the head"], PLACES["in text"]]) as server, way.to(server) as llm:
        await chunks_of(llm)
        before = asyncio.all_tasks()
        listener = Listener(llm, cancel_event=cancel)
        await server.received(2)
        cancel.set()
        await listener.task
        listener = Listener(llm)
        await listener.heard("Hello there")
        listener.task.cancel()
        with suppress(asyncio.CancelledError):
            await listener.task
        await server.closed(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() - before == set()


@ways(but=[name for name in WAYS if name.endswith("client")])
async def test_many_answers_at_once_are_cancelled_each_for_itself(way: Way) -> None:
    events = [asyncio.Event() for _ in range(6)]
    async with WireServer([["Hello ", Stall()]] * 6) as server, way.to(server) as llm:
        listeners = [Listener(llm, cancel_event=event) for event in events]
        for listener in listeners:
            await listener.heard("Hello ")
        for event in events[::2]:
            event.set()
        await asyncio.gather(*(listener.task for listener in listeners[::2]))
        assert [listener.got[-1] == CANCELLED for listener in listeners] == [True, False] * 3
        assert sum(connection.closed.is_set() for connection in server.connections) <= 3
        for event in events:
            event.set()
        await asyncio.gather(*(listener.task for listener in listeners))
        await server.closed()


@ways(but=[name for name in WAYS if name.endswith("client")])
async def test_an_answer_that_was_given_up_does_not_count_as_a_failure_of_the_next(way: Way) -> None:
    async with WireServer([PLACES["in text"], "Hello."]) as server, way.to(server, max_retries=0) as llm:
        stream: Any = llm.stream([USER])
        await anext(stream)
        await stream.aclose()
        try:
            assert text_of(await chunks_of(llm)) == "Hello."
        except ConnectionFailed as error:
            pytest.fail(f"the connection that was given up was used again: {error}")
