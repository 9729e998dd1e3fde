"""What the fixture `patter_session` gives: sessions of agents for one test, which are stopped and whose doubles are verified at its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import wraps
from typing import Any

import pytest

from patter_nb.agent import Agent
from patter_nb.clock import Clock
from patter_nb.errors import PatterConfigError
from patter_nb.events import AgentChanged
from patter_nb.llm.fallback import FallbackLLM
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing.phone import Typed, text_only
from patter_nb.testing.scripted import Scripted
from patter_nb.transports.base import Transport
from patter_nb.transports.keyboard import KeyboardTransport


class PatterSession:
    """Serves agents to a test: `session = await patter_session(agent)`. `sessions` are those that were served, in order."""

    def __init__(self, test: str, *, is_async: bool) -> None:
        self._test = test
        self._is_async = is_async
        self._doubles: list[Scripted] = []
        self.sessions: list[Session] = []

    async def __call__(self, agent: Agent, *, clock: Clock | None = None, transport: Transport | None = None, **parts: Any) -> Session:
        """A live session of `agent` with these `parts` in place of its own, `llm=ScriptedLLM([...])` say.

        It is typed to: without a `transport` the agent's ears and voice rest, and with `llm=` its engine does; its greeting is over.
        Raises `TypeError` for an unknown part, and `PatterConfigError` for what cannot be served.
        """
        if not self._is_async:
            raise PatterConfigError("patter_session serves agents to async tests.", hint="Write async def test_...(patter_session).")
        if parts.get("llm") is not None:
            parts = {"engine": None, **parts}
        agent = (agent if transport is not None else text_only(agent)).replace(**parts)
        carrier = transport if transport is not None else KeyboardTransport(clock)
        session = await Patter().serve(agent, transport=carrier, name=f"{self._test} {len(self.sessions) + 1}")
        self.sessions.append(session)
        self._keep(agent)
        session.events.subscribe(lambda event: self._keep(session.agent) if isinstance(event.body, AgentChanged) else None)
        if transport is None:
            await Typed(session).greeting()
        return session

    def around(self, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """The test, and after it, in the same event loop, the end of its sessions. Then doubles are verified, if it passed."""

        @wraps(test)
        async def run(*arguments: Any, **named: Any) -> None:
            __tracebackhide__ = True
            try:
                await test(*arguments, **named)
            finally:
                await self._stop()
            try:
                for double in self._doubles:
                    double.verify()
            except AssertionError as error:
                pytest.fail(str(error), pytrace=False)  # the place that it was found at tells nothing

        return run

    def told(self) -> str:
        """The conversations, for whoever looks at a test that failed."""
        from patter_nb.display.turn import turns_text

        return "\n\n".join(turns_text(session.turns) for session in self.sessions)

    async def _stop(self) -> None:
        async with AsyncExitStack() as stopping:
            for session in self.sessions:
                stopping.push_async_callback(session.stop)

    def _keep(self, agent: Agent) -> None:
        models = agent.llm.llms if isinstance(agent.llm, FallbackLLM) else (agent.llm,)
        parts: Iterable[object] = (*models, agent.stt, agent.tts)
        self._doubles += [part for part in parts if isinstance(part, Scripted) and part not in self._doubles]
