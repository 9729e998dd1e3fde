"""A simulated person who calls an agent, typing or speaking, until they have what they want or have had enough."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Final, Literal, TypeAlias

from patter_nb.agent import Agent
from patter_nb.charges import total
from patter_nb.errors import MalformedStream, PatterConfigError
from patter_nb.llm.base import LLMProvider, Message, ToolSpec, name_of
from patter_nb.llm.rounds import ToolRequest
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing.asking import Answer, ask
from patter_nb.testing.line import Line
from patter_nb.testing.phone import Heard, Phone, Typed, text_only
from patter_nb.testing.spoken import Spoken
from patter_nb.transports.keyboard import KeyboardTransport
from patter_nb.tts.base import TTS
from patter_nb.turn import Turn, parsed_arguments

Ended: TypeAlias = Literal["goal_reached", "hung_up", "max_turns", "failed", "session_over"]
Who: TypeAlias = Literal["agent", "caller"]

_PERSON: Final = """\
You play a person who calls a voice agent. Stay in this role; you are not an assistant, and you do not help the agent.
Who you are: {persona}
{goal}
Say one thing at a time, in a sentence or two, as people do on the telephone: only the words themselves. What you are told in (brackets) \
happens on the line.
Call hang_up when {over}, or when this person would hang up."""

_HANG_UP: Final[ToolSpec] = {
    "type": "function",
    "function": {
        "name": "hang_up",
        "description": "End the call, after what you say with it, if anything.",
        "parameters": {
            "type": "object",
            "properties": {
                "goal_reached": {"type": "boolean", "description": "Whether you got what you called for."},
                "reason": {"type": "string", "description": "Why you hang up, in one sentence."},
            },
            "required": ["goal_reached", "reason"],
        },
    },
}

_calls = count(1)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What came of a call. `expect(conversation)` and `judge(llm, conversation, rubric)` take it as they take a session.

    lines         who said what, in order: the caller's own words, and what they heard of the agent's
    turns         the same as the session has them: words as speech-to-text heard them, tool calls, latencies
    ended         "goal_reached" or "hung_up", which is the caller's own word and no proof; "max_turns"; "failed", when the agent
                  failed; "session_over", when it ended the session
    reason        the caller's, or the error's, in a sentence
    session       with its whole log; it is stopped, unless it was given
    caller_cost   USD of the caller's model, None where its price is not known
    """

    lines: tuple[tuple[Who, str], ...]
    turns: tuple[Turn, ...]
    ended: Ended
    reason: str
    session: Session
    caller_cost: Decimal | None = Decimal(0)

    @property
    def transcript(self) -> str:
        """Who said what, a line each."""
        return "\n".join(f"{who + ':':<7} {text}" for who, text in self.lines)

    def __repr__(self) -> str:
        return f"<Conversation: {len(self.turns)} turns, {self.ended}: {self.reason}>"


class Caller:
    """A person whom a language model plays: `persona` is who they are, `goal` what they call for.

    Without `tts` they type, and read: no transport, no sound. With one, `tts=PiperTTS()` say, they speak with that voice, over a line
    of their own, through the agent's real ears and voice; time then passes as fast as that goes. They hear what was really played, and
    cut in where the agent is heard for longer than `patience_s` seconds at a time (None: never).

    `llm` must take tools: it ends the call by one, `hang_up`. After `max_turns` things that were said it is over in any case.
    Raises `PatterConfigError` for what cannot be.

    >>> from patter_nb.testing import ScriptedLLM
    >>> Caller("An old man who hears badly.", llm=ScriptedLLM([]), goal="to learn whether it rains in Rome", max_turns=4)
    Caller('An old man who hears badly.', typing)
    """

    def __init__(
        self,
        persona: str,
        *,
        llm: LLMProvider,
        tts: TTS | None = None,
        goal: str | None = None,
        max_turns: int = 8,
        patience_s: float | None = None,
    ) -> None:
        if not isinstance(persona, str) or not persona.strip():
            raise PatterConfigError("The caller is nobody.", hint='Say who calls: Caller("A tourist in a hurry.", llm=...).')
        if not isinstance(llm, LLMProvider) or isinstance(llm, type):
            raise PatterConfigError(f"llm is {type(llm).__name__}, which has no stream.", hint="Pass a language model, OpenAILLM() say.")
        if tts is not None and (not callable(getattr(tts, "synthesize", None)) or isinstance(tts, type)):  # its format may load a model
            raise PatterConfigError(f"tts is {type(tts).__name__}, no voice.", hint="Pass a voice, PiperTTS() say, or None to type.")
        if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
            raise PatterConfigError(f"max_turns={max_turns!r} is no number of turns.", hint="Pass 1 or more.")
        if patience_s is not None and (tts is None or not patience_s > 0):
            raise PatterConfigError("patience_s is for a caller who speaks.", hint="Give the caller tts=, and seconds above 0.")
        self.persona = persona.strip()
        self.goal = goal
        self.max_turns = max_turns
        self.patience_s = patience_s
        self._llm = llm
        self._tts = tts

    async def call(self, called: Agent | Session) -> Conversation:
        """Call an agent, which is served for that alone, or type into a session, which stays.

        Where the caller types, the agent's ears and voice rest. Raises what the caller's model or voice raises, and the error that ended
        the session, if one did; a turn that failed ends the call and is in its turns. Raises `PatterConfigError` for a spoken call to a
        session, which has a line of its own, and for an agent that cannot be called so.
        """
        if isinstance(called, Session):
            if self._tts is not None:
                raise PatterConfigError("A caller who speaks brings the line.", hint="Pass the agent: await caller.call(session.agent).")
            return await self._talk(called, Typed(called))
        if not isinstance(called, Agent):
            raise PatterConfigError(f"call() was given {type(called).__name__}.", hint="Pass an Agent or a Session.")
        async with self._connected(called) as (session, phone):
            return await self._talk(session, phone)

    @asynccontextmanager
    async def _connected(self, agent: Agent) -> AsyncIterator[tuple[Session, Phone]]:
        name = f"caller {next(_calls)}"
        if self._tts is None:
            async with Patter().serve(text_only(agent), transport=KeyboardTransport(), name=name) as session:
                yield session, Typed(session)
            return
        line = Line()
        async with Patter().serve(agent, transport=line, name=name) as session:
            yield session, Spoken(session, line, self._tts, self.patience_s)

    async def _talk(self, session: Session, phone: Phone) -> Conversation:
        before = len(session.turns)
        greeting = await phone.greeting()
        if greeting:
            before -= 1
        lines: list[tuple[Who, str]] = [("agent", greeting)] if greeting else []
        costs: list[Decimal | None] = [Decimal(0)]
        messages: list[Message] = [
            {"role": "system", "content": self._role()},
            {"role": "user", "content": greeting or "(The call is answered, and nobody speaks yet.)"},
        ]

        def over(ended: Ended, reason: str) -> Conversation:
            return Conversation(tuple(lines), tuple(session.turns[before:]), ended, reason, session, total(costs))

        for _ in range(self.max_turns):
            answer = await ask(self._llm, messages, costs, (_HANG_UP,))
            hung_up = self._hung_up(answer)
            if answer.text:
                heard = await phone.say(answer.text)
                lines.append(("caller", answer.text))
                if heard.text:
                    lines.append(("agent", heard.text))
                if heard.failed is not None:
                    return over("failed", str(heard.failed))
                messages += [{"role": "assistant", "content": answer.text}, {"role": "user", "content": _told(heard)}]
            if hung_up is not None:
                return over(*hung_up)
            if session.is_over:
                return over("session_over", "The session ended.")
        return over("max_turns", f"The caller had said {self.max_turns} things.")

    def _role(self) -> str:
        goal = "You call about nothing in particular." if self.goal is None else f"What you call for: {self.goal.strip()}"
        over = "the talk is over" if self.goal is None else "you have what you call for"
        return _PERSON.format(persona=self.persona, goal=goal, over=over)

    def _hung_up(self, answer: Answer) -> tuple[Ended, str] | None:
        if not answer.calls:
            return None
        return _verdict(answer.calls[0], self._llm, has_goal=self.goal is not None)

    def __repr__(self) -> str:
        return f"Caller({self.persona[:60]!r}, {'typing' if self._tts is None else 'speaking'})"


def _told(heard: Heard) -> str:
    """What the caller's model reads of what they heard."""
    if heard.cut_in:
        return f"{heard.text} (The agent is still speaking. You have heard enough, and cut in.)".strip()
    return heard.text or "(The agent says nothing.)"


def _verdict(call: ToolRequest, llm: LLMProvider, *, has_goal: bool) -> tuple[Ended, str]:
    """How the call ended, out of the caller's `hang_up`. Raises `MalformedStream` for any other call."""
    given = parsed_arguments(call.arguments)
    if call.name != "hang_up" or not call.whole or not isinstance(given, Mapping):
        provider, model = name_of(llm)
        message = f"The caller's model called {call.name}({call.arguments:.80}), and knows nothing but hang_up."
        raise MalformedStream(message, provider=provider, model=model, hint="Take a model that keeps to its tools.")
    reached = has_goal and given.get("goal_reached") is True
    return ("goal_reached" if reached else "hung_up"), str(given.get("reason") or "The caller gave no reason.")
