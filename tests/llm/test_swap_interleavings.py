"""A conversation changes hands, between any two that answer, in the middle of everything that can happen in it.

Chunks, tools that take their time, a person who types and speaks into answers, faults: in any order, over the real wires. Whatever the
order: nothing of the one before is said after the fence, no result is lost, one voice speaks, and the other goes on.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal

import pytest
from history_rules import faults
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from swap_room import LOUD, Room
from swap_sides import SIDES, Script, Side, words_of

from patter_nb.errors import ConnectionFailed, RequestTimeout, ServerError, TruncatedStream
from patter_nb.events import (
    AudioSent,
    Event,
    LLMChunked,
    LLMRequested,
    SentenceChecked,
    SentenceReady,
    SentenceSpoken,
    StageFailed,
    ToolCalled,
    ToolEnded,
    TurnHeard,
    TurnStarted,
)
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.step.answering import GO_ON
from patter_nb.transports.base import Played, Typed

When = Literal["turn", "now"]
PAIRS = [(before, after, when) for before, after in itertools.permutations(SIDES, 2) for when in ("turn", "now")]
PATIENCE_S = 20.0
EXPECTED = (ServerError, TruncatedStream, ConnectionFailed, RequestTimeout)
"""What the faults are that a walk has happen."""


class Walk:
    """One conversation, and all that a person, tools and the wire may do in it. Each act takes a number from 0 to 9 for its details."""

    session: Session

    def __init__(self, room: Room, script: Script, before: Side, after: Side) -> None:
        self.room, self.script = room, script
        self.before, self.after = before, after
        self.side = before
        self.fence: Fence | None = None
        self.running: list[asyncio.Future[str]] = []
        self.words = 0
        self.acts: dict[str, Callable[[int], Any]] = {
            "go": self.go, "type": self.type, "speak": self.speak, "listen": self.listen, "call": self.wish, "tool": self.end_tool,
            "fault": self.fault, "wait": self.wait,
        }  # fmt: skip

    async def look_up(self, key: str) -> str:
        """Look something up, which takes its time."""
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.running.append(outcome)
        if self.script.is_free:
            outcome.set_result("found")
        return f"{key} is {await outcome}."

    # --- acts

    async def go(self, detail: int) -> None:
        self.script.let_go()
        await turns_of_the_loop(3 * detail)

    async def type(self, detail: int) -> None:
        self.words += 1
        self.session.take(Typed(f"typed-{self.words}"))
        await turns_of_the_loop(5 * detail)

    async def speak(self, detail: int) -> None:
        """A second, and the silence that ends it; or only a noise."""
        if detail < 3:
            self.room.make_sound(80, LOUD)
        else:
            self.words += 1
            self.side.expects_speech(f"spoken-{self.words}")
            self.room.make_sound(700, LOUD)
        self.room.make_sound(1200)
        await until(lambda: self.room.is_heard, self)

    async def listen(self, detail: int) -> None:
        self.play(1000 * (detail + 1))

    def play(self, samples: int) -> None:
        self.session.take(Played(self.room.listen(samples)))

    async def wish(self, detail: int) -> None:
        self.script.wished.append("calls" if detail > 6 else "call")

    async def end_tool(self, detail: int) -> None:
        waiting = [outcome for outcome in self.running if not outcome.done()]
        if waiting and detail > 7:
            waiting[0].set_exception(RuntimeError("It is out of order."))
        elif waiting:
            waiting[detail % len(waiting)].set_result("found")
        await turns_of_the_loop(detail)

    async def fault(self, detail: int) -> None:
        await self.side.fail()

    async def wait(self, detail: int) -> None:
        self.room.manual.advance(100.0 * detail)
        await turns_of_the_loop(10 * detail)

    # --- the change, and what comes after it

    def swap(self, when: When) -> None:
        self.fence = Fence(self, when)
        self.session.use(when=when, **self.after.parts())
        self.side = self.after

    async def settle(self) -> None:
        """Everything gets on until nobody says anything any more."""
        self.script.free()
        self.room.make_sound(1200)
        for outcome in self.running:
            if not outcome.done():
                outcome.set_result("found")

        rested = 0

        def rests() -> bool:
            nonlocal rested
            self.play(10**9)
            ready = self.session.state == "ready" and self.room.is_heard and all(turn.is_settled for turn in self.session.turns)
            rested = rested + 1 if ready else 0
            return rested > 60  # what an engine has heard is on its way there and back

        await until(rests, self)


class Fence:
    """What stood when the one took over from the other: which turn ran, which were over, and what of it may have been heard."""

    def __init__(self, walk: Walk, when: When) -> None:
        turns = walk.session.turns
        self.when = when
        self.seq = len(walk.session.events)
        self.turn = turns[-1].id if turns and turns[-1].status == "running" else None
        self.over = {turn.id for turn in turns if turn.id != self.turn}
        self.heard = self._heard(walk.session, walk.room.position)

    def _heard(self, session: Session, position: int) -> Counter[str]:
        """The words that may have been heard by then: those whose sound, or a little more, the loudspeaker had come to."""
        texts: dict[int, str] = {}
        spans: dict[int, tuple[int, int]] = {}
        done: set[int] = set()
        for event in session.events:
            if event.turn != self.turn or self.turn is None:
                continue
            match event.body:
                case SentenceReady(index, _, text):
                    texts[index] = text
                case SentenceChecked(index, text):
                    texts[index] = text
                case SentenceSpoken(index):
                    done.add(index)
                case AudioSent(index, start, stop):
                    spans[index] = (spans.get(index, (start, stop))[0], stop)
        heard: list[str] = []
        for index, (start, stop) in spans.items():
            words = words_of(texts[index])
            share = (position - start) / (stop - start)
            heard += words if share >= 1 and index in done else words[: max(0, int(share * len(words)) + 1)] if share > 0 else []
        return Counter(heard)


async def turns_of_the_loop(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], walk: Walk) -> None:
    """Let the loop run until it holds. Where nothing gets on the session's time does, so that what it waits for may be over."""
    rounds = 0
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            rounds += 1
            await asyncio.sleep(0 if rounds % 50 else 0.002)
            if rounds % 500 == 0:
                walk.room.manual.advance(500.0)


def check_log(walk: Walk) -> None:
    """What holds of every conversation, whoever takes part in it."""
    events = walk.session.events
    assert not faults(walk.session.history), (faults(walk.session.history), walk.session.history)
    end, epoch = 0, 0
    for event in events.of(AudioSent):
        assert isinstance(event.body, AudioSent)
        assert event.body.start == end, "sound lies over other sound"
        assert event.epoch >= epoch, "sound of an epoch that was over"
        end, epoch = event.body.stop, event.epoch
    called = Counter((event.turn, event.body.id) for event in events.of(ToolCalled))  # type: ignore[attr-defined]
    assert called == Counter((event.turn, event.body.id) for event in events.of(ToolEnded)), "each call ends once"  # type: ignore[attr-defined]
    for event in events.of(StageFailed):
        assert isinstance(event.body, StageFailed)
        assert isinstance(event.body.error, EXPECTED), repr(event.body.error)
    for side in (walk.before, walk.after):
        assert not side.faults()


def check_fence(walk: Walk) -> None:
    """Nothing of the one before comes behind the fence, but what was heard of it; and who answers from then on is the other."""
    assert walk.fence is not None
    fence = walk.fence
    ready: dict[tuple[int | None, int], int] = {}
    wordless: set[int | None] = set()
    """Turns of what an engine heard and has not written down: nobody else could answer that."""
    for event in walk.session.events:
        body = event.body
        if isinstance(body, SentenceReady):
            ready[event.turn, body.index] = event.seq
        if isinstance(body, TurnStarted) and body.source == "speech" and not body.text and fence.when == "turn":
            wordless.add(event.turn)
        if event.seq < fence.seq or event.turn in fence.over | wordless:
            continue
        if fence.when == "turn" and fence.turn is not None and event.turn == fence.turn:
            assert not isinstance(body, LLMRequested) or (body.stage, body.provider) == walk.before.identity, "a turn keeps who answers it"
            continue
        check_behind(walk, event, ready)


def check_behind(walk: Walk, event: Event, ready: Mapping[tuple[int | None, int], int]) -> None:
    """An event behind the fence has nothing of the one before. `ready` tells when each piece was."""
    assert walk.fence is not None
    fence, old, body = walk.fence, walk.before.name, event.body
    match body:
        case LLMRequested():
            assert (body.stage, body.provider) == walk.after.identity, event
        case LLMChunked():
            assert not words_of(body.chunk.content or "", old), f"arrived behind the fence: {event}"
        case SentenceReady():
            assert not words_of(body.text, old), f"said behind the fence: {event}"
        case AudioSent():
            assert ready[event.turn, body.index] >= fence.seq, f"sounds behind the fence: {event}"
        case TurnHeard():
            leaked = Counter(words_of(body.text, old)) - (fence.heard if event.turn == fence.turn else Counter())
            assert not leaked, f"never heard: {leaked} in {body.text!r}"


def check_memory(walk: Walk) -> None:
    """What the one who goes on was told, and what is kept: each word that was heard, once, and each result, once."""
    assert walk.fence is not None
    history, old = json.dumps(walk.session.history), walk.before.name
    assert max(Counter(words_of(history)).values(), default=1) == 1, f"kept twice: {history}"
    assert GO_ON not in history
    leaked = set(words_of(walk.after.told(), old)) - set(words_of(history, old)) - set(walk.fence.heard)
    assert not leaked, f"told, though never heard: {leaked}"
    for event in walk.session.events.of(ToolEnded):
        assert isinstance(event.body, ToolEnded)
        turn = walk.session.turns.by_id(event.turn or 0)
        if walk.after.identity[0] == "engine" and event.turn == walk.fence.turn and turn.status == "interrupted":
            continue  # an engine that took over while a tool ran, and was spoken into before it knew of the result, learns it with the next
        if event.body.status == "completed":
            assert walk.after.knows(event.body.content), f"{event.body.content!r} is lost, or told twice: {walk.after.told()}"


ACTS = ("go", "go", "go", "go", "listen", "listen", "type", "speak", "call", "tool", "tool", "fault", "wait")
wishes = st.lists(st.sampled_from(("words", "call", "call", "calls", "cut")), max_size=2)
acts = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 9)), min_size=1, max_size=14)
bounded = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}


async def walked(before: str, after: str, when: When, wished: list[str], first: list[Any], then: list[Any]) -> None:
    script = Script()
    script.wished = [*wished]
    room = Room()
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(SIDES[name](script)) for name in (before, after)]
        walk = Walk(room, script, one, other)
        agent = Patter().agent("Be brief.", tools=[walk.look_up], **one.parts())
        walk.session = session = await stack.enter_async_context(Patter().serve(agent, transport=room, name=f"{before} to {after}"))
        for name, detail in first:
            await walk.acts[name](detail)
        walk.swap(when)
        for name, detail in then:
            await walk.acts[name](detail)
        await walk.settle()
        async with asyncio.timeout(PATIENCE_S):
            turn = await session.ask("And now?")
        assert (turn.status, turn.provider) == ("completed", other.identity[1]), (turn.status, turn.provider, turn.error)
        assert words_of(turn.agent_text, after), turn.agent_text
        await walk.settle()
        check_log(walk)
        check_fence(walk)
        check_memory(walk)


@pytest.fixture
def drops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may drop, however short it has held: the session's time stands still."""
    monkeypatch.setattr("patter_nb.pipeline.engaged.STEADY_MS", 0.0)


@pytest.mark.usefixtures("drops_at_once")
@pytest.mark.parametrize(("before", "after", "when"), PAIRS)
@settings(max_examples=1, **bounded)
@given(wished=wishes, first=acts, then=acts)
def test_whatever_happens_the_other_goes_on(before: str, after: str, when: When, wished: list[str], first: Any, then: Any) -> None:
    asyncio.run(walked(before, after, when, wished, [("type", 9), *first], then))


@pytest.mark.slow
@pytest.mark.usefixtures("drops_at_once")
@pytest.mark.parametrize(("before", "after", "when"), PAIRS)
@settings(max_examples=6, **bounded)
@given(wished=wishes, first=acts, then=acts)
def test_whatever_happens_for_long_the_other_goes_on(before: str, after: str, when: When, wished: list[str], first: Any, then: Any) -> None:
    asyncio.run(walked(before, after, when, wished, [("type", 9), *first], then))
