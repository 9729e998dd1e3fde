"""What a session wants done: `step` returns these, the edge carries them out and answers with inputs of the same epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from patter_nb.agent import Agent
from patter_nb.audio.frames import Block
from patter_nb.events import SentenceKind
from patter_nb.llm.base import Message
from patter_nb.llm.rounds import ToolRequest


@dataclass(frozen=True, slots=True)
class Adopt:
    """Use the parts of this agent from now on."""

    agent: Agent


@dataclass(frozen=True, slots=True)
class Listen:
    """Give the person's sound to speech-to-text, from shortly before now on."""


@dataclass(frozen=True, slots=True)
class FinalizeWords:
    """Ask speech-to-text for the words so far. Answer: one final `Transcript`."""


@dataclass(frozen=True, slots=True)
class StopListening:
    """The utterance is over: no more sound for speech-to-text."""


@dataclass(frozen=True, slots=True)
class JudgeTurn:
    """Ask the turn detector whether the person, who speaks since sample `since` and pauses since `last`, has finished. Answer: `Judged`."""

    since: int
    last: int


@dataclass(frozen=True, slots=True)
class CheckWords:
    """Run hooks and input guardrails on the person's words. Answer: `WordsChecked`."""

    epoch: int
    turn: int
    text: str
    before: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class AskLLM:
    """Stream the model's answer. Answer: `ChunkArrived`..., then `StreamEnded` or `Failure`."""

    epoch: int
    turn: int
    round: int
    messages: tuple[Message, ...]
    with_tools: bool


@dataclass(frozen=True, slots=True)
class CloseLLM:
    """Close the running stream; nothing more is wanted of it."""

    epoch: int


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run one tool call. Answer: `ToolFinished`."""

    turn: int
    request: ToolRequest


@dataclass(frozen=True, slots=True)
class CancelTool:
    """Give up a running tool call; its result is not wanted."""

    turn: int
    id: str


@dataclass(frozen=True, slots=True)
class Speak:
    """Check and speak one piece, after the pieces before it. Answer: `PieceChecked`, `AudioMade`..., `PieceSpoken`, or `Failure`."""

    epoch: int
    turn: int
    index: int
    text: str
    kind: SentenceKind


@dataclass(frozen=True, slots=True)
class Follow:
    """The engine's answer `id` is request `round` of this turn. Answer: `ChunkArrived`, `EngineSound`..., then `StreamEnded`, `Failure`."""

    id: str
    epoch: int
    turn: int
    round: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give up everything of this epoch except tools. `heard` is how many samples of its sound, on the output axis, an engine's newest
    answer was heard of; None where it is heard to its end, or makes none. `calls` are those of an engine that will not be answered,
    each with what became of it."""

    epoch: int
    heard: int | None = None
    calls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class EndSound:
    """The microphone closed, perhaps in mid-sentence: an engine, which waits for the person to go on, is to know that they do not."""


@dataclass(frozen=True, slots=True)
class Play:
    """Hand sound to the transport."""

    block: Block


@dataclass(frozen=True, slots=True)
class PausePlayback:
    """Hold the sound at the cursor."""


@dataclass(frozen=True, slots=True)
class ResumePlayback:
    """Go on from the held sample."""


@dataclass(frozen=True, slots=True)
class FlushPlayback:
    """Forget the sound that was not played."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The session is over: close everything."""


Effect: TypeAlias = (
    Adopt
    | Listen
    | FinalizeWords
    | StopListening
    | JudgeTurn
    | CheckWords
    | AskLLM
    | CloseLLM
    | RunTool
    | CancelTool
    | Speak
    | Follow
    | EndSound
    | Cancel
    | Play
    | PausePlayback
    | ResumePlayback
    | FlushPlayback
    | Shutdown
)
