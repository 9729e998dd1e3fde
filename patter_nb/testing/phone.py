"""How a simulated caller reaches an agent: what they say, and what they hear of it. Here by typing; by speaking it is in `spoken`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from patter_nb.agent import Agent
from patter_nb.errors import PatterError
from patter_nb.session import Session
from patter_nb.turn import Turn


@dataclass(frozen=True, slots=True)
class Heard:
    """What the caller heard after they had spoken; `failed` is what the agent failed by. With `cut_in` it still speaks."""

    text: str
    failed: PatterError | None = None
    cut_in: bool = False


class Phone(Protocol):
    """How a caller reaches the agent."""

    async def greeting(self) -> str: ...

    async def say(self, text: str) -> Heard: ...


class Typed:
    """The caller types into a session, and reads."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def greeting(self) -> str:
        """What the agent has said first, if nobody has said anything since."""
        turn = self._session.turns[-1] if self._session.turns else None
        if turn is None or turn.source != "greeting":
            return ""
        if not turn.is_settled:
            await self._session.wait_turn()
        return heard_of(turn)

    async def say(self, text: str) -> Heard:
        turn = await self._session.ask(text)
        return Heard(heard_of(turn), turn.error)


def heard_of(turn: Turn) -> str:
    """What the person heard of it; all of it, as long as that is not known."""
    return turn.heard_text if turn.is_settled else turn.agent_text


def text_only(agent: Agent) -> Agent:
    """The agent without ears and voice: it is typed to."""
    return agent.replace(stt=None, tts=None, vad=None)
