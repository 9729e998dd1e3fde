"""Talking to a session, and waiting for what comes of it."""

from __future__ import annotations

import asyncio

from patter_nb.errors import PatterConfigError, RequestTimeout
from patter_nb.events import (
    BreakpointHit,
    Event,
    SessionStopped,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
)
from patter_nb.session.live import Live
from patter_nb.step.inputs import Failure, Say, Stop
from patter_nb.transports.base import Accept, Typed
from patter_nb.turn import Turn


class Talk(Live):
    """A session as it is talked to."""

    async def ask(self, text: str, *, timeout_s: float | None = None) -> Turn:
        """The person types `text`. Returns the turn when its answer is complete and its sound is handed over.

        A turn that failed is returned too, with `status` "failed" and the cause in `error`; after `timeout_s` seconds of
        session time it fails with `RequestTimeout`. Typing while the agent speaks interrupts it, as speaking would.
        Raises `PatterConfigError` for empty text, and for a session that is over.
        """
        _require_text("ask", text)
        return await self._at_home(lambda: self._ask(text, timeout_s))

    async def _ask(self, text: str, timeout_s: float | None) -> Turn:
        self._require_live()
        self._conductor.feed(Typed(text))
        self._require_live()
        turn = self.turns[-1]
        if timeout_s is None:
            return await self._over(turn)
        timer = self._conductor.tasks.spawn(self._expire(turn, timeout_s), "timeout")
        try:
            return await self._over(turn)
        finally:
            timer.cancel()

    async def say(self, text: str) -> Turn:
        """The agent speaks `text` by itself, once it is free. Returns when its sound is handed over."""
        _require_text("say", text)
        return await self._at_home(lambda: self._say(text))

    async def _say(self, text: str) -> Turn:
        self._require_live()
        ahead = len(self._conductor.state.queue)

        def ours(event: Event) -> bool:
            nonlocal ahead
            if isinstance(event.body, TurnStarted) and event.body.source == "say":
                ahead -= 1
            return ahead < 0 or isinstance(event.body, SessionStopped)

        began = self._event(ours)
        self._conductor.feed(Say(text))
        event = await began
        return await self._over(self._turn_of(event))

    async def accept(self, turn: Turn) -> Turn:
        """Answer a turn that was only offered, because it came too late. Returns as `ask` does."""
        return await self._at_home(lambda: self._accept(turn))

    async def _accept(self, turn: Turn) -> Turn:
        self._require_live()
        if not any(turn is own for own in self.turns):
            raise PatterConfigError(f"Turn {turn.id} is not one of this session's.", hint="Take it from session.turns.")
        if turn.status != "offered":
            raise PatterConfigError(f"Turn {turn.id} is {turn.status}.", hint='Only a turn with status "offered" can be accepted.')
        self._conductor.feed(Accept(turn.id))
        return await self._over(turn)

    async def wait_turn(self) -> Turn:
        """The next turn to be over: answered and heard, failed, interrupted, or offered because it came too late.

        Raises `PatterConfigError` on a kernel where nothing that the person does arrives while a cell awaits.
        """
        self.transport.check_waiting()
        return await self._at_home(self._wait_turn)

    async def _wait_turn(self) -> Turn:
        self._require_live()
        ends = (TurnHeard, TurnOffered, BreakpointHit, SessionStopped)
        return self._turn_of(await self._event(lambda event: isinstance(event.body, ends)))

    async def wait(self) -> None:
        """Return when the session is over. Raises the `PatterError` that ended it, if one did.

        Raises `PatterConfigError` on a kernel where nothing that the person does arrives while a cell awaits.
        """
        if not self.is_over:
            self.transport.check_waiting()
        await self._at_home(self._closed)

    async def stop(self) -> None:
        """End the session; whatever is being said is cut off. Stopping twice is the same as once.

        Raises the `PatterError` that ended it or came up at its end, if one did: a recording that could not be written, say.
        """
        await self._at_home(self._stop)

    async def _stop(self) -> None:
        self._conductor.feed(Stop("stop() was called"))
        await self._closed()

    async def _closed(self) -> None:
        await asyncio.shield(self._conductor.closed)

    async def _over(self, turn: Turn) -> Turn:
        if turn.status == "running" and not self._conductor.state.held:
            await self._event(lambda event: event.turn == turn.id and isinstance(event.body, (TurnEnded, BreakpointHit)))
        return turn

    async def _expire(self, turn: Turn, timeout_s: float) -> None:
        conductor = self._conductor
        await conductor.clock.sleep_until(conductor.clock.now_ms() + timeout_s * 1000)
        if turn.status == "running":
            error = RequestTimeout(f"No complete answer within {timeout_s} s.", hint="Raise timeout_s, or take a faster model.")
            conductor.feed(Failure(conductor.state.epoch, "session", error))


def _require_text(verb: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise PatterConfigError(f"{verb}() was given no text.", hint=f'For example: await session.{verb}("Hello!").')
