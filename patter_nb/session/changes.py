"""Changing a session while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, overload
from weakref import WeakSet

from patter_nb.agent import PARTS, Agent, describe_change
from patter_nb.errors import PatterConfigError
from patter_nb.events import AgentChanged
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import LLMProvider
from patter_nb.llm.on_message import OnMessage, OnMessageLLM
from patter_nb.session.live import Live
from patter_nb.step.inputs import Swap
from patter_nb.tools.tool import Tool, tool
from patter_nb.vad import with_ears

_sessions: WeakSet[Live] = WeakSet()
"""Every session made here and still kept, so that two live ones do not share ears."""


def _part(name: str, doc: str) -> property:
    """A part of the agent: reading gives the present one, setting is `use(name=value)`."""
    return property(lambda self: getattr(self.agent, name), lambda self, value: self._set(name, value), doc=doc)


class Changes(Live):
    """A session as it is changed."""

    async def adopt(self, agent: Agent) -> AgentChanged:
        """Go on as another agent from the next turn on, keeping the history: `use` with every part. Waits for `start`."""
        return await self._at_home(lambda: self._adopt(agent))

    async def _adopt(self, agent: Agent) -> AgentChanged:
        await self._started.wait()
        return self._change(agent, "turn")

    def use(self, *, when: Literal["turn", "now"] = "turn", **parts: Any) -> AgentChanged:
        """Change parts of the agent (any keyword of `agent()`), from the next turn on, or `when="now"` in the middle of an answer.

        "now" fences the running answer off: what was heard stays, nothing more of the old parts is, and the new ones go on.
        May be called from any thread. Returns what changed. A rejected value (`PatterConfigError`, also for an agent that the
        transport cannot carry, or `TypeError` for an unknown part) leaves the agent as it was. `on_message` takes the place of
        `llm`, and the reverse.
        """
        if when not in ("turn", "now"):
            raise PatterConfigError(f"when={when!r} is unknown.", hint='Use when="turn" or when="now".')
        reject_unknown("use", parts, (*PARTS, "on_message"))
        if "on_message" in parts:
            parts = self._answering(**parts)
        self._require_no_engine(parts)
        return self.in_loop(lambda: self._change(with_ears(self.agent.replace(**parts)), when))

    def _require_no_engine(self, parts: Mapping[str, object]) -> None:
        """Raise where a stage is set that an engine keeps from running."""
        set_parts = [name for name in ("stt", "llm", "tts") if parts.get(name) is not None]
        if set_parts and parts.get("engine", self.agent.engine) is not None:
            raise PatterConfigError(
                f"An engine runs, and {' and '.join(set_parts)} would not.",
                hint="Put a pipeline in its place: session.use(engine=None, stt=..., llm=..., tts=...).",
            )

    def _answering(self, *, on_message: OnMessage | None, **parts: Any) -> dict[str, Any]:
        """The parts with `llm` for `on_message`; None takes it away."""
        if parts.get("llm") is not None and on_message is not None:
            raise PatterConfigError("Two that answer: on_message= and llm=.", hint="Pass one of them.")
        if on_message is not None:
            return parts | {"llm": OnMessageLLM(on_message)}
        return {"llm": None} | parts if self.on_message is not None else parts

    def _change(self, agent: Agent, when: Literal["turn", "now"]) -> AgentChanged:
        self._require_live()
        agent = self._conductor.equipped(agent)
        require_own_ears(agent, self)
        self.transport.check(agent)
        changed = AgentChanged(describe_change(self.agent, agent), when)
        self._conductor.feed(Swap(agent, when))
        return changed

    def _set(self, name: str, value: object) -> None:
        part: dict[str, Any] = {name: value}
        self.use(**part)

    @property
    def llm(self) -> LLMProvider | None:
        """The language model; None where `on_message` answers. Setting it takes the place of `on_message`."""
        llm = self.agent.llm
        return None if isinstance(llm, OnMessageLLM) else llm

    @llm.setter
    def llm(self, value: LLMProvider | None) -> None:
        self.use(llm=value)

    @property
    def on_message(self) -> OnMessage | None:
        """The function or URL that answers in place of a language model; None where one does. Setting it takes the place of `llm`."""
        llm = self.agent.llm
        return llm.handler if isinstance(llm, OnMessageLLM) else None

    @on_message.setter
    def on_message(self, value: OnMessage | None) -> None:
        self.use(on_message=value)

    stt = _part("stt", "Speech-to-text.")
    tts = _part("tts", "Text-to-speech.")
    engine = _part("engine", "What hears, thinks and speaks by itself, in place of the three.")
    vad = _part("vad", "The voice activity detector.")
    tools = _part("tools", "The tools.")
    system_prompt = _part("system_prompt", "What the model is told.")
    variables = _part("variables", "What fills the placeholders of the prompt.")
    guardrails = _part("guardrails", "What must not be said or asked.")
    turn_taking = _part("turn_taking", "How it is decided whose turn it is.")

    @overload
    def tool(self, fn: Callable[..., Any], **options: Any) -> Tool: ...
    @overload
    def tool(self, fn: None = None, **options: Any) -> Callable[[Callable[..., Any]], Tool]: ...
    def tool(self, fn: Callable[..., Any] | None = None, **options: Any) -> Tool | Callable[[Callable[..., Any]], Tool]:
        """Decorator: add a function as a tool, or replace the tool of that name, from the next turn on."""
        if fn is None:
            return lambda fn: self.tool(fn, **options)
        made: Tool = tool(fn, **options)
        self.use(tools=(*(other for other in self.agent.tools if other.name != made.name), made))
        return made


def keep(session: Live) -> None:
    """Know of this session as long as somebody keeps it."""
    _sessions.add(session)


def require_own_ears(agent: Agent, session: Live | None) -> None:
    """Raise when another live session hears with this agent's speech-to-text or detector: each keeps the sound of one person."""
    for other in tuple(_sessions):
        if other is session or other.is_over:
            continue
        hears = other.agent
        for name, part, theirs in (("stt", agent.stt, hears.stt), ("vad", agent.vad, hears.vad), ("engine", agent.engine, hears.engine)):
            if part is not None and part is theirs:
                raise PatterConfigError(
                    f"{name}={type(part).__name__} is in use by the session {other.name!r}, which is live.",
                    hint=f"Make one for each session: {name}={type(part).__name__}(...). Or end the other: await session.stop().",
                )
